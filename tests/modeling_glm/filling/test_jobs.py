"""Settings that check themselves, constraints for every blank, and batches."""

import pytest

from modeling_glm import BlankConstraint, GLMForConditionalGeneration
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
        with pytest.raises(ValueError, match=f"max_new_tokens_per_blank={limit} must be between 1 and 46"):
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
    kinds = {number: jobs[number].is_generated(do_sample=False) for number in range(5)}
    assert kinds == {0: True, 1: True, 2: False, 3: False, 4: True}
    assert jobs[2].is_generated(do_sample=True)
    assert not jobs[3].is_generated(do_sample=True)
