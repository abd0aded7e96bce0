"""The vocabularies of the originals, as their seq2seq code uses them."""

from functools import cache

import pytest

from tests.support.seq2seq_features import build_tokenizer


@pytest.fixture(scope="session")
def original_tokenizer(tmp_path_factory):
    """Load a tokenizer of the originals' cases by its name there, once."""

    @cache
    def load(name):
        return build_tokenizer(name, tmp_path_factory.mktemp(name))

    return load
