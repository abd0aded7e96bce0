"""Change or record the scores of `generate`: constraints, draws and log-probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from ..configuration_glm import GLMConfig
from ..constraints.rules import BlankRules


class BlankConstraintLogitsProcessor(LogitsProcessor):
    """
    Allow only the tokens that the rules of the running blank allow.

    Beam scores are log-probabilities and are not normalized again afterwards, so beams find the answers that the model
    itself finds most likely.

    Args:
        config: Gives the id of the start of a piece.
        end_token_ids: The tokens that end a piece.
        rules: For every text the rules of its blanks in the order in which they are filled, or only those of the running
            blank. The rows of a text (beams, draws) stand together.
    """

    reads_prompt = True  # the starts of pieces in it tell which blank is filled

    def __init__(self, config: GLMConfig, end_token_ids: list[int], rules: Sequence[Sequence[BlankRules]]):
        self.sop_token_id = config.sop_token_id
        self.end_token_ids = end_token_ids
        self.rules = rules
        self._ends = frozenset(end_token_ids)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        everything = torch.ones(scores.shape[1], dtype=torch.bool)
        masks, may_end = [], []
        rows_of_text = input_ids.shape[0] // len(self.rules)
        for row, ids in enumerate(input_ids.tolist()):
            rules = self.rules[row // rows_of_text]
            starts = [place for place, token_id in enumerate(ids) if token_id == self.sop_token_id]
            piece = tuple(ids[starts[-1] + 1 :])
            if not self._ends.isdisjoint(piece):  # all that follows the end is padding
                masks.append(everything)
                may_end.append(True)
                continue
            rule = rules[min(len(starts), len(rules)) - 1]
            mask = rule.allowed(piece, scores[row])
            masks.append(mask)
            # If nothing can follow, the answer ends here, right or wrong. `BlankRules.read` rejects wrong ones later.
            may_end.append(rule.may_end(piece) or not bool(mask.any()))
        allowed = torch.stack(masks)
        allowed[:, self.end_token_ids] = torch.tensor(may_end)[:, None]
        return scores.masked_fill(~allowed.to(scores.device), -torch.inf)


class SampleByRowLogitsProcessor(LogitsProcessor):
    """
    Draw the next token of every row and leave no other token to `generate`.

    A draw depends only on the seed, the number of the text, the number of the sample and the step. So it does not depend
    on batching.

    Args:
        seed: The seed of all draws.
        rows: For every row of the batch the number of its text and of its sample.
    """

    def __init__(self, seed: int, rows: Sequence[tuple[int, int]]):
        # SeedSequence mixes the numbers: generators with neighbouring seeds draw similar numbers.
        seeds = [np.random.SeedSequence((seed, *row)) for row in rows]
        self._generators = [torch.Generator().manual_seed(int(s.generate_state(1, np.uint64)[0] >> 1)) for s in seeds]

    def select(self, rows: Sequence[int]):
        """Keep only some of the rows."""
        self._generators = [self._generators[row] for row in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.stack([torch.empty(scores.shape[1]).exponential_(generator=g) for g in self._generators])
        # The argmax of scores + Gumbel noise is a draw from the softmax of the scores.
        drawn = (scores.float() - noise.to(scores.device).log()).argmax(-1, keepdim=True)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn, 0.0)


class ScoreRecorder(LogitsProcessor):
    """
    Record the log-probability of every token that greedy search or sampling takes, so that no second pass is needed.

    It must see the scores before any processor changes them: hand it to `generate(score_observers=[recorder])`. All
    tokens that end a piece share one probability: its end, the end of a text, and the start of the next piece, which is
    fed in their place.

    Args:
        sop_token_id: The start of a piece.
        end_token_ids: The tokens that end a piece.
    """

    def __init__(self, sop_token_id: int, end_token_ids: list[int]):
        self._ends = [*end_token_ids, sop_token_id]
        self._end_token_ids = end_token_ids
        self._columns: list[torch.Tensor] = []
        self._scores: torch.Tensor | None = None
        self._length = 0
        self._in_order = True

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._scores is not None:
            # Assisted decoding scores drafts that it may reject, and then goes back.
            self._in_order &= input_ids.shape[1] == self._length + 1 and len(scores) == len(self._scores)
        if self._in_order:
            self._take(input_ids[:, -1])
            self._scores, self._length = scores, input_ids.shape[1]
        return scores

    def _take(self, tokens: torch.Tensor):
        """Look up the tokens that were taken in the scores of the step before."""
        if self._scores is None:
            return
        scores = self._scores.float()
        ends = scores[:, self._end_token_ids].logsumexp(-1)
        is_end = torch.isin(tokens, torch.tensor(self._ends, device=tokens.device))
        taken = torch.where(is_end, ends, scores.gather(1, tokens[:, None])[:, 0])
        self._columns.append(taken - scores.logsumexp(-1))

    def read(self, sequences: torch.Tensor) -> torch.Tensor | None:
        """
        Read the recorded log-probabilities.

        Args:
            sequences: (batch, seq) int64, the ids that `generate` returned.

        Returns:
            (batch, new) fp32 natural logarithms for the last columns of the sequences. Values behind the end of a row
            have no meaning. None if tokens were not taken one after the other, as in assisted decoding.
        """
        if not self._in_order or self._scores is None or sequences.shape[1] != self._length + 1:
            return None
        self._take(sequences[:, -1])
        return torch.stack(self._columns, dim=1)


class BeamScoreRecorder(LogitsProcessor):
    """
    Record the log-probability of every token that beams take, so that no second pass is needed.

    Hand it to `generate(score_observers=[recorder])`, as `ScoreRecorder`. It keeps one number per beam and step, and all
    scores of one step.

    Args:
        sop_token_id: The start of a piece.
        end_token_ids: The tokens that end a piece.
        num_beams: The beams of a text, which stand together.
    """

    def __init__(self, sop_token_id: int, end_token_ids: list[int], num_beams: int):
        self._sop_token_id = sop_token_id
        self._end_token_ids = end_token_ids
        self._num_beams = num_beams
        self._start = 0
        self._taken: list[torch.Tensor] = []  # for every step but the first: of the last token of every beam
        self._ends: list[torch.Tensor] = []  # for every step: of the end behind every beam
        self._before: tuple[torch.Tensor, torch.Tensor] | None = None  # the ids and scores of the step before

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._before is None:
            self._start = input_ids.shape[1]
        else:
            self._take(input_ids, *self._before)
        self._ends.append(scores[:, self._end_token_ids].logsumexp(-1))
        self._before = input_ids, scores
        return scores

    def _take(self, input_ids: torch.Tensor, ids_before: torch.Tensor, scores: torch.Tensor):
        """Look up the last token of every beam in the scores of the beam that it continues."""
        # Beams with the same ids have the same scores, so each of them will do.
        new = input_ids[:, self._start : -1].unflatten(0, (-1, 1, self._num_beams))  # (texts, 1, beams, new)
        old = ids_before[:, self._start :].unflatten(0, (-1, self._num_beams, 1))  # (texts, beams, 1, new)
        parents = (new == old).all(-1).int().argmax(1)  # (texts, beams)
        first = torch.arange(0, len(input_ids), self._num_beams, device=parents.device)
        rows = (parents + first[:, None]).flatten()
        tokens = input_ids[:, -1]
        # A start of a piece is fed in place of the end of the piece before.
        taken = torch.where(tokens == self._sop_token_id, self._ends[-1][rows], scores[rows, tokens])
        self._taken.append(taken)

    def read(self, output: Any) -> list[list[float]] | None:
        """
        Read the recorded log-probabilities.

        Args:
            output: What `generate(return_dict_in_generate=True)` returned.

        Returns:
            For every returned row the natural logarithms of its tokens, up to the one that ended it. One that ended
            without the end of a piece, as by a stop string, has one number less than tokens. None if the output does not
            say which beams a row had.
        """
        beam_indices = getattr(output, "beam_indices", None)
        if beam_indices is None or beam_indices.shape[1] > len(self._ends):
            return None
        tokens = output.sequences[:, self._start :].tolist()
        rows = beam_indices.tolist()
        taken, ends = ([step.tolist() for step in steps] for steps in (self._taken, self._ends))
        found = []
        for ids, beams in zip(tokens, rows, strict=True):
            last = sum(beam >= 0 for beam in beams) - 1
            log_probs = [taken[step][beams[step + 1]] for step in range(last)]
            if last >= 0 and ids[last] in self._end_token_ids:
                log_probs.append(ends[last][beams[last]])
            found.append(log_probs)
        return found


def sampling_warpers(
    temperature: float, top_k: int | None, top_p: float | None, min_p: float | None
) -> list[LogitsProcessor]:
    """Build the library's warpers in the library's order. They raise a `ValueError` for values out of range."""
    warpers: list[LogitsProcessor] = []
    if temperature != 1.0:
        warpers.append(TemperatureLogitsWarper(temperature))
    if top_k is not None:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p is not None:
        warpers.append(TopPLogitsWarper(top_p))
    if min_p is not None:
        warpers.append(MinPLogitsWarper(min_p))
    return warpers
