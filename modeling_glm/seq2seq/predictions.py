"""Predict the targets of many rows: the answers, their tokens and how likely the model finds them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, overload

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ..filling.processors import ScoreRecorder
from ..filling.scoring import Candidates, score_candidates
from ..tokenization import DataCollatorForInfillingSeq2Seq
from ..utils.inference import evaluation_mode
from ..utils.numbers import check_batch_size, check_real_number, check_truth_value, check_whole_number
from ..utils.rows import OnError, check_rows, read_example, read_rows
from .generation import IGNORED, choose_limits, cut_behind_ends, find_ends, generate_pieces
from .original_search import search_as_originals

# Arguments of `generate` that follow from others, or that a prediction cannot hold.
REFUSED = {
    "attention_mask": "the collator makes it",
    "input_ids": "the collator makes them from rows",
    "output_scores": "a prediction has log_prob and score",
    "return_dict_in_generate": "a prediction has log_prob and score",
    "score_observers": "call model.generate to use your own",
    "streamer": "call model.generate to stream",
}
ORIGINAL_ARGUMENTS = {
    "length_penalty",
    "max_new_tokens",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "num_beams",
    "num_return_sequences",
}


@dataclass(frozen=True, kw_only=True)
class TargetPrediction:
    """
    Hold what a model writes for one row.

    Attributes:
        answers: The answer of every blank, from left to right. A blank that the model did not reach has an empty one.
        text: The answers, each in a line of its own.
        token_ids: Part B as the model wrote it: `<sop> answer <sop> answer <eop>`. Without an end, the limit of tokens
            cut it off.
        log_prob: The natural logarithm of the joint probability of all answers and their ends, given the source. It is
            that of the model itself, before anything changes its scores. An end that was not written does not count.
        score: What ranks predictions of a row: `log_prob` divided by the number of tokens and ends to the power of
            `length_penalty`. With `original_search` it is the score of that search.
    """

    answers: tuple[str, ...]
    text: str
    token_ids: tuple[int, ...]
    log_prob: float
    score: float

    def as_dict(self) -> dict[str, Any]:
        """Return `text`, `answers`, `probability`, `log_prob` and `score` as plain values, as files have them."""
        return {
            "text": self.text,
            "answers": list(self.answers),
            "probability": math.exp(self.log_prob),
            "log_prob": self.log_prob,
            "score": self.score,
        }


class _Prompt(NamedTuple):
    """Hold the ids of a row to predict, and its place among the rows of the caller."""

    place: int
    ids: list[int]


@overload
def predict_targets(
    model: PreTrainedModel,
    collator: DataCollatorForInfillingSeq2Seq,
    rows: str,
    *,
    num_return_sequences: Literal[1] = 1,
    on_error: Literal["raise"] = "raise",
    **settings: Any,
) -> TargetPrediction: ...


@overload
def predict_targets(
    model: PreTrainedModel,
    collator: DataCollatorForInfillingSeq2Seq,
    rows: Sequence[Mapping[str, Any]] | Sequence[str],
    *,
    num_return_sequences: Literal[1] = 1,
    on_error: Literal["raise"] = "raise",
    **settings: Any,
) -> list[TargetPrediction]: ...


@overload
def predict_targets(
    model: PreTrainedModel, collator: DataCollatorForInfillingSeq2Seq, rows: Any, **settings: Any
) -> Any: ...


def predict_targets(
    model: PreTrainedModel,
    collator: DataCollatorForInfillingSeq2Seq,
    rows: Any,
    *,
    batch_size: int = 32,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    no_repeat_ngram_size: int = 0,
    min_new_tokens: int | None = None,
    max_new_tokens: int | None = None,
    num_return_sequences: int = 1,
    original_search: bool = False,
    on_error: OnError = "raise",
    progress: bool = False,
    **generate_kwargs: Any,
) -> Any:
    """
    Predict the targets of rows with a fine-tuned model.

    The model reads what it has read in training (`collator.prompts`), and the tokens are those of `model.generate`. Rows of
    similar length share a batch.

    Example:

    ```python
    >>> collator = DataCollatorForInfillingSeq2Seq.from_pretrained("runs/titles", tokenizer)
    >>> predictions = predict_targets(model, collator, [{"source": "..."}], num_beams=4)
    >>> predictions[0].text, predictions[0].log_prob
    ```

    Args:
        model: A `GLMForConditionalGeneration`, or a PEFT wrapper around it.
        collator: The collator of the training. It needs no target in the rows.
        rows: Rows with the fields of the collator's pattern, in any form: dicts in a list or generator, a DataFrame, a
            dict of columns, a `datasets.Dataset`. If the pattern has one field, a row may be its text.
        batch_size: The number of rows in a forward pass.
        num_beams: The number of beams; 1 is greedy search.
        length_penalty: The power of the number of tokens that divides the log-probability of a prediction: in the search of
            beams, and in `score`.
        no_repeat_ngram_size: N-grams of this length do not repeat within an answer. 0 allows all.
        min_new_tokens: The fewest tokens of every answer.
        max_new_tokens: The most tokens of all answers of a row together, with their ends. The default is the
            `max_target_length` of the collator, and without it 64 tokens for each blank.
        num_return_sequences: The number of predictions of every row. Needs as many beams, whose best comes first, or
            `do_sample=True`.
        original_search: Whether to search as the authors' code does; see `modeling_glm.seq2seq.original_search`. Each of
            `num_beams`, `length_penalty`, `no_repeat_ngram_size`, `min_new_tokens` and `max_new_tokens` then has the
            meaning that it has there, and others are refused. With one beam `length_penalty` is not used.
        on_error: "raise" raises the first row that cannot be used, as a `RowError`. "record" puts its `RowError` in the
            place of its prediction.
        progress: Whether to show a progress bar.
        generate_kwargs: Further arguments of `generate`, such as `max_new_tokens_per_blank` or `do_sample`. The draws of
            `do_sample` depend on torch's seed and on batching.

    Returns:
        A `TargetPrediction` for every row; for a single row one, and with several sequences a list of them for each.

    Raises:
        ValueError: If a row has not the fields of the pattern or is longer than the position table, and if settings
            contradict each other.
    """
    settings = _Settings.check(
        model,
        collator,
        batch_size=batch_size,
        num_beams=num_beams,
        length_penalty=length_penalty,
        num_return_sequences=num_return_sequences,
        original_search=original_search,
        generate_kwargs={
            **generate_kwargs,
            "no_repeat_ngram_size": no_repeat_ngram_size or None,
            "min_new_tokens": min_new_tokens,
            "max_new_tokens": max_new_tokens,
        },
    )
    given = read_rows(rows)

    def encode(row: tuple[int, Any]) -> _Prompt:
        example = read_example(row[1], collator.fields)
        return _Prompt(row[0], encode_prompt(collator, example, original_search=original_search, num_beams=num_beams))

    checked = check_rows(enumerate(given), encode, on_error=on_error)
    found: dict[int, list[TargetPrediction]] = {}
    with evaluation_mode(model), tqdm(total=len(checked.good), disable=not progress, desc="predicting") as bar:
        for batch in _make_batches(checked.good, settings.batch_size):
            found |= zip((prompt.place for prompt in batch), _predict(model, collator, batch, settings), strict=True)
            bar.update(len(batch))
    several = settings.num_return_sequences > 1
    results = checked.restore([found[prompt.place] if several else found[prompt.place][0] for prompt in checked.good])
    return results[0] if given.single else results


def encode_prompt(
    collator: DataCollatorForInfillingSeq2Seq, row: Mapping[str, Any], *, original_search: bool, num_beams: int
) -> list[int]:
    """
    Return the ids of a row to predict, as `collator.encode_prompt` does.

    Raises:
        ValueError: For a row that does not fit, or that has more blanks than the search fills.
    """
    ids = collator.encode_prompt(row)
    blanks = _count_blanks(collator, ids)
    if original_search and num_beams > 1 and blanks > 1:
        raise ValueError(
            f"The row has {blanks} blanks, but the beams of original_search=True fill one: give num_beams=1 (--num_beams 1), "
            "which fills several from left to right, or rows with one blank."
        )
    return ids


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """Hold the checked settings of `predict_targets`."""

    batch_size: int
    length_penalty: float
    num_return_sequences: int
    original_search: bool
    generate_kwargs: dict[str, Any]

    @classmethod
    def check(
        cls,
        model: PreTrainedModel,
        collator: DataCollatorForInfillingSeq2Seq,
        *,
        batch_size: int,
        num_beams: int,
        length_penalty: float,
        num_return_sequences: int,
        original_search: bool,
        generate_kwargs: dict[str, Any],
    ) -> "_Settings":
        """Check numbers and combinations. Raises a `ValueError` for those that do not fit."""
        if taken := [name for name in REFUSED if name in generate_kwargs]:
            raise ValueError(f"{taken[0]} is no argument of predict_targets: {REFUSED[taken[0]]}.")
        beams = check_whole_number("num_beams", num_beams, least=1)
        penalty = check_real_number("length_penalty", length_penalty)
        returned = check_whole_number("num_return_sequences", num_return_sequences, least=1)
        draws = bool(generate_kwargs.get("do_sample"))
        if returned > 1 and returned > beams and not draws:
            raise ValueError(
                f"num_return_sequences={returned} and num_beams={beams}: expected at least as many beams, or do_sample=True."
            )
        arguments = choose_limits(model, generate_kwargs, getattr(collator, "max_target_length", None))
        for name, least in (("max_new_tokens", 1), ("min_new_tokens", 0), ("no_repeat_ngram_size", 0)):
            if name in arguments:
                arguments[name] = check_whole_number(name, arguments[name], least=least)
        arguments |= {"num_beams": beams, "num_return_sequences": returned}
        arguments.setdefault("do_sample", False)
        if beams > 1:
            arguments["length_penalty"] = penalty
        if check_truth_value("original_search", original_search):
            arguments = _as_originals(arguments)
        return cls(
            batch_size=check_batch_size("batch_size", batch_size),
            length_penalty=penalty,
            num_return_sequences=returned,
            original_search=bool(original_search),
            generate_kwargs=arguments,
        )


def _as_originals(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `search_as_originals`. Raises a `ValueError` for others, and without a limit."""
    arguments = {name: value for name, value in arguments.items() if (name, value) != ("do_sample", False)}
    if unknown := sorted(set(arguments) - ORIGINAL_ARGUMENTS):
        raise ValueError(
            f"original_search=True and {unknown[0]}: the authors' search knows only {', '.join(sorted(ORIGINAL_ARGUMENTS))}."
        )
    if "max_new_tokens" not in arguments:
        raise ValueError("original_search=True needs max_new_tokens, the --tgt-seq-length of the authors' code.")
    return arguments


def _make_batches(prompts: Sequence[_Prompt], size: int) -> Iterator[list[_Prompt]]:
    """Put prompts of similar length together, the longest first: a batch that does not fit into memory shows at once."""
    ordered = sorted(prompts, key=lambda prompt: -len(prompt.ids))
    return (ordered[start : start + size] for start in range(0, len(ordered), size))


def _predict(
    model: Any, collator: DataCollatorForInfillingSeq2Seq, batch: Sequence[_Prompt], settings: _Settings
) -> list[list[TargetPrediction]]:
    """Predict the targets of a batch of prompts."""
    width = max(len(prompt.ids) for prompt in batch)
    padding_id = int(model.padding_id)  # a PEFT wrapper passes it on
    lengths = [(width - len(prompt.ids), len(prompt.ids)) for prompt in batch]
    padded = [[padding_id] * pad + prompt.ids for prompt, (pad, _) in zip(batch, lengths, strict=True)]
    input_ids = torch.tensor(padded, device=model.device)
    attention_mask = torch.tensor([[0] * pad + [1] * real for pad, real in lengths], device=model.device)
    arguments = settings.generate_kwargs
    ends = find_ends(model, arguments)
    sop_token_id = model.config.sop_token_id
    recorded = scores = None
    if settings.original_search:
        found = search_as_originals(model, input_ids, attention_mask, **arguments)
        ends = [model.config.eop_token_id]  # nothing else ends an answer there
        pieces, scores = cut_behind_ends(found.sequences, ends), found.scores.tolist()
    elif arguments["num_beams"] > 1:
        pieces = generate_pieces(model, input_ids, attention_mask, **arguments).pieces
    else:
        recorder = ScoreRecorder(sop_token_id, ends)
        generated = generate_pieces(model, input_ids, attention_mask, score_observers=[recorder], **arguments)
        pieces, recorded = generated.pieces, recorder.read(generated.sequences)
    written = [[token_id for token_id in row if token_id != IGNORED] for row in pieces.tolist()]
    if settings.original_search:  # behind an open answer stands padding
        written = [_without_padding(ids, padding_id) for ids in written]
    prompts = [prompt.ids for prompt in batch for _ in range(settings.num_return_sequences)]
    blanks = [_count_blanks(collator, ids) for ids in prompts]
    if recorded is None:
        log_probs = _score(model, prompts, written, blanks, ends)
    else:  # the first token is a start of piece, which nothing predicts
        log_probs = [sum(row[: len(ids) - 1]) for row, ids in zip(recorded.tolist(), written, strict=True)]
    if scores is not None:
        for number, (ids, count) in enumerate(zip(written, blanks, strict=True)):
            if count > 1 and ids.count(sop_token_id) > count:
                # Which starts the model wrote itself is known to the search alone. Its score is the sum of all.
                log_probs[number] = scores[number]
    else:
        powers = [max(1, len(ids) - 1) ** settings.length_penalty for ids in written]
        scores = [log_prob / power for log_prob, power in zip(log_probs, powers, strict=True)]
    shown = [_without_surplus_starts(ids, count, sop_token_id) for ids, count in zip(written, blanks, strict=True)]
    answers = collator.tokenizer.decode_blanks([ids + new for ids, new in zip(prompts, shown, strict=True)])
    predictions = [
        TargetPrediction(
            answers=tuple(of_row), text="\n".join(of_row), token_ids=tuple(new), log_prob=log_prob, score=score
        )
        for of_row, new, log_prob, score in zip(answers, written, log_probs, scores, strict=True)
    ]
    size = settings.num_return_sequences
    return [predictions[start : start + size] for start in range(0, len(predictions), size)]


def _count_blanks(collator: DataCollatorForInfillingSeq2Seq, ids: Sequence[int]) -> int:
    masks = set(collator.tokenizer.mask_token_ids)
    return sum(token_id in masks for token_id in ids)


def _without_padding(ids: list[int], padding_id: int) -> list[int]:
    """Remove the padding at the end of a row, which begins with a start of piece."""
    stop = next(place for place in range(len(ids), 0, -1) if ids[place - 1] != padding_id)
    return ids[:stop]


def _without_surplus_starts(ids: list[int], blanks: int, sop_token_id: int) -> list[int]:
    """Remove starts of pieces behind that of the last blank: the authors' search lets an answer have them, as no text."""
    starts = [place for place, token_id in enumerate(ids) if token_id == sop_token_id]
    surplus = set(starts[blanks:])
    return [token_id for place, token_id in enumerate(ids) if place not in surplus]


def _score(
    model: Any,
    prompts: Sequence[list[int]],
    written: Sequence[list[int]],
    blanks: Sequence[int],
    ends: Sequence[int],
) -> list[float]:
    """
    Score Part B of rows in another pass, for searches that change the order of rows on the way.

    A start of a piece behind that of the last blank is a token that the model wrote into its answer.
    """
    sop_token_id = model.config.sop_token_id
    log_probs = [0.0] * len(written)
    for is_whole in (True, False):
        chosen = [number for number, ids in enumerate(written) if (ids[-1] in ends) == is_whole]
        texts = []
        for number in chosen:
            pieces: list[list[int]] = []
            for token_id in written[number]:
                if token_id == sop_token_id and len(pieces) < blanks[number]:
                    pieces.append([])
                elif token_id not in ends:
                    pieces[-1].append(token_id)
            texts.append(Candidates(context=prompts[number], order=range(len(pieces)), pieces=[pieces]))
        scored = score_candidates(model, texts, max(1, len(texts)), score_ends=is_whole)
        for number, (candidate,) in zip(chosen, scored, strict=True):
            log_probs[number] = sum(piece.log_prob for piece in candidate.pieces)
    return log_probs


__all__ = ["TargetPrediction", "encode_prompt", "predict_targets"]
