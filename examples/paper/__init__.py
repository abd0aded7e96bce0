"""Reproduce the tables of the paper: settings and figures as YAML, one runner, one report."""
