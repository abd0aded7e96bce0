"""Read files of BIG-bench: questions with the scores of their answers."""

import json
from pathlib import Path
from typing import NamedTuple


class AnsweredQuestion(NamedTuple):
    """
    Hold a question of a file.

    Attributes:
        text: The text.
        choices: The answers.
        label: The number of the right one.
    """

    text: str
    choices: list[str]
    label: int


class ChoiceRow(NamedTuple):
    """
    Hold a question as `evaluate_choices` reads it.

    Attributes:
        text: The text, with a blank or without.
        choices: The choices.
        label: The number of the right one.
        group: What kind of question it is.
    """

    text: str
    choices: list[str]
    label: int
    group: str

    def fields(self) -> dict[str, object]:
        """Return the row as a dict."""
        return self._asdict()


def read_questions(path: Path) -> list[AnsweredQuestion]:
    """
    Read the questions of a file that have several answers and exactly one right one. Few others are in the files.

    Raises:
        ValueError: For a file of another form.
    """
    try:
        examples = json.loads(path.read_text(encoding="utf-8"))["examples"]
        listed = [(example["input"], dict(example["target_scores"])) for example in examples]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} is not a file of BIG-bench ({type(error).__name__}: {error}): expected an object with "examples", '
            'each with "input" and "target_scores". Run make data again.'
        ) from error
    questions = []
    for text, scores in listed:
        right = [place for place, score in enumerate(scores.values()) if score == 1]
        if len(right) == 1 and len(scores) > 1:
            questions.append(AnsweredQuestion(text, list(scores), right[0]))
    return questions


__all__ = ["AnsweredQuestion", "ChoiceRow", "read_questions"]
