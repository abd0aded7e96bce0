"""The collator of pretraining: from tokenized texts to batches of blanks to fill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..tokenization_glm import GLMTokenizer
from .draws import DrawFamily, Draws, TextDraw, TokenStream
from .encoded import join_encoded, join_samples, read_row
from .numbering import BatchNumbers, SampleNumber, SampleNumbers
from .objectives import DocumentObjective, Objective, SentenceObjective, TokenObjective, WordObjective
from .packing import to_batch
from .ragged import count_up
from .samples import IGNORED, InfillingSamples, blank_out, mask_in_place
from .segments.sentence_ends import SentenceEnds
from .segments.words import WordFinder
from .shortening import cut_short_texts
from .spans import SpanPlaces, Spans
from .texts import SourceText, Texts
from .variants import hide_context, hide_pieces, shift_positions

MASKS = {"token": "mask_token", "sentence": "smask_token", "document": "gmask_token"}
OBJECTIVES = tuple(MASKS)
SINGLE_SPAN = len(OBJECTIVES)  # the number of one more objective, which shares the mask of "token"
MINIMA = {
    "max_length": 3,
    "packed_length": 1,
    "mean_span_length": 1e-3,
    "seed": 0,
    "pad_to_multiple_of": 1,
    "context_mask_range": 1,
}
# The parts of a sample count from 0, so that no part has the numbers that decide where to cut.
CUTTING = 1 << 32


@dataclass
class DataCollatorForBlankInfilling:
    """
    Turn texts into batches of the pretraining objectives (paper sections 2.1 and 2.2):

    - "token" replaces short spans by `[MASK]` and shuffles their pieces,
    - "sentence" replaces whole sentences by `[sMASK]` (the whole text, if it is one sentence),
    - "document" replaces a long span, or the end of the text, by `[gMASK]`.

    The blanks of a text depend on `seed` and on its `sample_id` only. So a resumed run, another batch size and several
    data workers give the same blanks. With a Trainer, `sample_id` needs `remove_unused_columns=False`.

    Texts without a `sample_id` get new blanks at every use in training, and the same blanks in every evaluation. Trainer
    may use one collator for both. There the blanks of training depend on epoch and place, so a resumed run and several
    data workers have the same ones. In a loop of your own an evaluation is what reads its batches without gradients.

    Call it with a list of `{"input_ids": ids, "sample_id": optional number, "objective": optional name}`. It returns int64
    tensors `input_ids`, `attention_mask`, `labels` (batch, seq) and `position_ids` (batch, 2, seq). Labels are aligned with
    the inputs, and -100 in Part A and in padding.

    Ids that begin with `[CLS]` are used as they are, so only a text that really ends has an `<eos>`. They may hold several
    documents, `[CLS] a <eos> [CLS] b <eos>`; no blank crosses from one to the next. Other ids get `[CLS]` and `<eos>`.
    Padding is left out where an `attention_mask` of the row says that it is padding.

    A row with `labels` is a sample that is encoded already, such as an example of a task in multi-task training (see
    `multitask`): Part A and Part B with aligned labels. It gets its positions, and no further blanks.

    Args:
        tokenizer: Source of the special tokens and of the ends of sentences.
        objectives: Probability of each objective.
        mask_ratio: Share of the tokens that the token objective masks.
        mean_span_length: Mean of the Poisson distribution of its spans, which is restricted to 1 to 39 tokens.
        whole_words: Whether its spans consist of whole words, and their lengths count words. A word is what white space
            separates, without the punctuation around it. A span never crosses punctuation or the end of a sentence.
        sentence_ratio: Share of the tokens that the sentence objective masks.
        min_document_ratio: Shortest span of the document objective, as a share of the text.
        suffix_probability: Probability that the document objective masks the end of the text, without an end of piece,
            instead of a span from anywhere. With several documents in a text it always does.
        single_span_probability: Probability that a text gets one span of the token objective instead of anything else.
        short_probability: Probability that a text is replaced by shorter parts of it. A batch may then have more samples
            than texts.
        block_mask_probability: Probability of each token of Part B to be fed as `[dBLOCK]`, in the token objective. The
            labels stay.
        context_mask_ratio: Share of the tokens that become `[dBLOCK]` in Part A near the blanks, in the token objective.
        context_mask_range: Largest distance of such a token from a blank.
        shuffle_spans: Whether the pieces of Part B are in random order.
        block_positions: Whether row 1 of the positions counts within a piece. Otherwise it is 1 in all of Part B.
        random_positions: Whether row 0 starts at a random number, as far as `max_length` has room.
        sentinels: Pairs of ids (mask, start of piece) for the first, second, ... piece of the token objective. Row 0 is
            `max_length` in all of Part B then, so only the sentinel tells which blank a piece fills.
        masked_lm: Whether to mask tokens in place, without Part B, as BERT does: a baseline.
        task_masks: Whether the sentence and document objectives have their own masks. Otherwise all use `[MASK]`.
        max_length: Longest text in tokens, with `[CLS]` and `<eos>`. Longer texts are cut off.
        packed_length: Pack several texts into each row of up to this many tokens of both parts. The texts of a row do not
            see each other. None gives each text its own row.
        pad_to_multiple_of: Round up the length of the rows to a multiple of this.
        seed: Any non-negative integer.
        evaluation: Whether texts without a `sample_id` are for evaluation. None finds out at every batch.

    Raises:
        ValueError: For an unknown objective, and probabilities out of range or with another sum than 1. For a vocabulary
            without a needed mask, and more spans than sentinels. For an empty batch, a text without tokens, and an encoded
        sample with more pieces than blanks.
    """

    tokenizer: GLMTokenizer
    objectives: Mapping[str, float] = field(default_factory=lambda: {"token": 1.0})
    mask_ratio: float = 0.15
    mean_span_length: float = 3.0
    whole_words: bool = False
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
    evaluation: bool | None = None

    def __post_init__(self):
        check_settings(self)
        for name, share in self.objectives.items():
            if share:
                self._require_mask(name)
        if self.block_mask_probability or self.context_mask_ratio:
            self._require_token("dblock_token", "block_mask_probability=0 and context_mask_ratio=0")
        # Read once: each of these attributes of a tokenizer is slow.
        self._cls_id, self._pad_id = self.tokenizer.cls_token_id, self.tokenizer.pad_token_id
        self._sop_id, self._eop_id = self.tokenizer.sop_token_id, self.tokenizer.eop_token_id
        self._boundary_ids = (self._cls_id, self.tokenizer.eos_token_id)
        # By objective; where a vocabulary has no mask, -1 is never used.
        masks = [getattr(self.tokenizer, f"{self._mask_name(name)}_id") for name in (*OBJECTIVES, "token")]
        self._mask_ids = np.array([-1 if mask is None else mask for mask in masks])
        self._blank_ids = list(self.tokenizer.mask_token_ids)
        self._upper = np.cumsum([self.objectives.get(name, 0.0) for name in OBJECTIVES])[:-1]
        self._numbers = SampleNumbers()

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        if len(features) == 0:
            raise ValueError("The batch has no texts: give at least one.")
        return to_batch(self.corrupt(features), self._pad_id, self.packed_length, self.pad_to_multiple_of)

    def corrupt(self, features: Sequence[Mapping[str, Any]]) -> InfillingSamples:
        """Return the samples of a batch before they are put into rows."""
        numbers = self._numbers.open_batch(self.evaluation)
        texts = [(row, feature) for row, feature in enumerate(features) if feature.get("labels") is None]
        encoded = [(row, feature) for row, feature in enumerate(features) if feature.get("labels") is not None]
        if not encoded:
            return self._corrupt_texts(texts, numbers)
        samples = self._lay_out_encoded(encoded)
        return join_samples(self._corrupt_texts(texts, numbers), samples) if texts else samples

    def _lay_out_encoded(self, features: Sequence[tuple[int, Mapping[str, Any]]]) -> InfillingSamples:
        if self.masked_lm or self.sentinels is not None:
            raise ValueError(
                "A row has labels, so it is encoded already, which goes with neither masked_lm nor sentinels: leave them out."
            )
        rows, samples_of_rows = zip(*features, strict=True)
        samples = join_encoded(samples_of_rows, self._blank_ids, self._sop_id, rows)
        if not self.block_positions:
            samples.position_ids[1, samples.position_ids[1] > 0] = 1
        return samples

    def _corrupt_texts(
        self, features: Sequence[tuple[int, Mapping[str, Any]]], numbers: BatchNumbers
    ) -> InfillingSamples:
        opened = (self._open(feature, row, numbers) for row, feature in features)
        sources = [part for source in opened for part in self._shorten(source)]
        texts = Texts.join([source.ids for source in sources], self._boundary_ids)
        self._refuse_empty(texts)
        draws = Draws(
            seed=self.seed,
            samples=[source.sample for source in sources],
            parts=[source.part for source in sources],
            lengths=texts.lengths.tolist(),
            streams=TokenStream.VARIANTS + (self.block_mask_probability > 0) + (self.context_mask_ratio > 0),
            families=[source.family for source in sources],
        )
        chosen = self._choose_objectives(draws, [source.objective for source in sources])
        places = SpanPlaces.join(
            [
                objective.draw(texts, chosen == number, draws)
                for number, objective in enumerate(self._objectives)
                if (chosen == number).any()
            ]
        )
        spans = self._arrange(places, texts, chosen, draws)
        if self.masked_lm:
            samples = mask_in_place(texts, spans)
        else:
            samples = blank_out(texts, spans, self._eop_id)
            self.hide_inputs(samples, texts, _is_token_objective(chosen), draws)
            samples.labels[samples.labels == self._cls_id] = IGNORED
        self.change_positions(samples, draws)
        return samples

    def hide_inputs(self, samples: InfillingSamples, texts: Texts, chosen: np.ndarray, draws: Draws):
        """Feed `[dBLOCK]` in the samples of the chosen texts, (texts,) bool, as the options say. Changes the samples."""
        dblock, stream = self.tokenizer.dblock_token_id, int(TokenStream.VARIANTS)
        if self.block_mask_probability:
            probability = self.block_mask_probability
            hide_pieces(samples, texts, chosen, draws, stream, probability=probability, dblock_token_id=dblock)
            stream += 1
        if self.context_mask_ratio:
            ratio, reach = self.context_mask_ratio, self.context_mask_range
            hide_context(samples, texts, chosen, draws, stream, ratio=ratio, reach=reach, dblock_token_id=dblock)

    def change_positions(self, samples: InfillingSamples, draws: Draws):
        """Change the positions of the samples as the options say."""
        if self.random_positions:
            shift_positions(samples, draws.head(TextDraw.POSITION_SHIFT), self.max_length)
        in_part_b = samples.position_ids[1] > 0
        if self.sentinels is not None:
            samples.position_ids[0, in_part_b] = self.max_length
        if not self.block_positions:
            samples.position_ids[1, in_part_b] = 1

    @cached_property
    def _find_ends(self) -> SentenceEnds:
        return SentenceEnds(self.tokenizer)

    @cached_property
    def _objectives(self) -> tuple[Objective, ...]:
        """The objectives in the order of `OBJECTIVES`, and the single span."""
        return (
            self._short_spans(self.mask_ratio),
            SentenceObjective(ratio=self.sentence_ratio, find_ends=self._find_ends),
            DocumentObjective(min_ratio=self.min_document_ratio, suffix_probability=self.suffix_probability),
            self._short_spans(0.0),  # covers at least one token: one span
        )

    def _short_spans(self, ratio: float) -> Objective:
        if self.whole_words:
            find_words = WordFinder(self.tokenizer, self._find_ends)
            return WordObjective(ratio=ratio, mean_length=self.mean_span_length, find_words=find_words)
        return TokenObjective(ratio=ratio, mean_length=self.mean_span_length)

    def _open(self, feature: Mapping[str, Any], row: int, numbers: BatchNumbers) -> SourceText:
        """Read a text of the caller: add `[CLS]` and `<eos>` where they are missing, cut it off, and number it."""
        ids = read_row(feature, "input_ids", row)
        if len(ids) == 0 or ids[0] != self._cls_id:
            cls, eos = self._boundary_ids
            ids = np.concatenate([[cls], ids, [eos]])
        ids = ids[: self.max_length]
        given = feature.get("sample_id")
        sample, family = numbers.number(row, ids) if given is None else SampleNumber(int(given), DrawFamily.NUMBERED)
        return SourceText(ids=ids, sample=sample, family=family, objective=feature.get("objective"))

    def _shorten(self, source: SourceText) -> list[SourceText]:
        """Return the text, or short parts of it with `short_probability`."""
        if not self.short_probability:
            return [source]
        length = len(source.ids)
        draws = Draws(self.seed, [source.sample], [CUTTING], [length], streams=1, families=[source.family])
        if draws.head(0)[0] >= self.short_probability:
            return [source]
        numbers = iter(draws.stream(0, np.zeros(length, dtype=np.int64), np.arange(length)).tolist())
        parts = cut_short_texts(source.ids, numbers, self._boundary_ids, self._find_ends(source.ids[1:]))
        return [replace(source, ids=ids, part=part) for part, ids in enumerate(parts)] or [source]

    def _refuse_empty(self, texts: Texts):
        empty = np.logical_and.reduceat(texts.is_boundary, texts.offsets[:-1])
        if empty.any():
            number = int(np.flatnonzero(empty)[0])
            ids = texts.ids[texts.offsets[number] : texts.offsets[number + 1]].tolist()
            raise ValueError(
                f"A text without tokens cannot be blanked out, got input_ids={ids[:20]} (cut at "
                f"max_length={self.max_length}) as number {number} of the batch: leave empty texts out of the data."
            )

    def _choose_objectives(self, draws: Draws, wanted: Sequence[str | None]) -> np.ndarray:
        """Return (texts,) the number of the objective of each text: the wanted one, or a drawn one."""
        chosen = np.searchsorted(self._upper, draws.head(TextDraw.OBJECTIVE), side="right")
        chosen[draws.head(TextDraw.SINGLE_SPAN) < self.single_span_probability] = SINGLE_SPAN
        for number, name in enumerate(wanted):
            if name is not None:
                if name not in OBJECTIVES:
                    raise ValueError(f"A text asks for the objective {name!r}: there are {list(OBJECTIVES)}.")
                self._require_mask(name)
                chosen[number] = OBJECTIVES.index(name)
        return chosen

    def _arrange(self, places: SpanPlaces, texts: Texts, chosen: np.ndarray, draws: Draws) -> Spans:
        """Put the spans into the order of Part B, and give them their masks."""
        text = places.text
        per_text = np.bincount(text, minlength=len(texts.lengths))
        rank = count_up(per_text)
        if self.shuffle_spans:
            places = places.take(np.lexsort((draws.stream(TokenStream.PIECE_ORDER, text, rank), text)))
        mask_ids, sop_ids = self._mask_ids[chosen[text]], np.full(len(text), self._sop_id)
        if self.sentinels is not None:
            if per_text.max() > len(self.sentinels):
                raise ValueError(
                    f"A text has {per_text.max()} spans and there are {len(self.sentinels)} sentinels: give more, or "
                    "lower mask_ratio or max_length."
                )
            has_sentinel = _is_token_objective(chosen)[text]
            masks, sops = np.array(self.sentinels).T
            mask_ids = np.where(has_sentinel, masks[rank], mask_ids)
            sop_ids = np.where(has_sentinel, sops[rank], sop_ids)
        return Spans(places=places, mask_ids=mask_ids, sop_ids=sop_ids)

    def _mask_name(self, objective: str) -> str:
        return MASKS[objective] if self.task_masks else "mask_token"

    def _require_mask(self, objective: str):
        self._require_token(self._mask_name(objective), "task_masks=False, which makes all objectives use [MASK]")

    def _require_token(self, name: str, remedy: str):
        if getattr(self.tokenizer, f"{name}_id") is None:
            raise ValueError(
                f"The vocabulary has no {name} (for instance {name.removesuffix('_token')!r} in brackets), which the "
                f"objectives {dict(self.objectives)} need: take a vocabulary that has it, or {remedy}."
            )


def check_settings(collator: DataCollatorForBlankInfilling):
    """Raise a ValueError for settings that are out of range or contradict each other."""
    objectives = collator.objectives
    if unknown := set(objectives) - set(OBJECTIVES):
        raise ValueError(f"Unknown objectives {sorted(unknown)}: there are {list(OBJECTIVES)}.")
    if abs(sum(objectives.values()) - 1) > 1e-6 or min(objectives.values()) < 0:
        raise ValueError(
            f"The probabilities of the objectives {dict(objectives)} must not be negative and must sum to 1."
        )
    for name, value in vars(collator).items():
        if name.endswith(("_ratio", "_probability")) and not 0 <= value <= 1:
            raise ValueError(f"{name}={value} must lie between 0 and 1.")
    for name, least in MINIMA.items():
        value = getattr(collator, name)
        if value is not None and value < least:
            raise ValueError(f"{name}={value} must be at least {least}.")
    if collator.masked_lm and collator.random_positions and collator.packed_length:
        raise ValueError("Texts without Part B that begin at random positions cannot be told apart in a packed row.")


def _is_token_objective(chosen: np.ndarray) -> np.ndarray:
    return (chosen == OBJECTIVES.index("token")) | (chosen == SINGLE_SPAN)
