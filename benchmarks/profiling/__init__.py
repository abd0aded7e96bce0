"""`python -m benchmarks profile`: where the time of training, decoding, filling and scoring goes."""
