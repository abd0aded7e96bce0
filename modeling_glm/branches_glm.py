"""Lay out pieces of Part B behind a text, many of them side by side, and look up the probabilities of their tokens."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from .configuration_glm import GLMConfig
from .settings_glm import end_token_ids

# The most rows of logits in memory at a time.
MAX_LOGIT_ROWS = 1024


class PaddedLayouts(NamedTuple):
    """Several layouts as tensors, padded on the left."""

    input_ids: torch.Tensor  # (batch, seq) int64
    attention_mask: torch.Tensor  # (batch, seq) int64, 0 for padding
    position_ids: torch.Tensor  # (batch, 2, seq) int64
    branch: torch.Tensor  # (batch, seq) int64


class PieceLayout:
    """
    Hold the ids, positions and branches of a text and of the pieces behind it.

    The caller appends piece after piece, in any order of the blanks. A piece has the position of its blank in row 0 and
    counts from 1 in row 1 (paper section 2.1). Branches keep alternatives apart: a token sees branch 0 and its own.

        ids       [CLS] a M b M <eos> | S x | S y z
        row 0       0   1 2 3 4   5   | 2 2 | 4 4 4
        row 1       0   0 0 0 0   0   | 1 2 | 1 2 3

    Args:
        context: The ids of the text.
        config: The config of the model.
    """

    def __init__(self, context: Sequence[int], config: GLMConfig):
        config.require_token_ids("sop_token_id", purpose="Filling blanks")
        self.sop_token_id = int(config.sop_token_id or 0)
        self.ids = list(context)
        self.row0 = list(range(len(context)))
        self.row1 = [0] * len(context)
        self.branch = [0] * len(context)
        masks = set(config.mask_token_ids)
        self.blanks = [place for place, token_id in enumerate(context) if token_id in masks]

    def append(self, blank: int, tokens: Iterable[int], first: int = 1, branch: int = 0) -> range:
        """
        Append tokens of a piece.

        Args:
            blank: The number of the blank that the piece fills, from 0.
            tokens: The tokens, with the start of the piece where they include it.
            first: The position of the first token within its piece. The start of a piece has position 1.
            branch: The branch of the tokens.

        Returns:
            The columns of the tokens.
        """
        added = list(tokens)
        columns = range(len(self.ids), len(self.ids) + len(added))
        self.ids += added
        self.row0 += [self.blanks[blank]] * len(added)
        self.row1 += range(first, first + len(added))
        self.branch += [branch] * len(added)
        return columns


def pad_layouts(layouts: Sequence[PieceLayout], padding_id: int, device: torch.device) -> PaddedLayouts:
    """Stack layouts of different lengths, with the padding on the left."""
    width = max(len(layout.ids) for layout in layouts)

    def stack(rows: Iterable[Sequence[int]], value: int = 0) -> torch.Tensor:
        return torch.stack([F.pad(torch.tensor(row), (width - len(row), 0), value=value) for row in rows]).to(device)

    position_ids = (stack(layout.row0 for layout in layouts), stack(layout.row1 for layout in layouts))
    return PaddedLayouts(
        input_ids=stack((layout.ids for layout in layouts), padding_id),
        attention_mask=stack([1] * len(layout.ids) for layout in layouts),
        position_ids=torch.stack(position_ids, dim=1),
        branch=stack(layout.branch for layout in layouts),
    )


class Query(NamedTuple):
    """A token to score: where it is predicted, and its id. The target -1 stands for the end of a piece."""

    column: int
    target: int


def look_up(
    model: Any,
    hidden_states: torch.Tensor,
    layouts: Sequence[PieceLayout],
    queries: Sequence[Sequence[Query]],
) -> list[float]:
    """
    Find the log-probabilities of the queries of all layouts, in their order.

    Args:
        model: A model with a projection to the vocabulary.
        hidden_states: (batch, seq, hidden) of the padded layouts.
        layouts: The layouts, in the order of the batch.
        queries: The queries of every layout. Their columns count from the start of the layout.
    """
    width = hidden_states.shape[1]
    # A layout stands behind its padding.
    wanted = [
        (number * width + width - len(layout.ids) + query.column, query.target)
        for number, (layout, of_row) in enumerate(zip(layouts, queries, strict=True))
        for query in of_row
    ]
    largest = max((target for _, target in wanted), default=0)
    if largest >= model.config.vocab_size:
        raise ValueError(
            f"An answer has the token {largest}, but the vocabulary is 0 ... {model.config.vocab_size - 1}. The tokenizer and "
            "the model must belong together."
        )
    ends, states = end_token_ids(model.config), hidden_states.flatten(0, 1)
    found: list[float] = []
    for start in range(0, len(wanted), MAX_LOGIT_ROWS):
        part = torch.tensor(wanted[start : start + MAX_LOGIT_ROWS], device=states.device)
        # Candidates share the first start of piece, so a place may be wanted many times: project it once.
        #     places wanted [7 7 9] -> places [7 9], index [0 0 1]
        places, index = torch.unique(part[:, 0], return_inverse=True)
        scores = model.vocabulary_logits(states[places]).float().log_softmax(-1)
        of_ends = scores[:, ends].logsumexp(-1)
        targets = part[:, 1]
        found += torch.where(targets < 0, of_ends[index], scores[index, targets.clamp(min=0)]).tolist()
    return found


__all__ = ["MAX_LOGIT_ROWS", "PaddedLayouts", "PieceLayout", "Query", "look_up", "pad_layouts"]
