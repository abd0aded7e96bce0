"""The methods of the study: each learns from examples, and then scores the classes of others."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from modeling_glm.cloze.baselines import fit_tfidf, join_fields, majority_baseline
from modeling_glm.cloze.sources import ClozeData

from .budgets import ALL, SHOTS, ZERO, Budget
from .neural import Network, Score, build_cloze, build_head, fine_tune

LEAST_LOG_PROBABILITY = -50.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """
    Where and how models are trained.

    Args:
        model: Folder or hub id of the GLM.
        bf16: Whether to train in bf16.
        folder: A folder for Trainer, which must not exist.
    """

    model: str
    bf16: bool
    folder: Path


class Rates(NamedTuple):
    """
    The learning rates of a search: it starts with three and goes on while the best one is the last in its direction.

    Linear classifiers have no learning rate. Theirs is the inverse strength of the regularization.
    """

    first: tuple[float, float, float]
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Method:
    """
    A method.

    Args:
        label: Its name in tables; `{model}` stands for the name of the GLM.
        shots: The rows in which it appears.
        build: Builds the network, for methods that have one.
        fit: Learns from examples otherwise.
        rates: The learning rates to choose from; None if there is nothing to choose.
        has_probabilities: Whether its scores are logarithms of probabilities.
        reads_all: Whether it reads all training examples in every row.
    """

    label: str
    shots: tuple[str, ...] = SHOTS[1:]
    build: Callable[[str, ClozeData, int], Network] | None = None
    fit: Callable[[ClozeData, float], Score] | None = None
    rates: Rates | None = None
    has_probabilities: bool = False
    reads_all: bool = False

    def depends_on_seed(self, shots: str) -> bool:
        """Return whether a row has several runs: seeds choose the few examples, random weights and the order."""
        return self.rates is not None and shots != ZERO and (self.build is not None or shots != ALL)

    def learn(self, data: ClozeData, rate: float | None, seed: int, budget: Budget, place: Place) -> Score:
        """Learn from the training examples and return a function that scores the classes of examples."""
        if self.build is None:
            assert self.fit is not None
            return self.fit(data, rate or 0.0)
        network = self.build(place.model, data, seed)
        if data.train:
            assert rate is not None
            fine_tune(network, data.train, budget, rate, seed, place.bf16, place.folder)
        return network.score


def build_random_cloze(folder: str, data: ClozeData, seed: int) -> Network:
    """Build a model of random weights that fills the blank of the task."""
    return build_cloze(folder, data, seed, random_weights=True)


def fit_logistic_regression(data: ClozeData, strength: float) -> Score:
    """Fit logistic regression on TF-IDF."""
    return _fit_linear(data, "logistic regression", strength)


def fit_svm(data: ClozeData, strength: float) -> Score:
    """Fit a linear SVM on TF-IDF. Its scores are distances to planes."""
    return _fit_linear(data, "linear SVM", strength)


def _fit_linear(data: ClozeData, classifier: str, strength: float) -> Score:
    fields, labels = sorted(data.task.fields), data.task.labels
    fitted = fit_tfidf(data.train, fields, classifier=classifier, strength=strength)

    def score(examples: list[dict]) -> np.ndarray:
        texts = list(join_fields(examples, fields))
        if classifier == "linear SVM":
            found = fitted.decision_function(texts)
            if found.ndim == 1:  # of two classes it gives the distance of the second
                found = np.stack([-found, found], axis=1)
        else:
            found = np.maximum(fitted.predict_log_proba(texts), LEAST_LOG_PROBABILITY)
        # A label without training examples comes last. Its score is finite, because a temperature may be fitted on it.
        scores = np.full((len(examples), len(labels)), found.min() - 1)
        scores[:, [labels.index(name) for name in fitted.classes_]] = found
        return scores

    return score


def fit_majority(data: ClozeData, strength: float) -> Score:
    """Find the most frequent label."""
    (label,) = majority_baseline(data.train, data.train[:1])
    row = [0.0 if name == label else -np.inf for name in data.task.labels]
    return lambda examples: np.tile(row, (len(examples), 1))


NETWORK_RATES = Rates((1e-4, 3e-4, 1e-3), low=1e-5, high=1e-2)
METHODS = {
    "cloze": Method(
        label="cloze, {model}", shots=SHOTS, build=build_cloze, rates=NETWORK_RATES, has_probabilities=True
    ),
    "random": Method(
        label="cloze, random weights", build=build_random_cloze, rates=NETWORK_RATES, has_probabilities=True
    ),
    "head": Method(label="head, {model}", build=build_head, rates=NETWORK_RATES, has_probabilities=True),
    "logistic": Method(
        label="TF-IDF + logistic regression",
        fit=fit_logistic_regression,
        rates=Rates((1.0, 10.0, 100.0), low=0.01, high=1000.0),
        has_probabilities=True,
    ),
    "svm": Method(label="TF-IDF + linear SVM", fit=fit_svm, rates=Rates((0.1, 1.0, 10.0), low=0.01, high=100.0)),
    "majority": Method(label="majority", shots=SHOTS, fit=fit_majority, reads_all=True),
}


__all__ = ["METHODS", "Method", "Place", "Rates"]
