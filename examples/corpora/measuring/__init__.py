"""Measure how well a model fills blanks in held-out texts, and compare it with trivial baselines."""
