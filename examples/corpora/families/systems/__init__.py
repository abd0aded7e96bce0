"""Facts about networks and operating systems."""
