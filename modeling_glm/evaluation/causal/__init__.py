"""Score choices with causal models, such as Llama and GPT-2: the peers of GLM in the same measurement."""
