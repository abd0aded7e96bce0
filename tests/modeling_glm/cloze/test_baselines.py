"""Baselines without a language model."""

import random

import pytest

from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.baselines import (
    LINEAR_CLASSIFIERS,
    fit_tfidf,
    join_fields,
    majority_baseline,
    measure_baselines,
    tfidf_baseline,
)
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


@pytest.mark.parametrize("classifier", LINEAR_CLASSIFIERS)
def test_tfidf_beats_majority_and_reads_its_fields_only(classifier):
    examples = make_examples()
    truth = [example["label"] for example in examples]
    assert tfidf_baseline(examples[::2], examples, ["more", "text"], classifier=classifier) == truth
    assert (
        tfidf_baseline(examples[::2], examples, ["more"], classifier=classifier)
        == majority_baseline(examples[::2], examples)
        != truth
    )


@pytest.mark.parametrize("classifier", LINEAR_CLASSIFIERS)
def test_strength_shrinks_the_weights_of_words(classifier):
    examples = make_examples()
    weights = [
        abs(fit_tfidf(examples, ["text"], classifier=classifier, strength=strength)[-1].coef_).sum()
        for strength in (0.01, None, 100.0)
    ]
    assert 5 * weights[0] < weights[1] < weights[2]


def test_unknown_classifier():
    with pytest.raises(ValueError, match="classifier='svm': expected one of 'logistic regression', 'linear SVM'"):
        fit_tfidf(make_examples(), ["text"], classifier="svm")


def test_join_fields():
    assert list(join_fields([{"a": "x", "b": 2}], ["b", "a"])) == ["2 | x"]


@pytest.mark.parametrize("keys", [(1, 0), ("1", "0")])
def test_labels_of_several_types_and_none(keys):
    task = PatternVerbalizer("{text} [MASK]", dict(zip(keys, ("dog", "cat"), strict=True)))
    numbered = [{**example, "label": int(example["label"] == "dog")} for example in make_examples()]
    unlabelled = [{"text": "x", "label": label} for label in (None, float("nan"))]
    train = [*({**example, "label": str(example["label"])} for example in numbered[::2]), *numbered[1::2], *unlabelled]
    assert measure_baselines(ClozeData("toy", task, train, [], numbered)) == {
        "majority": {"accuracy": 0.6},
        "TF-IDF + logistic regression": {"accuracy": 1.0},
        "TF-IDF + linear SVM": {"accuracy": 1.0},
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
        "TF-IDF + linear SVM": {"accuracy": 1.0},
    }
