"""Act on the probabilities of a classifier: abstain, name a set of labels, or name every label that applies."""
