"""Fixtures that all tests share."""

import pytest
import torch
from hypothesis import settings

from modeling_glm import GLMTokenizer
from tests.support.models import TEXTS

# The same examples in every run, and nothing written beside the tests.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def tokenizer() -> GLMTokenizer:
    """A small vocabulary; tests that change it take a copy."""
    return GLMTokenizer.train_from_iterator(TEXTS, 400)


@pytest.fixture(autouse=True)
def _uncompiled_flex_attention(request):
    """Transformers compiles flex attention for every mask, which takes a CPU minutes: here it runs uncompiled."""
    callspec = getattr(request.node, "callspec", None)
    # Only strings are compared: pd.NA and arrays have no plain ==.
    if callspec is None or "flex_attention" not in [v for v in callspec.params.values() if isinstance(v, str)]:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
