"""
Show the processors of `generate` what they expect: a history of generated tokens, and one end for every piece.

A processor of Transformers reads the ids so far and changes the scores of the next token. In GLM these ids also hold the
text with its blanks (Part A), and a piece ends in two ways: the last one with `<eop>`, every other one with the start of
the next piece, which is fed in place of `<eop>`. No processor has to know that. With `M` a mask token and `S` the start
of a piece:

    fed        [CLS] a M b M <eos> S x y S z        the next token: the start of a piece, <eop> or a word
    history      S   S S S S   S   S x y S z        the next token: <eop> or a word

The history keeps the length of what is fed. Where it holds no generated token it holds `S`, which has no score in a
processor, so nothing that is done to its score has an effect. It also keeps the pieces apart.

`generate` feeds padding to a row that has ended until all rows have ended. What a processor makes of such a row is not
used, but it must not fail: the length of its piece stops at the end.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    EncoderNoRepeatNGramLogitsProcessor,
    ExponentialDecayLengthPenalty,
    ForcedBOSTokenLogitsProcessor,
    LogitsProcessor,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    PrefixConstrainedLogitsProcessor,
    StoppingCriteria,
    SuppressTokensAtBeginLogitsProcessor,
)

from .configuration_glm import GLMConfig
from .layout_glm import Parts, find_ends, find_parts, is_any_of

# They read nothing but the number of tokens: here that of the running piece, so that they act on every piece.
PLACE_PROCESSORS = (
    ExponentialDecayLengthPenalty,
    ForcedBOSTokenLogitsProcessor,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
)
# They compare the last tokens with earlier ones. Words of two pieces do not stand side by side in the text.
NGRAM_PROCESSORS = (EncoderNoRepeatNGramLogitsProcessor, NoRepeatNGramLogitsProcessor)


class BlankLogitsProcessor(LogitsProcessor):
    """
    Run other processors on the history of the pieces, and move on to the next blank where a piece ends.

    The end of a piece is never fed (paper section 2.1). So while blanks remain, the start of the next piece gets the
    score of the end, after the other processors. Behind the last blank no piece can start.

    Args:
        config: Gives the ids of the masks and of the start of a piece.
        end_token_ids: The tokens that end a piece; empty if pieces must not end before the limit of length.
        merge: Whether several ends add up their probabilities (in sampling and beams), or the best one counts (greedy).
        processors: The processors of the library and of the caller, in their order. Those with a true attribute
            `reads_prompt`, and the function of `prefix_allowed_tokens_fn`, see the ids that are fed.
        prompt_length: The number of ids in a row of the prompt as the caller gave it.
        opened: The number of ids that `generate` put behind the prompt: 1 or 0.
        single_piece: Whether one piece is decoded, however many blanks there are.
    """

    reads_prompt = True  # where it is itself one of the processors of an assistant

    def __init__(
        self,
        config: GLMConfig,
        end_token_ids: list[int],
        merge: bool,
        processors: Sequence[LogitsProcessor] = (),
        prompt_length: int = 0,
        opened: int = 0,
        single_piece: bool = False,
    ):
        self.config = config
        self.end_token_ids = end_token_ids
        self.merge = merge
        self.processors = processors
        self.prompt_length = prompt_length
        self.opened = opened
        self.single_piece = single_piece

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        start = self.config.sop_token_id
        scores = scores.clone()
        scores[:, start] = -torch.inf
        if not self.end_token_ids:
            scores[:, self.config.eop_token_id] = -torch.inf
        parts = find_parts(input_ids, self.config)
        if self.processors:
            scores = self._process(input_ids, scores, parts).clone()
        if not self.end_token_ids:
            scores[:, [start, self.config.eop_token_id]] = -torch.inf
            return scores
        # A processor that gives the start of a piece a score ends the piece too.
        ends = scores[:, [start, *self.end_token_ids]]
        end_score = ends.logsumexp(-1) if self.merge else ends.amax(-1)
        more = parts.blanks.sum(-1) > parts.piece[:, -1]
        if self.single_piece:
            more = torch.zeros_like(more)
        scores[:, start] = torch.where(more, end_score, -torch.inf)
        scores[:, self.end_token_ids] = ends[:, 1:].masked_fill(more[:, None], -torch.inf)
        return scores

    def _process(self, input_ids: torch.Tensor, scores: torch.Tensor, parts: Parts) -> torch.Tensor:
        history = input_ids.masked_fill(parts.piece == 0, self.config.sop_token_id)
        places = _lengths_to_the_end(input_ids, parts, self.end_token_ids)
        # A row that a criterion of the caller stopped has no end, but waits with padding as well.
        if self.config.block_position_embeddings or not self.single_piece:
            places = places.clamp(max=self.config.max_piece_length)
        for processor in self.processors:
            if getattr(processor, "reads_prompt", False) or isinstance(processor, PrefixConstrainedLogitsProcessor):
                scores = processor(input_ids, scores)
            elif isinstance(processor, PLACE_PROCESSORS):
                scores = self._process_by_place(processor, places, scores)
            elif isinstance(processor, NGRAM_PROCESSORS):
                # A shorter piece completes no n-gram. The starts of pieces before it are no words.
                complete = places >= processor.ngram_size - 1
                scores = torch.where(complete[:, None], processor(history, scores), scores)
            else:
                scores = processor(history, scores)
        return scores

    def _process_by_place(
        self, processor: LogitsProcessor, places: torch.Tensor, scores: torch.Tensor
    ) -> torch.Tensor:
        """Run a processor that counts tokens as if every row held its prompt and the running piece alone."""
        length = self.prompt_length
        if isinstance(processor, ForcedBOSTokenLogitsProcessor):
            length = 1  # it expects the start of the piece and nothing else
        elif isinstance(processor, MinLengthLogitsProcessor):
            length += self.opened  # it counts all ids of the output
        scores = scores.clone()
        for place in places.unique().tolist():
            rows = places == place
            ids = places.new_full((int(rows.sum()), length + place), self.config.sop_token_id)
            scores[rows] = processor(ids, scores[rows])
        return scores


class MaxPieceLengthLogitsProcessor(LogitsProcessor):
    """
    End every piece that has `max_new_tokens` tokens: with the start of the next piece, or the end of the last one.

    A piece that has its end already, as in a prompt that is filled, gets nothing more.

    Args:
        config: Gives the ids of the masks, of the start and of the end of a piece.
        max_new_tokens: The most tokens of a piece, its start and end not counted.
        end_token_ids: The tokens that end a piece.
    """

    reads_prompt = True

    def __init__(self, config: GLMConfig, max_new_tokens: int, end_token_ids: Sequence[int] = ()):
        self.config = config
        self.max_new_tokens = max_new_tokens
        self.end_token_ids = end_token_ids

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        parts = find_parts(input_ids, self.config)
        full = _lengths(parts) >= self.max_new_tokens
        if self.end_token_ids:
            full = full | find_ends(input_ids, parts, self.end_token_ids).any(-1)
        more = parts.blanks.sum(-1) > parts.piece[:, -1]
        end = torch.where(more, self.config.sop_token_id, self.config.eop_token_id)
        return _force(full, end, scores)


class LastPositionLogitsProcessor(LogitsProcessor):
    """
    End the pieces whose next token would stand outside the position table, where the caller gives the positions.

    Args:
        config: Gives the id of the end of a piece.
        longest: (batch,) int64, how many ids of every row have a position.
    """

    reads_prompt = True

    def __init__(self, config: GLMConfig, longest: torch.Tensor):
        self.config = config
        self.longest = longest

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        full = self.longest <= input_ids.shape[1]
        return _force(full, torch.full_like(self.longest, self.config.eop_token_id), scores)


class StopStringLogitsProcessor(LogitsProcessor):
    """
    End a piece behind a stop string while blanks remain. In the last piece the row stops there: `LastPieceCriteria`.

    Args:
        config: Gives the ids of the masks and of the start of a piece.
        criteria: The criteria that find stop strings. `generate` fills the list after it makes the processors.
    """

    reads_prompt = True

    def __init__(self, config: GLMConfig, criteria: list[StoppingCriteria]):
        self.config = config
        self.criteria = criteria

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for criterion in self.criteria:
            ends = _stops(criterion, input_ids, scores, self.config) & (remaining_blanks(input_ids, self.config) > 0)
            forced = torch.full_like(scores, -torch.inf)
            forced[:, self.config.sop_token_id] = 0.0
            scores = torch.where(ends[:, None], forced, scores)
        return scores


class LastPieceCriteria(StoppingCriteria):
    """
    Stop a row where another criterion does, but only in its last piece.

    Args:
        config: Gives the ids of the masks and of the start of a piece.
        criterion: The other criterion.
    """

    def __init__(self, config: GLMConfig, criterion: StoppingCriteria):
        self.config = config
        self.criterion = criterion

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        ends = _stops(self.criterion, input_ids, scores, self.config, **kwargs)
        return ends & (remaining_blanks(input_ids, self.config) <= 0)


def _stops(
    criterion: StoppingCriteria, input_ids: torch.Tensor, scores: Any, config: GLMConfig, **kwargs: Any
) -> torch.Tensor:
    """
    Find the rows (batch,) whose running piece meets a criterion.

    It sees no other ids: the start of a piece is written `<|startofpiece|>`, and a stop string may be a part of that.
    """
    lengths = running_piece_lengths(input_ids, config)
    found = torch.zeros_like(lengths, dtype=torch.bool)
    for length in lengths.unique().tolist():
        if length:
            rows = lengths == length
            found[rows] = criterion(input_ids[rows, -length:], scores, **kwargs)
    return found


def _force(rows: torch.Tensor, token_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Leave one token (batch,) to some rows (batch,) of the scores."""
    forced = torch.full_like(scores, -torch.inf).scatter(1, token_ids[:, None], 0.0)
    return torch.where(rows[:, None], forced, scores)


def remaining_blanks(input_ids: torch.Tensor, config: GLMConfig) -> torch.Tensor:
    """Count the blanks of every row that have no piece yet, not even a started one: (batch,) int64."""
    parts = find_parts(input_ids, config)
    return parts.blanks.sum(-1) - parts.piece[:, -1]


def running_piece_lengths(
    input_ids: torch.Tensor, config: GLMConfig, end_token_ids: Sequence[int] = ()
) -> torch.Tensor:
    """
    Count the tokens of the running piece of every row, without its start: (batch,) int64.

    Args:
        input_ids: (batch, seq) int64, every row ends with its running piece.
        config: Gives the id of the start of a piece.
        end_token_ids: The tokens that end a piece. From the first of them on nothing counts.
    """
    return _lengths_to_the_end(input_ids, find_parts(input_ids, config), end_token_ids)


def _lengths_to_the_end(input_ids: torch.Tensor, parts: Parts, end_token_ids: Sequence[int]) -> torch.Tensor:
    lengths = _lengths(parts)
    if end_token_ids:
        ended = find_ends(input_ids, parts, end_token_ids).cumsum(-1) > 0
        lengths = lengths - ended.sum(-1)
    return lengths


def _lengths(parts: Parts) -> torch.Tensor:
    """Count the tokens behind the last start of a piece: (batch,) int64."""
    # With pieces [0 0 1 1 2 2 2] the last three columns are the running piece, and one of them is its start.
    return (parts.piece == parts.piece[:, -1:]).sum(-1) - 1


def piece_history(input_ids: torch.Tensor, config: GLMConfig) -> torch.Tensor:
    """Replace all that is not a token of a piece by the start of a piece: (batch, seq) int64."""
    return input_ids.masked_fill(find_parts(input_ids, config).piece == 0, config.sop_token_id)


def words_of_text(
    input_ids: torch.Tensor, config: GLMConfig, special_ids: Sequence[int], attention_mask: torch.Tensor | None = None
) -> torch.Tensor:
    """
    Replace all but the words of Part A by the start of a piece.

    Args:
        input_ids: (batch, seq) int64 prompts.
        config: Gives the ids of the special tokens.
        special_ids: Further tokens that are not words.
        attention_mask: (batch, seq), 0 for padding.

    Returns:
        (batch, seq) int64: what `encoder_no_repeat_ngram_size` and `encoder_repetition_penalty` read.
    """
    special = [config.cls_token_id, config.pad_token_id, config.eop_token_id, *special_ids, *config.mask_token_ids]
    parts = find_parts(input_ids, config, attention_mask)
    words = parts.real & (parts.piece == 0) & ~is_any_of(input_ids, [i for i in special if i is not None])
    return input_ids.masked_fill(~words, config.sop_token_id)
