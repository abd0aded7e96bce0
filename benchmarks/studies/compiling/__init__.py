"""What `torch.compile` gives on CPUs."""
