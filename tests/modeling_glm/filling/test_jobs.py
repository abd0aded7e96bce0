"""Settings that check themselves, constraints for every blank, and batches."""

import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import BlankConstraint, GLMForConditionalGeneration, RowError, fill_blanks
from modeling_glm.filling import jobs as jobs_module
from modeling_glm.filling.jobs import (
    FillingSettings,
    JobBuilder,
    constraints_of_blanks,
    make_batches,
    spread_constraints,
)
from tests.support.models import make_model, tiny_config

FREE = BlankConstraint()
DIGITS = BlankConstraint(regex="[0-9]+")
FOX = BlankConstraint(choices=["fox", "dog"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_answers": 0}, "num_answers=0: expected at least 1"),
        ({"batch_size": 0}, "batch_size=0: expected at least 1"),
        ({"num_beams": 0}, "num_beams=0: expected at least 1"),
        ({"order": "random"}, "order='random': expected one of 'left-to-right', 'confident-first'"),
        ({"order": "confident-first", "num_answers": 2}, "gives one filling"),
        ({"order": "confident-first", "do_sample": True}, "gives one filling"),
        ({"order": "confident-first", "num_beams": 2}, "gives one filling"),
        ({"do_sample": True, "num_beams": 2}, "draws or beams, not both"),
        ({"do_sample": True, "temperature": -1.0}, "temperature"),
        ({"do_sample": True, "top_p": 7.0}, "top_p"),
        ({"generate_kwargs": {"max_new_tokens": 3}}, "fill_blanks sets max_new_tokens itself"),
        ({"top_k": 5}, "top_k=5 shapes draws: set do_sample=True, or ask for the best answers with num_answers"),
        ({"top_p": 0.9}, "top_p=0.9 shapes draws"),
        ({"min_p": 0.1}, "min_p=0.1 shapes draws"),
        ({"generate_kwargs": {"targets": ["a"]}}, r"constraints=BlankConstraint\(choices=\[...\]\), with num_answers"),
        ({"generate_kwargs": {"streamer": "any"}, "num_answers": 2}, "A streamer is for one answer"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        FillingSettings(**settings)


ABSURD = [True, "3", b"3", None, math.nan, [1]]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("num_answers", [*ABSURD, 0, -1, 1.5, math.inf]),
        ("num_beams", [*ABSURD, 0, -1, 1.5]),
        ("batch_size", [*ABSURD, 0, -1, 1.5]),
        ("first_number", [*ABSURD, -1, 1.5]),
        ("seed", [*ABSURD, -1, 1.5]),
        ("max_new_tokens_per_blank", [*ABSURD, -1, 1.5]),
        ("length_penalty", [*ABSURD, math.inf, -math.inf, 10**400]),
        ("temperature", [*ABSURD, 0, -1, math.inf, 1e-310, 1e308]),
        ("top_k", [*ABSURD, 0, -1, 1.5]),
        ("top_p", [*ABSURD, -0.1, 1.1, math.inf]),
        ("min_p", [*ABSURD, -0.1, 1.1, math.inf]),
        ("truncation", ["no", None, 2, math.nan]),
        ("do_sample", ["no", None, 2, math.nan]),
        ("order", [None, "random", [], 1]),
    ],
)
def test_absurd_values_are_refused_by_name(name, values):
    for value in values:
        if value is None and FillingSettings.__dataclass_fields__[name].default is None:
            continue
        with pytest.raises(ValueError, match=rf"^{name}=.*expected"):
            FillingSettings(**{name: value})


@pytest.mark.parametrize("seconds", [0, -1, math.nan, "3", True])
def test_a_limit_of_time_is_a_number_of_seconds(seconds):
    with pytest.raises(ValueError, match=r"max_time=.*: expected a number above 0"):
        FillingSettings(generate_kwargs={"max_time": seconds})


def test_numbers_of_other_libraries_become_plain_ones():
    settings = FillingSettings(num_answers=np.int64(2), length_penalty=np.float32(1), batch_size=torch.tensor(4))
    assert (settings.num_answers, settings.length_penalty, settings.batch_size) == (2, 1.0, 4)
    assert {type(settings.num_answers), type(settings.length_penalty), type(settings.batch_size)} == {int, float}


@pytest.mark.parametrize("name", ["num_answers", "num_beams"])
def test_there_are_no_more_answers_than_tokens_to_begin_them_with(name, model, tokenizer):
    assert JobBuilder(tokenizer, model.config, FillingSettings(**{name: model.config.vocab_size}))
    for value in (model.config.vocab_size + 1, 10**6):
        with pytest.raises(
            ValueError, match=rf"^{name}={value}: expected 1 to {model.config.vocab_size}, the number of"
        ):
            JobBuilder(tokenizer, model.config, FillingSettings(**{name: value}))


@pytest.mark.parametrize("penalty", [13, -13, 400, -1e308])
def test_powers_of_lengths_stay_in_float32(penalty, model, tokenizer):
    text = "The [MASK] fox and the [MASK] dog."
    settings = FillingSettings(length_penalty=penalty, max_new_tokens_per_blank=16)
    with pytest.raises(
        ValueError, match=r"length_penalty=.*: expected a number from -12.* to 12.*, because 34 tokens"
    ):
        JobBuilder(tokenizer, model.config, settings).build(0, text)
    settings = FillingSettings(length_penalty=12 * (-1) ** (penalty < 0), max_new_tokens_per_blank=16)
    assert JobBuilder(tokenizer, model.config, settings).build(0, text)


def test_settings_cannot_change():
    with pytest.raises(AttributeError):
        FillingSettings().num_answers = 2


@pytest.mark.parametrize(
    ("settings", "beams"),
    [({}, 1), ({"num_answers": 2}, 4), ({"num_answers": 3}, 6), ({"num_beams": 5}, 5), ({"do_sample": True}, 1)],
    ids=str,
)
def test_beams_follow_the_number_of_answers(settings, beams):
    assert FillingSettings(**settings).beams == beams


def test_the_longest_answer_fits_the_position_table():
    config = tiny_config(max_position_embeddings=48)
    assert FillingSettings().longest_answer(config) == 46
    assert FillingSettings(max_new_tokens_per_blank=9).longest_answer(config) == 9
    assert FillingSettings().longest_answer(tiny_config(max_position_embeddings=480)) == 64
    for limit in (0, 47):
        with pytest.raises(
            ValueError, match=f"max_new_tokens_per_blank={limit}: expected 1 to 46, the longest answer"
        ):
            FillingSettings(max_new_tokens_per_blank=limit).longest_answer(config)


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        (None, [[FREE, FREE], [FREE]]),
        (FOX, [[FOX, FOX], [FOX]]),
        ([[None, FOX], None], [[FREE, FOX], [FREE]]),
        ([[FOX, FOX], [DIGITS]], [[FOX, FOX], [DIGITS]]),
    ],
    ids=str,
)
def test_every_blank_gets_its_constraint(constraints, expected):
    of_texts = spread_constraints(constraints, 2, single=False)
    assert [constraints_of_blanks(entry, blanks) for entry, blanks in zip(of_texts, (2, 1), strict=True)] == expected


def test_one_list_is_for_every_text():
    assert spread_constraints([FOX, None], 2, single=False) == [[FOX, None]] * 2
    assert spread_constraints([FOX, None], 1, single=True) == [[FOX, None]]
    assert constraints_of_blanks([FOX, None], 2) == [FOX, FREE]


def test_constraints_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="The text has 2 blanks, but 1 constraints: give None for a free one"):
        constraints_of_blanks([FOX], 2)
    with pytest.raises(ValueError, match="constraints holds lists, but there is one text"):
        spread_constraints([[FOX], [FOX]], 1, single=True)
    with pytest.raises(ValueError, match="constraints has 2 lists, but there are 1 texts"):
        spread_constraints([[FOX], [FOX]], 1, single=False)


def prepare(tokenizer, texts, constraints):
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    builder = JobBuilder(tokenizer, model.config, FillingSettings())
    return [builder.build(number, *row) for number, row in enumerate(zip(texts, constraints, strict=True))]


def test_given_answers_become_part_of_the_text(tokenizer):
    text = "The [MASK] fox and the [MASK] dog."
    (job,) = prepare(tokenizer, [text], [[BlankConstraint(answer="quick"), FREE]])
    assert job.given == {0: "quick"}
    assert job.blanks == [1]
    assert job.context == tokenizer("The quick fox and the [MASK] dog.")["input_ids"]
    assert len(job.rules) == 1


def test_batches_need_one_search_each(tokenizer):
    texts = ["[MASK].", "The lazy dog [MASK].", "[MASK] a", "a [MASK] b", "a [MASK]"]
    constraints = [[FREE], [FREE], [FOX], [BlankConstraint(answer="x")], [FREE]]
    jobs = prepare(tokenizer, texts, constraints)
    batches = [[job.number for job in batch] for batch in make_batches(jobs, 2)]
    assert sorted(map(sorted, batches)) == [[0, 4], [1], [2], [3]]
    kinds = {number: jobs[number].is_generated(FillingSettings()) for number in range(5)}
    assert kinds == {0: True, 1: True, 2: False, 3: False, 4: True}
    for asked in (FillingSettings(do_sample=True), FillingSettings(generate_kwargs={"repetition_penalty": 1.2})):
        assert jobs[2].is_generated(asked)
        assert not jobs[3].is_generated(asked)
    assert not jobs[2].is_generated(FillingSettings(generate_kwargs={"max_time": 9, "use_cache": False}))


SPACES = ["", " ", "  ", "\t", "\n", "\u00a0", "\u3000", "\x1c "]
PIECES = ["[MASK]", "[gMASK]", "[CLS]", "<|endoftext|>", "The", "fox", "(", "12", "北京", "é", "x " * 40]
TEXT = st.lists(st.tuples(st.sampled_from(SPACES), st.sampled_from(PIECES)).map("".join), max_size=6).map("".join)
ROW = st.one_of(
    TEXT, TEXT.map(lambda text: f"{text}[MASK]"), st.sampled_from([7, None, "\ud800 [MASK]", {"a": 1, "b": 2}])
)
ASKED = st.sampled_from(
    [
        None,
        FREE,
        FOX,
        BlankConstraint(answer=" a dog"),
        BlankConstraint(answer="[MASK]"),
        BlankConstraint(answer="half \udc00"),
        [FREE, FREE],
        BlankConstraint(min_new_tokens=60, max_new_tokens=60),
    ]
)


def tell(prepare, *arguments):
    """What is known of a job, or the error in its place."""
    try:
        job = prepare(*arguments)
    except ValueError as error:
        return type(error), str(error)
    return job.number, job.text, job.given, job.blanks, job.context, [rule.constraint for rule in job.rules]


def raise_error(job):
    if isinstance(job, ValueError):
        raise job
    return job


@pytest.mark.parametrize("family", ["own", "gpt2", "bert", "chinese"])
@settings(max_examples=12)
@given(
    rows=st.lists(st.tuples(ROW, ASKED), min_size=1, max_size=7),
    truncation=st.booleans(),
    together=st.integers(1, 8),
)
def test_texts_are_prepared_together_as_one_by_one(of_family, family, rows, truncation, together):
    """The same ids, and the same errors in the same places, for any number of texts in a call of the tokenizer."""
    tokenizer = of_family(family)
    config = tiny_config(vocab_size=len(tokenizer), max_position_embeddings=32, **tokenizer.special_token_ids)
    builder = JobBuilder(tokenizer, config, FillingSettings(truncation=truncation))
    expected = [tell(builder.build, number, *row) for number, row in enumerate(rows)]
    with mock.patch.object(jobs_module, "ENCODED_TOGETHER", together):
        found = [tell(raise_error, job) for job in builder.build_all(*zip(*rows, strict=True))]
    assert found == expected


def test_the_tokenizer_is_called_once_for_many_texts(tokenizer, model, monkeypatch):
    """Texts are read as jobs are taken, and no more of them than go into one call."""
    calls, read = [], []
    encode = jobs_module.encode_text
    monkeypatch.setattr(jobs_module, "ENCODED_TOGETHER", 4)
    monkeypatch.setattr(jobs_module, "encode_text", lambda *args: calls.append(len(args[1])) or encode(*args))
    monkeypatch.setattr("modeling_glm.filling.results.encode_text", lambda *args: pytest.fail("One text alone."))
    texts = (read.append(number) or f"{number} [MASK]" for number in range(10))
    built = JobBuilder(tokenizer, model.config, FillingSettings()).build_all(texts, [None] * 10)
    assert next(built).number == 0
    assert (len(read), calls) == (4, [4])
    assert [job.number for job in built] == list(range(1, 10))
    assert calls == [4, 4, 2]


def test_an_answer_that_no_tokenizer_can_read_spoils_no_other_text(tokenizer, model):
    """The tokenizer refuses the whole call and names the place there; the caller reads the number of the row."""
    texts, bad = ["The [MASK] fox.", "The [MASK] dog.", "The [MASK] cat."], BlankConstraint(answer="\udc00")
    asked = {"constraints": [[None], [bad], [None]], "first_number": 10, "max_new_tokens_per_blank": 2}
    with pytest.raises(RowError, match="Text 11 has half of a surrogate pair"):
        fill_blanks(model, tokenizer, texts, **asked)
    first, second, third = fill_blanks(model, tokenizer, texts, **asked, on_error="record")
    assert (second.row, type(second)) == (11, RowError)
    assert [first[0].text, third[0].text] == [
        fill_blanks(model, tokenizer, text, max_new_tokens_per_blank=2)[0].text for text in (texts[0], texts[2])
    ]
