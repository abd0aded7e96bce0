"""Decisions for many requests, their temperatures, and decision models from cloze classifiers."""
