"""The embedded checkpoint and the texts of the embedded corpus."""

from examples.corpora import build_splits
from modeling_glm import GLMTokenizer

from .measuring import ROOT

EMBEDDED = ROOT / "examples" / "glm-tiny"


def load_tokenizer() -> GLMTokenizer:
    return GLMTokenizer.from_pretrained(EMBEDDED)


def training_texts(count: int | None = None) -> list[str]:
    """Return the first texts of the training split, or all of them."""
    return [document.text for document in build_splits()[0][:count]]


def held_out_texts() -> list[str]:
    """Return the texts of the held-out split."""
    return [document.text for document in build_splits()[1]]
