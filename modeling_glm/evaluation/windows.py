"""
Cut a long text into overlapping windows that score every token once, as in the paper's language modelling (section 3.3).

With N tokens, windows of W tokens and a stride of s, window k shows the tokens from k s on. Its first W - s tokens were
scored by the windows before, so it scores the others. The first window scores all of its tokens but the first one, because
nothing stands before that.

    W = 6, s = 2    a b c d e f g h i
    window 0        a|b c d e f            scores b to f
    window 1            c d e f|g h        scores g and h
    window 2                e f g h|i      scores i

The model reads a window in one of two ways. Bidirectional: what was scored before is Part A, read in both directions, and
the rest is one piece behind a mask. Unidirectional: the first token alone is Part A, and all others are the piece.

    bidirectional   [CLS] c d e f [MASK] <sop> g h         predicts g and h
    unidirectional  [CLS] c [MASK] <sop> d e f g h         predicts d to h, scores g and h
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..configuration_glm import GLMConfig
from ..utils.numbers import check_whole_number
from .continuations import ContinuationRow


class Window(NamedTuple):
    """
    Hold the place of a window in a document. All numbers count tokens of the document.

    Attributes:
        start: The first token that the window shows.
        stop: The token behind the last one.
        scored: The first token that the window scores.
    """

    start: int
    stop: int
    scored: int

    @property
    def num_scored(self) -> int:
        """The number of tokens that the window scores."""
        return self.stop - self.scored


def plan_windows(num_tokens: int, window: int, stride: int, *, score_first: bool = False) -> list[Window]:
    """
    Plan the windows of a document.

    If the stride exceeds the window, the originals skip tokens. Here that is an error.

    Args:
        num_tokens: The number of tokens of the document.
        window: The most tokens that a window shows. The originals' `--seq-length` is one more.
        stride: How many tokens each further window scores; the originals' `--overlapping-eval`. 1 to `window`.
        score_first: Whether to score the first token of the document, too, behind nothing but `[CLS]`.

    Returns:
        The windows from left to right, none for a document without a token to score. Together they score every token
        once, except for the first one without `score_first`.

    Raises:
        ValueError: For a window or a stride out of range.
    """
    check_stride(window, stride)
    first = 0 if score_first else 1
    if num_tokens <= first:
        return []
    planned = [Window(0, min(window, num_tokens), first)]
    while planned[-1].stop < num_tokens:
        start = planned[-1].start + stride
        planned.append(Window(start, min(start + window, num_tokens), planned[-1].stop))
    return planned


def lay_out_window(
    ids: Sequence[int], window: Window, cls_token_id: int, mask_token_id: int, *, unidirectional: bool = False
) -> ContinuationRow:
    """
    Lay a window out as a context and one continuation.

    Args:
        ids: The ids of the whole document.
        window: One of the windows that `plan_windows` planned for it.
        cls_token_id: The id of `[CLS]`, which opens the context.
        mask_token_id: The id of the mask that the continuation fills: `[gMASK]`, or `[MASK]` in a vocabulary without it.
        unidirectional: Whether only the first token is read in both directions.
    """
    # A window whose first token is scored has nothing to read in front of it.
    cut = window.scored
    if unidirectional:
        cut = min(window.start + 1, window.scored)
    context = [cls_token_id, *ids[window.start : cut], mask_token_id]
    return ContinuationRow(context, [list(ids[cut : window.stop])], skip=window.scored - cut)


def default_window(config: GLMConfig) -> int:
    """Return the longest window of the originals: one token less than the position table. 1023 for a table of 1024."""
    return config.max_position_embeddings - 1


def default_stride(window: int) -> int:
    """Return a quarter of the window, as in the paper: 256 for 1023."""
    return max(1, (window + 1) // 4)


def check_window(window: int, stride: int, config: GLMConfig) -> None:
    """Raise a `ValueError` for a window that the position table does not hold, and for a stride above the window."""
    because = f", because config.max_position_embeddings={config.max_position_embeddings}"
    check_whole_number("window", window, least=2, most=config.max_position_embeddings, because=because)
    check_stride(window, stride)


def check_stride(window: int, stride: int) -> None:
    """Raise a `ValueError` for a stride that would skip tokens."""
    check_whole_number("window", window, least=2)
    check_whole_number(
        "stride", stride, least=1, most=window, because=f", because a stride above the window ({window}) skips tokens"
    )


__all__ = [
    "Window",
    "check_stride",
    "check_window",
    "default_stride",
    "default_window",
    "lay_out_window",
    "plan_windows",
]
