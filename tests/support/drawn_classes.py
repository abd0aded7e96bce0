"""Scores of classes with labels that are drawn from them: a classifier whose probabilities are known to be right."""

import numpy as np


def draw_classes(examples: int, *, temperature: float, seed: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """
    Draw scores (examples, classes) and labels (examples,), each as likely as the softmax of its scores says.

    The scores are then multiplied by the temperature: above 1 they are overconfident. Every third row lacks the last class.
    """
    generator = np.random.default_rng(seed)
    scores = 1.5 * generator.standard_normal((examples, classes))
    scores[::3, -1] = -np.inf
    powers = np.exp(scores - scores.max(1, keepdims=True))
    probabilities = powers / powers.sum(1, keepdims=True)
    labels = (probabilities.cumsum(1) > generator.random((examples, 1))).argmax(1)
    return scores * temperature, labels
