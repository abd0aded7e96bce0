"""Many requests at once: the answers of each alone, in any form of rows."""

import json

import pandas as pd
import pytest

from modeling_glm import GLMDecisionConfig
from modeling_glm.decision.answers import decide
from modeling_glm.utils.rows import RowError
from tests.support.decisions import CHOICE, NOUL, SCORE, STATE, ask, shares_of
from tests.support.models import make_text_model

REQUESTS = [ask(STATE, kind=CHOICE), ask("Rome.", where=NOUL, level=SCORE), ask("The fox is quick. " * 3, kind=CHOICE)]


@pytest.fixture(scope="module")
def alone(decider, tokenizer) -> list[dict]:
    return [decide(decider, tokenizer, request) for request in REQUESTS]


def check(found: list[dict], expected: list[dict]):
    assert [list(answers) for answers in found] == [list(answers) for answers in expected]
    for answers, of_request in zip(found, expected, strict=True):
        for name, answer in answers.items():
            assert shares_of(answer) == pytest.approx(shares_of(of_request[name]), abs=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_batches_give_the_answers_of_each_alone(decider, tokenizer, alone, batch_size):
    found = decide(decider, tokenizer, REQUESTS, batch_size=batch_size)
    check(found, alone)
    check(decide(decider, tokenizer, map(json.dumps, REQUESTS), batch_size=batch_size), alone)
    check(decide(decider, tokenizer, pd.DataFrame(REQUESTS), batch_size=batch_size), alone)
    assert decide(decider, tokenizer, []) == []


def test_the_same_questions_about_many_states(decider, tokenizer):
    states = ["Rome.", {"city": "Paris"}, STATE]
    found = decide(decider, tokenizer, states, questions={"where": NOUL})
    check(found, decide(decider, tokenizer, [ask(state, where=NOUL) for state in states]))
    check([decide(decider, tokenizer, "Rome.", questions={"where": NOUL})], found[:1])


def test_a_bad_request_is_named_by_its_number(decider, tokenizer, alone):
    bad = ask("A.", kind={"type": "choice"})
    with pytest.raises(RowError, match="Request 1: Question 'kind'"):
        decide(decider, tokenizer, [REQUESTS[0], bad])
    found = decide(decider, tokenizer, [REQUESTS[0], bad, REQUESTS[1]], on_error="record")
    assert isinstance(found[1], RowError)
    check([found[0], found[2]], alone[:2])


def test_it_leaves_the_mode_of_the_model_alone(decider, tokenizer, alone):
    decider.train()
    check(decide(decider, tokenizer, REQUESTS), alone)
    assert decider.training
    decider.eval()


def test_another_config_can_be_given(decider, tokenizer):
    config = GLMDecisionConfig(temperature={"noul": 1e9})
    answers = decide(decider, tokenizer, ask("Rome.", where=NOUL), decision_config=config)
    assert answers["where"]["noul"] == pytest.approx(0.5, abs=1e-6)


def test_another_model_is_refused(tokenizer):
    with pytest.raises(ValueError, match="The model is a GLMForConditionalGeneration: expected a GLMForDecision"):
        decide(make_text_model(tokenizer), tokenizer, REQUESTS)
