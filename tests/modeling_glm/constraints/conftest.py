"""A small model for texts."""

import pytest

from modeling_glm import GLMForConditionalGeneration
from tests.support.models import make_model


@pytest.fixture(scope="module")
def model(tokenizer) -> GLMForConditionalGeneration:
    return make_model(
        GLMForConditionalGeneration,
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        **tokenizer.special_token_ids,
    )
