"""A small model in a folder, and rows that it can be fine-tuned on."""

from pathlib import Path

import pytest

from modeling_glm import GLMForConditionalGeneration
from tests.support.seq2seq_runs import make_config, make_ending_model


@pytest.fixture(scope="session")
def saved(tokenizer, tmp_path_factory) -> Path:
    """The folder of a small model of random weights, with its tokenizer."""
    folder = tmp_path_factory.mktemp("saved")
    GLMForConditionalGeneration(make_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def ending(tokenizer, tmp_path_factory) -> Path:
    """The folder of a small model that ends its answers after some tokens."""
    folder = tmp_path_factory.mktemp("ending")
    make_ending_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
