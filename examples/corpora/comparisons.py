"""Pairs of numbers and how they compare: a question that the embedded checkpoint was not pretrained on."""

import random

COMPARISON_PATTERN = "The number {first} is [MASK] than {second}."
COMPARISON_LABELS = ("larger", "smaller")


def make_comparisons(count: int, *, held_out: bool, seed: int) -> list[dict]:
    """Draw pairs of numbers with their label. A pair is either for training or held out."""
    generator = random.Random(seed)
    examples: list[dict] = []
    while len(examples) < count:
        first, second = generator.sample(range(10, 1000), 2)
        if ((first * 1000 + second) % 7 == 0) == held_out:
            examples.append({"first": first, "second": second, "label": COMPARISON_LABELS[int(first < second)]})
    return examples
