"""Score spans of token sequences with a causal model. Sequences that begin alike share what the model computes for it."""

import inspect
from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile
from typing import Any, NamedTuple

import torch

from ...utils.inference import evaluation_mode, unwrap
from ...utils.numbers import check_batch_size
from ...utils.rows import RowError, in_batches
from ..continuations import ScoredContinuation


class ScoredSpan(NamedTuple):
    """
    Hold a sequence of tokens, and which of them are scored.

    Attributes:
        ids: The ids of the sequence.
        start, stop: The first scored token, at least 1, and the end of the scored ones.
    """

    ids: Sequence[int]
    start: int
    stop: int


class _SharedStart(NamedTuple):
    """Hold sequences and how many tokens the model reads for all of them at once."""

    spans: Sequence[ScoredSpan]
    length: int
    row: int  # the number of the caller's row


def score_spans(
    model: Any, rows: Sequence[Sequence[ScoredSpan]], *, batch_size: int = 32
) -> list[list[ScoredContinuation]]:
    """
    Score spans of sequences token by token.

    The sequences of a row may begin with the same tokens, as a question with several answers does. The model reads those
    once and keeps their keys and values for the rest of each sequence. Rows with the same beginning share it, too.
    Results do not depend on batching.

        ids       a b c x y | a b c z        read: a b c, then x. The last tokens, y and z, are only predicted.

    Args:
        model: A causal model of Transformers, or a PEFT wrapper around one.
        rows: For every row its sequences.
        batch_size: The number of rows in a forward pass.

    Returns:
        For every row its scored spans, in the order given.

    Raises:
        RowError: For a span without tokens before it, without tokens in it, or beyond its sequence.
        ValueError: For a model that is not causal.
    """
    check_causal_model(model)
    batch_size = check_batch_size("batch_size", batch_size)
    for number, row in enumerate(rows):
        for span in row:
            if not 0 < span.start < span.stop <= len(span.ids):
                raise RowError(
                    number,
                    f"The row scores tokens {span.start} to {span.stop} of {len(span.ids)}: expected at least one token, "
                    "and one before it.",
                )
    starts = [_SharedStart(row, count_shared(row), number) for number, row in enumerate(rows) if row]
    scored: list[list[ScoredContinuation]] = [[] for _ in rows]
    # Rows whose beginnings are equally long need no padding in front of what follows.
    starts.sort(key=lambda one: one.length)
    with evaluation_mode(model):
        for _, alike in groupby(starts, key=lambda one: one.length):
            for _, batch in in_batches(alike, batch_size):
                for start, found in zip(batch, _score_batch(model, batch), strict=True):
                    scored[start.row] = found
    return scored


def check_causal_model(model: torch.nn.Module) -> None:
    """Raise a `ValueError` for a model that does not predict the next token."""
    inner: Any = unwrap(model)
    config: Any = getattr(inner, "config", None)
    if config is None or config.is_encoder_decoder or inner.get_output_embeddings() is None:
        raise ValueError(
            f"The model is a {type(inner).__name__}: expected a causal model, which loads with "
            "AutoModelForCausalLM.from_pretrained(folder)."
        )


def count_shared(row: Sequence[ScoredSpan]) -> int:
    """Count the tokens that the model reads at the start of all sequences. The last of each is only predicted."""
    return count_common([span.ids[: span.stop - 1] for span in row])


def count_common(sequences: Sequence[Sequence[int]]) -> int:
    """Count the tokens with which all sequences begin."""
    places = zip(*sequences, strict=False)
    return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, places))


def _score_batch(model: Any, batch: Sequence[_SharedStart]) -> Iterator[list[ScoredContinuation]]:
    """Score rows whose shared beginnings are equally long."""
    length = batch[0].length
    spans = [span for start in batch for span in start.spans]
    # What is read predicts the next token, so logits of the tokens 0 1 2 are for the tokens 1 2 3.
    found: list[list[torch.Tensor]] = [[] for _ in spans]
    cache, index = None, []
    if length:
        begun = [tuple(start.spans[0].ids[:length]) for start in batch]
        places = {ids: place for place, ids in enumerate(dict.fromkeys(begun))}
        index = [places[ids] for ids, start in zip(begun, batch, strict=True) for _ in start.spans]
        first = min(length, *(span.start for span in spans))
        logits, cache = _read(model, list(places), skip=first - 1)
        for span, place, parts in zip(spans, index, found, strict=True):
            parts.append(logits[place, span.start - first :])
    own = [span.ids[length : span.stop - 1] for span in spans]
    if longer := [number for number, ids in enumerate(own) if ids]:
        if cache is not None:
            cache.reorder_cache(torch.tensor([index[number] for number in longer], device=model.device))
        first = min(max(length + 1, spans[number].start) for number in longer)
        logits, _ = _read(
            model, [own[number] for number in longer], skip=first - length - 1, cache=cache, num_cached=length
        )
        for number, of_row in zip(longer, logits, strict=True):
            span = spans[number]
            found[number].append(of_row[max(0, span.start - first) : span.stop - first])
    scored = map(_look_up, spans, found)
    for start in batch:
        yield [next(scored) for _ in start.spans]


def _read(
    model: Any, rows: Sequence[Sequence[int]], *, skip: int, cache: Any = None, num_cached: int = 0
) -> tuple[torch.Tensor, Any]:
    """
    Read rows, padded at their ends, where no token looks at the padding.

    Args:
        model: The model.
        rows: The ids of every row.
        skip: How many of the first logits are not wanted.
        cache: The keys and values of the tokens before them, and how many those are.
        num_cached: The number of tokens in the cache.

    Returns:
        The logits (rows, tokens - skip, vocabulary) and the cache.
    """
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in rows], device=model.device)
    parameters = inspect.signature(unwrap(model).forward).parameters
    options: dict[str, Any] = {"use_cache": True}
    if "position_ids" in parameters:
        options["position_ids"] = torch.arange(num_cached, num_cached + width, device=model.device)[None]
    if "logits_to_keep" in parameters:
        options["logits_to_keep"] = width - skip
    if cache is not None:
        options["past_key_values"] = cache
    outputs = model(input_ids=ids, **options)
    return outputs.logits[:, skip - width :].float(), outputs.past_key_values


def _look_up(span: ScoredSpan, parts: Sequence[torch.Tensor]) -> ScoredContinuation:
    """Look up the scored tokens of a span in the logits that predict them, (tokens, vocabulary) in parts."""
    logits = torch.cat(list(parts))
    targets = torch.tensor(span.ids[span.start : span.stop], device=logits.device)
    log_probs = logits.gather(-1, targets[:, None])[:, 0] - logits.logsumexp(-1)
    return ScoredContinuation(log_probs.tolist(), (logits.argmax(-1) == targets).tolist())


__all__ = ["ScoredSpan", "check_causal_model", "count_common", "count_shared", "score_spans"]
