"""int8 as a quantization method of Transformers, and what an int8 model refuses."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForSeq2SeqLM, Trainer, TrainingArguments

from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification, GLMInt8Config, GLMModel
from modeling_glm.modeling_glm import AUTO_CLASSES
from modeling_glm.precision import int8_layer, quantizer
from modeling_glm.precision.int8_layer import Int8Linear
from modeling_glm.precision.quantizer import GLMInt8Quantizer, has_adapters, is_int8
from tests.support.models import make_model, words

IDS = torch.tensor([[2, *words(6), 3, *words(5, 1)]])


def make_int8(model_class=GLMForConditionalGeneration, **overrides):
    model = make_model(model_class, **overrides)
    GLMInt8Quantizer(GLMInt8Config(), pre_quantized=False).convert(model)
    return model


def names_of(model: nn.Module, kind: type) -> set[str]:
    return {name for name, module in model.named_modules() if type(module) is kind}


@pytest.mark.parametrize("model_class", dict.fromkeys(AUTO_CLASSES.values()))
def test_layers_and_vocabulary_are_rounded_and_small_heads_are_not(model_class):
    linear = names_of(make_model(model_class), nn.Linear)
    model = make_int8(model_class)
    rounded, left = names_of(model, Int8Linear), names_of(model, nn.Linear)
    assert rounded | left == linear
    assert rounded == {name for name in linear if "transformer" in name or name == "lm_head"}
    assert is_int8(model)
    assert model.is_quantized
    assert not model.training
    assert not [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def test_loading_gives_what_converting_gives(tmp_path):
    source = make_model(GLMForConditionalGeneration)
    source.bfloat16().save_pretrained(tmp_path)
    config = GLMInt8Config()
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, quantization_config=config, device_map="cpu")
    GLMInt8Quantizer(GLMInt8Config(), pre_quantized=False).convert(source)
    assert names_of(loaded, Int8Linear) == names_of(source, Int8Linear)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded(IDS).logits, source(IDS).logits)
    assert AutoModelForSeq2SeqLM.from_pretrained(
        tmp_path, quantization_config={"quant_method": "glm_int8"}
    ).is_quantized
    assert is_int8(GLMModel.from_pretrained(tmp_path, quantization_config=config))
    assert not is_int8(GLMForConditionalGeneration.from_pretrained(tmp_path))


def test_saving_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="save the model before it becomes int8"):
        make_int8().save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_training_is_refused(tmp_path):
    model = make_int8(GLMForSequenceClassification)
    with pytest.raises(ValueError, match="quantized"):
        Trainer(model, TrainingArguments(tmp_path, use_cpu=True, report_to="none"))
    with pytest.raises(ValueError, match="cannot be trained"):
        model.train()(IDS, labels=torch.tensor([1]))
    with pytest.raises(ValueError, match="cannot be trained"):
        model.eval()(inputs_embeds=model.get_input_embeddings()(IDS).requires_grad_())


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.to(torch.bfloat16),
        lambda model: model.to("meta"),
        lambda model: model.half(),
        lambda model: model.resize_token_embeddings(80),
        lambda model: model.load_state_dict(make_model(GLMForConditionalGeneration).state_dict()),
    ],
)
def test_changes_are_refused(change):
    with pytest.raises((ValueError, RuntimeError, AttributeError), match=r"int8|quantized|Unexpected key"):
        change(make_int8())


@pytest.mark.parametrize("place", ["cuda", "cuda:1", {"": "cuda"}, {"glm": "cpu", "lm_head": 0}, "auto"])
def test_other_devices_are_refused(place):
    with pytest.raises(ValueError, match="int8 works on CPUs only"):
        GLMInt8Quantizer(GLMInt8Config(), pre_quantized=False).validate_environment(device_map=place)


def test_machines_without_int8_say_so(monkeypatch):
    monkeypatch.setattr(quantizer, "why_no_int8", lambda: "it is a toaster")
    model = make_model(GLMForConditionalGeneration)
    with pytest.raises(ValueError, match="does not work on this machine: it is a toaster"):
        GLMInt8Quantizer(GLMInt8Config(), pre_quantized=False).convert(model)
    assert not is_int8(model)


def test_adapters_are_merged_first():
    model = get_peft_model(make_model(GLMForConditionalGeneration), LoraConfig(target_modules=["query_key_value"]))
    assert has_adapters(model)
    with pytest.raises(ValueError, match="merge_and_unload"):
        GLMInt8Quantizer(GLMInt8Config(), pre_quantized=False).convert(model)
    merged = model.merge_and_unload()
    GLMInt8Quantizer(GLMInt8Config(), pre_quantized=False).convert(merged)
    assert is_int8(merged)


def test_it_works_without_dot_products_of_8_bits(monkeypatch):
    """The error is larger than with them, where this CPU has them."""
    expected = make_model(GLMForConditionalGeneration)(IDS).logits
    errors = []
    has_dot_products = int8_layer.input_levels() == 127
    for instructions in (("AVX2",), ("AVX2", "VNNI"))[: 1 + has_dot_products]:
        monkeypatch.setattr(int8_layer, "cpu_instructions", lambda found=instructions: found)
        errors.append(
            float((make_int8()(IDS).logits - expected).detach().square().mean() / expected.detach().square().mean())
        )
    assert 0 < errors[-1] <= errors[0] < 0.02
    assert not has_dot_products or errors[1] < errors[0]
