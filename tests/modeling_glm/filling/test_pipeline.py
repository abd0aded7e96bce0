"""pipeline("blank-infilling"): what `fill_blanks` finds, as plain values."""

import copy
import itertools
import json
import math
from collections.abc import Iterator

import pytest
import torch
from transformers import pipeline

from modeling_glm import BlankConstraint, GLMForMultipleChoice, fill_blanks
from modeling_glm.utils.rows import RowError
from tests.support.containers import CONTAINERS, LAZY, MapStyle
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
            assert entry["text"] == entry["sequence"]
            assert entry["log_prob"] == pytest.approx(filling.log_prob)
            assert entry["probability"] == entry["score"] == pytest.approx(math.exp(filling.log_prob))
            assert entry["mean_log_prob"] == pytest.approx(filling.log_prob / filling.num_scores)
            for answer, told in zip(filling.answers, entry["answers"], strict=True):
                assert entry["sequence"][told["start"] : told["end"]] == told["text"] == answer.text
                assert told["log_prob"] == pytest.approx(answer.log_prob)
                assert told["probability"] == told["score"] == pytest.approx(math.exp(answer.log_prob))
                assert told["mean_log_prob"] == pytest.approx(answer.log_prob / len(answer.token_log_probs))
    assert json.loads(json.dumps(found)) == found
    assert filler(TEXTS[0], **settings)[0]["sequence"] == found[0][0]["sequence"]


def sequences(answers) -> list[str]:
    return [fillings[0]["text"] for fillings in answers]


def test_any_form_of_many_texts(filler):
    only = BlankConstraint(choices=["fox", "dog"])
    expected = filler(TEXTS, constraints=only)
    for name, make in CONTAINERS.items():
        found = filler(make(TEXTS), constraints=only, batch_size=2)
        assert isinstance(found, Iterator if name in LAZY else list)
        assert sequences(found) == sequences(expected)
        assert list(filler(make([]))) == []
    assert filler({"id": 7, "text": TEXTS[0]}, constraints=only)[0]["text"] == expected[0][0]["text"]


@pytest.mark.parametrize("make", [list, iter, MapStyle], ids=["list", "iterator", "dataset"])
def test_draws_and_constraints_belong_to_their_rows(filler, make):
    draws = {"do_sample": True, "seed": 3}
    assert sequences(filler(make(TEXTS * 2), batch_size=4, **draws)) == sequences(filler(TEXTS * 2, **draws))
    of_texts = [[BlankConstraint(answer=word)] * len(blanks) for word, blanks in (("a", "ab"), ("b", "a"), ("c", "a"))]
    found = sequences(filler(make(TEXTS), batch_size=2, constraints=of_texts))
    assert found == ["The a fox jumps over the a.", "Paris is the capital of b.", "The number c"]


def test_answers_follow_a_schema(filler):
    pytest.importorskip("llguidance")
    asked = BlankConstraint(json_schema={"type": "boolean"}, max_new_tokens=8)
    for fillings in filler(TEXTS, constraints=asked, batch_size=2):
        for answer in fillings[0]["answers"]:
            assert isinstance(json.loads(answer["text"]), bool)


@pytest.mark.parametrize("make", [list, iter, MapStyle], ids=["list", "iterator", "dataset"])
def test_progress_is_one_bar(filler, make, capsys):
    list(filler(make(TEXTS), batch_size=2, progress=True))
    assert "filling" in capsys.readouterr().err.replace("\r", "\n").splitlines()[-1]


def count_forwards(filler, *arguments, **settings) -> list[int]:
    """The number of rows in every prefill of a greedy search."""
    rows = []
    hook = filler.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    list(filler(*arguments, max_new_tokens_per_blank=1, **settings))
    hook.remove()
    return rows


def test_the_batch_size_of_the_pipeline_and_of_a_call(model, tokenizer):
    texts = [TEXTS[1]] * 6
    filler = pipeline("blank-infilling", model=model, tokenizer=tokenizer, batch_size=3)
    assert max(count_forwards(filler, texts)) == 3
    assert max(count_forwards(filler, texts, batch_size=2)) == 2
    assert max(count_forwards(filler, iter(texts), num_workers=2)) == 3
    with pytest.raises(ValueError, match="batch_size=0"):
        filler(texts, batch_size=0)


@pytest.mark.parametrize("make", [list, iter, MapStyle], ids=["list", "iterator", "dataset"])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_bad_rows_stand_in_their_places(filler, make, batch_size):
    rows = [TEXTS[1], None, {"text": TEXTS[1]}, float("nan"), TEXTS[1]]
    found = list(filler(make(rows), on_error="record", batch_size=batch_size))
    assert found[1] == {"row": 1, "error": "The text is None, of type NoneType: expected a string."}
    assert found[3]["row"] == 3
    assert sequences(found[row] for row in (0, 2, 4)) == sequences(filler([TEXTS[1]] * 3))
    with pytest.raises(RowError, match="Text 1 is None") as caught:
        list(filler(make(rows), batch_size=batch_size))
    assert caught.value.row == 1


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
    with pytest.raises(ValueError, match="Text 1 is 5, of type int"):
        filler([TEXTS[0], 5])
    with pytest.raises(ValueError, match="on_error='skip'"):
        filler(iter(TEXTS), on_error="skip")
    with pytest.raises(ValueError, match="Text 0 has no blank"):
        filler("None here.")
    chooser = make_model(GLMForMultipleChoice, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    with pytest.raises(ValueError, match="expected a GLMForConditionalGeneration"):
        pipeline("blank-infilling", model=chooser, tokenizer=tokenizer)


def choices(*words):
    return BlankConstraint(choices=list(words))


CONSTRAINTS = {
    "one list a text": [[choices("fox")], [choices("dog")], [choices("capital")]],
    "one constraint a text": [choices("fox"), [choices("dog")], choices("capital")],
    "the same for all": [choices("fox", "dog")],
    "free ones": [[choices("fox")], None, None],
}
OF_ONE_BLANK = ["The [MASK] fox.", "Paris is [MASK].", "The number [gMASK]"]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
@pytest.mark.parametrize("constraints", CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_constraints_of_a_stream_are_those_of_a_list(filler, constraints, batch_size):
    expected = sequences(filler(OF_ONE_BLANK, constraints=constraints))
    assert sequences(filler(iter(OF_ONE_BLANK), constraints=constraints, batch_size=batch_size)) == expected


def test_an_iterator_of_constraints_has_one_for_each_text(filler):
    wanted = CONSTRAINTS["one list a text"]
    expected = sequences(filler(OF_ONE_BLANK, constraints=wanted))
    endless = itertools.chain(wanted, itertools.repeat(None))
    assert sequences(filler(iter(OF_ONE_BLANK), constraints=endless, batch_size=2)) == expected
    single = (constraint for (constraint,) in wanted)
    assert sequences(filler(OF_ONE_BLANK, constraints=single)) == expected
    # Also in a batch where every entry is a single constraint, as many as a text has blanks.
    two = ["The [MASK] is [MASK]."] * 2
    found = filler(iter(two), constraints=iter([choices("fox"), choices("dog")]))
    assert sequences(found) == ["The fox is fox.", "The dog is dog."]


def test_constraints_that_do_not_fit_a_stream(filler):
    wanted = CONSTRAINTS["one list a text"]
    with pytest.raises(ValueError, match="constraints has 2 entries, but there are more texts"):
        list(filler(iter(OF_ONE_BLANK), constraints=wanted[:2]))
    found = filler(iter(OF_ONE_BLANK), constraints=[*wanted, None])
    assert len([next(found) for _ in OF_ONE_BLANK]) == 3  # good rows are answered
    with pytest.raises(ValueError, match="constraints has 4 entries, but there are 3 texts"):
        next(found)
    with pytest.raises(ValueError, match="negative_prompt_ids has a row for each text: give the texts as a list"):
        list(filler(iter(OF_ONE_BLANK), negative_prompt_ids=torch.ones(3, 2, dtype=torch.long)))


def test_a_saved_pipeline_is_loaded_without_remote_code(model, tokenizer, tmp_path):
    saved = copy.deepcopy(model)
    filler = pipeline("blank-infilling", model=saved, tokenizer=tokenizer)
    filler.save_pretrained(tmp_path)
    assert not hasattr(saved.config, "custom_pipelines")
    loaded = pipeline("blank-infilling", model=str(tmp_path), dtype="float32")
    assert sequences(loaded(TEXTS)) == sequences(filler(TEXTS))
