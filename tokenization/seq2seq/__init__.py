"""Turn sources and targets into the inputs of the model."""
