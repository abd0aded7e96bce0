"""What the model itself finds of the tokens that `generate` takes, kept while it runs."""

import torch
from transformers import LogitsProcessor


class ScoreRecorder(LogitsProcessor):
    """
    Keeps the log-probability of every token that greedy search or sampling takes, before anything changes the scores.
    It saves reading all again. What ends a piece shares one probability: its end, the end of a text, and the start of
    the next piece in place of them.

    Args:
        sop_token_id: The start of a piece.
        end_token_ids: What ends a piece.
    """

    reads_model_scores = True  # `generate` calls it before the processors that change them

    def __init__(self, sop_token_id: int, end_token_ids: list[int]):
        self._ends = [*end_token_ids, sop_token_id]
        self._end_token_ids = end_token_ids
        self._columns: list[torch.Tensor] = []
        self._scores: torch.Tensor | None = None
        self._length = 0
        self._in_order = True

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._scores is not None:
            # Drafts of an assistant are scored, and may be thrown away.
            self._in_order &= input_ids.shape[1] == self._length + 1 and len(scores) == len(self._scores)
        if self._in_order:
            self._take(input_ids[:, -1])
            self._scores, self._length = scores, input_ids.shape[1]
        return scores

    def _take(self, tokens: torch.Tensor):
        """Looks up the tokens that were taken by the scores of the step before."""
        if self._scores is None:
            return
        scores = self._scores.float()
        ends = scores[:, self._end_token_ids].logsumexp(-1)
        is_end = torch.isin(tokens, torch.tensor(self._ends, device=tokens.device))
        taken = torch.where(is_end, ends, scores.gather(1, tokens[:, None])[:, 0])
        self._columns.append(taken - scores.logsumexp(-1))

    def read(self, sequences: torch.Tensor) -> torch.Tensor | None:
        """
        Args:
            sequences: (batch, seq) ids, as `generate` returned them.

        Returns:
            (batch, new) fp32 natural logarithms, those of the last columns of the sequences; what stands behind the end
            of a row has no meaning. None where tokens were not taken one after the other.
        """
        if not self._in_order or self._scores is None or sequences.shape[1] != self._length + 1:
            return None
        self._take(sequences[:, -1])
        return torch.stack(self._columns, dim=1)
