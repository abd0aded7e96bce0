"""Facts about dates and times."""
