"""Draw what the model sees, and predict the cost of training."""
