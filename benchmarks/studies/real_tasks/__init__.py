"""Measure cloze classification on real tasks, beside a classification head and linear classifiers of words."""
