"""A small model for texts."""

import pytest

from modeling_glm import GLMForConditionalGeneration
from tests.support.models import make_text_model


@pytest.fixture(scope="module")
def model(tokenizer) -> GLMForConditionalGeneration:
    return make_text_model(tokenizer)
