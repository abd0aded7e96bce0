"""Faster functions for CPUs: dropout, attention and MLP for training, and matmuls of few rows for inference."""
