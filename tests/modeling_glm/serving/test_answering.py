"""Calls that arrive together get the answers of each alone. tests/examples/test_service.py asks over HTTP."""

import asyncio
from dataclasses import asdict

import pytest

from modeling_glm import PatternVerbalizer, choose
from modeling_glm.serving.answering import AnsweringService, share_weights
from modeling_glm.serving.batching import BATCHED_REQUESTS, BATCHES
from modeling_glm.serving.settings import ServiceSettings
from tests.support.models import make_text_model

TASK = PatternVerbalizer("{text} It was [MASK].", {"good": "quick", "bad": "the lazy dog"})


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_text_model(tokenizer)


def test_calls_share_batches(model, tokenizer):
    texts, choices = ["The fox is [MASK].", "[MASK] jumps over the dog."], ["quick", "the lazy cat"]

    async def ask():
        service = AnsweringService(model, tokenizer, ServiceSettings(most_tokens=3))
        calls = [service.choose(text, choices) for text in texts]
        found = await asyncio.gather(*calls, service.choose("no blank", choices), return_exceptions=True)
        return found, service.counts

    found, counts = asyncio.run(ask())
    for text, answer in zip(texts, found, strict=False):
        expected = [asdict(choice) for choice in choose(model, tokenizer, text, choices)]
        assert [choice["text"] for choice in answer] == [choice["text"] for choice in expected]
        assert [choice["probability"] for choice in answer] == pytest.approx(
            [choice["probability"] for choice in expected], abs=1e-5
        )
    assert isinstance(found[2], ValueError)
    assert (counts[BATCHES], counts[BATCHED_REQUESTS]) == (1, 3)


def test_it_classifies_with_the_task_of_the_tokenizer(model, tokenizer):
    async def classify(carrier):
        service = AnsweringService(model, carrier)
        return service.classifies, await service.classify("The dog.")

    classifies, ranked = asyncio.run(classify(TASK.attach(tokenizer)))
    assert classifies
    assert {row["label"] for row in ranked} == {"good", "bad"}
    assert sum(row["probability"] for row in ranked) == pytest.approx(1)
    with pytest.raises(ValueError, match="has no task"):
        asyncio.run(classify(tokenizer))


def test_weights_are_shared(model):
    chooser = share_weights(model)
    shared = {parameter.data_ptr() for parameter in model.parameters()}
    assert {parameter.data_ptr() for parameter in chooser.parameters()} <= shared
    assert not chooser.training


def test_settings_that_no_request_could_use_are_refused_at_the_start(model, tokenizer):
    with pytest.raises(ValueError, match=r"most_tokens=1000.*position table"):
        AnsweringService(model, tokenizer, ServiceSettings(most_tokens=1000))
