"""Classify texts with cloze questions: train, predict, calibrate, measure."""
