"""The files that a push uploads beside the weights of a model."""

MODEL_CODE = {
    "attention_glm.py",
    "cache_glm.py",
    "choices_glm.py",
    "configuration_glm.py",
    "generation_glm.py",
    "layout_glm.py",
    "mlp_glm.py",
    "modeling_glm.py",
}
