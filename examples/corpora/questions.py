"""Questions with one blank and several right answers."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FactQuestion:
    """
    A text with one blank.

    Attributes:
        family: What kind of question it is.
        text: The text with `[MASK]`.
        answers: All right answers.
    """

    family: str
    text: str
    answers: tuple[str, ...]

    def is_right(self, answer: str) -> bool:
        """Return whether an answer is one of the right ones; its case and the white space around it do not matter."""
        return answer.strip().lower() in {right.lower() for right in self.answers}


def exact_match(questions: Sequence[FactQuestion], answers: Sequence[str]) -> float:
    """Return the share of right answers."""
    return sum(map(FactQuestion.is_right, questions, answers)) / len(questions)
