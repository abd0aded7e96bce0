"""Several labels at once: against one question at a time, in any order and company, in one forward pass."""

import numpy as np
import pandas as pd
import pytest

from modeling_glm import ClozeClassifier, GLMForMultipleChoice, GLMTokenizer, PatternVerbalizer
from modeling_glm.cloze.answers.multi_label import as_yes_no
from modeling_glm.utils.rows import RowError
from tests.support.models import make_model

TASK = PatternVerbalizer("{text|shorten} Is it {candidate}? [MASK].", {"yes": "The fox", "no": "lazy"})
TEXTS = ["The fox jumps.", "Paris", "In the year 1987 the number 404", "", "the cat"]
LABELS = ["the capital", "a lazy dog", "404", "brown"]


@pytest.fixture(scope="module")
def parts(tokenizer):
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 120, **tokenizer.special_token_ids}
    return make_model(GLMForMultipleChoice, **settings), tokenizer


def one_by_one(classifier: ClozeClassifier, texts, labels) -> np.ndarray:
    """The probability of yes, with a call for every text and label."""
    return np.array(
        [[classifier.predict_proba({"text": text, "candidate": label})[0, 0] for label in labels] for text in texts]
    )


@pytest.mark.parametrize("method", [None, "pmi"])
def test_as_one_by_one(parts, method):
    classifier = ClozeClassifier(*parts, TASK, batch_size=3)
    # A premise about the candidate has another answer for every label.
    classifier.calibrate(method, domain_premise="Is it {candidate}? [MASK]" if method else None)
    classifier.set_temperature(2.0)
    expected = one_by_one(classifier, TEXTS, LABELS)
    found = classifier.predict_multi_label_proba(TEXTS, LABELS)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.ptp(found) > 0.05
    assert not np.allclose(found.sum(1), 1, atol=0.01)
    rows = [{"text": text, "candidate": "is not read", "label": "nor this"} for text in TEXTS]
    np.testing.assert_array_equal(classifier.predict_multi_label_proba(pd.DataFrame(rows), LABELS), found)


def test_a_label_does_not_depend_on_the_others(parts):
    classifier = ClozeClassifier(*parts, TASK)
    found = classifier.predict_multi_label_proba(TEXTS, LABELS)
    order = [2, 0, 3, 1]
    other = classifier.predict_multi_label_proba(TEXTS, [LABELS[place] for place in order])
    np.testing.assert_allclose(other, found[:, order], atol=1e-6)
    np.testing.assert_allclose(classifier.predict_multi_label_proba(TEXTS, LABELS[1]), found[:, 1:2], atol=1e-6)


def test_one_forward_pass(parts):
    model, tokenizer = parts
    rows = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    classifier = ClozeClassifier(model, tokenizer, TASK, batch_size=2)
    classifier.predict_multi_label_proba(TEXTS[0], LABELS)
    classifier.predict_multi_label_proba(TEXTS[:2], LABELS)
    hook.remove()
    assert rows == [4, 4, 4]


def test_labels_above_a_threshold(parts):
    classifier = ClozeClassifier(*parts, TASK)
    probabilities = classifier.predict_multi_label_proba(TEXTS, LABELS)
    middle = float(np.sort(probabilities.ravel())[9:11].mean())
    expected = [[label for label, p in zip(LABELS, row, strict=True) if p >= middle] for row in probabilities]
    assert 0 < sum(map(len, expected)) < 20
    assert classifier.predict_multi_label(TEXTS, LABELS, threshold=middle) == expected
    assert classifier.predict_multi_label(TEXTS, LABELS, threshold=0) == [LABELS] * 5
    assert (
        classifier.predict_multi_label(TEXTS, ", ".join(LABELS), threshold=middle) == expected
    )  # as in zero-shot pipelines
    assert classifier.predict_multi_label([], LABELS) == []
    assert classifier.predict_multi_label_proba([], LABELS).shape == (0, 4)


def test_bad_rows(parts):
    classifier = ClozeClassifier(*parts, TASK)
    mixed = [TEXTS[0], None, TEXTS[1]]
    with pytest.raises(RowError, match=r"Example 1: Field 'text' is missing \(None\)"):
        classifier.predict_multi_label_proba(mixed, LABELS)
    found = classifier.predict_multi_label_proba(mixed, LABELS, on_error="record")
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], classifier.predict_multi_label_proba(TEXTS[:2], LABELS), atol=1e-6)
    first, bad, second = classifier.predict_multi_label(mixed, LABELS, on_error="record")
    assert [first, second] == classifier.predict_multi_label(TEXTS[:2], LABELS)
    assert isinstance(bad, RowError)


def test_errors(parts):
    classifier = ClozeClassifier(*parts, TASK)
    with pytest.raises(
        ValueError, match=r"candidates=\['a', 'a'\]: expected at least one label, and none of them twice"
    ):
        classifier.predict_multi_label(TEXTS, ["a", "a"])
    with pytest.raises(ValueError, match=r"candidates=\[\]: expected at least one label"):
        classifier.predict_multi_label(TEXTS, [])
    with pytest.raises(ValueError, match=r"candidates=\[\]: expected at least one label"):
        classifier.predict_multi_label(TEXTS, " , ")
    with pytest.raises(ValueError, match="Choice 1 of the list candidates is missing"):
        classifier.predict_multi_label(TEXTS, ["a", None])
    for given in ({"a", "b"}, {"a": 1}, 5):
        with pytest.raises(ValueError, match="list candidates"):
            classifier.predict_multi_label(TEXTS, given)
    with pytest.raises(ValueError, match="threshold=2: expected a number from 0 to 1"):
        classifier.predict_multi_label(TEXTS, LABELS, threshold=2)
    for task in (
        PatternVerbalizer("{text} [MASK]", {"yes": "The fox", "no": "lazy"}),
        PatternVerbalizer("{text} {candidate} [MASK]", {"yes": "The fox", "no": "lazy", "both": "Rome"}),
    ):
        with pytest.raises(ValueError, match=r"several labels at once need a question about one of them, such as"):
            ClozeClassifier(*parts, task).predict_multi_label(TEXTS, LABELS)


def test_rows_to_train_on():
    examples = [{"text": "a", "labels": ["x"], "id": 1}, {"text": "b", "labels": [], "id": 2}]
    expected = [
        {"text": "a", "id": 1, "candidate": "x", "label": "yes"},
        {"text": "a", "id": 1, "candidate": "y", "label": "no"},
        {"text": "b", "id": 2, "candidate": "x", "label": "no"},
        {"text": "b", "id": 2, "candidate": "y", "label": "no"},
    ]
    assert as_yes_no(TASK, examples, ["x", "y"]) == as_yes_no(TASK, pd.DataFrame(examples), ["x", "y"]) == expected
    other = PatternVerbalizer("{text} {candidate}? [MASK]", {"1": "Yes", "0": "No"}, label_field="right")
    assert as_yes_no(other, [{"text": "a", "topics": ("y",)}], ["x", "y"], field="topics") == [
        {"text": "a", "candidate": "x", "right": "0"},
        {"text": "a", "candidate": "y", "right": "1"},
    ]
    for labels, message in (
        (["z"], r"Example 0: labels has \['z'\]: expected some of the candidates \['x', 'y'\]"),
        (None, r"Example 0: labels is None: expected a list of labels"),
        ([None], r"Example 0: labels is \[None\]: expected a list of labels"),
        ("x", r"Example 0: labels is 'x': expected a list of labels"),
    ):
        with pytest.raises(RowError, match=message):
            as_yes_no(TASK, [{"text": "a", "labels": labels}], ["x", "y"])
    with pytest.raises(RowError, match="Example 1 has no 'labels': expected a list of labels"):
        as_yes_no(TASK, [{"text": "a", "labels": []}, {"text": "b"}], ["x", "y"])


def test_a_temperature_is_fitted_and_saved(parts, tmp_path):
    model, tokenizer = parts
    classifier = ClozeClassifier(model, tokenizer, TASK)
    probabilities = classifier.predict_multi_label_proba(TEXTS, LABELS)
    wrong = [[label for label, p in zip(LABELS, row, strict=True) if p < 0.5] for row in probabilities]
    right = [[label for label, p in zip(LABELS, row, strict=True) if p >= 0.5] for row in probabilities]
    half = [{"text": text, "labels": labels} for text, labels in zip([*TEXTS, *TEXTS], [*wrong, *right], strict=True)]
    labelled = as_yes_no(TASK, [*half, *half[5:]], LABELS)
    assert classifier.score(labelled) == pytest.approx(2 / 3)
    assert 0.01 < classifier.fit_temperature(labelled) < 100
    model.save_pretrained(tmp_path)
    classifier.task.attach(tokenizer).save_pretrained(tmp_path)
    loaded = ClozeClassifier(GLMForMultipleChoice.from_pretrained(tmp_path), GLMTokenizer.from_pretrained(tmp_path))
    np.testing.assert_allclose(
        loaded.predict_multi_label_proba(TEXTS, LABELS), classifier.predict_multi_label_proba(TEXTS, LABELS), atol=1e-6
    )
