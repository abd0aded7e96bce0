"""A model for the vocabulary of a test file, and the vocabularies of the originals."""

from collections.abc import Callable
from functools import cache

import pytest

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from tests.support.models import make_text_model
from tests.support.original_evaluation import load_tiny
from tests.support.original_files import VOCABULARIES, write_vocabulary


@pytest.fixture(scope="module")
def model(tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    """Make a model for the fixture `tokenizer` that the file sees."""
    return make_text_model(tokenizer)


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], GLMTokenizer]:
    """Return the tokenizer of a family, or that of a tiny model of the originals, by name."""
    root = tmp_path_factory.mktemp("vocabularies")

    @cache
    def find(name: str) -> GLMTokenizer:
        if name not in VOCABULARIES:
            return load_tiny(name)[1]
        return GLMTokenizer.from_pretrained(write_vocabulary(name, root / name))

    return find
