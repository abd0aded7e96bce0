"""The methods of the study."""

import numpy as np
import pytest

from benchmarks.studies.real_tasks.budgets import Budget
from benchmarks.studies.real_tasks.methods import METHODS, Place, fit_majority
from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.baselines import tfidf_baseline
from modeling_glm.cloze.sources import ClozeData

BUDGET = Budget(epochs=1, batch_size=16)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_scores_all_classes(name, model, tasks, tmp_path):
    data = tasks["trec"].take_shots(36, seed=0)
    place = Place(model=model, bf16=False, folder=tmp_path / "run")
    scores = METHODS[name].learn(data, 1e-3, 0, BUDGET, place)(data.test)
    assert scores.shape == (len(data.test), 6)
    assert not np.isnan(scores).any()


@pytest.mark.parametrize(("method", "classifier"), [("logistic", "logistic regression"), ("svm", "linear SVM")])
@pytest.mark.parametrize("task", ["sms_spam", "trec"])
def test_linear_classifiers_predict_as_the_baseline_does(method, classifier, task, tasks):
    """For two classes and for more, at the regularization of the baseline."""
    data = tasks[task].take_shots(12, seed=1)
    fit, strength = METHODS[method].fit, 10.0 if method == "logistic" else 1.0
    predicted = [data.task.labels[index] for index in fit(data, strength)(data.test).argmax(1)]
    assert predicted == tfidf_baseline(data.train, data.test, ["text"], classifier=classifier)


@pytest.mark.parametrize("method", ["logistic", "svm"])
def test_a_label_without_examples_comes_last(method):
    task = PatternVerbalizer("{text} [MASK]", {"x": "x", "none": "none", "y": "y"})
    train = [{"text": label * 3, "label": label} for label in "xyxy"]
    scores = METHODS[method].fit(ClozeData("toy", task, train, [], []), 1.0)([{"text": "xxx"}, {"text": "yyy"}])
    assert scores.argmax(1).tolist() == [0, 2]
    assert (scores[:, 1] < scores[:, [0, 2]].min()).all()
    assert np.isfinite(scores).all()


def test_majority_and_seeds():
    task = PatternVerbalizer("{text} [MASK]", {"x": "x", "y": "y"})
    data = ClozeData("toy", task, [{"label": label} for label in "xyy"], [], [])
    assert fit_majority(data, 0.0)([{}, {}]).argmax(1).tolist() == [1, 1]
    found = {name: [method.depends_on_seed(shots) for shots in method.shots] for name, method in METHODS.items()}
    assert found == {
        "cloze": [False, True, True, True],
        "random": [True, True, True],
        "head": [True, True, True],
        "logistic": [True, True, False],
        "svm": [True, True, False],
        "majority": [False, False, False, False],
    }
