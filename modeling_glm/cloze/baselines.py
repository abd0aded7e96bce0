"""Measure baselines without a language model: the most frequent label, and linear classifiers of words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..tokenization.patterns.values import text_of
from ..utils.extras import from_extra
from .metrics import compute_metrics, with_labels
from .sources import ClozeData, is_labelled

Example = Mapping[str, Any]


# The inverse strength of the regularization of every linear classifier, if no other one is asked for.
LINEAR_CLASSIFIERS = {"logistic regression": 10.0, "linear SVM": 1.0}


def measure_baselines(data: ClozeData) -> dict[str, dict[str, float]]:
    """Return the metrics of all baselines on the test examples, for a task with labels. Needs scikit-learn."""
    task = data.task
    train = with_labels(task, [example for example in data.train if is_labelled(task, example)])
    test = with_labels(task, data.test)
    fields = sorted(task.fields - set(task.derived))
    predicted = {"majority": majority_baseline(train, test)} | {
        f"TF-IDF + {name}": tfidf_baseline(train, test, fields, classifier=name) for name in LINEAR_CLASSIFIERS
    }
    return {
        name: compute_metrics(task.metric, test, [task.labels.index(label) for label in found], task.labels)
        for name, found in predicted.items()
    }


def tfidf_baseline(
    train: Sequence[Example],
    test: Sequence[Example],
    fields: Sequence[str],
    label_field: str = "label",
    classifier: str = "logistic regression",
) -> list[Any]:
    """
    Predict labels by a linear classifier on TF-IDF of words and pairs of words. Needs scikit-learn.

    Args:
        train: Labelled examples.
        test: Examples to predict.
        fields: Fields to read.
        label_field: Field with the label.
        classifier: "logistic regression" or "linear SVM".
    """
    return fit_tfidf(train, fields, label_field, classifier).predict(list(join_fields(test, fields))).tolist()


def fit_tfidf(
    train: Sequence[Example],
    fields: Sequence[str],
    label_field: str = "label",
    classifier: str = "logistic regression",
    strength: float | None = None,
) -> Any:
    """
    Fit a linear classifier on TF-IDF of words and pairs of words. Needs scikit-learn.

    Args:
        train: Labelled examples.
        fields: Fields to read.
        label_field: Field with the label.
        classifier: "logistic regression" or "linear SVM".
        strength: The inverse strength of the regularization, `C`; by default 10 and 1. With little regularization the
            classifier follows the training examples closely.

    Returns:
        A pipeline of scikit-learn, whose inputs are the texts of `join_fields`.

    Raises:
        ValueError: For another classifier, and for a field that is missing.
    """
    with from_extra("train", "A linear classifier"):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

    if classifier not in LINEAR_CLASSIFIERS:
        raise ValueError(f"classifier={classifier!r}: expected one of {', '.join(map(repr, LINEAR_CLASSIFIERS))}.")
    strength = LINEAR_CLASSIFIERS[classifier] if strength is None else strength
    linear = LinearSVC(C=strength) if classifier == "linear SVM" else LogisticRegression(C=strength, max_iter=1000)
    fitted = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), linear)
    return fitted.fit(list(join_fields(train, fields)), [example[label_field] for example in train])


def majority_baseline(train: Sequence[Example], test: Sequence[Example], label_field: str = "label") -> list[Any]:
    """Predict the most frequent label of `train` for every example of `test`."""
    label, _ = Counter(example[label_field] for example in train).most_common(1)[0]
    return [label] * len(test)


def join_fields(examples: Iterable[Example], fields: Sequence[str]) -> Iterator[str]:
    """Join the fields of every example to one text. Raises a `ValueError` for a field that is missing."""
    return (" | ".join(text_of(example[field], f"Field {field!r}") for field in fields) for example in examples)


__all__ = [
    "LINEAR_CLASSIFIERS",
    "fit_tfidf",
    "join_fields",
    "majority_baseline",
    "measure_baselines",
    "tfidf_baseline",
]
