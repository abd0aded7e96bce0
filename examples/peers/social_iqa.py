"""
SocialIQA (Sap et al., 2019): what people do, feel and want. 1,954 questions with three answers each.

BIG-bench ships the questions of the validation split. The text is that of lm-evaluation-harness, whose task `social_iqa`
has published numbers: `Q: ... A:` and the answer behind a space.
"""

from examples.corpora.archives.folder import require

from .questions import ChoiceRow, read_questions


def social_iqa_rows() -> list[ChoiceRow]:
    """Read the questions as rows with choices."""
    return [
        ChoiceRow(f"Q: {' '.join(question.text.split())}\nA:", question.choices, question.label, "social_iqa")
        for question in read_questions(require("bigbench", "social_iqa.json"))
    ]


__all__ = ["social_iqa_rows"]
