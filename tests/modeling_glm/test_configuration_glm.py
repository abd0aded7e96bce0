"""Configuration: presets, the originals' names and folders, GLM-4, errors."""

import json
import re
import time

import pytest
import torch
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
    with pytest.raises(ValueError, match=message):
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


ABSURD = {
    "layers as text": ({"num_hidden_layers": "3"}, "num_hidden_layers='3' is of type str: expected int"),
    "layers as a float": ({"num_hidden_layers": 3.0}, "num_hidden_layers=3.0 is of type float: expected int"),
    "layers as a bool": ({"num_hidden_layers": True}, "num_hidden_layers=True is of type bool: expected int"),
    "layers as a list": ({"num_hidden_layers": [3]}, r"num_hidden_layers=\[3\] is of type list: expected int"),
    "no layers": ({"num_hidden_layers": None}, "num_hidden_layers=None is of type NoneType: expected int"),
    "layers by the originals' name": ({"num_layers": "3"}, "num_hidden_layers='3' is of type str: expected int"),
    "many layers": ({"num_hidden_layers": 10**6}, "num_hidden_layers=1000000 must be at most 4,096"),
    "many layers of the originals": ({"num_layers": 10**6}, "num_hidden_layers=1000000 must be at most 4,096"),
    "a huge number": ({"num_hidden_layers": 10**5000}, r"num_hidden_layers=1000+\.\.\.000+ must be at most|digits"),
    "zero heads": ({"num_attention_heads": 0}, "num_attention_heads=0 must be at least 1"),
    "negative heads": ({"num_attention_heads": -4}, "num_attention_heads=-4 must be at least 1"),
    "a zero width": ({"hidden_size": 0}, "hidden_size=0 must be at least 1"),
    "no inner width": ({"intermediate_size": 0}, "intermediate_size=0 must be at least 1"),
    "a vocabulary": ({"vocab_size": 10**12}, "vocab_size=1000000000000 must be at most 16,777,216"),
    "positions": ({"max_sequence_length": 10**9}, "max_position_embeddings=1000000000 must be at most"),
    "all at once": (
        {"vocab_size": 2**24, "hidden_size": 2**16, "num_hidden_layers": 1000},
        r"make a model of 5\.3e\+13 parameters, expected at most 1e\+13: vocab_size=16777216, hidden_size=65536",
    ),
    "many labels": ({"num_labels": 10**9}, "num_labels=1000000000 must be at most 262,144"),
    "labels as text": ({"num_labels": "2"}, "num_labels='2' is of type str: expected int"),
    "names of labels": ({"id2label": ["a"]}, r"id2label=\['a'\] is of type list: expected dict"),
    "numbers of labels": ({"id2label": {"one": "a"}}, "id2label has the key 'one': expected the number of a label"),
    "label2id": ({"label2id": 3}, "label2id=3 is of type int: expected dict"),
    "a dtype": ({"dtype": "save"}, "dtype='save': expected a dtype of weights"),
    "an integer dtype": ({"torch_dtype": "int8"}, "torch_dtype='int8': expected a dtype of weights"),
    "a class": ({"architectures": "GLMModel"}, "architectures='GLMModel' is of type str: expected list"),
    "classes": ({"architectures": [3]}, "architectures.* expected "),
    "a problem": ({"problem_type": "any"}, "problem_type='any'.* expected .*regression"),
    "a method": ({"save_pretrained": 1}, "save_pretrained is a part of the class GLMConfig"),
    "other names": ({"attribute_map": {"a": "b"}}, "attribute_map is a part of the class GLMConfig"),
    "another class": ({"__class__": "x"}, "__class__ is a part of the class GLMConfig"),
    "a computed value": ({"max_context_length": 5}, "max_context_length is computed from other settings"),
    "layers of their own": ({"per_layer_config": {"0": {}}}, "per_layer_config is given: expected none"),
    "quantization": ({"quantization_config": 5}, "quantization_config=5: expected a dict"),
    "attention": ({"attn_implementation": 5}, "attn_implementation=5 is of type int: expected str or dict"),
    "rotations": ({"rope_scaling": 5, "rope_theta": 1}, "settings rope_scaling, rope_theta cannot be read"),
    "kinds of layers": ({"layer_types": ["x"]}, "layer_types"),
    "dropout": ({"hidden_dropout": float("nan")}, "hidden_dropout=nan: expected a probability from 0 to 1"),
    "infinite dropout": ({"output_dropout_prob": float("inf")}, "hidden_dropout=inf: expected a probability"),
    "epsilon": ({"layer_norm_eps": -1.0}, "layer_norm_eps=-1.0: expected a finite number that is not negative"),
    "range": ({"initializer_range": float("inf")}, "initializer_range=inf: expected a finite number"),
    "weight": ({"choice_fill_weight": float("nan")}, "choice_fill_weight=nan: expected a finite number"),
    "penalty": ({"choice_length_penalty": float("inf")}, "choice_length_penalty=inf: expected a finite number"),
    "activation": ({"hidden_act": "x"}, "hidden_act='x': expected one of gelu"),
    "ids": ({"mask_token_id": "3"}, "mask_token_id='3' is of type str: expected int | None".replace("|", r"\|")),
}


@pytest.mark.parametrize("kind", ABSURD)
def test_absurd_settings(kind, tmp_path):
    """They are refused at once where a config is made, read or changed, and no model is built."""
    settings, message = ABSURD[kind]
    start = time.process_time()
    with pytest.raises(ValueError, match=message):
        GLMConfig(**settings)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("choice_loss", "Hinge", "choice_loss='Hinge': expected one of cross_entropy, hinge"),
        ("choice_fill_weight", -1.0, "choice_fill_weight=-1.0: expected a finite number that is not negative"),
        ("choice_length_penalty", float("nan"), "choice_length_penalty=nan: expected a finite number"),
        ("layer_norm_eps", -1.0, "layer_norm_eps=-1.0: expected a finite number that is not negative"),
        ("attention_dropout", 1.5, "attention_dropout=1.5: expected a probability from 0 to 1"),
        ("output_dropout_prob", 1.5, "hidden_dropout=1.5: expected a probability from 0 to 1"),
        ("hidden_act", "gelus", "hidden_act='gelus': expected one of gelu"),
        ("problem_type", "multi_label", "problem_type='multi_label': expected one of regression, single_label"),
    ],
)
def test_wrong_settings_given_with_a_checkpoint(name, value, message, tmp_path):
    """They would train another loss, and the saved config could not be read."""
    GLMConfig(hidden_size=32, num_attention_heads=4).save_pretrained(tmp_path)
    for load in (GLMConfig.from_pretrained, AutoConfig.from_pretrained):
        with pytest.raises(ValueError, match=re.escape(message)):
            load(tmp_path, **{name: value})
    config = GLMConfig.from_pretrained(tmp_path)
    before = config.to_dict()
    with pytest.raises(ValueError, match=re.escape(message)):
        setattr(config, name, value)
    assert config.to_dict() == before


def test_sizes_given_with_a_checkpoint_must_fit_together(tmp_path):
    GLMConfig(hidden_size=32, num_attention_heads=4).save_pretrained(tmp_path)
    for load in (GLMConfig.from_pretrained, AutoConfig.from_pretrained):
        with pytest.raises(ValueError, match="hidden_size=32 is not a multiple of num_attention_heads=7"):
            load(tmp_path, num_attention_heads=7)
        assert load(tmp_path, num_attention_heads=7, hidden_size=35).hidden_size == 35


@pytest.mark.parametrize("name", ["num_hidden_layers", "num_layers", "vocab_size", "num_labels", "intermediate_size"])
def test_absurd_settings_of_a_config_that_exists(name):
    config = GLMConfig()
    for value, message in (
        (10**12, "must be at most"),
        (0, "must be at least 1"),
        ("3", "is of type str: expected int"),
    ):
        with pytest.raises(ValueError, match=message):
            setattr(config, name, value)
        with pytest.raises(ValueError, match=message):
            GLMConfig.from_dict({}, **{name: value})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested"),
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, "nested"),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", "nested too deeply: expected at most 100 levels"),
        ("[1]", "JSON dict"),
        ("7", "JSON dict"),
        ("null", "JSON dict"),
        ('{"num_labels": 1e9}', "num_labels=1000000000.0 is of type float"),
        (f'{{"num_hidden_layers": {"9" * 5000}}}', "digits|must be at most"),
        ('{"architectures": "ChatGLM"}', "architectures='ChatGLM' is of type str: expected list"),
    ],
    ids=lambda content: content[:12],
)
def test_hostile_files(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises((ValueError, OSError), match=message):
        GLMConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("file_name", ["tokenizer_config.json", "vocab.json", "added_tokens.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "json is nested too deeply: expected at most 100 levels"),
        (b'{"a": ' * 200 + b"1" + b"}" * 200, "json is nested too deeply: expected at most 100 levels"),
        (b"[1]", "json holds a list: expected a JSON dict"),
        (b"{", "json is not JSON: Expecting"),
        (b"\xff\xfe", "json is not JSON: 'utf-8' codec"),
    ],
)
def test_hostile_files_beside_an_original_config(tmp_path, file_name, content, message):
    (tmp_path / "config.json").write_text('{"model_type": "glm", "num_layers": 2, "max_sequence_length": 16}')
    (tmp_path / file_name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        GLMConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("token", [["a"], {}, {"content": 3}, 3, True, {"content": {"a": []}}])
def test_special_tokens_of_other_types_are_left_out(tmp_path, token):
    (tmp_path / "config.json").write_text('{"model_type": "glm", "num_layers": 2, "max_sequence_length": 16}')
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": token, "cls_token": "[CLS]"}))
    (tmp_path / "vocab.json").write_text('{"[CLS]": 5}')
    config = GLMConfig.from_pretrained(tmp_path)
    assert (config.cls_token_id, config.pad_token_id) == (5, None)
