"""Facts about numbers."""
