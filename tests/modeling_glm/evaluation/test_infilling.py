"""Infilling of random words: blanks, scores token by token, and comparison with the words that were hidden."""

import math
import sys
from random import Random

import pytest

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer, fill_blanks
from modeling_glm.evaluation.infilling import FilledText, InfillingQuality, evaluate_infilling
from modeling_glm.seq2seq import metrics
from modeling_glm.tokenization.seq2seq.word_blanks import blank_words
from modeling_glm.utils.rows import RowError
from tests.support.models import make_text_model
from tests.support.naive_scoring import naive_log_probs
from tests.support.original_files import write_vocabulary
from tests.support.paths import EXAMPLES

TEXTS = [
    "The lamp keeper climbs the tower every evening at six and counts the steps.",
    "Rain fell on  the green\nfor nine days, and the goats stayed in the office.",
    "Two words",
]


@pytest.fixture(scope="module")
def tokenizer():
    return GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")


@pytest.fixture(scope="module")
def trained():
    return GLMForConditionalGeneration.from_pretrained(EXAMPLES / "glm-tiny", dtype="float32").eval()


def test_texts_are_blanked_filled_and_scored(model, tokenizer):
    ratios = (0.2, 0.5)
    result = evaluate_infilling(model, tokenizer, TEXTS, ratios=ratios, seed=3, max_new_tokens_per_blank=3)
    expected = []
    for ratio in ratios:
        rng = Random(3)
        expected += [(ratio, text, *blank_words(text, ratio, rng)) for text in TEXTS]
    expected = [row for row in expected if row[3]]  # "Two words" has no blank at 0.2
    assert [(one.ratio, one.blanked, list(one.answers)) for one in result.filled] == [
        (ratio, blanked, answers) for ratio, _, blanked, answers in expected
    ]
    for one in result.filled:
        ((best,),) = fill_blanks(model, tokenizer, [one.blanked], max_new_tokens_per_blank=3)
        assert one.filled == best.text
        assert list(one.predictions) == [str(answer.text) for answer in best.answers]
    assert result.counts()["num_texts"] == 3
    assert result.counts()["num_filled"] == {"0.2": 2, "0.5": 3}


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_is_that_of_the_hidden_words(model, tokenizer, seed):
    options = {"ratios": [0.25], "max_new_tokens_per_blank": 1, "seed": seed}
    (one,) = evaluate_infilling(model, tokenizer, ["a b c d e f g h"], **options).filled
    # Only the first word of a text stands behind no space.
    begins = one.blanked.startswith("[MASK]")
    before = ["" if begins and number == 0 else " " for number in range(len(one.answers))]
    pieces = [
        tokenizer(space + answer, add_special_tokens=False)["input_ids"]
        for space, answer in zip(before, one.answers, strict=True)
    ]
    naive = naive_log_probs(model, tokenizer(one.blanked)["input_ids"], range(len(pieces)), pieces)
    assert one.log_prob == pytest.approx(sum(map(sum, naive)), abs=1e-4)
    assert one.num_scored == sum(map(len, naive))


def test_results_do_not_depend_on_batching(model, tokenizer):
    one, many = (
        evaluate_infilling(model, tokenizer, TEXTS, ratios=[0.4], max_new_tokens_per_blank=2, batch_size=batch_size)
        for batch_size in (1, 8)
    )
    assert [row.filled for row in one.filled] == [row.filled for row in many.filled]
    assert [row.log_prob for row in one.filled] == pytest.approx([row.log_prob for row in many.filled], abs=1e-3)


def test_a_trained_model_fills_what_it_knows(trained, tokenizer):
    texts = ["The number 4836 is written four thousand eight hundred and thirty-six."]
    result = evaluate_infilling(trained, tokenizer, texts, ratios=[0.1], seed=1)
    random = evaluate_infilling(make_text_model(tokenizer), tokenizer, texts, ratios=[0.1], seed=1)
    assert result.answer_perplexity(0.1) < random.answer_perplexity(0.1) / 10


def filled(text: str, prediction: str, answer: str, **changes) -> FilledText:
    values = {"row": 0, "ratio": 0.5, "blanked": "", "log_prob": -6.0, "num_scored": 3}
    return FilledText(
        text=text,
        filled=text.replace(answer, prediction),
        answers=(answer,),
        predictions=(prediction,),
        **values | changes,
    )


def test_measures_worked_by_hand():
    rows = (filled("the cat sat on the mat", "cat", "cat"), filled("the dog ran to the gate", "goat", "dog"))
    result = InfillingQuality(ratios=(0.5, 0.1), filled=rows, num_texts=2)
    assert result.exact_match(0.5) == 50.0
    assert result.log_prob(0.5) == -6.0
    assert result.answer_perplexity(0.5) == pytest.approx(math.exp(2.0))
    assert 0 < result.bleu(0.5) < 100
    assert result.metrics()["0.1"] is None
    perfect = InfillingQuality(ratios=(0.5,), filled=rows[:1], num_texts=1)
    assert perfect.bleu(0.5) == pytest.approx(100.0)
    assert perfect.exact_match(0.5) == 100.0


def test_vocabularies_without_capitals_ignore_case():
    rows = (filled("the cat sat on the Mat", "mat", "Mat"),)
    for ignores_case, expected in ((True, 100.0), (False, 0.0)):
        result = InfillingQuality(ratios=(0.5,), filled=rows, num_texts=1, ignores_case=ignores_case)
        assert result.exact_match(0.5) == expected


def test_an_uncased_vocabulary_is_recognised(tokenizer, tmp_path, model):
    bert = GLMTokenizer.from_pretrained(write_vocabulary("bert", tmp_path, fixture=True))
    options = {"ratios": [0.5], "max_new_tokens_per_blank": 1}
    assert evaluate_infilling(make_text_model(bert), bert, ["The Cat Sat"], **options).ignores_case
    assert not evaluate_infilling(model, tokenizer, ["The Cat Sat"], **options).ignores_case


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "No text has a word to hide: at 0.5 of the words, a text needs 2 words"),
        (["One"], {}, "No text has a word to hide"),
        ([TEXTS[0], " "], {}, "Text 1 has no words"),
        ([TEXTS[0], "A [MASK] here"], {}, "Text 1 has a blank already"),
        ([TEXTS[0], "word " * 80], {}, "Text 1 has .* tokens, but the position table holds 65"),
        (TEXTS, {"ratios": [0.0]}, "ratios=0.0: expected a number above 0 and at most 1"),
        (TEXTS, {"ratios": [1.5]}, "ratios=1.5: expected a number above 0"),
        (TEXTS, {"ratios": []}, r"ratios=\[\]: expected different shares"),
        (TEXTS, {"ratios": [0.5, 0.5]}, r"ratios=\[0.5, 0.5\]: expected different shares"),
        (TEXTS, {"seed": -1}, "seed=-1"),
    ],
)
def test_errors(model, tokenizer, texts, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_infilling(model, tokenizer, texts, **options)


def test_long_texts_are_cut_around_their_blanks(model, tokenizer):
    options = {"ratios": [0.1], "max_new_tokens_per_blank": 1, "truncation": True}
    result = evaluate_infilling(model, tokenizer, ["word " * 80], **options)
    assert len(result.filled) == 1


def test_bad_rows_are_recorded_and_the_others_answered(model, tokenizer):
    options = {"ratios": [0.5], "max_new_tokens_per_blank": 1}
    result = evaluate_infilling(model, tokenizer, [7, *TEXTS[:1], ""], on_error="record", **options)
    assert [type(error) for error in result.errors] == [RowError, RowError]
    assert [error.row for error in result.errors] == [0, 2]
    assert result.num_texts == 1
    assert [one["row"] for one in result.details()] == [1]


def test_without_sacrebleu_nothing_is_computed(model, tokenizer, monkeypatch):
    metrics._import_package.cache_clear()
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    monkeypatch.setattr(model.glm, "forward", lambda *_, **__: pytest.fail("the model was called"))
    with pytest.raises(ImportError, match=r"sacrebleu: pip install 'modeling-glm\[eval\]'"):
        evaluate_infilling(model, tokenizer, TEXTS)
