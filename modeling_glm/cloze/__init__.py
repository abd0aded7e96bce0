"""Classify texts by cloze questions: train, predict, calibrate, measure."""
