"""The temperature of every type of question is the one that the calibration finds for its scores."""

import math
import random

import numpy as np
import pytest

from modeling_glm import GLMDecisionConfig
from modeling_glm.cloze.calibration import find_temperature
from modeling_glm.decision.answers import decide
from modeling_glm.decision.fitting import fit_temperatures
from modeling_glm.utils.rows import RowError
from tests.support.decisions import CHOICE, NOUL, SCORE, ask, make_decider, shares_of
from tests.support.models import make_text_model

WORDS = ["fox", "dog", "Paris", "Rome", "404", "lazy", "year"]


def draw_examples(decider, tokenizer, count: int) -> list[dict]:
    """Label four requests of five as the model answers, and the others at random: a temperature within the bounds fits."""
    draw = random.Random(3)
    requests = [ask(" ".join(draw.sample(WORDS, 4)), kind=CHOICE, where=NOUL, level=SCORE) for _ in range(count)]
    examples = []
    for request, found in zip(requests, decide(decider, tokenizer, requests), strict=True):
        kind, where, level = (_draw_label(draw, shares_of(answer)) for answer in found.values())
        answers = {"kind": list(CHOICE["criteria"])[kind], "where": where == 0, "level": level}
        examples.append({**request, "answers": answers})
    return examples


def _draw_label(draw: random.Random, shares: list[float]) -> int:
    return draw.randrange(len(shares)) if draw.random() < 0.2 else shares.index(max(shares))


def test_temperatures_are_those_of_the_calibration(tokenizer, tmp_path):
    """Also if a temperature is set already, which does not count."""
    decider = make_decider(tokenizer)
    examples = draw_examples(decider, tokenizer, 40)
    decider.decision_config.temperature = {"choice": 3.0}
    fitted = fit_temperatures(decider, tokenizer, examples)
    plain = decide(decider, tokenizer, examples, decision_config=GLMDecisionConfig(max_length=65))
    places = {
        "choice": ("kind", lambda answer: list(CHOICE["criteria"]).index(answer)),
        "noul": ("where", lambda answer: int(not answer)),
        "score": ("level", int),
    }
    for kind, (name, place) in places.items():
        scores = np.log([shares_of(answers[name]) for answers in plain])
        labels = np.array([place(example["answers"][name]) for example in examples])
        assert 0.02 < fitted[kind] < 99
        assert fitted[kind] == pytest.approx(find_temperature(scores, labels).value, rel=1e-3)
    assert decider.decision_config.temperature == fitted
    decider.save_pretrained(tmp_path)
    assert GLMDecisionConfig.from_pretrained(tmp_path).temperature == fitted


def test_only_types_with_answers_change_and_questions_may_differ_in_their_options(tokenizer):
    decider = make_decider(tokenizer, temperature={"noul": 2.0})
    short = {**CHOICE, "criteria": {"lazy": None, "quick": None}}
    examples = [
        {**ask(f"{word}.", kind=CHOICE if number % 2 else short, where=NOUL), "answers": {"kind": "quick"}}
        for number, word in enumerate(WORDS)
    ]
    examples += [{**ask(f"{word}!", kind=short), "answers": {"kind": "lazy"}} for word in WORDS]
    fitted = fit_temperatures(decider, tokenizer, examples)
    assert list(fitted) == ["choice"]
    assert decider.decision_config.temperature == {"noul": 2.0, **fitted}
    assert math.isfinite(fitted["choice"])


def test_another_model_is_refused(tokenizer):
    with pytest.raises(ValueError, match="GLMForDecision"):
        fit_temperatures(make_text_model(tokenizer), tokenizer, [])


def test_a_temperature_out_of_bounds_is_told(tokenizer):
    decider = make_decider(tokenizer)
    right = decide(decider, tokenizer, ask("Rome.", kind=CHOICE))["kind"]["choice"]
    with pytest.warns(UserWarning, match="Questions of the type 'choice': .*all examples are right"):
        fit_temperatures(decider, tokenizer, [{**ask("Rome.", kind=CHOICE), "answers": {"kind": right}}])


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (None, 'Example 1 has no "answers"'),
        ({}, 'Example 1 has no "answers"'),
        ({"tone": "calm"}, r"an answer to 'tone', but the questions are \['kind'\]"),
        ({"kind": "calm"}, "The answer to 'kind' is 'calm': expected one of the options"),
    ],
)
def test_wrong_answers_are_refused_in_words(tokenizer, answers, message):
    decider = make_decider(tokenizer)
    good = {**ask("Rome.", kind=CHOICE), "answers": {"kind": "quick"}}
    with pytest.raises(RowError, match=message):
        fit_temperatures(decider, tokenizer, [good, {**good, "answers": answers}])
