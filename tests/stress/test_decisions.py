"""Random requests of typed questions: the probabilities of one option at a time, or an error in words."""

import json
import random
from importlib.util import find_spec

import pytest
import torch

if find_spec("transformers.decision") is None:
    pytest.skip("Transformers has decision models from 5.23 on", allow_module_level=True)

from modeling_glm import GLMDecisionConfig, choose
from modeling_glm.decision.answers import decide
from tests.support.decisions import ask, shares_of, softmax
from tests.support.stress import why_unclear

WORDS = ["fox", "the", "lazy", "404", "Paris", "Rome", "of", "Italy", "dog.", "1987,", "é数", "[MASK]", "</s>"]
OPTIONS = ["quick", "the lazy dog", "a cat", "404", "of Italy", "Rome is", "not", "brown fox", "é"]
BAD = [
    lambda request: {**request, "questions": {}},
    lambda request: {"questions": request["questions"]},
    lambda request: json.dumps(request)[:-1],
    lambda request: ask(request["state"], q={"type": "essay"}),
    lambda request: ask(request["state"], q={"type": "choice", "criteria": {}}),
    lambda request: ask(request["state"], q={"type": "score", "criteria": ["dog", "dog"]}),
    lambda request: ask(request["state"], q={"type": "choice", "criteria": {"the": None, "the dog": None}}),
    lambda request: ask(request["state"], q={"type": "choice", "criteria": dict.fromkeys(map(str, range(10_000)))}),
    lambda request: ask("fox " * 100, **request["questions"]),
    lambda request: ask(None, **request["questions"]),
]


def draw_words(draw: random.Random, most: int) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(0, most)))


def draw_question(draw: random.Random) -> dict:
    kind = draw.choice(["choice", "score", "noul"])
    options = draw.sample(OPTIONS, draw.randint(1, 5))
    criteria = {"choice": dict.fromkeys(options), "score": options, "noul": None}[kind]
    return {"type": kind, "criteria": criteria, "instructions": draw_words(draw, 3) or None}


def draw_request(draw: random.Random) -> dict:
    questions = {f"q{number}": draw_question(draw) for number in range(draw.randint(1, 3))}
    return ask(draw_words(draw, 6), **questions)


def options_of(question: dict) -> list[str]:
    return ["Yes", "No"] if question["type"] == "noul" else list(question["criteria"])


@torch.no_grad()
def naive_shares(model, tokenizer, context: list[int], blank: int, options: list[str]) -> list[float]:
    """Score every form of every option in a row of its own."""
    blanks = [place for place, token_id in enumerate(context) if token_id in tokenizer.mask_token_ids]
    own, scores = list(range(len(context))), []
    for option in options:
        sums = []
        for form in tokenizer.answer_forms([option])[0]:
            ids = [*context, tokenizer.sop_token_id, *form[:-1]]
            row0 = [*own, *[blanks[blank]] * len(form)]
            row1 = [*[0] * len(context), *range(1, len(form) + 1)]
            states = model.glm(torch.tensor([ids]), position_ids=torch.tensor([[row0, row1]])).last_hidden_state
            found = model.vocabulary_logits(states[0, len(context) :]).log_softmax(-1)
            sums.append(sum(found[step, token_id].item() for step, token_id in enumerate(form)))
        scores.append(torch.tensor(sums, dtype=torch.float64).logsumexp(0).item())
    return softmax(scores)


def test_requests_get_the_probabilities_of_a_naive_loop(stress, decider, tokenizer):
    for case in stress.cases(1000, smoke=15):
        with case:
            request, together = draw_request(case.random), case.random.random() < 0.5
            config = GLMDecisionConfig(share_state=together)
            answers = decide(decider, tokenizer, request, decision_config=config)
            state = request["state"]
            asked = [
                f" {question['instructions']}" if question["instructions"] else ""
                for question in request["questions"].values()
            ]
            for number, (name, question) in enumerate(request["questions"].items()):
                before = asked if together else asked[number : number + 1]
                parts = [state + before[0], *(f".{text}" for text in before[1:]), "."]
                context, blank = tokenizer.encode_parts(parts), number if together else 0
                expected = naive_shares(decider, tokenizer, context, blank, options_of(question))
                assert shares_of(answers[name]) == pytest.approx(expected, abs=1e-5)


def test_single_questions_get_the_numbers_of_choose(stress, decider, tokenizer):
    for case in stress.cases(300, smoke=10):
        with case:
            request = draw_request(case.random)
            name, question = next(iter(request["questions"].items()))
            request = json.loads(json.dumps(ask(request["state"], **{name: question})).replace("[MASK]", "mask"))
            (text,) = GLMDecisionConfig().render(request)
            ranked = choose(decider, tokenizer, text, options_of(question))
            expected = [choice.probability for choice in sorted(ranked, key=lambda choice: choice.index)]
            assert shares_of(decide(decider, tokenizer, request)[name]) == pytest.approx(expected, abs=1e-6)


def test_bad_requests_are_refused_in_words(stress, decider, tokenizer):
    for case in stress.cases(200, smoke=10):
        with case:
            spoil = case.random.choice(BAD)
            bad = spoil(draw_request(case.random))
            with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words differ)
                decide(decider, tokenizer, [bad])
            assert not why_unclear(caught.value, "Request 0")
