"""Say what each row of the study trains on, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from examples.corpora.cloze_tasks import in_random_order
from modeling_glm.cloze.sources import ClozeData, Examples

ZERO, ALL = "0", "all"
SHOTS = (ZERO, "32", "128", ALL)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """
    The budget of a row. It is the same for the cloze question and for the classification head.

    Args:
        epochs: Passes over the training examples.
        batch_size: Examples of a training step.
    """

    epochs: int
    batch_size: int


# Each run with few examples makes 80 steps.
FEW = {
    "32": Budget(epochs=20, batch_size=8),
    "128": Budget(epochs=10, batch_size=16),
}
# Epochs over all examples: one where there are many, or where they are long.
EPOCHS = {"rotten_tomatoes": 1, "trec": 2, "sms_spam": 1, "newsgroups": 1, "r8": 1}
BATCH_SIZE = 32
# Most test examples to report on. They are the same ones for every row and method.
TEST_EXAMPLES = 1000
# What a learning rate is chosen with: as many epochs, over this many training examples and validation examples.
SEARCH_TRAIN, SEARCH_VALIDATION = 1000, 400


def budget_of(task: str, shots: str) -> Budget:
    """Return the budget of a row."""
    if shots == ZERO:
        return Budget(epochs=0, batch_size=BATCH_SIZE)
    return FEW.get(shots) or Budget(epochs=EPOCHS[task], batch_size=BATCH_SIZE)


def data_of_row(data: ClozeData, shots: str, seed: int) -> ClozeData:
    """
    Return the examples of a row.

    With 32 or 128 shots there are as many examples for validation, and both depend on the seed. Without shots there are
    none. The test examples do not depend on the seed.
    """
    data = replace(data, test=_first(data.test, TEST_EXAMPLES))
    if shots == ZERO:
        return replace(data, train=[], validation=[])
    return data if shots == ALL else data.take_shots(int(shots), seed)


def data_of_search(data: ClozeData, shots: str, seed: int) -> ClozeData:
    """Return what a learning rate of a row is chosen with. It has no test examples."""
    data = replace(data_of_row(data, shots, seed), test=[])
    return replace(data, train=_first(data.train, SEARCH_TRAIN), validation=_first(data.validation, SEARCH_VALIDATION))


def _first(examples: Sequence[dict], most: int) -> Examples:
    """Return all examples, or as many in an order that does not depend on their file."""
    if len(examples) <= most:
        return list(examples)
    return in_random_order(examples)[:most]


__all__ = ["ALL", "SHOTS", "ZERO", "Budget", "budget_of", "data_of_row", "data_of_search"]
