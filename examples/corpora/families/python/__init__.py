"""Facts about Python."""
