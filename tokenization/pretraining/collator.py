"""The collator of pretraining: from tokenized texts to batches of blanks to fill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from ..tokenization_glm import GLMTokenizer
from .packing import to_batch
from .samples import IGNORED, Samples, Spans, Texts, blank_out, counts, mask_in_place
from .sentence_ends import SentenceEnds
from .spans import (
    Draws,
    SpanArrays,
    cut_short_texts,
    draw_document_spans,
    draw_sentence_spans,
    draw_token_spans,
    poisson_lengths,
)
from .variants import hide_context, hide_pieces, shift_positions

OBJECTIVES = ("token", "sentence", "document")
NO_TASK_MASKS = "task_masks=False, which makes all objectives use [MASK]"
MASKS = {"token": "mask_token", "sentence": "smask_token", "document": "gmask_token"}


@dataclass
class DataCollatorForBlankInfilling:
    """
    Turns texts into batches of the pretraining objectives (paper sections 2.1 and 2.2):

    - "token" blanks out short spans with `[MASK]` and shuffles them,
    - "sentence" blanks out whole sentences with `[sMASK]` (all of a text that is one sentence),
    - "document" has a long span, or the rest of the text, written at `[gMASK]`.

    What is drawn for a text depends on `seed` and on its `sample_id` alone, so a run that is resumed, that has other
    batches, or that loads its data in several workers, gets the same blanks. Texts without a `sample_id` are numbered as
    they come; with a Trainer, `sample_id` needs `remove_unused_columns=False`.

    Args:
        tokenizer: Gives the special tokens, and where sentences end.
        objectives: Probability of every objective.
        mask_ratio: Share of the tokens that the token objective covers.
        mean_span_length: Mean of the Poisson distribution of its spans, which is restricted to 1 ... 39.
        sentence_ratio: Share of the tokens that the sentence objective covers.
        min_document_ratio: Shortest target of the document objective, as a share of the text.
        suffix_probability: How often the document objective takes the rest of the text, without an end of piece, rather
            than a span from anywhere. It always does where the text holds several documents.
        single_span_probability: How often a text has one span of the token objective instead of anything else.
        short_probability: How often a text is replaced by shorter parts of it, so that a batch may have more samples
            than texts.
        block_mask_probability: How often the token objective feeds `[dBLOCK]` in place of a token of Part B, which must
            still be predicted.
        context_mask_ratio: Share of the tokens that the token objective replaces by `[dBLOCK]` in Part A, near the blanks.
        context_mask_range: How near: tokens from the blank.
        shuffle_spans: Whether Part B holds the spans in random order.
        block_positions: Whether row 1 of the positions counts within the piece; if not it is 1 in all of Part B.
        random_positions: Whether row 0 begins anywhere up to where `max_length` leaves room.
        sentinels: Pairs of token ids (mask, start of piece) for the first, second, ... piece of the token objective. The
            sentinel then tells which blank a piece fills, and row 0 is `max_length` in all of Part B.
        masked_lm: Whether to mask the spans token by token in place, without Part B (a baseline, as in BERT).
        task_masks: Whether the sentence and document objectives have masks of their own; if not, all use `[MASK]`.
        max_length: Longest text in tokens, with what opens and ends it; what is beyond is cut off.
        packed_length: Fill every row with several texts, up to this many tokens (both parts count). They do not see each
            other. One text per row if None.
        pad_to_multiple_of: Round the length of a batch up to a multiple.
        seed: Any non-negative number.

    Returns, when called with texts `{"input_ids": ids, "sample_id": optional number, "objective": optional name}`:
        int64 tensors `input_ids`, `attention_mask`, `labels` (batch, seq) and `position_ids` (batch, 2, seq); the labels
        are aligned with the inputs, -100 in Part A and in padding. Ids that begin with `[CLS]` are taken as they are, so
        that only a text that ends has an `<eos>`, and may hold several documents, `[CLS] a <eos> [CLS] b <eos>`, whose
        ends no blank crosses; others get both.

    Raises:
        ValueError: for an unknown objective, probabilities out of range or that do not sum to 1, a vocabulary without a
            needed mask, more spans than sentinels, and a text without tokens.
    """

    tokenizer: GLMTokenizer
    objectives: Mapping[str, float] = field(default_factory=lambda: {"token": 1.0})
    mask_ratio: float = 0.15
    mean_span_length: float = 3.0
    sentence_ratio: float = 0.15
    min_document_ratio: float = 0.5
    suffix_probability: float = 0.5
    single_span_probability: float = 0.0
    short_probability: float = 0.0
    block_mask_probability: float = 0.0
    context_mask_ratio: float = 0.0
    context_mask_range: int = 3
    shuffle_spans: bool = True
    block_positions: bool = True
    random_positions: bool = False
    sentinels: Sequence[tuple[int, int]] | None = None
    masked_lm: bool = False
    task_masks: bool = True
    max_length: int = 512
    packed_length: int | None = None
    pad_to_multiple_of: int | None = None
    seed: int = 0

    def __post_init__(self):
        if unknown := set(self.objectives) - set(OBJECTIVES):
            raise ValueError(f"Unknown objectives {sorted(unknown)}: there are {list(OBJECTIVES)}.")
        if abs(sum(self.objectives.values()) - 1) > 1e-6 or min(self.objectives.values()) < 0:
            raise ValueError(
                f"The probabilities of the objectives {dict(self.objectives)} must not be negative and must sum to 1."
            )
        for name, value in vars(self).items():
            if name.endswith(("_ratio", "_probability")) and not 0 <= value <= 1:
                raise ValueError(f"{name}={value} must lie between 0 and 1.")
        limits = {"max_length": 3, "packed_length": 1, "mean_span_length": 1e-3, "seed": 0}
        for name, least in {**limits, "pad_to_multiple_of": 1, "context_mask_range": 1}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}={value} must be at least {least}.")
        if self.masked_lm and self.random_positions and self.packed_length:
            raise ValueError(
                "Texts without Part B that begin at random positions cannot be told apart in a packed row."
            )
        # Looked up once: a tokenizer takes its time for each of these names.
        self._cls_id, self._eos_id = self.tokenizer.cls_token_id, self.tokenizer.eos_token_id
        self._sop_id, self._eop_id = self.tokenizer.sop_token_id, self.tokenizer.eop_token_id
        self._pad_id = self.tokenizer.pad_token_id
        self._mask_ids = {objective: self._mask_id(objective) for objective in OBJECTIVES}
        if self.block_mask_probability or self.context_mask_ratio:
            self._require_token("dblock_token", "block_mask_probability=0 and context_mask_ratio=0")
        self._probabilities = np.array([self.objectives.get(name, 0.0) for name in OBJECTIVES])
        self._span_lengths = poisson_lengths(self.mean_span_length)
        self._count = 0

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        if len(features) == 0:
            raise ValueError("A batch without texts cannot be made.")
        samples = self.corrupt(features)
        return to_batch(samples, self._pad_id, self.packed_length, self.pad_to_multiple_of)

    def corrupt(self, features: Sequence[Mapping[str, Any]]) -> Samples:
        """The texts with their blanks, before they are put into rows."""
        opened = [self._open(feature["input_ids"]) for feature in features]
        samples = [self._number(feature) for feature in features]
        forced = [feature.get("objective") for feature in features]
        parts = [0] * len(opened)
        if self.short_probability:
            split = [self._shorten(text, sample) for text, sample in zip(opened, samples, strict=True)]
            sizes = [len(texts) for texts in split]
            opened = [text for texts in split for text in texts]
            samples, forced = (np.repeat(np.array(values), sizes).tolist() for values in (samples, forced))
            parts = [part for size in sizes for part in range(size)]
        texts = Texts.join(opened)
        boundary = self._is_boundary(texts.ids)
        empty = np.logical_and.reduceat(boundary, texts.offsets[:-1])
        if empty.any():
            number = int(np.flatnonzero(empty)[0])
            raise ValueError(
                f"A text without tokens cannot be blanked out, got input_ids={opened[number].tolist()[:20]} (cut at "
                f"max_length={self.max_length}) as number {number} of the batch: leave empty texts out of the data."
            )
        streams = 3 + (self.block_mask_probability > 0) + 2 * (self.context_mask_ratio > 0)
        draws = Draws(self.seed, samples, parts, texts.lengths.tolist(), streams)
        spans, objective = self._draw_spans(texts, boundary, draws, forced)
        if self.masked_lm:
            corrupted = mask_in_place(texts, spans)
        else:
            corrupted = blank_out(texts, spans, self._eop_id)
            self._replace_inputs(corrupted, texts, draws, objective == OBJECTIVES.index("token"))
            corrupted.labels[corrupted.labels == self._cls_id] = IGNORED
        self._change_positions(corrupted, draws)
        return corrupted

    def _replace_inputs(self, samples: Samples, texts: Texts, draws: Draws, is_token: np.ndarray):
        if self.block_mask_probability:
            hide_pieces(
                samples, texts, is_token,
                lambda text, index: draws.stream(3, text, index),
                probability=self.block_mask_probability, dblock_token_id=self.tokenizer.dblock_token_id,
            )  # fmt: skip
        if self.context_mask_ratio:
            stream = 3 + (self.block_mask_probability > 0)
            hide_context(
                samples, texts, is_token,
                lambda text, index: draws.stream(stream, text, index),
                ratio=self.context_mask_ratio, reach=self.context_mask_range,
                boundary=self._is_boundary(samples.input_ids), dblock_token_id=self.tokenizer.dblock_token_id,
            )  # fmt: skip

    def _change_positions(self, samples: Samples, draws: Draws):
        if self.random_positions:
            shift_positions(samples, draws.head(5), self.max_length)
        in_part_b = samples.position_ids[1] > 0
        if self.sentinels is not None:
            samples.position_ids[0, in_part_b] = self.max_length
        if not self.block_positions:
            samples.position_ids[1, in_part_b] = 1

    def _open(self, input_ids: Sequence[int]) -> np.ndarray:
        text = np.asarray(input_ids, dtype=np.int64)
        if len(text) == 0 or text[0] != self._cls_id:
            text = np.concatenate([[self._cls_id], text, [self._eos_id]])
        return text[: self.max_length]

    def _number(self, feature: Mapping[str, Any]) -> int:
        if (sample := feature.get("sample_id")) is not None:
            return int(sample)
        worker = get_worker_info()
        number = self._count if worker is None else self._count * worker.num_workers + worker.id
        self._count += 1
        return number

    def _is_boundary(self, ids: np.ndarray) -> np.ndarray:
        return (ids == self._cls_id) | (ids == self._eos_id)

    def _shorten(self, text: np.ndarray, sample: int) -> list[np.ndarray]:
        # The parts of a sample count up from 0; the numbers for cutting it come from far behind them.
        numbers = Draws(self.seed, [sample], [1 << 32], [len(text)], 1)
        if numbers.head(0)[0] >= self.short_probability:
            return [text]
        left = iter(numbers.stream(0, np.zeros(len(text), dtype=np.int64), np.arange(len(text))))
        rest = text[1:]
        parts = cut_short_texts(
            rest,
            lambda count: np.array([next(left) for _ in range(count)]),
            self._is_boundary(rest),
            self._sentence_ends(rest),
        )
        # A part that was cut behind the [CLS] of the next document ends before it.
        parts = [part[:-1] if part[-1] == self._cls_id else part for part in parts]
        parts = [part for part in parts if not self._is_boundary(part).all()]
        return [np.concatenate([text[:1], part]) for part in parts] or [text]

    def _draw_spans(
        self, texts: Texts, boundary: np.ndarray, draws: Draws, forced: Sequence[str | None]
    ) -> tuple[Spans, np.ndarray]:
        single = draws.head(0) < self.single_span_probability
        objective = np.searchsorted(np.cumsum(self._probabilities)[:-1], draws.head(1), side="right")
        objective[single] = OBJECTIVES.index("token")
        for number, name in enumerate(forced):
            if name is not None:
                if name not in OBJECTIVES:
                    raise ValueError(f"A text asks for the objective {name!r}: there are {list(OBJECTIVES)}.")
                self._require_token(self._mask_name(name), NO_TASK_MASKS)
                objective[number], single[number] = OBJECTIVES.index(name), False
        drawn: list[SpanArrays] = []
        suffixes: list[np.ndarray] = []
        for number, name in enumerate(OBJECTIVES):
            chosen = objective == number
            if not chosen.any():
                continue
            suffix = None
            if name == "token":
                arrays = draw_token_spans(
                    texts, chosen, single, draws,
                    ratio=self.mask_ratio, probabilities=self._span_lengths, boundary=boundary,
                )  # fmt: skip
            elif name == "sentence":
                arrays = draw_sentence_spans(
                    texts, chosen, draws,
                    ratio=self.sentence_ratio, boundary=boundary, ends=self._sentence_ends(texts.ids),
                )  # fmt: skip
            else:
                arrays, suffix = draw_document_spans(
                    texts, chosen, draws,
                    min_ratio=self.min_document_ratio, suffix_probability=self.suffix_probability, boundary=boundary,
                )  # fmt: skip
            drawn.append(arrays)
            suffixes.append(np.zeros(len(arrays[0]), dtype=bool) if suffix is None else suffix)
        text, start, stop = (np.concatenate(arrays) for arrays in zip(*drawn, strict=True))
        open_end = np.concatenate(suffixes)
        return self._order(texts, draws, objective, text, start, stop, open_end), objective

    def _order(self, texts: Texts, draws: Draws, objective, text, start, stop, open_end) -> Spans:
        """Puts the spans into the order of Part B and gives them their masks."""
        order = np.lexsort((start, text))
        text, start, stop, open_end = text[order], start[order], stop[order], open_end[order]
        per_text = np.bincount(text, minlength=len(texts.lengths))
        rank = counts(per_text)
        if self.shuffle_spans:
            order = np.lexsort((draws.stream(2, text, rank), text))
            start, stop, open_end = start[order], stop[order], open_end[order]
        mask_ids = np.array([self._mask_ids[name] for name in OBJECTIVES])[objective[text]]
        sop_ids = np.full(len(text), self._sop_id)
        if self.sentinels is not None:
            if per_text.max() > len(self.sentinels):
                raise ValueError(
                    f"A text has {per_text.max()} spans and there are {len(self.sentinels)} sentinels: give more, or "
                    "lower mask_ratio or max_length."
                )
            is_token = objective[text] == OBJECTIVES.index("token")
            masks, sops = np.array(self.sentinels).T
            mask_ids, sop_ids = np.where(is_token, masks[rank], mask_ids), np.where(is_token, sops[rank], sop_ids)
        return Spans(text=text, start=start, stop=stop, mask_ids=mask_ids, sop_ids=sop_ids, open_end=open_end)

    @cached_property
    def _sentence_ends(self) -> SentenceEnds:
        return SentenceEnds(self.tokenizer)

    def _mask_name(self, objective: str) -> str:
        return MASKS[objective] if self.task_masks else "mask_token"

    def _mask_id(self, objective: str) -> int | None:
        name = self._mask_name(objective)
        if self.objectives.get(objective):
            self._require_token(name, NO_TASK_MASKS)
        return getattr(self.tokenizer, f"{name}_id")

    def _require_token(self, name: str, remedy: str):
        if getattr(self.tokenizer, f"{name}_id") is None:
            raise ValueError(
                f"The vocabulary has no {name} (for instance {name.removesuffix('_token')!r} in brackets), which the "
                f"objectives {dict(self.objectives)} need: take a vocabulary that has it, or {remedy}."
            )
