"""The names of the code files that a push uploads with the weights."""

MODEL_CODE = {
    "attention_glm.py",
    "branches_glm.py",
    "cache_glm.py",
    "choices_glm.py",
    "configuration_glm.py",
    "decision_glm.py",
    "embeddings_glm.py",
    "generation_glm.py",
    "guidance_glm.py",
    "inputs_glm.py",
    "labels_glm.py",
    "layout_glm.py",
    "mlp_glm.py",
    "modeling_glm.py",
    "processors_glm.py",
    "questions_glm.py",
    "settings_glm.py",
}

# Those that come with a tokenizer.
TOKENIZER_CODE = {
    "backend_copies.py",
    "blanks.py",
    "building.py",
    "cutting.py",
    "id_decoding.py",
    "inputs.py",
    "original_vocabularies.py",
    "prefix_space.py",
    "saving.py",
    "text_encoding.py",
    "tokenization_glm.py",
}
