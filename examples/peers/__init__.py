"""
Compare a GLM with a known causal model on questions that no one here wrote, by the same code.

    python -m examples.peers examples/glm-tiny SmolLM2-135M-Instruct.Q4_1.gguf --output_dir peers

The questions are for evaluation only: the authors of BIG-bench ask that no model is trained on them.
"""
