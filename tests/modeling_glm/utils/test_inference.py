"""Use a model without changing it."""

import pytest
import torch
from peft import LoraConfig, get_peft_model

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.utils.inference import answer_blanks, evaluation_mode, is_a, unwrap
from modeling_glm.utils.rows import RowError
from tests.support.containers import CONTAINERS
from tests.support.models import make_model

TEXTS = [
    "A [MASK].",
    "The [MASK] is a much longer text than the others, with [MASK] blanks.",
    "Two [MASK] and [MASK].",
]


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)


def test_modes_come_back():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Sequential(torch.nn.Dropout())).train()
    model[1].eval()
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        assert torch.is_inference_mode_enabled()
    assert model.training
    assert model[0].training
    assert not model[1].training


def test_wrappers_of_peft_are_looked_through(model):
    wrapped = get_peft_model(make_model(GLMForConditionalGeneration), LoraConfig(target_modules=["dense"]))
    assert unwrap(model) is model
    assert type(unwrap(wrapped)) is GLMForConditionalGeneration
    assert is_a(wrapped, "GLMForConditionalGeneration")


def test_names_of_base_classes_count(model):
    assert is_a(model, "GLMForConditionalGeneration")
    assert is_a(model, "PreTrainedModel")
    assert not is_a(model, "GLMForMultipleChoice")


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_answers_are_those_of_generate(model, tokenizer, batch_size):
    model.train()
    answers = answer_blanks(model, tokenizer, TEXTS, batch_size=batch_size, max_new_tokens_per_blank=4)
    assert model.training
    model.eval()
    for text, row in zip(TEXTS, answers, strict=True):
        alone = model.generate(**tokenizer(text, return_tensors="pt"), do_sample=False, max_new_tokens_per_blank=4)
        assert row == tokenizer.decode_blanks(alone)[0]
        assert len(row) == text.count("[MASK]")


def test_any_form_of_texts(model, tokenizer):
    expected = answer_blanks(model, tokenizer, TEXTS, max_new_tokens_per_blank=2)
    for name, make in CONTAINERS.items():
        assert answer_blanks(model, tokenizer, make(TEXTS), max_new_tokens_per_blank=2) == expected, name
    with pytest.raises(RowError, match="Text 1 is None"):
        answer_blanks(model, tokenizer, [TEXTS[0], None])
