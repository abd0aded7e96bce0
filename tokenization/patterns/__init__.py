"""Read patterns: texts with fields and blanks, for cloze questions and for sources with targets."""
