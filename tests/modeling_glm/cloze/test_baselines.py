"""Baselines without a language model."""

import random

import pytest

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


@pytest.mark.parametrize("keys", [(1, 0), ("1", "0")])
def test_labels_of_several_types_and_none(keys):
    task = PatternVerbalizer("{text} [MASK]", dict(zip(keys, ("dog", "cat"), strict=True)))
    numbered = [{**example, "label": int(example["label"] == "dog")} for example in make_examples()]
    unlabelled = [{"text": "x", "label": label} for label in (None, float("nan"))]
    train = [*({**example, "label": str(example["label"])} for example in numbered[::2]), *numbered[1::2], *unlabelled]
    assert measure_baselines(ClozeData("toy", task, train, [], numbered)) == {
        "majority": {"accuracy": 0.6},
        "TF-IDF + logistic regression": {"accuracy": 1.0},
    }


def test_missing_fields():
    with pytest.raises(ValueError, match=r"Field 'text' is missing \(nan\)"):
        tfidf_baseline([{"text": float("nan"), "label": "a"}], [], ["text"])


def test_metrics():
    examples = make_examples()
    task = PatternVerbalizer("{both} [MASK]", {"dog": "dog", "cat": "cat"}, derived={"both": "{text}, {more}"})
    data = ClozeData("toy", task, examples[::2], [], examples)
    assert measure_baselines(data) == {
        "majority": {"accuracy": 0.6},
        "TF-IDF + logistic regression": {"accuracy": 1.0},
    }
