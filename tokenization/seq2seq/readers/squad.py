"""Read SQuAD for answering: long passages in overlapping windows, and one answer from the predictions of all."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from .questions import Answer, PassageQuestion, checked_questions
from .reading import Reading, Row

NO_ANSWER = "N/A"
# The tokens of a context beside question and window: [CLS], the blank, the full stop; ours has <eos> too.
_AROUND, _END = 3, 1


def read_squad(reading: Reading, answered_only: Sequence[str] = ()) -> list[Row]:
    """
    Read questions with their passage in windows; the target is the first listed answer that a window holds, or "N/A".

    Windows begin every `max_source_length // 2` tokens. Rows have `id` (the question's), `window` (from 0) and
    `references` (all answers, or "N/A"). `join_windows` makes one answer of a question from the predictions of its
    windows.

    A window is a slice of the passage, and an answer is in it if its characters are. For the originals' layout it is
    what they have: the decoded tokens of the window, in lower case with BERT's vocabulary, in which they look for the
    decoded answer. They add windows behind the one that reaches the end.

    Args:
        reading: The file.
        answered_only: Splits in which windows without an answer are left out.

    Raises:
        ValueError: Without a tokenizer and a length, for a question that leaves no room for a window, and for a
            vocabulary that the originals cannot read SQuAD with, if faults are read.
    """
    tokenizer, length = reading.tokenizer, reading.max_source_length
    if tokenizer is None or length is None:
        raise ValueError(f"Task {reading.task!r} cuts passages into windows: give tokenizer and max_source_length.")
    if reading.faults and getattr(tokenizer, "smask_token", None) is not None:
        raise ValueError(
            f"The originals read {reading.task!r} with BERT's and RoBERTa's vocabularies alone, which have no "
            "[sMASK]: leave faults=True out."
        )
    rows: list[Row] = []
    for place, question in enumerate(checked_questions(reading)):
        answers = question.answer_texts or [NO_ANSWER]
        identity = reading.name(place) if question.id is None else question.id
        windows = _windows_of_originals if reading.original else _windows
        for number, (context, target) in enumerate(windows(question, tokenizer, length)):
            if target == NO_ANSWER and reading.split in answered_only:
                continue
            listed = [answer.text for answer in question.answers] or [NO_ANSWER]
            meta = {"answer": target, "answers": listed, "question": question.question, "ref": target}
            record = reading.record(len(rows), meta, context)
            if record:
                record["original"]["idx"] = identity
            rows.append(
                {
                    "context": context.rstrip(),
                    "question": question.question.strip(),
                    "target": target.strip(),
                    "references": answers,
                    "id": identity,
                    "window": number,
                    **record,
                }
            )
    return rows


def join_windows(rows: Sequence[Mapping[str, Any]], predictions: Sequence[str]) -> list[Row]:
    """
    Make one answer of every question from the predictions of its windows: the first that is not "N/A".

    Args:
        rows: Rows of `read_squad`, in any order.
        predictions: The prediction of every row.

    Returns:
        Dicts with `id`, `prediction` and `references`, in the order in which the questions come first. The prediction
        is "N/A" if all windows say so.

    Raises:
        ValueError: If there are not as many predictions as rows.

    Example:

    ```python
    >>> window = {"id": "q1", "references": ["Anton"]}
    >>> join_windows([{**window, "window": 0}, {**window, "window": 1}], ["N/A", "Anton"])
    [{'id': 'q1', 'prediction': 'Anton', 'references': ['Anton']}]
    ```
    """
    if len(rows) != len(predictions):
        raise ValueError(f"There are {len(predictions)} predictions for {len(rows)} rows: expected one for each.")
    joined: dict[Any, Row] = {}
    for row, prediction in sorted(zip(rows, predictions, strict=True), key=lambda pair: pair[0].get("window", 0)):
        found = joined.setdefault(
            row["id"], {"id": row["id"], "prediction": NO_ANSWER, "references": list(row["references"])}
        )
        if _is_unanswered(found["prediction"]):
            found["prediction"] = NO_ANSWER if _is_unanswered(prediction) else prediction
    return [joined[identity] for identity in dict.fromkeys(row["id"] for row in rows)]


def _is_unanswered(prediction: str) -> bool:
    """Return whether a prediction is "N/A" in any case and spacing: BERT's vocabulary gives "n / a"."""
    return "".join(prediction.split()).lower() == NO_ANSWER.lower()


def _windows(question: PassageQuestion, tokenizer: PreTrainedTokenizerBase, length: int) -> list[tuple[str, str]]:
    """Cut a passage into slices, each with its target."""
    size = _window_size(question, tokenizer, length, question.question.strip(), _AROUND + _END)
    encoded = tokenizer(question.context, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = encoded["offset_mapping"]
    windows = []
    for start in range(0, max(len(offsets), 1), min(length // 2, size)):
        inside = offsets[start : start + size]
        first, end = (inside[0][0], inside[-1][1]) if inside else (0, 0)
        context = question.context[first:end]
        held = (answer.text for answer in question.answers if _holds(context, first, answer))
        windows.append((context.strip(), next(held, NO_ANSWER)))
        if start + size >= len(offsets):
            break
    return windows


def _holds(context: str, first: int, answer: Answer) -> bool:
    """Return whether a slice of a passage that begins at character `first` holds an answer, at its place if that is known."""
    if answer.start is None:
        return answer.text in context
    return answer.start >= first and context[answer.start - first :].startswith(answer.text)


def _windows_of_originals(
    question: PassageQuestion, tokenizer: PreTrainedTokenizerBase, length: int
) -> list[tuple[str, str]]:
    """Cut a passage into windows of decoded tokens, each with its target."""
    # They count the tokens of the question with the white space around it.
    size = _window_size(question, tokenizer, length, f" {question.question}", _AROUND)
    ids = _encode(tokenizer, question.context)
    decoded = [(text, str(tokenizer.decode(_encode(tokenizer, text)))) for text in question.answer_texts]
    windows = []
    for start in range(0, len(ids), length // 2):
        context = str(tokenizer.decode(ids[start : start + size]))
        windows.append((context, next((text for text, shown in decoded if shown in context), NO_ANSWER)))
    return windows


def _window_size(
    question: PassageQuestion, tokenizer: PreTrainedTokenizerBase, length: int, text: str, around: int
) -> int:
    asked = len(_encode(tokenizer, text))
    if length - around - asked < 1:
        raise ValueError(
            f"{question.place}: the question has {asked} tokens, which leaves no room for the passage in "
            f"max_source_length={length}: expected at least {asked + around + 1}, or a shorter question."
        )
    return length - around - asked


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]


__all__ = ["NO_ANSWER", "join_windows", "read_squad"]
