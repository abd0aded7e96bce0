"""Examples of SuperGLUE's tasks, for metrics and submissions."""

from typing import Any

ENTAILMENT = ["entailment", "not_entailment"]
# Two passages; the questions of the first have two answers each.
MULTIRC = [
    {"idx": {"passage": passage, "question": question, "answer": answer}, "label": label}
    for passage, question, answer, label in [
        (4, 0, 0, "1"),
        (4, 0, 1, "0"),
        (4, 1, 0, "1"),
        (4, 1, 1, "1"),
        (7, 0, 0, "0"),
    ]
]


def label_examples(*labels: Any) -> list[dict[str, Any]]:
    """Make examples with these labels, numbered from 0."""
    return [{"idx": number, "label": label} for number, label in enumerate(labels)]
