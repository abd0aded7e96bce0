"""Configuration: presets, the originals' names and folders, GLM-4, errors."""

import json

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMultipleChoice,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    GlmConfig,
    GlmForCausalLM,
)

from modeling_glm import (
    GLMConfig,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForSequenceClassification,
    GLMModel,
    configuration_glm,
)
from modeling_glm.configuration_glm import PRESETS
from modeling_glm.modeling_glm import AUTO_MAP
from tests.support.checkpoints import ORIGINAL
from tests.support.golden import golden_cases
from tests.support.models import make_model, tiny_config

PARAMETERS = {
    "glm-base": 109_338_624,
    "glm-large": 334_688_256,
    "glm-doc": 334_688_256,
    "glm-410m": 410_265_600,
    "glm-515m": 514_632_960,
    "glm-roberta-large": 354_873_344,
    "glm-large-chinese": 355_659_776,
    "glm-2b": 1_920_122_880,
    "glm-10b": 9_880_682_496,
    "glm-10b-chinese": 9_879_633_920,
}
GLM4 = {
    "model_type": "glm",
    "architectures": ["GlmForCausalLM"],
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "eos_token_id": [1],
}


# The special tokens of the original folder, as the originals' tokenizer numbers them.
SPECIAL_IDS = {
    f"{name}_token_id": token_id
    for name, token_id in golden_cases(ORIGINAL.name)["special_token_ids"].items()
    if name in ("sop", "eop", "mask", "smask", "gmask", "pad", "cls", "eos")
}


def test_every_published_size_is_there():
    assert PRESETS.keys() == PARAMETERS.keys()


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_presets_have_the_published_number_of_parameters(name, parameters):
    with torch.device("meta"):
        model = GLMModel(GLMConfig.from_preset(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_presets_by_short_name_and_with_changes():
    config = GLMConfig.from_preset("10B", hidden_dropout=0.0)
    assert (config.num_hidden_layers, config.hidden_dropout) == (48, 0.0)
    with pytest.raises(ValueError, match=r"No preset 'glm-3b'.*glm-large"):
        GLMConfig.from_preset("glm-3b")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 30, "num_attention_heads": 4}, "hidden_size=30 .*num_attention_heads=4"),
        ({"num_hidden_layers": 0}, "num_hidden_layers=0"),
        ({"vocab_size": "many"}, "vocab_size"),
    ],
)
def test_errors(settings, message):
    with pytest.raises((ValueError, StrictDataclassError), match=message):
        GLMConfig(**settings)


def test_names_of_the_originals_are_accepted():
    config = GLMConfig(num_layers=3, max_sequence_length=77, output_dropout_prob=0.3, block_position_encoding=False)
    assert (config.num_hidden_layers, config.max_position_embeddings, config.hidden_dropout) == (3, 77, 0.3)
    assert config.block_position_embeddings is False
    assert config.num_layers == 3
    assert GLMConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()


@pytest.fixture
def original() -> str:
    return str(ORIGINAL)


def test_only_folders_are_read(original, monkeypatch):
    """`from_dict` opens no file, even if it knows the folder."""
    config_dict = json.loads((ORIGINAL / "config.json").read_text())
    monkeypatch.setattr(configuration_glm, "cached_file", None)
    config = GLMConfig.from_dict(config_dict, name_or_path=original)
    assert config.num_hidden_layers == config_dict["num_layers"]
    assert config.sop_token_id is None
    with pytest.raises(TypeError):
        GLMConfig.from_pretrained(original)


def test_ids_of_a_config_stay(original):
    config_dict = {"model_type": "glm", "num_layers": 3, "mask_token_id": 7, "sop_token_id": None}
    completed = GLMConfig.add_special_token_ids(config_dict, original)
    assert completed["mask_token_id"] == 7
    assert completed["sop_token_id"] == SPECIAL_IDS["sop_token_id"]
    assert config_dict["sop_token_id"] is None


def test_vocabulary_files_are_of_the_revision_of_the_config(original, monkeypatch):
    asked = []
    monkeypatch.setattr(configuration_glm, "cached_file", lambda *args, **kwargs: asked.append(kwargs))
    GLMConfig.from_pretrained(original, revision="abc", cache_dir="elsewhere")
    assert len(asked) == 4
    assert all((kwargs["revision"], kwargs["cache_dir"]) == ("abc", "elsewhere") for kwargs in asked)


def test_original_folder_is_read_with_its_token_ids(original):
    config = GLMConfig.from_pretrained(original)
    stored = json.loads((ORIGINAL / "config.json").read_text())
    assert config.hidden_size == stored["hidden_size"]
    assert config.num_hidden_layers == stored["num_layers"]
    assert config.max_position_embeddings == stored["max_sequence_length"]
    assert {name: getattr(config, name) for name in SPECIAL_IDS} == SPECIAL_IDS
    assert config.hidden_act == "gelu_pytorch_tanh"


def test_original_folder_is_saved_as_our_own(original, tmp_path):
    GLMForConditionalGeneration.from_pretrained(original).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["model_type"] == "glm_infilling"
    assert saved["auto_map"] == AUTO_MAP  # names our code, not the original's
    assert saved["sop_token_id"] == SPECIAL_IDS["sop_token_id"]


@pytest.mark.parametrize("auto_class", [AutoModel, AutoModelForSeq2SeqLM, AutoModelForMultipleChoice])
def test_original_folder_loads_through_auto_classes(auto_class, original):
    expected = {
        AutoModel: GLMModel,
        AutoModelForSeq2SeqLM: GLMForConditionalGeneration,
        AutoModelForMultipleChoice: GLMForMultipleChoice,
    }
    model, report = auto_class.from_pretrained(original, output_loading_info=True)
    assert type(model) is expected[auto_class]
    assert not report["missing_keys"]
    assert model.config.sop_token_id == SPECIAL_IDS["sop_token_id"]


def test_auto_classes_know_our_own(tmp_path):
    make_model(GLMForConditionalGeneration).save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is GLMConfig
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path)) is GLMForConditionalGeneration
    assert type(AutoModelForSequenceClassification.from_pretrained(tmp_path)) is GLMForSequenceClassification
    assert type(AutoModelForSeq2SeqLM.from_config(tiny_config())) is GLMForConditionalGeneration


def test_glm4_stays_what_it_is(tmp_path):
    """Transformers' own model of the type "glm" works as without this package."""
    GlmForCausalLM(GlmConfig(**GLM4)).save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is GlmConfig
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path)) is GlmForCausalLM
    assert type(AutoConfig.for_model("glm")) is GlmConfig
    assert type(AutoModelForCausalLM.from_config(GlmConfig(**GLM4))) is GlmForCausalLM


def test_glm4_is_refused_by_our_classes(tmp_path):
    GlmForCausalLM(GlmConfig(**GLM4)).save_pretrained(tmp_path)
    for load in (GLMConfig.from_pretrained, GLMForConditionalGeneration.from_pretrained):
        with pytest.raises(ValueError, match=r"GLM-4.*AutoModelForCausalLM"):
            load(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "chatglm", "architectures": ["ChatGLMModel"]},
        {"model_type": "chatglm", "architectures": ["ChatGLMForConditionalGeneration"], "rope_ratio": 500},
        {"model_type": "glm", "architectures": ["ChatGLMModel"]},
        {"model_type": "glm", "position_encoding_2d": True},
        {"architectures": ["ChatGLMForSequenceClassification"]},
        {"position_encoding_2d": True, "inner_hidden_size": 64},
        {"padded_vocab_size": 65024, "multi_query_attention": True},
        {"model_type": "glm_infilling", "original_rope": True},
    ],
    ids=str,
)
def test_a_chatglm_is_refused_by_its_name(tmp_path, changes):
    settings = {"num_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "max_sequence_length": 32, **changes}
    (tmp_path / "config.json").write_text(json.dumps({**settings, "vocab_size": 64}))
    for load in (GLMConfig.from_pretrained, GLMModel.from_pretrained, GLMForConditionalGeneration.from_pretrained):
        with pytest.raises(ValueError, match=r"not one of GLM \(2022\).*ChatGLM.*no tables of positions"):
            load(tmp_path)
    with pytest.raises(ValueError, match="ChatGLM"):
        GLMConfig.from_dict(settings)


@pytest.mark.parametrize("model_type", ["bert", "glm4", "glm4_moe", "gpt2"])
def test_other_model_types_are_refused(tmp_path, model_type):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type, "hidden_size": 32}))
    with pytest.raises(ValueError, match=f"model_type '{model_type}'.*a model of type '{model_type}'"):
        GLMForMultipleChoice.from_pretrained(tmp_path)


def test_initialisation_follows_the_originals():
    config = tiny_config(hidden_size=256, num_hidden_layers=8)
    block = GLMModel(config).transformer.layers[3]
    assert block.attention.query_key_value.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.attention.dense.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert block.mlp.dense_4h_to_h.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert not block.mlp.dense_h_to_4h.bias.any()


def test_vocabulary_can_grow():
    model = make_model(GLMForConditionalGeneration)
    before = model(torch.tensor([[2, 3, 11]])).logits
    model.resize_token_embeddings(80)
    after = model(torch.tensor([[2, 3, 11]])).logits
    assert after.shape[-1] == model.config.vocab_size == 80
    torch.testing.assert_close(after[..., :64], before, atol=1e-5, rtol=1e-5)
    assert model.lm_head.weight is model.glm.word_embeddings.weight
