"""What is chosen for a CPU, and that an int8 model answers as the fp32 model does."""

import logging

import pytest
import torch
from peft import LoraConfig, get_peft_model

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice, choose, fill_blanks, set_precision
from modeling_glm.configuration_glm import GLMConfig
from modeling_glm.precision import choosing
from modeling_glm.precision.choosing import PRECISIONS, PrecisionChoice, choose_precision, count_weights
from modeling_glm.precision.quantizer import is_int8
from tests.support.models import make_model, pad_rows, prompts, words

BASE = {"vocab_size": 30592, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
SMALL = {"vocab_size": 8192, "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4}
LARGEST = {"vocab_size": 50304, "hidden_size": 4096, "num_hidden_layers": 48, "num_attention_heads": 64}


def make_meta(shape) -> GLMForConditionalGeneration:
    with torch.device("meta"):
        return GLMForConditionalGeneration(GLMConfig(**shape))


@pytest.mark.parametrize("shape", [SMALL, BASE])
def test_weights_of_matmuls_are_counted(shape):
    linear = [module for module in make_meta(shape).modules() if isinstance(module, torch.nn.Linear)]
    assert count_weights(GLMConfig(**shape)) == sum(module.weight.numel() for module in linear)


@pytest.mark.parametrize(
    ("shape", "instructions", "int8", "expected"),
    [
        (BASE, ("AVX2", "AVX-512", "VNNI", "BF16"), True, "int8"),
        (BASE, ("VNNI", "AMX"), True, "int8"),
        (BASE, ("AVX2",), True, "int8"),
        (BASE, ("AVX2", "BF16"), False, "bf16"),
        (BASE, ("VNNI",), False, "fp32"),
        (BASE, (), True, "fp32"),
        (SMALL, ("AVX2", "VNNI", "BF16"), True, "fp32"),
        (LARGEST, ("AVX2", "VNNI", "BF16"), True, "bf16"),
        (LARGEST, ("AVX2", "VNNI"), True, "fp32"),
    ],
)
def test_cpu_and_size_decide(monkeypatch, shape, instructions, int8, expected):
    monkeypatch.setattr(choosing, "cpu_instructions", lambda: instructions)
    monkeypatch.setattr(choosing, "why_no_int8", lambda: None if int8 else "for some reason")
    choice = choose_precision(make_meta(shape))
    assert choice.name == expected
    assert choice.reason


def test_auto_sets_what_was_chosen_and_says_so(monkeypatch, caplog):
    model = make_model(GLMForConditionalGeneration)
    assert choose_precision(model).name == "fp32"
    monkeypatch.setattr(choosing, "FEWEST", 0)
    monkeypatch.setattr(choosing, "cpu_instructions", lambda: ("AVX2", "VNNI", "BF16"))
    adapted = get_peft_model(make_model(GLMForConditionalGeneration), LoraConfig(target_modules=["query_key_value"]))
    assert choose_precision(adapted.get_base_model()).name == "bf16"
    with caplog.at_level(logging.INFO):
        assert set_precision(model) is model
    assert caplog.messages == ["precision: int8, because this CPU has dot products of 8 bits (VNNI)"]
    assert is_int8(model)
    assert choose_precision(model) == PrecisionChoice("int8", "the model is int8 already")
    assert is_int8(set_precision(model))


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_types_of_weights(precision, dtype):
    model = make_model(GLMForConditionalGeneration).to(torch.bfloat16)
    assert set_precision(model, precision).dtype == dtype


def test_int8_is_set_once():
    model = set_precision(make_model(GLMForConditionalGeneration), "int8")
    head = model.lm_head
    assert set_precision(model, "int8").lm_head is head
    with pytest.raises(ValueError, match="load the model again for the precision bf16"):
        set_precision(model, "bf16")


def test_unknown_precisions():
    with pytest.raises(ValueError, match=r"precision is 'int4': expected one of auto, fp32, bf16, fp16, int8"):
        set_precision(make_model(GLMForConditionalGeneration), "int4")
    assert PRECISIONS == ("auto", "fp32", "bf16", "fp16", "int8")


def test_auto_leaves_other_devices_alone():
    model = make_meta(SMALL).half()
    assert set_precision(model).dtype == torch.float16


# Identities. Rounding makes steps: where two ways differ in the last bit of fp32, an input can be rounded to the other side.
# So they agree to a part of the loss of rounding, and not to the last bits.


@pytest.fixture(scope="module")
def plain():
    return make_model(GLMForConditionalGeneration)


@pytest.fixture(scope="module")
def rounded():
    return set_precision(make_model(GLMForConditionalGeneration), "int8")


@pytest.fixture(scope="module")
def loss_of_rounding(plain, rounded) -> float:
    ids = torch.tensor([[2, *words(6), 3, *words(5, 1), 6, *words(4, 2)]])
    with torch.no_grad():
        return float((plain(ids).logits - rounded(ids).logits).square().mean().sqrt())


def test_int8_changes_little(plain, loss_of_rounding):
    ids = torch.tensor([[2, *words(6), 3, *words(5, 1), 6, *words(4, 2)]])
    assert 0 < loss_of_rounding < 0.1 * plain(ids).logits.detach().std()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_is_alone(rounded, loss_of_rounding, side):
    rows = [[2, *words(count), 3, *words(3, count)] for count in (2, 9, 5)]
    ids = pad_rows(rows, side)
    found = rounded(ids, attention_mask=(ids != 0).long()).logits[ids != 0]
    alone = torch.cat([rounded(torch.tensor([row])).logits[0] for row in rows])
    assert float((found - alone).square().mean().sqrt()) < 0.2 * loss_of_rounding


def test_cached_is_uncached(rounded):
    inputs = pad_rows(prompts(), "left")
    given = {"attention_mask": (inputs != 0).long(), "max_new_tokens": 12}
    for search in ({}, {"num_beams": 3}):
        cached, whole = (rounded.generate(inputs, use_cache=use, **search, **given) for use in (True, False))
        assert torch.equal(cached, whole)


def test_answers_are_those_of_fp32(tokenizer):
    filled, chosen = [], []
    for precision in ("int8", "fp32"):
        model = set_precision(make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer)), precision)
        (found,) = fill_blanks(model, tokenizer, "The [MASK] runs.", max_new_tokens_per_blank=3)
        filled.append(found.log_prob)
        model = set_precision(make_model(GLMForMultipleChoice, vocab_size=len(tokenizer)), precision)
        found = choose(model, tokenizer, "The [MASK] runs.", ["fox", "dog", "lazy cat"])
        chosen.append({choice.text: choice.log_prob for choice in found})
    assert filled[0] == pytest.approx(filled[1], abs=0.3)
    assert chosen[0] == pytest.approx(chosen[1], abs=0.3)
    assert (filled[0], chosen[0]) != (filled[1], chosen[1])
