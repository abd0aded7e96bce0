"""Measure baselines without a language model: the most frequent label, and a linear classifier of words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..tokenization.patterns.values import text_of
from .metrics import compute_metrics, with_labels
from .sources import ClozeData, is_labelled

Example = Mapping[str, Any]


def measure_baselines(data: ClozeData) -> dict[str, dict[str, float]]:
    """Return the metrics of all baselines on the test examples, for a task with labels. Needs scikit-learn."""
    task = data.task
    train = with_labels(task, [example for example in data.train if is_labelled(task, example)])
    test = with_labels(task, data.test)
    predicted = {
        "majority": majority_baseline(train, test),
        "TF-IDF + logistic regression": tfidf_baseline(train, test, sorted(task.fields - set(task.derived))),
    }
    return {
        name: compute_metrics(task.metric, test, [task.labels.index(label) for label in found], task.labels)
        for name, found in predicted.items()
    }


def tfidf_baseline(
    train: Sequence[Example], test: Sequence[Example], fields: Sequence[str], label_field: str = "label"
) -> list[Any]:
    """
    Predict labels by logistic regression on TF-IDF of words and pairs of words. Needs scikit-learn.

    Args:
        train: Labelled examples.
        test: Examples to predict.
        fields: Fields to read.
        label_field: Field with the label.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000)
    )
    classifier.fit(list(_joined(train, fields)), [example[label_field] for example in train])
    return classifier.predict(list(_joined(test, fields))).tolist()


def majority_baseline(train: Sequence[Example], test: Sequence[Example], label_field: str = "label") -> list[Any]:
    """Predict the most frequent label of `train` for every example of `test`."""
    label, _ = Counter(example[label_field] for example in train).most_common(1)[0]
    return [label] * len(test)


def _joined(examples: Iterable[Example], fields: Sequence[str]) -> Iterator[str]:
    return (" | ".join(text_of(example[field], f"Field {field!r}") for field in fields) for example in examples)


__all__ = ["majority_baseline", "measure_baselines", "tfidf_baseline"]
