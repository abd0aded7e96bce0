"""The files that a push uploads beside the weights of a model."""

MODEL_CODE = {
    "cache_glm.py",
    "choices_glm.py",
    "configuration_glm.py",
    "generation_glm.py",
    "layout_glm.py",
    "modeling_glm.py",
}
