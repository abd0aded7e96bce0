"""The precision in which a model computes: fp32, bf16, fp16, or int8 on a CPU."""
