"""Facts about characters."""
