"""Convert the checkpoints of the original implementations, both ways."""
