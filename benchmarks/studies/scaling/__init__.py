"""Measure data-parallel training in several processes, and predict training on clusters."""
