"""Baselines without a language model."""

import random

from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.baselines import majority_baseline, measure_baselines, tfidf_baseline
from modeling_glm.cloze.sources import ClozeData

WORDS = {"cat": ["purr", "whiskers"], "dog": ["bark", "leash"]}


def make_examples() -> list[dict]:
    generator = random.Random(0)
    return [
        {"text": f"it has a {generator.choice(WORDS[label])}", "more": "and so on", "label": label}
        for label in ["cat"] * 30 + ["dog"] * 20
    ]


def test_majority():
    train = [{"label": label} for label in "aabbb"]
    assert majority_baseline(train, [{"label": "a"}] * 2) == ["b", "b"]


def test_tfidf_beats_majority_and_reads_its_fields_only():
    examples = make_examples()
    truth = [example["label"] for example in examples]
    assert tfidf_baseline(examples[::2], examples, ["more", "text"]) == truth
    assert tfidf_baseline(examples[::2], examples, ["more"]) == majority_baseline(examples[::2], examples) != truth


def test_metrics():
    examples = make_examples()
    task = PatternVerbalizer("{both} [MASK]", {"dog": "dog", "cat": "cat"}, derived={"both": "{text}, {more}"})
    data = ClozeData("toy", task, examples[::2], [], examples)
    assert measure_baselines(data) == {
        "majority": {"accuracy": 0.6},
        "TF-IDF + logistic regression": {"accuracy": 1.0},
    }
