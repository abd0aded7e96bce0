"""Losses and answers of blanks."""

import pytest
import torch

from benchmarks.studies.ablation import measuring
from benchmarks.studies.ablation.blanks import BlankedText
from benchmarks.studies.ablation.variants import VARIANTS, build_model
from tests.support.models import randomise

TEXTS = [
    BlankedText(
        text="The quick brown [MASK] jumps over the [MASK] dog and the lazy [MASK].", answers=("fox", "lazy", "cat")
    ),
    BlankedText(text="In the year [MASK] the number 404 was not found.", answers=("1987",)),
    BlankedText(
        text="[MASK] is the capital of France, and Rome is the capital of [MASK].", answers=("Paris", "Italy")
    ),
]


@pytest.fixture(scope="module")
def models(tokenizer):
    return {
        name: randomise(build_model(VARIANTS[name], tokenizer, hidden_size=32, num_hidden_layers=2, max_length=64))
        for name in ("mixture", "causal-pieces")
    }


def naive_glm_loss(model, tokenizer, text, order):
    """Feed the pieces of a text in this order, with positions written by hand, and sum the losses of all tokens."""
    ids = tokenizer(text.text)["input_ids"]
    places = [place for place, token in enumerate(ids) if token == tokenizer.mask_token_id]
    rows = [list(range(len(ids))), [0] * len(ids)]
    labels = [-100] * len(ids)
    for blank in order:
        piece = tokenizer.encode(text.targets[blank], add_special_tokens=False)
        ids += [tokenizer.sop_token_id, *piece]
        labels += [*piece, tokenizer.eop_token_id]
        rows[0] += [places[blank]] * (len(piece) + 1)
        rows[1] += range(1, len(piece) + 2)
    logits = model(torch.tensor([ids]), position_ids=torch.tensor([rows])).logits[0]
    total = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="sum")
    return total.item(), sum(label != -100 for label in labels)


@pytest.mark.parametrize("reverse", [False, True], ids=["left to right", "right to left"])
@torch.inference_mode()
def test_losses_are_those_of_one_text_at_a_time(reverse, models, tokenizer):
    nll, tokens = measuring.blank_losses(models["mixture"], tokenizer, TEXTS, reverse=reverse)
    for text, total, count in zip(TEXTS, nll, tokens, strict=True):
        order = range(len(text.answers))
        expected = naive_glm_loss(models["mixture"], tokenizer, text, reversed(order) if reverse else order)
        assert (total, count) == (pytest.approx(expected[0], rel=1e-4), expected[1])


def test_the_order_changes_the_loss_of_several_blanks_only(models, tokenizer):
    forward, backward = (
        measuring.blank_losses(models["mixture"], tokenizer, TEXTS, reverse=reverse)[0] for reverse in (False, True)
    )
    same = [abs(one - other) < 1e-4 for one, other in zip(forward, backward, strict=True)]
    assert same == [False, True, False]


@torch.inference_mode()
def test_causal_answers_are_those_of_one_text_at_a_time(models, tokenizer):
    model = models["causal-pieces"]
    answers = measuring.answer_causally(model, tokenizer, TEXTS)
    ends = tokenizer.end_token_ids
    for text, row in zip(TEXTS, answers, strict=True):
        ids = tokenizer(text.text)["input_ids"]
        for answer in row:
            ids, piece = [*ids, tokenizer.sop_token_id], []
            while len(piece) < measuring.ANSWER_LENGTH:
                token = model(torch.tensor([[*ids, *piece]])).logits[0, -1].argmax().item()
                if token in ends:
                    break
                piece.append(token)
            assert answer == tokenizer.decode(piece).strip()
            ids += piece
        assert len(row) == len(text.answers)


@pytest.mark.parametrize("name", ["mixture", "causal-pieces"])
def test_hits_are_exact_answers(name, models, tokenizer, monkeypatch):
    given = [["fox", "brown", "cat"], ["1987"], ["paris", "Ital"]]
    monkeypatch.setattr(measuring, "answer_causally", lambda *args: given)
    monkeypatch.setattr(measuring, "answer_blanks", lambda *args, **kwargs: given)
    scores = measuring.measure_blanks(models[name], tokenizer, TEXTS)
    assert (scores.hits, scores.blanks) == ([2, 1, 0], [3, 1, 2])
    assert min(scores.nll) > 0


def test_objectives_hide_the_same_for_every_model(models, tokenizer):
    texts = tokenizer(["One ends. Two ends. Three ends.", "A single sentence of some words."])["input_ids"]
    document = [
        measuring.measure_objective(model, tokenizer, texts, VARIANTS[name], "document", max_length=64)
        for name, model in models.items()
    ]
    assert document[0].tokens == document[1].tokens
    assert document[0].nll != document[1].nll
    sentence = measuring.measure_objective(
        models["mixture"], tokenizer, texts, VARIANTS["sentence-only"], "sentence", max_length=64
    )
    # At least 15% of the tokens in whole sentences: one of the three, or the only one.
    assert sentence.tokens[0] < len(texts[0]) / 2
    assert sentence.tokens[1] > len(texts[1]) - 3
    assert sentence.hits == sentence.blanks == []
