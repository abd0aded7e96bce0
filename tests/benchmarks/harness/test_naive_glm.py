"""The naive GLM gives the numbers of ours: loss, gradients and greedy answers."""

import pytest
import torch

from benchmarks.harness.naive_glm import NaiveGLM, decode, loss_everywhere
from benchmarks.harness.shapes import TINY, build_glm, find_blank, make_contexts
from benchmarks.harness.steps import make_batch
from modeling_glm import GLMForConditionalGeneration
from modeling_glm.layout_glm import compute_position_ids


def test_same_loss_and_gradients():
    settings = dict.fromkeys(("hidden_dropout", "attention_dropout", "embedding_dropout"), 0.0)
    model = build_glm(GLMForConditionalGeneration, TINY, **settings).train()
    naive = NaiveGLM(model).train()
    batch = make_batch(model.config, 2, 96)
    position_ids = compute_position_ids(batch["input_ids"], model.config)
    found = []
    for loss in (
        lambda: model(**batch).loss,
        lambda: loss_everywhere(naive, batch["input_ids"], position_ids, batch["labels"]),
    ):
        model.zero_grad()
        value = loss()
        value.backward()
        found.append((value.detach(), [parameter.grad.clone() for parameter in model.parameters()]))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("remember", [True, False])
def test_same_answers(remember):
    model = build_glm(GLMForConditionalGeneration, TINY)
    contexts = make_contexts(model.config, 3, 40)
    expected = model.generate(contexts, attention_mask=torch.ones_like(contexts), max_new_tokens=9, eos_token_id=-1)
    answers = decode(NaiveGLM(model).eval(), contexts, find_blank(model.config, contexts), 9, remember)
    assert torch.equal(answers, expected[:, -9:])
