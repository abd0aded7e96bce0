import pytest

from modeling_glm import GLMTokenizer

TEXTS = [
    "The quick brown fox jumps over the lazy dog and the lazy cat.",
    "In the year 1987 the number 404 was not found.",
    "Paris is the capital of France, and Rome is the capital of Italy.",
] * 20


@pytest.fixture(scope="session")
def tokenizer() -> GLMTokenizer:
    return GLMTokenizer.train_from_iterator(TEXTS, 400)
