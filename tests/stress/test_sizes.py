"""Absurd numbers and large inputs: every number is used or refused in words, and time grows with the size, not its square."""

import math
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from modeling_glm import (
    BlankConstraint,
    BlankInfillingPipeline,
    BlankIteratorStreamer,
    Calibration,
    ClozeClassificationPipeline,
    ClozeClassifier,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    PatternVerbalizer,
    choose,
    fill_blanks,
    score_fillings,
)
from modeling_glm.constraints.factory import Automata
from modeling_glm.constraints.rules import BlankRules
from tests.support.models import make_model
from tests.support.stress import why_unclear

TEXTS = ["The [MASK] fox.", "Paris is [MASK] of [MASK]."]
TASK = PatternVerbalizer("{text} It was [MASK].", {"good": "lazy", "bad": "quick fox"})
NOT_FINITE = [math.nan, math.inf, -math.inf, np.float32("nan"), torch.tensor(math.nan)]
NO_NUMBERS = ["3", b"3", "", [1], (2,), {3}, {"a": 1}, object, 3j, np.array([1, 2]), torch.tensor([1.0, 2.0])]
NUMBERS = [
    0,
    -1,
    1,
    2,
    3,
    True,
    False,
    0.5,
    1.5,
    -0.5,
    1e-310,
    1e-40,
    1e300,
    10**6,
    10**30,
    -(10**30),
    2**63,
    np.int8(2),
]


@pytest.fixture(scope="module")
def models(tokenizer) -> tuple[GLMForConditionalGeneration, GLMForMultipleChoice]:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64}
    return tuple(
        make_model(model_class, vocab_size=len(tokenizer), **sizes, **tokenizer.special_token_ids)
        for model_class in (GLMForConditionalGeneration, GLMForMultipleChoice)
    )


def draw_value(draw: random.Random) -> Any:
    return draw.choice(draw.choice([NOT_FINITE, NO_NUMBERS, NUMBERS, NUMBERS, NUMBERS]))


@pytest.fixture(scope="module")
def takers(models, tokenizer) -> dict[str, Callable[[str, Any], Any]]:
    """Everything that takes numbers, by the names of the arguments that it takes."""
    model, chooser = models
    filler = BlankInfillingPipeline(model=model, tokenizer=tokenizer)
    asker = ClozeClassificationPipeline(model=chooser, tokenizer=TASK.attach(tokenizer))
    filling = "num_answers num_beams batch_size first_number max_new_tokens_per_blank length_penalty truncation order max_time"
    draws = "temperature top_k top_p min_p seed num_answers batch_size"
    examples = [{"text": "a"}, {"text": "the cat"}]

    def sample(name: str, value: Any) -> Any:
        return fill_blanks(model, tokenizer, TEXTS, **{"do_sample": True, "max_new_tokens_per_blank": 3, name: value})

    def fill(name: str, value: Any) -> Any:
        return fill_blanks(model, tokenizer, TEXTS, **{"max_new_tokens_per_blank": 3, name: value})

    def constrain(name: str, value: Any) -> Any:
        asked = BlankConstraint(**{name: value})
        return fill_blanks(model, tokenizer, TEXTS, constraints=asked, max_new_tokens_per_blank=4)

    return {
        filling: fill,
        draws: sample,
        f"{filling} ": lambda name, value: filler(TEXTS, **{"max_new_tokens_per_blank": 3, name: value}),
        "min_new_tokens max_new_tokens choices forbidden_words answer": constrain,
        "batch_size truncation": lambda name, value: score_fillings(
            model, tokenizer, TEXTS[0], ["a"], **{name: value}
        ),
        "batch_size truncation ": lambda name, value: choose(
            chooser, tokenizer, TEXTS[0], ["a", "b"], **{name: value}
        ),
        "batch_size max_length truncation": lambda name, value: ClozeClassifier(
            chooser, tokenizer, TASK, **{name: value}
        ).predict(examples),
        "batch_size max_length truncation top_k temperature": lambda name, value: asker(examples, **{name: value}),
        "temperature": lambda name, value: Calibration(**{name: value}).normalize([0.0, -3.0, -math.inf]),
        "timeout": lambda name, value: BlankIteratorStreamer(tokenizer, **{name: value}),
    }


def test_numbers_are_used_or_refused_in_words(stress, takers):
    for case in stress.cases(400, smoke=20, seconds=20):
        with case:
            names = case.random.choice(sorted(takers))
            name, value = case.random.choice(names.split()), draw_value(case.random)
            try:
                found = takers[names](name, value)
            except Exception as error:
                unclear = why_unclear(error, name)
                assert not unclear, f"{name}={value!r}: {unclear}"
            else:
                assert found is not None


def draw_words(draw: random.Random, count: int) -> list[str]:
    return ["".join(draw.choices("abcdefghij", k=draw.randint(2, 7))) + f" {number}" for number in range(count)]


def fill_from_many(models, tokenizer, draw: random.Random, size: int):
    fill_blanks(models[0], tokenizer, TEXTS[0], constraints=BlankConstraint(choices=draw_words(draw, 20 * size)))


def read_many(models, tokenizer, draw: random.Random, size: int):
    words = draw_words(draw, 20 * size)
    asked = BlankConstraint(choices=words)
    rules = BlankRules(asked, Automata(tokenizer, len(tokenizer)), 60)
    for word in words:
        assert asked.accepts(word)
        assert rules.read(tokenizer, rules.choices[word][0]) == word


def choose_among_many(models, tokenizer, draw: random.Random, size: int):
    choose(models[1], tokenizer, TEXTS[0], draw_words(draw, 4 * size))


def score_many(models, tokenizer, draw: random.Random, size: int):
    score_fillings(models[0], tokenizer, TEXTS[0], draw_words(draw, 4 * size))


def classify_with_many(models, tokenizer, draw: random.Random, size: int):
    task = PatternVerbalizer("{text} is [MASK].", {word: word for word in draw_words(draw, 4 * size)})
    ClozeClassifier(models[1], tokenizer, task).predict([{"text": "a"}])


def fill_many_texts(models, tokenizer, draw: random.Random, size: int):
    texts = [f"{word} [MASK]." for word in draw_words(draw, 8 * size)]
    fill_blanks(models[0], tokenizer, texts, max_new_tokens_per_blank=2)


def fill_long_white_space(models, tokenizer, draw: random.Random, size: int):
    fill_blanks(models[0], tokenizer, f"a{' ' * (2000 * size)}b [MASK]", truncation=True, max_new_tokens_per_blank=2)


GROWING = [
    fill_from_many,
    read_many,
    choose_among_many,
    score_many,
    classify_with_many,
    fill_many_texts,
    fill_long_white_space,
]


@pytest.mark.parametrize("use", GROWING, ids=lambda use: use.__name__)
def test_time_grows_with_the_size(stress, use, models, tokenizer):
    """Eight times the size takes eight times as long, and 64 times with the square: below 24 there is no square."""
    for case in stress.cases(1, smoke=0, seconds=300):
        with case:
            times = []
            for size in (50, 400):
                draw = random.Random(case.seed)
                use(models, tokenizer, draw, 5)  # what is made once
                start = time.process_time()
                use(models, tokenizer, draw, size)
                times.append(time.process_time() - start)
            assert times[1] < 24 * times[0] + 1, f"{times[0]:.2f} s, then {times[1]:.2f} s"
