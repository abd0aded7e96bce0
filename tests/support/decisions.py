"""Decision models for tests, and their answers computed one option at a time."""

import math
from pathlib import Path

import pytest
import torch

from modeling_glm import GLMForDecision, GLMTokenizer
from modeling_glm.tokenization.blanks import answer_forms
from tests.support.models import make_text_model
from tests.support.naive_scoring import naive_log_probs

CHOICE = {
    "type": "choice",
    "instructions": "The fox is",
    "criteria": {"quick": None, "the lazy dog": None, "a cat": None},
}
NOUL = {"type": "noul", "instructions": "Is it Rome?"}
SCORE = {"type": "score", "instructions": "How lazy?", "criteria": ["not lazy", "over 404", "the capital of Italy"]}
STATE = "The dog of Paris jumps over the year 1987."


def make_decider(tokenizer: GLMTokenizer, **settings) -> GLMForDecision:
    """Make a small decision model with random weights that count as trained."""
    model = make_text_model(tokenizer)
    decider = GLMForDecision(model.config).eval()
    decider.load_state_dict(model.state_dict())
    for name, value in settings.items():
        setattr(decider.decision_config, name, value)
    return decider


@pytest.fixture(scope="module")
def decider(tokenizer) -> GLMForDecision:
    return make_decider(tokenizer)


@pytest.fixture(scope="module")
def decider_folder(decider, tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("decider")
    decider.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def ask(state, **questions) -> dict:
    return {"state": state, "questions": questions}


@torch.no_grad()
def naive_option_scores(model, tokenizer, text: str, blank: int, options: list[str], end: bool = False) -> list[float]:
    """Score every form of every option alone behind a text with blanks, one token at a time."""
    context = tokenizer(text)["input_ids"]
    scores = []
    for option in options:
        forms = [list(form) + [tokenizer.eop_token_id] * end for form in answer_forms(tokenizer, option)]
        found = [sum(naive_log_probs(model, context, [blank], [form])[0][:-1]) for form in forms]
        scores.append(torch.tensor(found, dtype=torch.float64).logsumexp(0).item())
    return scores


def softmax(scores: list[float]) -> list[float]:
    highest = max(scores)
    shares = [math.exp(score - highest) for score in scores]
    return [share / math.fsum(shares) for share in shares]


def shares_of(answer: dict) -> list[float]:
    """Read the probabilities of an answer, in the order of the options."""
    return [answer["noul"], 1 - answer["noul"]] if answer["type"] == "noul" else list(answer["probabilities"].values())
