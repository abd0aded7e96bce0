"""Perplexity: the originals' figures, their faults left out, and errors before anything is computed."""

import math

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import GLMModel, GLMTokenizer
from modeling_glm.evaluation import continuations
from modeling_glm.evaluation.perplexity import Perplexity, compute_perplexity, exponentiate
from modeling_glm.evaluation.windows import lay_out_window, plan_windows
from modeling_glm.tokenization.seq2seq.detokenizers import detokenize_wikitext
from modeling_glm.utils.rows import RowError
from tests.support.models import make_model
from tests.support.naive_scoring import naive_log_probs
from tests.support.original_evaluation import load_tiny, read_cases, read_documents, read_flags
from tests.support.paths import EXAMPLES

EVALUATION = read_cases("lm/evaluation.json")
CASES = [case for case in EVALUATION["cases"] if case["task"] != "lambda"]
TEXTS = ["The cat sat on the mat, and the dog ran.", "Rain fell on the green for nine days.", "Two words"]


@pytest.fixture(scope="module")
def tokenizer():
    return GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")


@pytest.mark.parametrize("number", range(len(CASES)))
def test_figures_of_the_originals(number):
    case = CASES[number]
    model, tokenizer = load_tiny(case["model"])
    flags = read_flags(case["flags"])
    result = compute_perplexity(
        model,
        tokenizer,
        read_documents(case, EVALUATION["files"]),
        detokenize=detokenize_wikitext if case["task"] == "wikitext" else None,
        window=flags.seq_length - 1,
        stride=flags.overlapping_eval,
        unidirectional=flags.unidirectional,
    )
    assert result.num_tokens == case["num_tokenized_tokens"]
    assert result.num_original_words == case["num_original_tokens"]
    assert result.num_windows == sum(case["num_sequences"])
    assert result.num_scored == sum(case["loss_mask_sums"])
    expected, found = case["score"], result.as_originals()
    assert found["loss"] == pytest.approx(expected["avg loss"], abs=1e-5)
    assert found["perplexity"] == pytest.approx(expected["ppl"], rel=1e-4)
    assert found["adjusted_perplexity"] == pytest.approx(expected["adjusted ppl"], rel=1e-4)
    # With several documents the originals divide by too many tokens.
    documents = len(case["document_lengths"])
    assert result.num_scored == result.num_tokens - documents
    assert result.loss == pytest.approx(found["loss"] * (result.num_tokens - 1) / result.num_scored)


@pytest.mark.parametrize("unidirectional", [False, True])
def test_windows_have_the_scores_of_one_token_at_a_time(model, tokenizer, unidirectional):
    config = model.config
    total = 0.0
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        for window in plan_windows(len(ids), 7, 3):
            row = lay_out_window(
                ids, window, config.cls_token_id, config.gmask_token_id, unidirectional=unidirectional
            )
            total += sum(naive_log_probs(model, row.context, [0], row.continuations)[0][row.skip : -1])
    result = compute_perplexity(model, tokenizer, TEXTS, window=7, stride=3, unidirectional=unidirectional)
    assert result.log_prob == pytest.approx(total, abs=1e-3)
    assert result.perplexity == pytest.approx(math.exp(-total / result.num_scored), rel=1e-5)
    assert result.word_perplexity == pytest.approx(math.exp(-total / 20), rel=1e-4)
    assert result.bits_per_byte == pytest.approx(-total / math.log(2) / sum(map(len, TEXTS)), rel=1e-5)


@given(batch_size=st.integers(1, 9), texts=st.permutations(TEXTS))
@settings(max_examples=3, deadline=None)
def test_results_do_not_depend_on_batches_and_order(model, tokenizer, batch_size, texts):
    expected = compute_perplexity(model, tokenizer, TEXTS, window=5, stride=2)
    found = compute_perplexity(model, tokenizer, texts, window=5, stride=2, batch_size=batch_size)
    assert found.log_prob == pytest.approx(expected.log_prob, abs=1e-3)
    assert found.counts() == expected.counts()


def test_one_window_of_the_whole_text_is_one_continuation(model, tokenizer):
    ids = tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    context = [tokenizer.cls_token_id, ids[0], tokenizer.gmask_token_id]
    ((whole,),) = continuations.score_continuations(model, [(context, [ids[1:]])])
    result = compute_perplexity(model, tokenizer, TEXTS[0])
    assert result.num_windows == 1
    assert result.log_prob == pytest.approx(whole.log_prob, abs=1e-4)
    start = [tokenizer.cls_token_id, tokenizer.gmask_token_id]
    ((from_first,),) = continuations.score_continuations(model, [(start, [ids])])
    result = compute_perplexity(model, tokenizer, TEXTS[0], score_first=True)
    assert result.log_prob == pytest.approx(from_first.log_prob, abs=1e-4)
    assert result.num_scored == result.num_tokens == len(ids)


def test_documents_without_a_token_to_score_are_counted(model, tokenizer):
    expected = compute_perplexity(model, tokenizer, TEXTS)
    found = compute_perplexity(model, tokenizer, ["", *TEXTS, "The"])
    assert len(tokenizer("The", add_special_tokens=False)["input_ids"]) == 1
    assert found.num_unscored_documents == 2
    assert found.num_documents == 5
    assert found.loss == pytest.approx(expected.loss, abs=1e-5)


def test_one_scored_token_has_no_figures_of_the_originals(model, tokenizer):
    found = compute_perplexity(model, tokenizer, "The", score_first=True).metrics()
    assert found["loss"] > 0
    assert found["original_loss"] == math.inf


def test_special_tokens_in_a_text_are_letters(model, tokenizer):
    written = compute_perplexity(model, tokenizer, "The [MASK] runs <|startofpiece|> home.")
    assert written.num_tokens > compute_perplexity(model, tokenizer, "The MASK runs home.").num_tokens
    assert math.isfinite(written.loss)


def test_the_model_reads_detokenized_texts_and_words_are_those_given(model, tokenizer):
    plain = compute_perplexity(model, tokenizer, "The cat sat")
    given_text = compute_perplexity(model, tokenizer, "The cat _ sat", detokenize=lambda text: text.replace(" _", ""))
    assert given_text.log_prob == pytest.approx(plain.log_prob, abs=1e-5)
    assert (given_text.num_words, plain.num_words) == (4, 3)


@pytest.mark.parametrize("make", [list, tuple, iter, pd.Series, lambda texts: pd.DataFrame({"text": texts})])
def test_texts_of_any_form(model, tokenizer, make):
    expected = compute_perplexity(model, tokenizer, TEXTS).log_prob
    assert compute_perplexity(model, tokenizer, make(TEXTS)).log_prob == pytest.approx(expected, abs=1e-4)


def test_rows_that_are_no_texts(model, tokenizer):
    rows = [TEXTS[0], 7, TEXTS[1], None]
    with pytest.raises(RowError, match=r"Text 1 is 7, of type int: expected a string"):
        compute_perplexity(model, tokenizer, rows)
    result = compute_perplexity(model, tokenizer, rows, on_error="record")
    assert [error.row for error in result.errors] == [1, 3]
    assert result.num_documents == 2


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "There are no texts"),
        ("", {}, "There is no token to score: the longest of 1 texts has 0 tokens"),
        ("The", {}, r"There is no token to score: the longest of 1 texts has 1 tokens.*score_first=True"),
        (TEXTS, {"window": 65}, "window=65: expected 2 to 64, because config.max_position_embeddings=64"),
        (TEXTS, {"window": 20, "stride": 21}, r"stride=21: expected 1 to 20, because a stride above the window"),
        (TEXTS, {"batch_size": 0}, "batch_size=0"),
    ],
)
def test_errors(model, tokenizer, texts, options, message):
    with pytest.raises(ValueError, match=message):
        compute_perplexity(model, tokenizer, texts, **options)


def test_nothing_is_computed_before_rows_are_checked(model, tokenizer, monkeypatch):
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda *_: pytest.fail("the model was called"))
    with pytest.raises(RowError, match="Text 2"):
        compute_perplexity(model, tokenizer, [*TEXTS[:2], 7])


def test_models_without_a_vocabulary_projection_are_refused(tokenizer):
    with pytest.raises(ValueError, match="expected a GLMForConditionalGeneration"):
        compute_perplexity(make_model(GLMModel), tokenizer, TEXTS)


def test_large_losses_are_infinite_perplexities():
    counts = dict.fromkeys(("num_tokens", "num_words", "num_bytes", "num_windows", "num_original_words"), 2)
    result = Perplexity(log_prob=-2000.0, num_scored=1, num_documents=1, num_unscored_documents=0, **counts)
    assert result.perplexity == math.inf
    assert result.as_originals()["perplexity"] == pytest.approx(math.exp(20))
    assert exponentiate(0.0) == 1.0
