"""Measure a model on held-out texts: losses and greedy answers of blanks, in two orders, and losses of whole objectives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer
from modeling_glm.layout_glm import compute_position_ids, find_parts
from modeling_glm.utils.inference import answer_blanks

from .blanks import BlankedText
from .variants import Batch, Variant, compute_token_losses, is_causal

EVAL_BATCH = 64
ANSWER_LENGTH = 24  # tokens of an answer at most
EVAL_SEED = 1  # of the blanks of whole objectives


@dataclass(frozen=True, kw_only=True)
class TextScores:
    """
    Hold what was measured in each text of a set, in the order of the texts.

    Attributes:
        nll: Loss of the labelled tokens of a text, summed, in nats.
        tokens: Number of these tokens.
        hits: Number of its blanks that were filled exactly. Empty where no answers were made.
        blanks: Number of its blanks.
    """

    nll: list[float]
    tokens: list[int]
    hits: list[int]
    blanks: list[int]


def measure_blanks(model: PreTrainedModel, tokenizer: GLMTokenizer, texts: Sequence[BlankedText]) -> TextScores:
    """Measure loss and exact match of blanks, filled from left to right."""
    nll, tokens = blank_losses(model, tokenizer, texts)
    rows = [text.text for text in texts]
    if is_causal(model):
        answers = answer_causally(model, tokenizer, texts)
    else:
        answers = answer_blanks(model, tokenizer, rows, EVAL_BATCH, max_new_tokens_per_blank=ANSWER_LENGTH)
    hits = [
        sum(answer == right for answer, right in zip(row, text.answers, strict=True))
        for row, text in zip(answers, texts, strict=True)
    ]
    return TextScores(nll=nll, tokens=tokens, hits=hits, blanks=[len(text.answers) for text in texts])


def measure_reversed(model: PreTrainedModel, tokenizer: GLMTokenizer, texts: Sequence[BlankedText]) -> TextScores:
    """Measure the loss of blanks that are filled from right to left."""
    nll, tokens = blank_losses(model, tokenizer, texts, reverse=True)
    return TextScores(nll=nll, tokens=tokens, hits=[], blanks=[len(text.answers) for text in texts])


def measure_objective(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: Sequence[list[int]],
    variant: Variant,
    objective: str,
    **options: Any,
) -> TextScores:
    """
    Measure the loss of one objective on whole texts, with the masks and positions that a variant was trained with.

    Args:
        model: The trained model.
        tokenizer: Its tokenizer.
        texts: Ids of the texts.
        variant: How the model was trained.
        objective: "sentence" or "document".
        options: Further arguments of the collator.
    """
    options = {**options, **variant.collator, "objectives": {objective: 1.0}, "seed": EVAL_SEED}
    collate = DataCollatorForBlankInfilling(tokenizer, **options)
    batches = [
        collate([{"input_ids": texts[index], "sample_id": index} for index in chunk])
        for chunk in _chunks([len(ids) for ids in texts], EVAL_BATCH // 4)
    ]
    nll, tokens = _sum_by_text(model, batches, [len(ids) for ids in texts], EVAL_BATCH // 4)
    return TextScores(nll=nll, tokens=tokens, hits=[], blanks=[])


def blank_losses(
    model: PreTrainedModel, tokenizer: GLMTokenizer, texts: Sequence[BlankedText], *, reverse: bool = False
) -> tuple[list[float], list[int]]:
    """
    Compute the loss of the right answers and their ends, summed for each text, and the numbers of their tokens.

    Args:
        model: The model. GPT-2's positions do not name the blank, so it has no answers from right to left.
        tokenizer: Its tokenizer.
        texts: The blanks.
        reverse: Whether the pieces stand in Part B from right to left.
    """
    batches = []
    for chunk in _chunks([len(text.text) for text in texts], EVAL_BATCH):
        inputs = tokenizer([texts[index].text for index in chunk], return_tensors="pt", padding=True)
        targets = [texts[index].targets for index in chunk]
        batch = dict(tokenizer.build_inputs_for_generation(inputs, targets=targets))
        batches.append(reverse_pieces(batch, model) if reverse else batch)
    return _sum_by_text(model, batches, [len(text.text) for text in texts], EVAL_BATCH)


def reverse_pieces(batch: Batch, model: PreTrainedModel) -> Batch:
    """
    Put the last piece of every row first. Each piece keeps its positions, which name its blank:

        ids     [CLS] M a M  S x  S y z        ->  [CLS] M a M  S y z  S x
        row 0     0   1 2 3  1 1  3 3 3              0   1 2 3  3 3 3  1 1
    """
    ids, mask = batch["input_ids"], batch["attention_mask"]
    parts = find_parts(ids, model.config, mask)
    positions = compute_position_ids(ids, model.config, mask)
    # Part A stays in front, with padding inside; padding behind the pieces stays behind.
    last = parts.piece.amax(-1, keepdim=True)
    rank = torch.where(parts.piece == 0, 0, last + 1 - parts.piece)
    rank = torch.where((parts.piece > 0) & (mask == 0), last + 1, rank)
    order = rank.argsort(dim=-1, stable=True)
    moved = {name: values.gather(1, order) for name, values in batch.items()}
    return {**moved, "position_ids": positions.gather(2, order[:, None].expand_as(positions))}


@torch.inference_mode()
def answer_causally(model: PreTrainedModel, tokenizer: GLMTokenizer, texts: Sequence[BlankedText]) -> list[list[str]]:
    """Return the greedy answers of GPT-2, from left to right. Each answer stands behind the ones before it."""
    prompts = [[*row, tokenizer.sop_token_id] for row in tokenizer([text.text for text in texts])["input_ids"]]
    answers: list[list[str]] = [[] for _ in texts]
    for blank in range(max(len(text.answers) for text in texts)):
        open_rows = [row for row, text in enumerate(texts) if blank < len(text.answers)]
        for chunk in _chunks([len(prompts[row]) for row in open_rows], EVAL_BATCH):
            rows = [open_rows[place] for place in chunk]
            inputs = tokenizer.pad(
                {"input_ids": [prompts[row] for row in rows]}, padding_side="left", return_tensors="pt"
            ).to(model.device)
            new = model.generate(**inputs, do_sample=False, max_new_tokens=ANSWER_LENGTH)
            for row, ids in zip(rows, new[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                piece = _until_end(ids, tokenizer.end_token_ids)
                answers[row].append(tokenizer.decode_blanks([[tokenizer.sop_token_id, *piece]])[0][0])
                prompts[row] += [*piece, tokenizer.sop_token_id]
    return answers


def _until_end(ids: list[int], ends: set[int]) -> list[int]:
    return ids[: next((place for place, token in enumerate(ids) if token in ends), len(ids))]


def _chunks(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Return the numbers of items in batches of similar length, for little padding."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [order[start : start + size] for start in range(0, len(order), size)]


@torch.inference_mode()
def _sum_by_text(
    model: PreTrainedModel, batches: Sequence[Batch], lengths: Sequence[int], size: int
) -> tuple[list[float], list[int]]:
    """Sum the losses of each text of batches that `_chunks` made, and count its labels."""
    model.eval()
    nll, tokens = [0.0] * len(lengths), [0] * len(lengths)
    for chunk, batch in zip(_chunks(lengths, size), batches, strict=True):
        sums = compute_token_losses(model, batch).double().sum(-1).tolist()
        counts = (batch["labels"] != -100).sum(-1).tolist()
        for index, total, count in zip(chunk, sums, counts, strict=True):
            nll[index], tokens[index] = round(total, 4), count
    return nll, tokens
