"""Metrics of generated texts: against values worked by hand, and what they make of empty and foreign texts."""

import importlib
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm.seq2seq import metrics
from modeling_glm.seq2seq.metrics import (
    METRICS,
    UnicodeWords,
    compute_bleu,
    compute_chrf,
    compute_exact_match,
    compute_metrics_for,
    compute_rouge,
    compute_squad,
)
from modeling_glm.utils.rows import RowError
from tests.support.missing import MISSING

# At least two words each, because one word has no pair for ROUGE-2. The words of a corpus are those of most of its texts.
CORPORA = [
    ["The ferry stayed in the harbour.", "3,000 tulips", "", "the the", "a b c d e f"],
    ["ты где", "", "она говорит: соль"],
    ["她说：用醋和盐。", "3,000 朵"],
]


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=30)
@given(st.sampled_from(CORPORA).flatmap(lambda texts: st.lists(st.sampled_from(texts), min_size=1, max_size=5)))
def test_a_text_agrees_with_itself(name, texts):
    for scores in (METRICS[name](texts, texts), METRICS[name](texts, [["x", text] for text in texts])):
        assert scores == pytest.approx(dict.fromkeys(scores, 100.0), abs=1e-9)
    wrong = METRICS[name](["zzz"] * len(texts), texts)
    assert all(0 <= score < 100 for score in wrong.values())


def test_rouge_by_hand():
    # Stems: "boat pass" of "boat wait". One of two words, no pair; the longest common sequence is "boat".
    scores = compute_rouge(["Boats pass"], ["A boat waits here"])
    assert scores == pytest.approx({"rouge1": 100 / 3, "rouge2": 0, "rougeL": 100 / 3, "rougeLsum": 100 / 3})
    assert compute_rouge(["Boats pass"], ["A boat waits here"], stemmer=False)["rouge1"] == 0
    # Sentences in another order: the best sequence of each line of the reference counts for rougeLsum alone.
    swapped = compute_rouge(["c d\na b"], ["a b\nc d"])
    assert swapped == pytest.approx({"rouge1": 100, "rouge2": 100 * 2 / 3, "rougeL": 50, "rougeLsum": 100})
    # A word has no pair, so ROUGE-2 of a right word is 0.
    assert compute_rouge(["yes"], ["yes"]) == {"rouge1": 100, "rouge2": 0, "rougeL": 100, "rougeLsum": 100}
    # The best reference counts; the mean is over texts.
    assert compute_rouge(["a b", "x"], [["a c", "a b"], ["y"]])["rouge1"] == pytest.approx(50)


def test_rouge_of_other_scripts():
    """The words of rouge-score would be none, so that even the right text scored 0."""
    assert compute_rouge(["中国人"], ["中国"], words="english")["rouge1"] == 0
    assert compute_rouge(["中国人"], ["中国"])["rouge1"] == pytest.approx(100 * 4 / 5)
    assert compute_rouge(["Где ты"], ["где он"])["rouge1"] == pytest.approx(50)
    # A few foreign letters change nothing.
    assert compute_rouge(["über"], ["ber, 中"]) == compute_rouge(["über"], ["ber, 中"], words="english")
    assert compute_rouge(["boats"], ["boat 中国中国中国"], words="unicode")["rouge1"] == pytest.approx(100 * 2 / 8)
    assert UnicodeWords().tokenize("Die_3 Bücher, 中国! Cafe\u0301") == ["die", "3", "bücher", "中", "国", "café"]
    with pytest.raises(ValueError, match="words='latin': expected 'english', 'unicode', or None"):
        compute_rouge(["a"], ["a"], words="latin")


def test_bleu_by_hand():
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 fours, as long as the reference: the geometric mean.
    expected = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert compute_bleu(["one two three four six"], ["one two three four five"])["bleu"] == pytest.approx(expected)
    # Half as long: the brevity penalty is e^(1 - 2). There are no fours, which are left out.
    assert compute_bleu(["a b c"], ["a b c d e f"])["bleu"] == pytest.approx(100 * np.exp(1 - 2))
    assert compute_bleu(["她说用醋"], ["她说用盐"])["bleu"] == pytest.approx(
        compute_bleu(["a b c d"], ["a b c e"])["bleu"]
    )
    assert compute_bleu(["她说用醋"], ["她说用盐"], tokenize="none")["bleu"] == 0
    with pytest.raises(ValueError, match="tokenize='mecab': sacrebleu has 'none', 'zh', '13a'"):
        compute_bleu(["a"], ["a"], tokenize="mecab")


def test_references_may_differ_in_number():
    predictions, references = ["a b", "c d"], [["x y", "a b"], ["c d"]]
    for name, function in METRICS.items():
        scores = function(predictions, references)
        assert scores == pytest.approx(dict.fromkeys(scores, 100.0)), name


def test_chrf_by_hand():
    # Characters: 2 of 2 and 2 of 4; pairs: 1 of 1 and 1 of 3. Precision 1, recall 5/12, and beta is 2.
    precision, recall = 1, (1 / 2 + 1 / 3) / 2
    expected = 100 * 5 * precision * recall / (4 * precision + recall)
    assert compute_chrf(["ab"], ["abcd"])["chrf"] == pytest.approx(expected)
    assert compute_chrf(["ab cd"], ["cd ab"], word_order=2)["chrf"] != compute_chrf(["ab cd"], ["cd ab"])["chrf"]


def test_exact_match():
    assert compute_exact_match(["a  b\n", "A", "c"], ["a b", "a", ["d", "c"]]) == {
        "exact_match": pytest.approx(200 / 3)
    }


def test_squad():
    predictions = ["The Anton!", "5 p.m.", "", "x", "the", "none"]
    references = [["Anton"], ["noon", "5 p.m. on Friday"], [], "", "a", ["other"]]
    # 1, 2 of 4 words (F1 2/3), no answer found, an answer invented, nothing but articles, nothing shared.
    scores = compute_squad(predictions, references)
    assert scores == pytest.approx({"squad_exact_match": 300 / 6, "squad_f1": 100 * (3 + 2 / 3) / 6})


@pytest.mark.parametrize("make", [tuple, np.array, pd.Series, iter], ids=["tuple", "array", "Series", "iterator"])
@pytest.mark.parametrize("name", METRICS)
def test_any_form_of_rows(name, make):
    scores = METRICS[name](make(["a b", "c"]), make(["a d", "c"]))
    assert scores == METRICS[name](["a b", "c"], [["a d"], ["c"]])
    assert all(type(score) is float for score in scores.values())


@pytest.mark.parametrize("name", METRICS)
def test_wrong_numbers_of_texts(name):
    function = METRICS[name]
    with pytest.raises(ValueError, match="There are no predictions"):
        function([], [])
    with pytest.raises(ValueError, match="There are 2 predictions, but references for 1"):
        function(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="predictions is one row, 'abc': expected a list"):
        function("abc", ["abc"])
    with pytest.raises(ValueError, match="references is one row, 'abc'"):
        function(["abc"], "abc")


@pytest.mark.parametrize("value", [*MISSING, 3, b"text"])
@pytest.mark.parametrize("name", METRICS)
def test_rows_that_are_no_texts(name, value):
    with pytest.raises(RowError, match=r"^Prediction 1"):
        METRICS[name](["a", value], ["a", "b"])
    with pytest.raises(RowError, match=r"^Reference 1"):
        METRICS[name](["a", "b"], ["a", value])
    with pytest.raises(RowError, match=r"^Reference 1"):
        METRICS[name](["a", "b"], [["a"], ["b", value]])


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"squad"}))
def test_a_text_without_references(name):
    with pytest.raises(RowError, match=r"Reference 1: The row is \[\]: expected a list with at least one string"):
        METRICS[name](["a", "b"], [["a"], []])


@pytest.mark.parametrize(("name", "package"), [(name, package) for name, (_, package) in metrics.PACKAGES.items()])
def test_a_missing_package(name, package, monkeypatch, tokenizer):
    def import_module(module):
        raise ModuleNotFoundError(module)

    metrics._import_package.cache_clear()
    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(
        ImportError, match=rf"The metric {name!r} needs the package {package}: pip install 'modeling-glm\[eval\]'"
    ):
        METRICS[name](["a"], ["a"])
    # Before training, and not at its first evaluation.
    with pytest.raises(ImportError, match=rf"{package}: pip install 'modeling-glm\[eval\]'"):
        compute_metrics_for(tokenizer, name)


def part_b(tokenizer, *answers, end=True):
    """<sop> answer <sop> answer <eop>"""
    ids = [
        i
        for answer in answers
        for i in [tokenizer.sop_token_id, *tokenizer(answer, add_special_tokens=False)["input_ids"]]
    ]
    return [*ids, tokenizer.eop_token_id] if end else ids


def evaluated(predicted, gold, padding=-100):
    width = max(map(len, [*predicted, *gold]))
    predictions, labels = (
        np.array([row + [padding] * (width - len(row)) for row in rows]) for rows in (predicted, gold)
    )
    return SimpleNamespace(predictions=predictions, label_ids=labels)


def test_metrics_for_trainer(tokenizer):
    answer = partial(part_b, tokenizer)
    predicted = [
        answer(" the lazy dog"),
        answer(" Rome", end=False),
        answer(" Paris"),
        answer(" fox", " cat", end=False),
    ]
    gold = [answer(" the lazy dog"), answer(" Rome"), answer(" Italy"), answer(" fox", " dog")]
    compute = compute_metrics_for(SimpleNamespace(tokenizer=tokenizer), ["exact_match", "squad"])
    scores = compute(evaluated(predicted, gold))
    assert scores == {
        "exact_match": pytest.approx(60),
        "squad_exact_match": pytest.approx(60),
        "squad_f1": pytest.approx(60),
    }
    assert compute_metrics_for(tokenizer, "exact_match")(evaluated(gold, gold)) == {"exact_match": 100.0}
    # An answer that is missing is empty, so it does not agree with the gold one.
    assert compute(evaluated([answer(" fox")], [answer(" fox", " dog")]))["exact_match"] == pytest.approx(50)
    # With several functions, their own and others.
    own = compute_metrics_for(
        tokenizer, ["rouge", lambda predictions, references: {"first": [*predictions, *references]}]
    )
    assert own(evaluated(gold[:1], gold[:1])) == {
        "rouge1": 100,
        "rouge2": 100,
        "rougeL": 100,
        "rougeLsum": 100,
        "first": ["the lazy dog", "the lazy dog"],
    }


def test_what_trainer_may_not_give(tokenizer):
    good = evaluated([part_b(tokenizer, " fox")], [part_b(tokenizer, " fox")])
    compute = compute_metrics_for(tokenizer, "exact_match")
    logits = SimpleNamespace(predictions=np.zeros((1, 3, 5)), label_ids=good.label_ids)
    with pytest.raises(ValueError, match=r"predictions .* shape \(1, 3, 5\) .* predict_with_generate=True"):
        compute(logits)
    with pytest.raises(ValueError, match=r"predictions has the type tuple"):
        compute(SimpleNamespace(predictions=(np.zeros((1, 3)), np.zeros(4)), label_ids=good.label_ids))
    # Aligned labels of training have no start of a piece.
    aligned = SimpleNamespace(predictions=good.predictions, label_ids=good.label_ids[:, 1:])
    with pytest.raises(ValueError, match="Row 0 of label_ids has no start of a piece"):
        compute(aligned)
    with pytest.raises(ValueError, match="There are 2 rows of predictions, but 1 of label_ids"):
        compute(SimpleNamespace(predictions=np.repeat(good.predictions, 2, 0), label_ids=good.label_ids))


def test_wrong_names(tokenizer):
    with pytest.raises(ValueError, match="Unknown metric 'meteor': expected one of 'rouge', 'bleu'"):
        compute_metrics_for(tokenizer, ["rouge", "meteor"])
    with pytest.raises(ValueError, match="No metric is named"):
        compute_metrics_for(tokenizer, [])
    with pytest.raises(ValueError, match="Expected a DataCollatorForInfillingSeq2Seq or a GLMTokenizer, got a dict"):
        compute_metrics_for({}, "rouge")
