"""pipeline("blank-infilling"): what `fill_blanks` finds, as plain values."""

import json
import math

import pytest
from datasets import Dataset
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

from modeling_glm import BlankConstraint, GLMForMultipleChoice, fill_blanks
from tests.support.models import make_model

TEXTS = ["The [MASK] fox jumps over the [MASK].", "Paris is the capital of [MASK].", "The number [gMASK]"]


@pytest.fixture(scope="module")
def filler(model, tokenizer):
    return pipeline("blank-infilling", model=model, tokenizer=tokenizer, max_new_tokens_per_blank=5)


@pytest.mark.parametrize("settings", [{}, {"num_answers": 3}, {"num_answers": 2, "do_sample": True}], ids=str)
def test_the_pipeline_tells_what_fill_blanks_finds(filler, model, tokenizer, settings):
    expected = fill_blanks(model, tokenizer, TEXTS, max_new_tokens_per_blank=5, **settings)
    found = filler(TEXTS, **settings)
    for fillings, dicts in zip(expected, found, strict=True):
        assert [entry["sequence"] for entry in dicts] == [filling.text for filling in fillings]
        for filling, entry in zip(fillings, dicts, strict=True):
            assert entry["log_prob"] == pytest.approx(filling.log_prob)
            assert entry["score"] == pytest.approx(math.exp(filling.log_prob))
            for answer, told in zip(filling.answers, entry["answers"], strict=True):
                assert entry["sequence"][told["start"] : told["end"]] == told["text"] == answer.text
                assert told["log_prob"] == pytest.approx(answer.log_prob)
    assert json.loads(json.dumps(found)) == found
    # One text alone, as it comes, and from a dataset: the same.
    assert filler(TEXTS[0], **settings)[0]["sequence"] == found[0][0]["sequence"]
    texts = [[entry["sequence"] for entry in dicts] for dicts in found]
    dataset = Dataset.from_dict({"text": TEXTS})
    for stream in (iter(TEXTS), KeyDataset(dataset, "text"), dataset["text"]):
        answers = list(filler(stream, batch_size=2, **settings))
        assert [[entry["sequence"] for entry in dicts] for dicts in answers] == texts


def test_a_stream_is_read_as_its_answers_are_taken(filler):
    taken = []

    def texts():
        for number in range(100):
            taken.append(number)
            yield TEXTS[1]

    answers = filler(texts(), batch_size=4)
    assert taken == []
    next(answers)
    assert len(taken) == 4


def test_settings_of_the_pipeline_and_of_a_call(model, tokenizer):
    only = BlankConstraint(choices=["fox", "dog"])
    filler = pipeline("blank-infilling", model=model, tokenizer=tokenizer, num_answers=2, constraints=only)
    assert len(filler(TEXTS[1])) == 2
    assert len(filler(TEXTS[1], num_answers=1)) == 1
    assert {entry["answers"][0]["text"] for entry in filler(TEXTS[1])} == {"fox", "dog"}


def test_calls_leave_nothing_behind(model, tokenizer):
    filler = pipeline("blank-infilling", model=model, tokenizer=tokenizer, num_answers=2, max_new_tokens_per_blank=3)
    kept = {**vars(filler), "_forward_params": dict(filler._forward_params)}
    assert len(filler(TEXTS[1], num_answers=1)) == 1
    list(filler(iter(TEXTS[:1]), num_answers=1, batch_size=4))
    assert len(filler.forward(filler.preprocess(TEXTS[1]), num_answers=1)["fillings"]) == 1
    assert vars(filler) == kept
    # The steps of the library, one by one, read the settings of the pipeline.
    assert filler.postprocess(filler.forward(filler.preprocess(TEXTS[1]))) == filler(TEXTS[1])
    assert len(filler(TEXTS[1])) == 2


def test_a_folder_is_enough(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    filler = pipeline("blank-infilling", model=str(tmp_path))
    assert filler(TEXTS[1], max_new_tokens_per_blank=3)[0]["sequence"].startswith("Paris is")


def test_what_is_refused(filler, tokenizer):
    with pytest.raises(ValueError, match="The input is a int"):
        filler(5)
    with pytest.raises(ValueError, match="The input has a int, 5"):
        filler([TEXTS[0], 5])
    with pytest.raises(ValueError, match="Text 0 has no blank"):
        filler("None here.")
    chooser = make_model(GLMForMultipleChoice, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    with pytest.raises(ValueError, match="expected a GLMForConditionalGeneration"):
        pipeline("blank-infilling", model=chooser, tokenizer=tokenizer)
