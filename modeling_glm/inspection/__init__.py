"""Look at what the model sees, and at what training it costs."""
