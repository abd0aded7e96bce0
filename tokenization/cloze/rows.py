"""Turn rows of the library `datasets`, or of the files behind them, into examples for cloze patterns."""

import re
from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any

from ..patterns.punctuation import ORIGINAL_TEXTS, standardize_punctuation
from ..patterns.values import is_missing
from ..row_files import Example, Row


def example_from_row(task: Mapping[str, Any], row: Row) -> Example:
    """
    Make an example of a task from a row of its dataset.

    Args:
        task: The data of the task, from `read_task`: `dataset["fields"]` maps columns to their names in patterns, and
            `preprocess` names one or several of `PREPROCESSORS`.
        row: The columns of the dataset. Its label may be a number. None, NaN and, where no class is called so, -1 mean
            that there is none.

    Returns:
        The fields of the example. The texts that the preprocessor changed are in `original_texts` as they were.

    Raises:
        ValueError: For a missing column, and for a row that the preprocessor cannot read.
    """
    renamed = task.get("dataset", {}).get("fields", {})
    if missing := [column for column in renamed if column not in row]:
        raise ValueError(f"Task {task.get('name')!r} reads the columns {missing}, but the row has {sorted(row)}.")
    example = {renamed.get(column, column): value for column, value in row.items()}
    label = example.get("label")
    if is_missing(label) or (isinstance(label, Number) and label == -1 and "-1" not in task.get("verbalizer", {})):
        example["label"] = None
    given, names = example, task.get("preprocess", [])
    try:
        for name in [names] if isinstance(names, str) else names:
            if name not in PREPROCESSORS:
                raise ValueError(
                    f"Unknown preprocessor {name!r} of task {task.get('name')!r}: there are {sorted(PREPROCESSORS)}."
                )
            example = PREPROCESSORS[name](example)
    except KeyError as error:
        message = f"Task {task.get('name')!r} reads a column {error.args[0]!r}, but the row has {sorted(row)}."
        raise ValueError(message) from None
    changed = {name: text for name, text in given.items() if isinstance(text, str) and example.get(name) != text}
    return {**example, ORIGINAL_TEXTS: changed} if changed else example


def preprocess_race(example: Row) -> Example:
    """
    Prepare RACE: its article on one line, and the question as the texts around the blank.

    - A question with a gap (`_`) is split there into `before` and `after`.
    - One without a gap stands in front of the blank. Pattern 0 puts `lead`, "Question:", and `tail`, "Answer:", around it.

    `label` is the number of the right one of the `options`, None without an `answer`.
    """
    question, options = example["question"], list(example["options"])
    lead, before, tail, after = " Question:", f" {question}", " Answer:", ""
    if gap := re.search(r"_+", question):
        lead, tail = "", ""
        before, after = f" {question[: gap.start()]}".rstrip(), question[gap.end() :]
    answer = None if is_missing(example.get("answer")) else example["answer"] or None
    letters = list("ABCDEFGH")[: len(options)]
    if answer is not None and answer not in letters:
        raise ValueError(f"The answer is {answer!r}: expected one of {letters}, as there are {len(options)} options.")
    label = None if answer is None else letters.index(answer)
    parts = {"lead": lead, "before": before, "tail": tail, "after": after}
    return {**example, **parts, "article": _clean_article(example["article"]), "options": options, "label": label}


def _clean_article(article: str) -> str:
    """Put an article on one line, without spaces before full stops that another sentence follows, as the originals do."""
    article = re.sub(r"\s+", " ", article)
    for _ in range(3):  # several full stops in a row take several rounds: "a . . b" -> "a. . b" -> "a.. b"
        article = article.replace(" . ", ". ")
    return article


def preprocess_cluewsc(example: Row) -> Example:
    """
    Prepare CLUEWSC: `marked_text` has # around `span1` and asterisks around the `pronoun`; is it the same?

    A span that is not at its index is marked where it occurs next to it.
    """
    text, target = example["text"], example["target"]
    span1, pronoun = target["span1_text"], target["span2_text"]
    places = [
        (*_find_span(text, span1, target["span1_index"], "span"), "#"),
        (*_find_span(text, pronoun, target["span2_index"], "pronoun"), "*"),
    ]
    return {**example, "marked_text": _mark(text, places), "pronoun": pronoun, "span1": span1}


def _find_span(text: str, span: str, index: int, kind: str) -> tuple[int, int]:
    starts = [match.start() for match in re.finditer(f"(?={re.escape(span)})", text)] if span else []
    if not starts:
        raise ValueError(f"The {kind} {span!r} is not in the text {text!r}.")
    start = min(starts, key=lambda start: abs(start - index))
    return start, start + len(span)


def _mark(text: str, places: list[tuple[int, int, str]]) -> str:
    """Put signs around places of a text: ("abc", [(0, 2, "#"), (1, 2, "*")]) -> "#a*b*#c"."""
    # At one place a span ends before another begins; of those that begin there, the longer one begins first.
    signs = [(start, 1, start - stop, sign) for start, stop, sign in places]
    signs += [(stop, 0, stop - start, sign) for start, stop, sign in places]
    marked, end = "", 0
    for place, _, _, sign in sorted(signs):
        marked += text[end:place] + sign
        end = place
    return marked + text[end:]


def unescape(example: Row) -> Example:
    """
    Replace escaped new lines with spaces.

    The CSV files of Zhang et al. 2015 write a new line as `\\n` (Yelp, Yahoo) or as a backslash.
    """
    return _change_texts(example, lambda text: text.replace("\\n", " ").replace("\\", " "))


def preprocess_agnews(example: Row) -> Example:
    """
    Prepare AG News, where a new line is a backslash, so that `\\national` is a new line and a word.

    If title and text are in one column, the title is empty.
    """
    return _change_texts({"title": "", **example}, lambda text: text.replace("\\", " "))


def standardize(example: Row) -> Example:
    """Write typographic quotes and dashes of all texts in ASCII; see `standardize_punctuation`."""
    return _change_texts(example, standardize_punctuation)


def _change_texts(example: Row, change: Callable[[str], str]) -> Example:
    return {
        name: change(value) if isinstance(value, str) and name != "label" else value for name, value in example.items()
    }


PREPROCESSORS: dict[str, Callable[[Row], Example]] = {
    "agnews": preprocess_agnews,
    "cluewsc": preprocess_cluewsc,
    "race": preprocess_race,
    "standardize": standardize,
    "unescape": unescape,
}

__all__ = [
    "PREPROCESSORS",
    "example_from_row",
    "preprocess_agnews",
    "preprocess_cluewsc",
    "preprocess_race",
    "standardize",
    "unescape",
]
