"""Predictions of rows: the tokens of `generate`, and log-probabilities of one forward pass for each token."""

import math

import datasets
import pandas as pd
import pytest
import torch

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMForConditionalGeneration, RowError, fill_blanks
from modeling_glm.seq2seq.original_search import search_as_originals
from modeling_glm.seq2seq.predictions import TargetPrediction, predict_targets
from tests.support.models import make_text_model
from tests.support.seq2seq_runs import generate_alone, make_ending_model, make_rows

TWO_BLANKS = "First [MASK] then {source} and [MASK]."
ROWS = [{"source": row["source"]} for row in make_rows(7)]


@pytest.fixture(scope="module")
def model(tokenizer) -> GLMForConditionalGeneration:
    return make_ending_model(tokenizer)


@pytest.fixture(scope="module")
def collator(tokenizer) -> DataCollatorForInfillingSeq2Seq:
    return DataCollatorForInfillingSeq2Seq(tokenizer)


@torch.no_grad()
def score_naively(model, prompt: list[int], written: tuple[int, ...]) -> float:
    """Sum the log-probabilities of Part B, with one forward pass for each token. All ends count as one."""
    ends = [model.config.eop_token_id, model.config.eos_token_id]
    total = 0.0
    for place in range(1, len(written)):
        log_probs = model(torch.tensor([[*prompt, *written[:place]]])).logits[0, -1].log_softmax(-1)
        is_end = written[place] in (*ends, model.config.sop_token_id)
        total += float(log_probs[ends].logsumexp(-1) if is_end else log_probs[written[place]])
    return total


@pytest.mark.parametrize("pattern", [None, TWO_BLANKS], ids=["one blank", "two blanks"])
@pytest.mark.parametrize("num_beams", [1, 3])
def test_tokens_are_those_of_generate_and_scores_those_of_the_model(tokenizer, model, pattern, num_beams):
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, pattern)
    settings = {"num_beams": num_beams, "max_new_tokens": 9}
    found = predict_targets(model, collator, ROWS, batch_size=3, **settings)
    written = [list(prediction.token_ids) for prediction in found]
    assert written == [generate_alone(model, collator, row, **settings) for row in ROWS]
    ends = {tokenizer.eop_token_id, tokenizer.eos_token_id}
    assert {row[-1] in ends for row in written} == {True, False}  # some end by themselves, some at the limit
    for row, prediction in zip(ROWS, found, strict=True):
        prompt = collator.prompts([row])["input_ids"][0].tolist()
        assert prediction.log_prob == pytest.approx(score_naively(model, prompt, prediction.token_ids), abs=1e-4)
        assert prediction.score == pytest.approx(prediction.log_prob / (len(prediction.token_ids) - 1))
        (answers,) = tokenizer.decode_blanks([[*prompt, *prediction.token_ids]])
        assert prediction.answers == tuple(answers)
        assert prediction.text == "\n".join(answers)
        assert len(answers) == (1 if pattern is None else 2)


def test_log_probabilities_are_those_of_fill_blanks(tokenizer, collator):
    model = make_ending_model(tokenizer, by=9.0)
    found = predict_targets(model, collator, ROWS, max_new_tokens=40)
    texts = [collator.pattern.replace("{source|shorten}", row["source"]) for row in ROWS]
    for prediction, (filling, *_) in zip(found, fill_blanks(model, tokenizer, texts), strict=True):
        assert prediction.answers == tuple(answer.text for answer in filling.answers)
        assert prediction.log_prob == pytest.approx(filling.log_prob, abs=1e-4)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_scores_of_several_are_those_of_the_search(model, collator, length_penalty):
    settings = {"num_beams": 4, "num_return_sequences": 3, "length_penalty": length_penalty, "max_new_tokens": 9}
    found = predict_targets(model, collator, ROWS, batch_size=2, **settings)
    for row, predictions in zip(ROWS, found, strict=True):
        expected = model.generate(
            **collator.prompts([row]), output_scores=True, return_dict_in_generate=True, **settings
        )
        scores = [prediction.score for prediction in predictions]
        # The search scores the one end that it writes. Our log-probability is that of any end.
        assert scores == pytest.approx(expected.sequences_scores.tolist(), abs=1e-3)
        assert len({prediction.token_ids for prediction in predictions}) == 3


@pytest.mark.parametrize(
    ("pattern", "settings"),
    [
        (None, {"num_beams": 3, "length_penalty": 0.7, "no_repeat_ngram_size": 2, "min_new_tokens": 2}),
        (None, {"num_beams": 3, "num_return_sequences": 2}),
        (None, {"length_penalty": 0.7}),
        (TWO_BLANKS, {"no_repeat_ngram_size": 2}),
    ],
    ids=["beams", "several", "greedy", "two blanks"],
)
def test_the_search_of_the_authors(tokenizer, model, pattern, settings):
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, pattern, max_target_length=7)
    found = predict_targets(model, collator, ROWS, batch_size=3, original_search=True, **settings)
    beams = settings.get("num_beams", 1)
    of_search = {**settings, "length_penalty": settings.get("length_penalty", 1.0) if beams > 1 else 0.0}
    for row, predictions in zip(ROWS, found, strict=True):
        prompt = collator.prompts([row])
        expected = search_as_originals(model, **prompt, max_new_tokens=7, **of_search)
        listed = predictions if isinstance(predictions, list) else [predictions]
        assert [one.score for one in listed] == pytest.approx(expected.scores.tolist(), abs=1e-4)
        for one, ids in zip(listed, expected.sequences.tolist(), strict=True):
            assert list(one.token_ids) == ids[: len(one.token_ids)]
            assert set(ids[len(one.token_ids) :]) <= {model.padding_id}
            naive = score_naively(model, prompt["input_ids"][0].tolist(), one.token_ids)
            assert one.log_prob == pytest.approx(naive, abs=1e-4)


@pytest.mark.parametrize(("pattern", "beams"), [(None, 1), (None, 3), (TWO_BLANKS, 1)], ids=["one", "beams", "two"])
def test_a_model_that_writes_starts_of_pieces(tokenizer, pattern, beams):
    """The authors' search takes them for tokens of the answer. They count in its probability and are no text."""
    model = make_text_model(tokenizer)
    start = model.get_input_embeddings().weight[tokenizer.sop_token_id]
    with torch.no_grad():  # raises the logits of the start of a piece
        model.glm.transformer.final_layernorm.bias += 9 * start / start.norm() ** 2
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, pattern, max_target_length=7)
    settings = {"num_beams": beams, "length_penalty": 0.0, "original_search": True}
    for row, found in zip(ROWS, predict_targets(model, collator, ROWS, **settings), strict=True):
        prompt = collator.prompts([row])
        expected = search_as_originals(model, **prompt, max_new_tokens=7, num_beams=beams)
        assert found.token_ids.count(tokenizer.sop_token_id) > len(found.answers)
        assert len(found.answers) == (2 if pattern else 1)
        assert found.log_prob == pytest.approx(expected.scores[0].item(), abs=1e-3)  # all ends count as one
        assert "startofpiece" not in found.text


def test_draws_follow_the_seed(model, collator):
    settings = {"do_sample": True, "num_return_sequences": 3, "max_new_tokens": 4, "temperature": 2.0}
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(predict_targets(model, collator, ROWS[:2], **settings))
    assert found[0] == found[1]
    assert len({prediction.token_ids for prediction in found[0][0]}) > 1
    for row, predictions in zip(ROWS, found[0], strict=False):
        prompt = collator.prompts([row])["input_ids"][0].tolist()
        for prediction in predictions:
            assert prediction.log_prob == pytest.approx(score_naively(model, prompt, prediction.token_ids), abs=1e-4)


@pytest.mark.parametrize(
    "give",
    [
        list,
        iter,
        pd.DataFrame,
        datasets.Dataset.from_list,
        lambda rows: {"source": [row["source"] for row in rows]},
        lambda rows: [row["source"] for row in rows],
        lambda rows: [{**row, "target": "ignored"} for row in rows],
    ],
    ids=["list", "iterator", "data frame", "dataset", "columns", "texts", "with targets"],
)
def test_rows_of_any_kind(model, collator, give):
    expected = predict_targets(model, collator, ROWS, max_new_tokens=3)
    assert predict_targets(model, collator, give(ROWS), max_new_tokens=3) == expected


def test_one_row_has_one_prediction(model, collator):
    found = predict_targets(model, collator, ROWS[1], max_new_tokens=3)
    assert isinstance(found, TargetPrediction)
    assert predict_targets(model, collator, ROWS[1]["source"], max_new_tokens=3) == found
    assert predict_targets(model, collator, [], max_new_tokens=3) == []


def test_the_longest_target_of_training_is_the_limit(tokenizer, model):
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, max_target_length=5)
    endless = {"eos_token_id": -1}
    (found,) = predict_targets(model, collator, ROWS[:1], **endless)
    assert len(found.token_ids) == 1 + 5
    (found,) = predict_targets(model, collator, ROWS[:1], max_new_tokens=8, **endless)
    assert len(found.token_ids) == 1 + 8
    assert math.isfinite(found.log_prob)


def test_a_bad_row_is_named_and_the_others_are_answered(model, collator):
    rows = [ROWS[0], {"text": "no source"}, ROWS[2], {"source": ""}]
    with pytest.raises(RowError, match=r"Row 1.*source"):
        predict_targets(model, collator, rows)
    found = predict_targets(model, collator, rows, max_new_tokens=3, on_error="record")
    assert [type(one) for one in found] == [TargetPrediction, RowError, TargetPrediction, RowError]
    assert [one.row for one in found if isinstance(one, RowError)] == [1, 3]
    assert [found[0], found[2]] == predict_targets(model, collator, [ROWS[0], ROWS[2]], max_new_tokens=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: expected at least 1"),
        ({"num_beams": 0}, "num_beams=0: expected at least 1"),
        ({"num_return_sequences": 2}, "num_return_sequences=2 and num_beams=1: expected at least as many beams"),
        ({"max_new_tokens": 0}, "max_new_tokens=0: expected at least 1"),
        ({"length_penalty": math.nan}, "length_penalty=nan: expected a finite number"),
        ({"streamer": None}, "streamer is no argument of predict_targets: call model.generate to stream"),
        ({"original_search": True}, "original_search=True needs max_new_tokens, the --tgt-seq-length of"),
        (
            {"original_search": True, "max_new_tokens": 4, "top_k": 3},
            "original_search=True and top_k: the authors' search knows only length_penalty, max_new_tokens",
        ),
        ({"on_error": "skip"}, "on_error='skip': expected one of 'raise', 'record'"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused(model, collator, settings, message):
    with pytest.raises(ValueError, match=message):
        predict_targets(model, collator, ROWS, **settings)


def test_the_model_keeps_its_mode(model, collator):
    model.train()
    try:
        predict_targets(model, collator, ROWS[:1], max_new_tokens=2)
        assert model.training
    finally:
        model.eval()
