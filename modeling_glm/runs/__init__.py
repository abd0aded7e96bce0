"""Runs that survive crashes: whole checkpoints, and one run per folder."""
