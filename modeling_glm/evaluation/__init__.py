"""Measure a model: perplexity, LAMBADA, infilling, multiple choice, lm-evaluation-harness."""
