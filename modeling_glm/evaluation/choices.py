"""Zero-shot multiple choice: score the choices of every example, and compare the likeliest one with the right one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..tokenization import GLMTokenizer
from ..tokenization.blanks import encode_text
from ..utils.numbers import check_real_number, check_truth_value, check_whole_number, shorten
from ..utils.rows import OnError, RowError, check_rows, read_example, read_list, read_rows, read_text
from .causal.choices import CausalChoices, check_scored, is_causal
from .causal.layout import Scored
from .continuations import ContinuationRow, check_scoring_model, score_continuations
from .partial_results import evaluate_items, keep_results
from .prompts import ContextEncoder, EncodedContext
from .report import wilson_interval
from .texts import check_max_length, continuing_mask_id, encode_plain, space_behind

# The names of text, choices and label: the package's own, and those of the originals' files.
FIELDS = ("text", "choices", "label")
ORIGINAL_FIELDS = ("inputs_pretokenized", "choices_pretokenized", "label")


LengthUnit = Literal["token", "character"]
LENGTH_UNITS: tuple[LengthUnit, ...] = ("token", "character")


class ChoiceExample(NamedTuple):
    """
    Hold a question with choices.

    Attributes:
        text: The text, with a blank or without.
        choices: The choices.
        label: The number of the right choice, from 0.
    """

    text: str
    choices: list[str]
    label: int


@dataclass(frozen=True, kw_only=True)
class ChoiceAccuracy:
    """
    Hold the scores of the choices, and how often the right one wins.

    Attributes:
        rows: The numbers of the examples in what the caller gave, from 0.
        scores: For every example the log-probability of every choice, without the end of the piece, divided by its length
            to the power of the length penalty.
        labels: The numbers of the right choices.
        num_cut: How many texts lost tokens at their start.
        errors: The rows that are no examples, with `on_error="record"`.
    """

    rows: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...]
    num_cut: int = 0
    errors: tuple[RowError, ...] = ()

    @property
    def predictions(self) -> tuple[int, ...]:
        """The number of the likeliest choice of every example, the first of several."""
        return tuple(row.index(max(row)) for row in self.scores)

    @property
    def accuracy(self) -> float:
        """The right predictions in percent."""
        right = sum(map(int.__eq__, self.predictions, self.labels))
        return 100 * right / len(self.labels)

    @property
    def interval(self) -> tuple[float, float]:
        """The interval in percent that holds the accuracy on all such questions with 95% (Wilson 1927)."""
        low, high = wilson_interval(sum(map(int.__eq__, self.predictions, self.labels)), len(self.labels))
        return 100 * low, 100 * high

    @property
    def chance(self) -> float:
        """The accuracy in percent of a random choice."""
        return 100 * sum(1 / len(row) for row in self.scores) / len(self.scores)

    def metrics(self) -> dict[str, float]:
        """Return the measures by name."""
        low, high = self.interval
        return {"accuracy": self.accuracy, "accuracy_low": low, "accuracy_high": high, "chance": self.chance}

    def counts(self) -> dict[str, int]:
        """Return the number of examples, and of those that were cut."""
        return {"num_examples": len(self.labels), "num_cut": self.num_cut}

    def details(self) -> list[dict[str, Any]]:
        """Return a dict for every example."""
        names = ("row", "scores", "prediction", "label")
        columns = zip(self.rows, self.scores, self.predictions, self.labels, strict=True)
        return [dict(zip(names, values, strict=True)) for values in columns]


def evaluate_choices(
    model: Any,
    tokenizer: Any,
    examples: Any,
    *,
    unidirectional: bool = False,
    max_length: int | None = None,
    length_penalty: float = 0.0,
    length_unit: LengthUnit = "token",
    as_written: bool = False,
    scored: Scored = "sentence",
    batch_size: int = 32,
    on_error: OnError = "raise",
    progress: bool = False,
    partial_file: str | os.PathLike | None = None,
) -> ChoiceAccuracy:
    """
    Evaluate a model on questions with choices, without training.

        bidirectional   [CLS] text with [MASK] <eos> <sop> choice      a text without a blank gets [gMASK] at its end
        unidirectional  [CLS] [gMASK] <sop> text choice                scores the choice alone
        causal          text choice                                    a causal model of Transformers: see `scored`

    In a vocabulary without `[gMASK]` the mask is `[MASK]`. The originals always put `[MASK]` behind a text.

    Example:

    ```python
    >>> rows = [{"text": "Ice is [MASK].", "choices": ["cold", "hot"], "label": 0}]
    >>> evaluate_choices(model, tokenizer, rows).accuracy
    100.0
    ```

    Args:
        model: A `GLMForConditionalGeneration`, a causal model of Transformers such as Llama or GPT-2, or a PEFT wrapper
            around one.
        tokenizer: Its tokenizer.
        examples: Rows of any kind with "text", "choices" and "label"; or "inputs_pretokenized", "choices_pretokenized" and
            "label", as the originals' files have them. A label is the number of a choice from 0, or the choice itself.
        unidirectional: Whether a GLM reads from left to right only. Then the blank of a text must be its end. A causal
            model always reads so, and may have its blank anywhere.
        max_length: The most tokens of a row. A longer text loses its start, but never its blank. By default as many as the
            position table holds.
        length_penalty: The power of a choice's length by which its score is divided. 1 compares the mean of its tokens;
            the originals have 0.
        length_unit: What the length counts: "token" for the scored tokens, or "character" for the characters of the
            choice without white space around it, as `acc_norm` of lm-evaluation-harness does.
        as_written: Whether choices are encoded exactly as they stand, as the originals do. By default a choice without
            white space in front is spaced as the text is: behind a space if white space stands before the blank, or if
            there is no blank, as lm-evaluation-harness does. As written, `[MASK]` is put behind a text without a blank,
            and a blank inside a text that is read from left to right stays there as a token.
        scored: What a causal model scores of a text with more behind its blank. "sentence" scores the choice and what
            follows, which ranks choices as whole sentences do. "behind" scores only what follows, which does not depend on
            how likely the choice itself is: the partial scoring of Trinh and Le (2018).
        batch_size: The number of examples in a forward pass.
        on_error: "raise" to raise the error of the first bad row, "record" to leave bad rows out and keep their errors.
        progress: Whether to show a progress bar.
        partial_file: A file that keeps the results so far. Make the same call again to resume an interrupted one.

    Raises:
        RowError: For the first row with a missing field, no choices, an empty choice, a label that is not a choice, more
            than one blank, or choices longer than `max_length`.
        ValueError: If `max_length` is longer than the position table, and if there are no examples.
    """
    length_penalty = check_real_number("length_penalty", length_penalty)
    if length_unit not in LENGTH_UNITS:
        raise ValueError(f"length_unit={length_unit!r}: expected {' or '.join(map(repr, LENGTH_UNITS))}.")
    unidirectional = check_truth_value("unidirectional", unidirectional)
    as_written = check_truth_value("as_written", as_written)
    scored = check_scored(scored)
    scorer: _BlankChoices | CausalChoices
    if is_causal(model):
        scorer = CausalChoices(model, tokenizer, max_length=max_length, scored=scored, as_written=as_written)
    else:
        scorer = _BlankChoices(
            model,
            tokenizer,
            max_length=max_length,
            scored=scored,
            unidirectional=unidirectional,
            as_written=as_written,
        )

    def lay_out(row: Any) -> tuple[ChoiceExample, Any, bool]:
        example = read_choice_example(row)
        return example, *scorer.lay_out(example.text, example.choices)

    checked = check_rows(
        read_rows(examples, (FIELDS[0], ORIGINAL_FIELDS[0])), lay_out, kind="Example", on_error=on_error
    )
    if not checked.good:
        raise ValueError("There are no examples: expected at least one with a text, choices and a label.")
    read, rows, cut = zip(*checked.good, strict=True)
    kept = keep_results(
        partial_file,
        "choices",
        model=model,
        texts=("\0".join((example.text, *example.choices)) for example in read),
        settings=scorer.settings,
    )
    results = evaluate_items(
        model,
        rows,
        scorer.score,
        length=scorer.length,
        batch_size=batch_size,
        title="choices",
        progress=progress,
        partial=kept,
    )
    lengths = (
        scorer.token_counts(row) if length_unit == "token" else [len(choice.strip()) for choice in example.choices]
        for example, row in zip(read, rows, strict=True)
    )
    scores = [
        tuple(score / count**length_penalty for score, count in zip(of_row, counts, strict=True))
        for of_row, counts in zip(results, lengths, strict=True)
    ]
    return ChoiceAccuracy(
        rows=tuple(checked.numbers),
        scores=tuple(scores),
        labels=tuple(example.label for example in read),
        num_cut=sum(cut),
        errors=tuple(checked.errors.values()),
    )


def read_choice_example(row: Any) -> ChoiceExample:
    """
    Read a row as an example.

    Raises:
        ValueError: For a missing field, a text that is not a string, no choices, an empty choice, or a label that is not a choice.
    """
    if isinstance(row, ValueError):
        raise row
    fields = read_example(row, FIELDS)
    names = ORIGINAL_FIELDS if ORIGINAL_FIELDS[0] in fields else FIELDS
    if missing := [name for name in names if name not in fields]:
        raise ValueError(f"The example has no {missing[0]!r}: expected the fields {', '.join(map(repr, names))}.")
    text_name, choices_name, label_name = names
    text = read_text(fields[text_name])
    choices = read_list(fields[choices_name], repr(choices_name))
    if empty := [number for number, choice in enumerate(choices) if not choice.strip()]:
        raise ValueError(f"The example has an empty choice, number {empty[0]} of {choices_name!r}: write its text.")
    return ChoiceExample(text, [read_text(choice) for choice in choices], _read_label(fields[label_name], choices))


def _read_label(label: Any, choices: Sequence[str]) -> int:
    if isinstance(label, str):
        stripped = [choice.strip() for choice in choices]
        if stripped.count(label.strip()) == 1:
            return stripped.index(label.strip())
        if not label.strip().isdecimal():  # tables hold numbers as text
            raise ValueError(
                f"The example has the label {shorten(label)}: expected one of its choices {shorten(stripped)}."
            )
        label = int(label)
    because = f", the number of one of the {len(choices)} choices"
    return check_whole_number("label", label, most=len(choices) - 1, because=because)


def lay_out_choices(
    tokenizer: GLMTokenizer,
    example: ChoiceExample,
    *,
    max_length: int,
    unidirectional: bool = False,
    as_written: bool = False,
) -> tuple[ContinuationRow, bool]:
    """
    Lay an example out, without the start of a text that is too long: see `evaluate_choices`.

    Returns:
        The row, and whether its text was cut.

    Raises:
        ValueError: For more than one blank, a blank before the end with `unidirectional`, or choices that are too long.
    """
    blanks = len(tokenizer.split_at_blanks(example.text)) - 1
    if blanks > 1 and not (unidirectional and as_written):
        raise ValueError(f"The example has {blanks} blanks: expected one, or none to fill its end.")
    encoder = ContextEncoder(tokenizer, tokenizer.mask_token_id if as_written else continuing_mask_id(tokenizer))
    # White space in front of a choice replaces that at the end of the text.
    requests = [
        encoder.split(example.text if blanks or not choice[0].isspace() else example.text.rstrip(), choice)
        for choice in (example.choices if blanks else space_behind(example.text, example.choices))
    ]
    choices = encode_plain(tokenizer, example.choices) if as_written else encoder.encode_continuations(requests)
    longest = max(map(len, choices))
    if max_length - 2 - longest < 1:
        raise ValueError(f"The example has a choice of {longest} tokens, but max_length={max_length} holds less.")
    if unidirectional:
        inputs = _encode_from_left(tokenizer, example.text, as_written)
        kept = inputs[max(0, len(inputs) - (max_length - 2 - longest)) :]
        start = [tokenizer.cls_token_id, continuing_mask_id(tokenizer)]
        return ContinuationRow(start, [[*kept, *choice] for choice in choices], len(kept)), len(kept) < len(inputs)
    if as_written and not blanks:
        (inputs,) = encode_plain(tokenizer, [example.text])
        context = EncodedContext([*inputs, tokenizer.mask_token_id], len(inputs), [tokenizer.eos_token_id])
    else:
        (context,) = encoder.encode_contexts([requests[0].context])
    row, num_cut = encoder.lay_out(context, choices, max_length=max_length)
    return row, num_cut > 0


def _encode_from_left(tokenizer: GLMTokenizer, text: str, as_written: bool) -> list[int]:
    """Encode a text that choices follow. Raises a `ValueError` for a blank that is not its end."""
    before, *after = tokenizer.split_at_blanks(text)
    if as_written and after:
        return _encode_with_masks(tokenizer, text)
    if after and after[0].strip():
        raise ValueError(
            f"The example has a blank before its end: {shorten(text)}. Read from left to right, the choices follow the "
            "text. Leave unidirectional out, or put the blank at the end."
        )
    return encode_plain(tokenizer, [text if as_written else before.rstrip()])[0]


def _encode_with_masks(tokenizer: GLMTokenizer, text: str) -> list[int]:
    """Encode a text in which masks are tokens, without the special tokens around it."""
    (encoded,) = encode_text(tokenizer, [text])
    continues = encoded[-1] in tokenizer.mask_token_ids  # [gMASK] at the end of a text has no end behind it
    return encoded[1 : len(encoded) - (not continues)]


class _BlankChoices:
    """Lay out examples for a GLM, and score their choices in the blank."""

    def __init__(
        self,
        model: Any,
        tokenizer: GLMTokenizer,
        *,
        max_length: int | None,
        scored: Scored,
        unidirectional: bool,
        as_written: bool,
    ):
        check_scoring_model(model)
        if scored != "sentence":
            raise ValueError(
                f"scored={scored!r} is for causal models: a GLM scores the choice in its blank, leave it out."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.settings: dict[str, Any] = {
            "unidirectional": unidirectional,
            "max_length": check_max_length(max_length, model.config),
            "as_written": as_written,
        }

    def lay_out(self, text: str, choices: list[str]) -> tuple[ContinuationRow, bool]:
        return lay_out_choices(self.tokenizer, ChoiceExample(text, choices, 0), **self.settings)

    def score(self, rows: Sequence[ContinuationRow]) -> list[list[float]]:
        scored = score_continuations(self.model, rows, batch_size=len(rows))
        return [[one.log_prob for one in of_row] for of_row in scored]

    def length(self, row: ContinuationRow) -> int:
        return len(row.context) + sum(map(len, row.continuations))

    def token_counts(self, row: ContinuationRow) -> list[int]:
        return [len(choice) - row.skip for choice in row.continuations]


__all__ = [
    "LENGTH_UNITS",
    "ChoiceAccuracy",
    "ChoiceExample",
    "LengthUnit",
    "evaluate_choices",
    "lay_out_choices",
    "read_choice_example",
]
