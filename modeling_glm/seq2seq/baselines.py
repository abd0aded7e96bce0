"""Measure answers, and baselines without a language model: the first words of a source, and the nearest source's target."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from ..utils.extras import from_extra
from .metrics import find_metric
from .sources import Columns, Seq2SeqData


def measure(
    answers: Sequence[Sequence[str]], rows: Sequence[Mapping[str, Any]], columns: Columns, metrics: Sequence[str]
) -> dict[str, float]:
    """
    Measure the answers of rows against their targets. Every answer is compared with the targets of its own blank.

    Args:
        answers: The answers of every row, one per blank. Those that are missing count as empty.
        rows: The rows with their targets.
        columns: The pattern and the columns.
        metrics: Names of metrics, see `METRICS`.

    Returns:
        The scores of all metrics in percent.
    """
    predictions: list[str] = []
    references: list[list[str]] = []
    for found, row in zip(answers, rows, strict=True):
        wanted = columns.references(row)
        references += wanted
        predictions += [*found, *[""] * len(wanted)][: len(wanted)]
    return {name: score for metric in metrics for name, score in find_metric(metric)(predictions, references).items()}


def measure_baselines(data: Seq2SeqData) -> dict[str, dict[str, float]]:
    """
    Return the metrics of the baselines on the rows to report on. Needs scikit-learn.

    - "lead words": as many words of the source as the median target has, if the pattern has one blank.
    - "nearest neighbour": the target of the training row whose source is nearest by TF-IDF.

    Without rows to train on there are no baselines.
    """
    _, rows = data.to_report
    if not data.train or not rows:
        return {}
    columns = data.columns
    sources = [columns.source_text(row) for row in rows]
    targets = [[of_blank[0] for of_blank in columns.references(row)] for row in data.train]
    found: dict[str, Sequence[Sequence[str]]] = {}
    if columns.source_pattern.has_one_blank:
        found["lead words"] = lead_words(sources, round(median(len(target.split()) for (target,) in targets)))
    nearest = nearest_rows(sources, [columns.source_text(row) for row in data.train])
    found["nearest neighbour"] = [targets[index] for index in nearest]
    return {name: measure(answers, rows, columns, data.metrics) for name, answers in found.items()}


def lead_words(sources: Sequence[str], count: int) -> list[list[str]]:
    """Answer with the first words of each source."""
    return [[" ".join(source.split()[: max(1, count)])] for source in sources]


def nearest_rows(sources: Sequence[str], train: Sequence[str], batch_size: int = 1024) -> list[int]:
    """
    Find for every source the place of the nearest training source: the highest cosine of TF-IDF of words and pairs of words.

    Args:
        sources: Texts to find neighbours for.
        train: Texts to search. The first of equally near ones counts.
        batch_size: Number of sources to compare at a time. Needs memory for this many times the number of `train`.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    with from_extra("train", "The nearest neighbour"):
        from sklearn.feature_extraction.text import TfidfVectorizer
    # Not only words of two letters or more, which scripts without spaces do not have.
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    known = vectorizer.fit_transform(train)
    found: list[int] = []
    for start in range(0, len(sources), batch_size):
        similar = vectorizer.transform(sources[start : start + batch_size]) @ known.T
        found += similar.toarray().argmax(1).tolist()
    return found


__all__ = ["lead_words", "measure", "measure_baselines", "nearest_rows"]
