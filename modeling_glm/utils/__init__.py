"""Helpers that three or more rooms share."""
