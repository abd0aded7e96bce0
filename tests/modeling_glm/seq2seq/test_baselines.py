"""Baselines by hand, and answers that are measured blank by blank."""

import numpy as np
import pytest

from modeling_glm.seq2seq.baselines import lead_words, measure, measure_baselines, nearest_rows
from modeling_glm.seq2seq.sources import Columns, Seq2SeqData

ONE = Columns(targets=("name",))
TWO = Columns(pattern="{source} [MASK] and [MASK]", targets=("name",))


def test_every_answer_is_compared_with_its_own_blank():
    rows = [{"source": "x", "name": ["a", "b"]}, {"source": "x", "name": ["c", "d"]}]
    assert measure([["a", "b"], ["d", "c"]], rows, TWO, ["exact_match"]) == {"exact_match": 50.0}
    assert measure([["a"], ["c", "d", "more"]], rows, TWO, ["exact_match"]) == {"exact_match": 75.0}
    # With one blank the same lists are several targets of one source.
    assert measure([["b"], ["x"]], rows, ONE, ["exact_match"]) == {"exact_match": 50.0}
    scores = measure([["a"]], [{"source": "x", "name": "a"}], ONE, ["rouge", "exact_match"])
    assert scores == {"rouge1": 100, "rouge2": 0, "rougeL": 100, "rougeLsum": 100, "exact_match": 100}


def test_lead_words():
    assert lead_words(["one two  three", "one"], 2) == [["one two"], ["one"]]
    assert lead_words(["one two"], 0) == [["one"]]


def test_nearest_rows_equal_a_naive_search():
    generator = np.random.default_rng(0)
    words = [f"w{number}" for number in range(40)]
    texts = [" ".join(generator.choice(words, 6)) for _ in range(60)]
    train, sources = texts[:40], texts[40:]
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(train)
    known = vectors.transform(train).toarray()
    naive = [int(np.argmax([row @ vectors.transform([source]).toarray()[0] for row in known])) for source in sources]
    assert nearest_rows(sources, train) == nearest_rows(sources, train, batch_size=3) == naive
    assert nearest_rows(["中文"], ["abc", "中 文"]) == [0]


def test_measure_baselines():
    train = [{"source": "close the file", "name": "close"}, {"source": "open a door now", "name": "open door"}]
    test = [{"source": "close this file", "name": "close"}, {"source": "open the door", "name": "open door"}]
    data = Seq2SeqData(name="x", columns=ONE, train=train, test=test, metrics=("exact_match",))
    # The median target has 1.5 words, which is rounded to 2.
    assert measure_baselines(data) == {"lead words": {"exact_match": 0.0}, "nearest neighbour": {"exact_match": 100.0}}
    assert measure_baselines(Seq2SeqData(name="x", columns=ONE, test=test)) == {}
    assert measure_baselines(Seq2SeqData(name="x", columns=ONE, train=train)) == {}
    rows = [{"source": "a b c", "name": ["one", "two"]}]
    blanks = Seq2SeqData(name="x", columns=TWO, train=rows, validation=rows, metrics=("exact_match",))
    assert measure_baselines(blanks) == {"nearest neighbour": {"exact_match": 100.0}}


def test_scikit_learn_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(ImportError, match=r"sklearn\S*: pip install 'modeling-glm\[train\]'"):
        nearest_rows(["a"], ["a"])
