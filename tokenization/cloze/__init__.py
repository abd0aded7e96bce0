"""Turn classification examples into cloze questions: patterns, tasks, readers, a collator."""
