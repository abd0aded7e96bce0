"""
Check the labels of every head before a loss is computed from them: shape, type, values, and where they stand. And find
texts whose logits can only be read as those of a causal model.

Wrong labels give a loss that falls like any other. So what can be recognised as wrong raises a `ValueError`, which names
the shapes, the first wrong label, and what makes right ones.

Shapes and types are always checked. Values are checked in eager mode on CPUs and CUDA devices, at the cost of reading a
few numbers.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from .configuration_glm import GLMConfig
from .inputs_glm import describe, require_values
from .layout_glm import Parts, find_parts

IGNORED = -100

FOR_PIECES = (
    "GLM learns the pieces of Part B, which fill the blanks of the text, and the label of a token is the token that must "
    "follow it. tokenizer.build_inputs_for_generation(inputs, targets=[...]), DataCollatorForInfillingSeq2Seq and "
    "DataCollatorForBlankInfilling make such inputs and labels; collators for causal, masked and encoder-decoder models do "
    "not."
)
READ_AS_CAUSAL = (
    "The logits of a text without a blank and without a piece were computed (row {row} of input_ids). They are not those of a "
    "causal model: GLM reads Part A in both directions, so every position has seen the tokens that follow it. Log-likelihoods, "
    "perplexities and losses from these logits are wrong. Put [gMASK] (or [MASK]) where text is wanted and <sop> with the "
    "continuation behind the text, as score_fillings, `modeling-glm evaluate` and, for lm-evaluation-harness, `python -m "
    "modeling_glm.evaluation.lm_eval --model glm` do. For features use GLMModel. A model gives this warning once."
)
FOR_TEXTS = "DataCollatorWithPadding makes such a batch from rows with one label each."
FOR_TOKENS = "DataCollatorForTokenClassification makes such a batch, with -100 for padding."
FOR_CHOICES = "DataCollatorForCloze makes such a batch. -100 stands for no label."
FOR_ANSWERS = "default_data_collator makes such a batch from rows that hold both positions. -100 stands for no answer."


class Fault(NamedTuple):
    """
    Labels that are wrong for one reason.

    Attributes:
        found: A bool tensor of the shape of the labels, True for the wrong ones.
        reason: What is wrong with each of them, as a clause without its subject.
        refused: Whether they are an error. Otherwise they give a warning.
    """

    found: torch.Tensor
    reason: str
    refused: bool = True


def can_read_labels(labels: torch.Tensor) -> bool:
    """Return whether values can be read: nothing is traced, and the device is a CPU, or a GPU that captures no graph."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    if labels.device.type == "cuda":
        return not torch.cuda.is_current_stream_capturing()
    return labels.device.type == "cpu"


def check_piece_labels(
    labels: torch.Tensor,
    config: GLMConfig,
    input_ids: torch.Tensor | None = None,
    inputs_embeds: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    position_ids: torch.Tensor | None = None,
) -> torch.Tensor:
    """
    Check the labels of `GLMForConditionalGeneration`.

    A label stands on a token of Part B. There are two exceptions, for rows without Part B:

    - Labels on masks are masked language modelling as BERT does it (`DataCollatorForBlankInfilling(masked_lm=True)`).
    - Labels in a row without a single blank give a warning. The model sees what it must predict there.

    Args:
        labels: (batch, seq) integers, -100 for none.
        config: The model's config.
        input_ids, inputs_embeds, attention_mask, position_ids: As given to the model. Where the parts cannot be told from
            them, Part A may have labels.

    Returns:
        The labels as int64.

    Raises:
        ValueError: for labels of another shape or type, outside the vocabulary, on padding, on Part A, and labels that
            repeat the tokens on which they stand.
    """
    tokens = input_ids if input_ids is not None else inputs_embeds
    assert tokens is not None
    labels = _require_integers(labels, "labels", FOR_PIECES)
    require_values(tokens, labels=labels)
    _require_shape(labels, "labels", "(batch, seq)", (tuple(tokens.shape[:2]),), FOR_PIECES)
    if not can_read_labels(labels):
        return labels
    if input_ids is not None:
        input_ids = input_ids.to(labels.device)
    padding = _padding(attention_mask, labels.shape[1], labels.device)
    parts = part_b = None  # part_b: (batch, seq) or (1, seq) bool, None where it cannot be told
    if input_ids is not None:
        parts = find_parts(input_ids, config, None if padding is None else ~padding)
    if position_ids is not None and position_ids.ndim == 3:
        part_b = position_ids[:, 1] > 0
    elif parts is not None and config.sop_token_id is not None:
        part_b = parts.piece > 0
    faults = [_outside(labels, config.vocab_size, "the vocabulary")]
    given = labels != IGNORED
    on_padding = torch.zeros_like(given) if padding is None else given & padding
    if part_b is not None:
        faults += _faults_of_parts(labels, given & ~on_padding, part_b.to(labels.device), input_ids, parts)
    faults.append(Fault(on_padding, "stands on padding"))
    _refuse(labels, "labels", faults, FOR_PIECES)
    return labels


def _faults_of_parts(
    labels: torch.Tensor,
    given: torch.Tensor,
    part_b: torch.Tensor,
    input_ids: torch.Tensor | None,
    parts: Parts | None,
) -> list[Fault]:
    """Find labels that do not fit the parts of the inputs, among the given ones: (batch, seq) bool."""
    on_text, is_filled = given & ~part_b, part_b.any(-1, keepdim=True)
    if input_ids is None or parts is None:
        return [Fault(on_text & is_filled, "stands on Part A, the text with its blanks")]
    on_text = on_text & (is_filled | ~parts.blanks)
    has_blanks = is_filled | parts.blanks.any(-1, keepdim=True)
    # Two labels or more, because one may by chance be the token on which it stands: "a" in the piece "a a".
    in_pieces = given & part_b
    copied = (~in_pieces | (labels == input_ids)).all() & (in_pieces.sum() > 1)
    return [
        Fault(on_text & has_blanks, "stands on Part A, the text with its blanks"),
        Fault(in_pieces & copied, "repeats the token on which it stands instead of naming the next one"),
        Fault(
            on_text & ~has_blanks,
            "stands on a text without a blank, where the model sees what it must predict",
            refused=False,
        ),
    ]


def find_text_alone(
    input_ids: torch.Tensor, config: GLMConfig, attention_mask: torch.Tensor | None = None
) -> int | None:
    """
    Find the first row that has a text, but neither a blank nor a piece. GLM predicts nothing there.

    Args:
        input_ids: (batch, seq) int64.
        config: Gives the ids of the masks and of the start of a piece.
        attention_mask: (batch, seq) or wider, 0 for padding. A 4D mask is the caller's own layout, in which nothing is found.

    Returns:
        The number of the row, None if there is none or if the config names no start of a piece.
    """
    padding = _padding(attention_mask, input_ids.shape[1], input_ids.device)
    is_own_layout = attention_mask is not None and padding is None
    if is_own_layout or config.sop_token_id is None:
        return None
    parts = find_parts(input_ids, config, None if padding is None else ~padding)
    alone = parts.real.any(-1) & (parts.piece[:, -1] == 0) & ~parts.blanks.any(-1)
    return int(alone.int().argmax()) if alone.any() else None


def check_gold_labels(labels: torch.Tensor, config: GLMConfig, shape: Sequence[int], may_be_shorter: bool = False):
    """
    Check the labels that mark a training batch for `generate`, which does not read them.

    Args:
        labels: (batch, seq) integers, -100 for none.
        config: The model's config.
        shape: (batch, seq) of the inputs.
        may_be_shorter: Whether the labels may leave out virtual tokens.

    Raises:
        ValueError: for labels of another shape or type, or outside the vocabulary.
    """
    labels = _require_integers(labels, "labels", FOR_PIECES)
    width = labels.shape[-1] if may_be_shorter and labels.ndim == 2 and labels.shape[1] < shape[1] else shape[1]
    _require_shape(labels, "labels", "(batch, seq)", ((shape[0], width),), FOR_PIECES)
    if can_read_labels(labels):
        _refuse(labels, "labels", [_outside(labels, config.vocab_size, "the vocabulary")], FOR_PIECES)


def check_text_labels(labels: torch.Tensor, logits: torch.Tensor, config: GLMConfig) -> torch.Tensor:
    """
    Check the labels of `GLMForSequenceClassification`.

    Args:
        labels: (batch,) or (batch, 1) integer classes, -100 for none; (batch,) or (batch, 1) targets of a regression,
            (batch, labels) if it has several; (batch, labels) from 0 to 1 for several labels at once.
        logits: (batch, labels).
        config: Gives `problem_type`. Without one, one label is a regression, integers are classes, and floats are several
            labels at once, as the library decides.

    Returns:
        Classes as integers. Targets as floats of the logits' shape, in float32 at least: rounded to bf16 they would be others.

    Raises:
        ValueError: for labels of another shape or type, and values outside the classes or targets.
    """
    _require_tensor(labels, "labels", FOR_TEXTS)
    require_values(logits, labels=labels)
    batch, count = logits.shape
    problem: str | None = config.problem_type
    if problem is None:
        several = labels.is_floating_point() or (labels.dtype == torch.bool and labels.ndim == 2)
        problem = "regression" if count == 1 else f"{'multi' if several else 'single'}_label_classification"
    if problem == "single_label_classification":
        labels = _require_integers(labels, "labels", FOR_TEXTS)
        hint = f"For several labels at once give floats of shape {(batch, count)}. {FOR_TEXTS}"
        _require_shape(labels, "labels", "(batch,)", ((batch,), (batch, 1)), hint)
        if can_read_labels(labels):
            _refuse(labels, "labels", [_outside(labels, count, "the classes")], FOR_TEXTS)
        return labels
    one_each = ((batch,), (batch, 1))
    if problem == "regression":
        what, shapes = ("(batch,)", one_each) if count == 1 else ("(batch, labels)", ((batch, count),))
        wrong, reason = ~labels.isfinite(), "is not finite"
    else:
        what, shapes = "(batch, labels)", ((batch, count), *(one_each if count == 1 else ()))
        wrong, reason = ~((labels >= 0) & (labels <= 1)), "is not between 0 and 1"
    hint = f"config.problem_type={config.problem_type!r} and config.num_labels={count} say so. {FOR_TEXTS}"
    _require_shape(labels, "labels", what, shapes, hint)
    if can_read_labels(labels):
        _refuse(labels, "labels", [Fault(wrong, reason)], hint)
    return labels.to(torch.promote_types(logits.dtype, torch.float32)).reshape(logits.shape)


def check_token_labels(
    labels: torch.Tensor, logits: torch.Tensor, attention_mask: torch.Tensor | None = None
) -> torch.Tensor:
    """
    Check the labels of `GLMForTokenClassification`.

    Args:
        labels: (batch, seq) integer classes, -100 for none.
        logits: (batch, seq, classes).
        attention_mask: As given to the model.

    Returns:
        The labels as int64.

    Raises:
        ValueError: for labels of another shape or type, outside the classes, and on padding.
    """
    labels = _require_integers(labels, "labels", FOR_TOKENS)
    require_values(logits, labels=labels)
    _require_shape(labels, "labels", "(batch, seq)", (tuple(logits.shape[:2]),), FOR_TOKENS)
    if can_read_labels(labels):
        faults = [_outside(labels, logits.shape[-1], "the classes")]
        padding = _padding(attention_mask, labels.shape[1], labels.device)
        if padding is not None:
            faults.append(Fault((labels != IGNORED) & padding, "stands on padding"))
        _refuse(labels, "labels", faults, FOR_TOKENS)
    return labels


def check_answer_positions(
    positions: torch.Tensor, name: str, logits: torch.Tensor, attention_mask: torch.Tensor | None = None
) -> torch.Tensor:
    """
    Check the labels of `GLMForQuestionAnswering`: where an answer starts, or where it ends.

    Args:
        positions: (batch,) or (batch, 1) indices of tokens, -100 for none.
        name: Name of the argument, for messages.
        logits: (batch, seq).
        attention_mask: As given to the model.

    Returns:
        (batch,) int64 positions, with `seq` for none. The library's loss ignores this number.

    Raises:
        ValueError: for positions of another shape or type, outside the text, and on padding.
    """
    batch, length = logits.shape
    positions = _require_integers(positions, name, FOR_ANSWERS)
    require_values(logits, **{name: positions})
    _require_shape(positions, name, "(batch,)", ((batch,), (batch, 1)), FOR_ANSWERS)
    positions = positions.reshape(batch)
    if can_read_labels(positions):
        faults = [_outside(positions, length, "the tokens of the row")]
        padding = _padding(attention_mask, length, positions.device)
        if padding is not None:
            on_padding = padding.gather(1, positions.clamp(0, length - 1).view(-1, 1)).view(-1)
            faults.append(Fault((positions != IGNORED) & on_padding, "names padding"))
        _refuse(positions, name, faults, FOR_ANSWERS)
    return positions.masked_fill(positions == IGNORED, length)


def check_choice_labels(labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """
    Check the labels of `GLMForMultipleChoice`.

    Args:
        labels: (batch,) or (batch, 1) numbers of choices, -100 for none.
        logits: (batch, choices), -inf for absent choices.

    Returns:
        (batch,) int64.

    Raises:
        ValueError: for labels of another shape or type, and labels that name no choice, or an absent one.
    """
    batch, count = logits.shape
    labels = _require_integers(labels, "labels", FOR_CHOICES)
    require_values(logits, labels=labels)
    _require_shape(labels, "labels", "(batch,)", ((batch,), (batch, 1)), FOR_CHOICES)
    labels = labels.reshape(batch)
    if can_read_labels(labels):
        chosen = logits.detach().gather(1, labels.clamp(0, count - 1).view(-1, 1)).view(-1)
        absent = (labels != IGNORED) & (chosen == -torch.inf)
        reason = f"names an absent choice: the row with most choices has {count}"
        _refuse(labels, "labels", [Fault(_outside(labels, count, "").found | absent, reason)], FOR_CHOICES)
    return labels


def _require_tensor(labels: Any, name: str, hint: str):
    """Raise a `ValueError` for what is not a plain tensor of real numbers."""
    if not isinstance(labels, torch.Tensor) or labels.layout != torch.strided or labels.is_complex():
        raise ValueError(f"{name} {describe(labels)}: expected a tensor. {hint}")


def _require_integers(labels: Any, name: str, hint: str) -> torch.Tensor:
    _require_tensor(labels, name, hint)
    if labels.is_floating_point() or labels.is_quantized:
        raise ValueError(f"{name} has the type {labels.dtype}: expected integers (torch.int64). {hint}")
    return labels.long()


def _require_shape(labels: torch.Tensor, name: str, what: str, shapes: tuple[tuple[int, ...], ...], hint: str) -> None:
    if not any(_is_shape(labels.shape, shape) for shape in shapes):
        raise ValueError(f"{name} has the shape {tuple(labels.shape)}: expected {what} = {shapes[0]}. {hint}")


def _is_shape(shape: Sequence[int], expected: Sequence[int]) -> bool:
    """
    Compare sizes one by one.

    A traced graph may have a symbol for one size and a number for the other. As tuples they would count as different.
    """
    return len(shape) == len(expected) and all(size == other for size, other in zip(shape, expected, strict=True))


def _outside(labels: torch.Tensor, count: int, what: str) -> Fault:
    found = ((labels < 0) & (labels != IGNORED)) | (labels >= count)
    return Fault(found, f"is outside {what}, 0 ... {count - 1}, and is not -100")


def _padding(attention_mask: torch.Tensor | None, length: int, device: torch.device) -> torch.Tensor | None:
    """Mark the padding: (batch, length) bool, None if no mask of two dimensions tells it."""
    if not isinstance(attention_mask, torch.Tensor) or attention_mask.ndim != 2:
        return None
    return (attention_mask == 0)[:, -length:].to(device)  # the mask covers what a cache holds, too


def _refuse(labels: torch.Tensor, name: str, faults: list[Fault], hint: str) -> None:
    """Raise a `ValueError` for the first fault that is found, or warn. All are read from the device at once."""
    present = torch.stack([fault.found.any() for fault in faults]).tolist()
    found_faults = [fault for fault, found in zip(faults, present, strict=True) if found]
    for fault in sorted(found_faults, key=lambda fault: not fault.refused):  # errors first
        place = fault.found.nonzero()[0].tolist()
        value, more = labels[tuple(place)].item(), int(fault.found.sum()) - 1
        if fault.refused:
            others = f" (as do {more} more)" if more else ""
            raise ValueError(
                f"{name}{place} = {value} {fault.reason}{others}, in {name} of shape {tuple(labels.shape)}. {hint}"
            )
        warnings.warn(f"{name}{place} = {value} {fault.reason}. {hint}", stacklevel=4)
