"""From classification examples to cloze questions: patterns, tasks, readers, collator."""
