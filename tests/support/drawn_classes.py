"""Scores of classes with labels that are drawn from them: a classifier whose probabilities are known to be right."""

from collections.abc import Callable

import numpy as np

from modeling_glm import ClozeClassifier, GLMForMultipleChoice, GLMTokenizer, PatternVerbalizer
from tests.support.models import make_model


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


def draw_examples(
    tokenizer: GLMTokenizer, task: PatternVerbalizer, *, temperature: float, examples: int = 1000
) -> tuple[Callable[[], ClozeClassifier], list[dict]]:
    """
    Draw examples whose labels are as likely as a random model says at a temperature. Above 1, it is overconfident.

    Returns:
        A function that makes a classifier of the model, and the examples.
    """
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 120, **tokenizer.special_token_ids}
    model = make_model(GLMForMultipleChoice, **settings)
    words = ["The", "fox", "lazy", "Paris", "404", "year", "jumps", "dog", "Rome", "not"]
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(words, 4)) for _ in range(examples)]
    scores = ClozeClassifier(model, tokenizer, task, batch_size=64).scores(texts).astype(np.float64) / temperature
    probabilities = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    labels = (probabilities.cumsum(1) > generator.random((examples, 1))).argmax(1)
    rows = [{"text": text, "label": int(label)} for text, label in zip(texts, labels, strict=True)]
    return lambda: ClozeClassifier(model, tokenizer, task, batch_size=64), rows
