"""The embedded checkpoint, the texts of the embedded corpus, and how well a form of the checkpoint fills its blanks."""

from collections.abc import Mapping

from examples.corpora import build_splits
from examples.corpora.measuring.blanks import HeldOutBlank, make_blanks
from modeling_glm import GLMTokenizer

from .measuring import ROOT
from .results import Quality

EMBEDDED = ROOT / "examples" / "glm-tiny"


def load_tokenizer() -> GLMTokenizer:
    return GLMTokenizer.from_pretrained(EMBEDDED)


def training_texts(count: int | None = None) -> list[str]:
    """Return the first texts of the training split, or all of them."""
    return [document.text for document in build_splits()[0][:count]]


def held_out_texts() -> list[str]:
    """Return the texts of the held-out split."""
    return [document.text for document in build_splits()[1]]


def held_out_blanks(count: int) -> list[HeldOutBlank]:
    """Return blanks in texts of the held-out split."""
    return make_blanks(build_splits()[1], count=count, seed=1)


def compare_quality(
    measured: Mapping[str, tuple[float, float]], peer: tuple[float, float], count: int
) -> list[Quality]:
    """
    Compare forms of the embedded checkpoint with one of them.

    Args:
        measured: Loss and exact match on the blanks, by the name of the form.
        peer: The same of the form that the others are compared with.
        count: The number of blanks.
    """
    return [
        Quality(work=f"glm-tiny, {name}", blanks=count, loss=loss, peer_loss=peer[0], exact=exact, peer_exact=peer[1])
        for name, (loss, exact) in measured.items()
    ]
