"""Scores of the originals: every stored number, and values worked by hand."""

import json
import re

import pytest

from modeling_glm.seq2seq.metrics import compute_rouge
from modeling_glm.seq2seq.originals.scores import (
    compute_multi_bleu,
    compute_original_rouge,
    compute_original_squad,
    normalize_squad_answer,
    remove_repeated,
    score_squad_answer,
    smoothed_f1,
)
from tests.support.original_files import read_golden

METRICS = json.loads(read_golden("seq2seq/metrics.json"))
GOLDEN = json.loads(read_golden("seq2seq/postprocessing.json"))


@pytest.mark.parametrize("case", METRICS["rouge"], ids=lambda case: f"{case['dataset']}-{case['duplicate_rate']}")
def test_golden_rouge(case):
    predictions, references = zip(*METRICS["pairs"], strict=True)
    found = compute_original_rouge(
        predictions, references, kind=case["dataset"], duplicate_rate=case["duplicate_rate"]
    )
    assert found.scores == pytest.approx(case["scores"], abs=1e-12)
    assert found.per_example.keys() == case["per_example"].keys()
    for name, values in case["per_example"].items():
        assert found.per_example[name] == pytest.approx(values, abs=1e-12)
    assert found.predictions == [pair["pred"] for pair in case["processed"]]
    assert found.references == [pair["ref"] for pair in case["processed"]]
    # The standard scores of the same texts differ in rougeLsum alone, because the originals swap the arguments.
    documented = [
        compute_rouge([text], [target])["rougeLsum"] / 100
        for text, target in zip(found.predictions, found.references, strict=True)
    ]
    assert documented == pytest.approx(case["rougeLsum_with_arguments_in_the_documented_order"], abs=1e-12)


def test_golden_bleu():
    golden = METRICS["bleu"]
    assert str(compute_multi_bleu(golden["hyps"], golden["refs"])) == golden["multi_bleu"]
    assert str(compute_multi_bleu(golden["hyps"], golden["refs"], lowercase=True)) == golden["multi_bleu-lc"]


def test_bleu_by_hand():
    bleu = compute_multi_bleu(["a b c d x"], [["a b c d e", "z"]])
    assert bleu.precisions == pytest.approx((80, 75, 200 / 3, 50))
    assert bleu.bleu == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    # A precision of 0 makes the score 0: nothing is smoothed.
    assert str(compute_multi_bleu(["a b"], ["a b c d"])) == (
        "BLEU = 0.00, 100.0/100.0/0.0/0.0 (BP=0.368, ratio=0.500, hyp_len=2, ref_len=4)"
    )
    assert (
        compute_multi_bleu(["A b c d"], ["a b c d"]).bleu
        == 0
        < compute_multi_bleu(["A b c d"], ["a b c d"], lowercase=True).bleu
    )
    assert str(compute_multi_bleu([""], ["a"])) == "BLEU = 0, 0/0/0/0 (BP=0, ratio=0, hyp_len=0, ref_len=0)"


REPEATED = GOLDEN["remove_duplicate"]


@pytest.mark.parametrize("row", [row for row in REPEATED if isinstance(row[-1], list)], ids=str)
def test_golden_repeated_sentences(row):
    sentences, rate, expected = row
    assert remove_repeated(sentences, rate) == expected


@pytest.mark.parametrize("row", [row for row in REPEATED if not isinstance(row[-1], list)], ids=str)
def test_a_sentence_without_words(row):
    """The originals divide by zero."""
    sentences, rate, _ = row
    with pytest.raises(ValueError, match=r"Sentence \d+ has no word"):
        remove_repeated(sentences, rate)


def test_dropped_sentences_count_as_earlier_ones():
    assert remove_repeated(["a b c", "a b x", "x y a"], 0.6) == ["a b c"]


@pytest.mark.parametrize("row", GOLDEN["get_f1"], ids=str)
def test_golden_f1(row):
    text, other, expected = row
    assert smoothed_f1(text, other) == pytest.approx(expected, abs=1e-12)


def test_golden_squad():
    golden = GOLDEN["squad_evaluate"]
    for text, expected in GOLDEN["squad_normalize_answer"]:
        assert normalize_squad_answer(text) == expected
    for prediction, answers, exact, f1 in GOLDEN["squad_answer_scores"]:
        found = score_squad_answer(prediction, answers)
        assert (bool(found[0]), found[1]) == (exact, pytest.approx(f1, abs=1e-12))
    scores = compute_original_squad(golden["question_ids"], golden["predictions"], golden["answers"])
    assert scores == pytest.approx({"EM": golden["EM"], "F1": golden["F1"]}, abs=1e-12)


def test_squad_by_hand():
    assert normalize_squad_answer("Café Ærø, Straße – “Łódź”") == "cafe aero strasse lodz"
    assert score_squad_answer("x", []) == (False, 0.0)
    # All windows must say that there is no answer; else the first one that does not answers.
    ids, golds = ["q", "q", "r", "r"], [["N/A"], ["N/A"], ["Rome"], ["Rome"]]
    assert compute_original_squad(ids, ["n / a", "N/A", "N/A", "rome"], golds) == {"EM": 100, "F1": 100}
    assert compute_original_squad(ids, ["N/A", "x", "Oslo", "Rome"], golds) == {"EM": 0, "F1": 0}


def test_errors():
    with pytest.raises(ValueError, match="There are 1 question_ids, 2 predictions and 1 answers"):
        compute_original_squad(["q"], ["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="nothing can be measured"):
        compute_original_squad([], [], [])
    with pytest.raises(ValueError, match="Reference 1 is a list of 2 texts"):
        compute_original_rouge(["a", "b"], ["a", ["b", "c"]])
    with pytest.raises(ValueError, match=re.escape("duplicate_rate=1.5: expected a number from 0 to 1")):
        compute_original_rouge(["a"], ["a"], duplicate_rate=1.5)
    with pytest.raises(ValueError, match="kind='other'"):
        compute_original_rouge(["a"], ["a"], kind="other")
