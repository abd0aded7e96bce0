"""Measure baselines without a language model: the most frequent label, and a linear classifier of words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .metrics import compute_metrics
from .sources import ClozeData

Example = Mapping[str, Any]


def measure_baselines(data: ClozeData) -> dict[str, dict[str, float]]:
    """Return the metrics of all baselines on the test examples, for a task with labels. Needs scikit-learn."""
    task = data.task
    label_field = task.patterns[0].label_field
    predicted = {
        "majority": majority_baseline(data.train, data.test, label_field),
        "TF-IDF + logistic regression": tfidf_baseline(
            data.train, data.test, sorted(task.fields - set(task.derived)), label_field
        ),
    }
    examples = [{**example, "label": task.label_index(example)} for example in data.test]
    results = {}
    for name, found in predicted.items():
        classes = [task.label_index({label_field: label}) for label in found]
        results[name] = compute_metrics(task.metric, examples, classes, task.labels)
    return results


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
    return (" | ".join(str(example[field]) for field in fields) for example in examples)


__all__ = ["majority_baseline", "measure_baselines", "tfidf_baseline"]
