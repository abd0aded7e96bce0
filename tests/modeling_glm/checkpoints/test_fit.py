"""Size and head are told from the tensors, and errors name the tensor that does not fit."""

import contextlib
import json
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from modeling_glm import (
    GLMConfig,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForSequenceClassification,
    GLMModel,
    convert_checkpoint,
)
from modeling_glm.checkpoints.files import CheckpointError
from modeling_glm.checkpoints.fit import CLASSES, _expected_shapes, check_fit, detect_config
from modeling_glm.configuration_glm import PRESETS
from tests.support.checkpoints import (
    CONFIG,
    SHARDED,
    assert_same,
    base_weights,
    save_module,
    weights_of,
)
from tests.support.models import make_model, tiny_config


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in ("glm-doc",)])
def test_published_sizes_are_told_by_their_shapes(name):

    with torch.device("meta"):
        model = GLMModel(GLMConfig.from_preset(name))
    tensors = dict(model.state_dict())
    config = detect_config(tensors)
    assert config.to_dict() == GLMConfig.from_preset(name).to_dict()
    assert check_fit(tensors, config, GLMForConditionalGeneration, False).keys() == tensors.keys()


def test_other_sizes_have_heads_of_width_64(tmp_path):
    save_module(tmp_path / "a.pt", base_weights(hidden_size=128, intermediate_size=96, num_hidden_layers=2))
    config = convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm").config
    assert (config.num_attention_heads, config.num_hidden_layers, config.intermediate_size) == (2, 2, 96)
    assert (config.max_position_embeddings, config.vocab_size, config.sop_token_id) == (48, 64, None)
    save_module(tmp_path / "b.pt", base_weights(block_position_embeddings=False, hidden_size=64))
    config = convert_checkpoint(tmp_path / "b.pt", tmp_path / "one-table").config
    assert (config.block_position_embeddings, config.max_position_embeddings) == (False, 48)
    save_module(tmp_path / "c.pt", base_weights())
    with pytest.raises(CheckpointError, match="width 32, which is not a multiple of 64: give a config"):
        convert_checkpoint(tmp_path / "c.pt", tmp_path / "not")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: w.update({"transformer.layers.1.mlp.dense_h_to_4h.weight": torch.zeros(100, 32)}),
            r"dense_h_to_4h.weight has the shape \(100, 32\), expected \(128, 32\) for 3 layers, width 32",
        ),
        (
            lambda w: w.pop("transformer.layers.2.attention.dense.bias"),
            r"no tensor transformer.layers.2.attention.dense.bias.* one of shape \(32,\)",
        ),
        (
            lambda w: w.update({"transformer.layers.3.input_layernorm.bias": torch.zeros(32)}),
            r"layers.3.input_layernorm.bias of shape \(32,\) has no place",
        ),
        (
            lambda w: w.update({"word_embeddings.weight": torch.zeros(80, 32)}),
            r"word_embeddings.weight has the shape \(80, 32\), expected \(64, 32\)",
        ),
        (
            lambda w: w.update({"word_embeddings.weight": torch.zeros(64, 32, dtype=torch.int8)}),
            r"word_embeddings.weight has the dtype (int8|I8), expected float16",
        ),
    ],
)
@pytest.mark.parametrize("form", ["pt", "safetensors"])
def test_what_does_not_fit_is_refused(tmp_path, change, message, form):
    change(weights := base_weights())
    if form == "pt":
        save_module(source := tmp_path / "a.pt", weights)
    else:
        save_file(weights, source := tmp_path / "a.safetensors")
    content = source.read_bytes()
    with pytest.raises(CheckpointError, match=message):
        convert_checkpoint(source, tmp_path / "glm", config=tiny_config())
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    assert source.read_bytes() == content


def test_a_preset_that_does_not_fit(tmp_path):
    config = GLMConfig.from_pretrained(CONFIG)
    shape = rf"\({config.vocab_size}, {config.hidden_size}\)"
    with pytest.raises(CheckpointError, match=rf"has the shape {shape}, expected \(30592, 1024\) for 24 layers"):
        convert_checkpoint(SHARDED[1], tmp_path / "glm", preset="large")
    with pytest.raises(ValueError, match=r"No preset 'huge'. There are: glm-base"):
        convert_checkpoint(SHARDED[1], tmp_path / "glm", preset="huge")
    with pytest.raises(ValueError, match=r"Both config=.*preset='large' are given"):
        convert_checkpoint(SHARDED[1], tmp_path / "glm", preset="large", config=CONFIG)


def test_embeddings_of_one_dimension(tmp_path, refuse):
    save_module(tmp_path / "a.pt", {**base_weights(), "word_embeddings.weight": torch.zeros(64)})
    refuse(tmp_path / "a.pt", r"word_embeddings.weight has the shape \(64,\), expected two dimensions", config=None)


def test_stray_heads_are_left_out(tmp_path):
    stray = {
        "prompt_spell.spell_embeddings.weight": torch.zeros(4, 32),
        "dense.weight": torch.zeros(32, 32),
        "dense.bias": torch.zeros(32),
        "out_proj.weight": torch.zeros(2, 32),
        "classifier.bias": torch.zeros(2),
    }
    folder = tmp_path / "tuned"
    make_model(GLMForConditionalGeneration).save_pretrained(folder)
    # Copies: old versions of safetensors map the file into memory, and it is written anew.
    weights = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file({**weights, **stray}, folder / "model.safetensors", {"format": "pt"})
    done = convert_checkpoint(folder, tmp_path / "glm")
    assert done.left_out == sorted(stray)
    assert done.model_class is GLMForConditionalGeneration
    assert_same(weights_of(tmp_path / "glm"), {name.removeprefix("glm."): tensor for name, tensor in weights.items()})


def other_names(model: GLMForSequenceClassification, dense: str, out_proj: str) -> dict[str, torch.Tensor]:
    """Name the tensors of a classifier as other code does."""
    names = {"glm.": "model.", "classifier.dense.": f"{dense}.", "classifier.out_proj.": f"{out_proj}."}
    return {
        theirs + name.removeprefix(ours): tensor
        for name, tensor in model.state_dict().items()
        for ours, theirs in names.items()
        if name.startswith(ours)
    }


@pytest.mark.parametrize("names", [("dense", "out_proj"), ("pool_layer", "multichoice_head")])
def test_a_classifier_keeps_its_head(tmp_path, names):
    """The hub's code and the authors' name the layers of the head differently."""
    model = make_model(GLMForSequenceClassification, num_labels=5)
    save_module(tmp_path / "a.pt", other_names(model, *names))
    done = convert_checkpoint(
        tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), head="classification", check=True
    )
    assert done.left_out == []
    assert_same(weights_of(tmp_path / "glm"), dict(model.state_dict()))
    loaded = GLMForSequenceClassification.from_pretrained(tmp_path / "glm")
    ids = torch.tensor([[2, 11, 12, 1]])
    assert loaded.config.num_labels == 5
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=1e-6, rtol=0)
    done = convert_checkpoint(tmp_path / "a.pt", tmp_path / "bare", config=tiny_config(), head="blank-infilling")
    assert done.left_out == sorted(f"{name}.{kind}" for name in names for kind in ("weight", "bias"))


@pytest.mark.parametrize("model_class", [GLMForSequenceClassification, GLMForMultipleChoice, GLMModel])
def test_fine_tuned_folders_keep_their_class(tmp_path, model_class):
    model = make_model(model_class)
    model.save_pretrained(tmp_path / "tuned")
    done = convert_checkpoint(tmp_path / "tuned", tmp_path / "glm", check=True)
    assert done.left_out == []
    assert done.model_class is (GLMForConditionalGeneration if model_class is GLMModel else model_class)
    loaded = model_class.from_pretrained(tmp_path / "glm")
    assert_same(dict(loaded.state_dict()), dict(model.state_dict()))
    assert AutoModel.from_pretrained(tmp_path / "glm").config.architectures == [done.model_class.__name__]


def test_a_head_beside_a_wrapped_model(tmp_path):
    """The wrapper stands before the names of both."""
    model = make_model(GLMForSequenceClassification)
    weights = other_names(model, "pool_layer", "multichoice_head")
    save_module(tmp_path / "a.pt", {f"module.{name}": tensor for name, tensor in weights.items()})
    convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), head="classification", check=True)
    assert_same(weights_of(tmp_path / "glm"), dict(model.state_dict()))
    with pytest.raises(ValueError, match="the authors' layout is for the model without its head"):
        convert_checkpoint(tmp_path / "glm", tmp_path / "split", shards=2)


def test_integers_are_no_weights(tmp_path):
    save_module(tmp_path / "a.pt", {**base_weights(), "transformer.position_ids": torch.arange(48)})
    assert convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config()).left_out == [
        "transformer.position_ids"
    ]


def test_a_head_that_is_not_there(tmp_path):
    save_module(tmp_path / "a.pt", base_weights())
    with pytest.raises(CheckpointError, match=r"no head for classification: there is no tensor classifier.dense.bias"):
        convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), head="classification")
    with pytest.raises(ValueError, match="head='span': expected one of blank-infilling, classification"):
        convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), head="span")


def stretch(weights, layers):
    """Name the tensors of a model as if it had more layers."""
    return {name.replace("layers.2.", f"layers.{layers - 1}."): tensor for name, tensor in weights.items()}


@pytest.mark.parametrize(
    ("layers", "settings", "message"),
    [
        (
            10**6,
            None,
            r"tensors of transformer.layers.999999, but none of transformer.layers.2: expected those of all",
        ),
        (10**30, None, r"width 32, which is not a multiple of 64|no tensor|no place"),
        (10**6, {}, r"no tensor transformer.layers.2.input_layernorm.weight"),
        (10**30, {}, r"no tensor transformer.layers.2.input_layernorm.weight"),
        (
            3,
            {"num_hidden_layers": 4096},
            r"no tensor transformer.layers.3.input_layernorm.weight: a GLM with 4096 layers",
        ),
        (3, {"num_hidden_layers": 2}, r"transformer.layers.2.* has no place in a GLM with 2 layers"),
        (3, {"vocab_size": 2**24}, r"word_embeddings.weight has the shape \(64, 32\), expected \(16777216, 32\)"),
        (
            3,
            {"max_position_embeddings": 2**24},
            r"position_embeddings.weight has the shape \(49, 32\), expected \(16777217",
        ),
        (3, {"intermediate_size": 2**20}, r"dense_h_to_4h.weight has the shape \(128, 32\), expected \(1048576, 32\)"),
        (3, {"hidden_size": 2**16, "num_hidden_layers": 10}, r"has the shape \(64, 32\), expected \(64, 65536\)"),
        (3, {"architectures": ["GLMForSequenceClassification"], "num_labels": 10_000}, None),
    ],
)
def test_absurd_numbers_are_compared_before_a_model_is_built(tmp_path, layers, settings, message):
    path = save_module(tmp_path / "a.pt", stretch(base_weights(), layers))
    start = time.process_time()
    config = None if settings is None else tiny_config(**settings)
    refused = pytest.raises(CheckpointError, match=message) if message else contextlib.nullcontext()
    with refused:
        convert_checkpoint(path, tmp_path / "glm", config=config)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_hidden_layers": 10**6}, "num_hidden_layers=1000000 must be at most 4,096"),
        ({"num_labels": 10**9}, "num_labels=1000000000 must be at most 262,144"),
        ({"vocab_size": 10**12}, "vocab_size=1000000000000 must be at most"),
        ({"num_attention_heads": 0}, "num_attention_heads=0 must be at least 1"),
        ({"num_hidden_layers": "three"}, "num_hidden_layers='three' is of type str"),
    ],
)
def test_absurd_numbers_in_a_file(tmp_path, refuse, settings, message):
    source = save_module(tmp_path / "source" / "a.pt", base_weights())
    content = {**tiny_config().to_dict(), **settings}
    (tmp_path / "source" / "config.json").write_text(json.dumps(content))
    refuse(source, rf"config.json is not the config of a model: {message}", config=None)
    refuse(source, rf"config.json is not the config of a model: {message}", config=source.parent / "config.json")


@pytest.mark.parametrize("shape", [(10**9, 0), (0, 32), (5,), (5, 31), (2**18 + 1, 32)])
def test_labels_follow_the_rows_of_the_head(tmp_path, refuse, shape):
    weights = dict(make_model(GLMForSequenceClassification).state_dict())
    weights["classifier.out_proj.weight"] = (
        torch.zeros(shape) if torch.Size(shape).numel() < 10**6 else torch.zeros(1, 1)
    )
    save_file(weights, tmp_path / "a.safetensors")
    message = r"classifier.out_proj.weight has the shape .*, expected a row of width 32 for each of at least 1"
    refuse(tmp_path / "a.safetensors", message, head="classification")


@pytest.mark.parametrize("model_class", [*CLASSES.values(), GLMModel])
@pytest.mark.parametrize("settings", [{}, {"num_hidden_layers": 1}, {"tie_word_embeddings": False, "num_labels": 5}])
def test_expected_shapes_are_those_of_the_model(model_class, settings):
    model = make_model(model_class, **settings)
    expected = {name.removeprefix("glm."): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = dict(_expected_shapes(model.config, model_class))
    if model.config.tie_word_embeddings:
        expected.pop("lm_head.weight", None)
    assert list(found.items()) == list(expected.items())


def test_a_projection_without_embeddings(tmp_path, refuse):
    weights = base_weights()
    weights["lm_head.weight"] = weights.pop("word_embeddings.weight")
    refuse(save_module(tmp_path / "a.pt", weights), "There is no tensor word_embeddings.weight")
    weights["word_embeddings.weight"] = weights["lm_head.weight"]
    for projection, message in ((torch.zeros(3, 32), r"shape \(3, 32\)"), (torch.zeros(64, 32).int(), "dtype int32")):
        save_module(tmp_path / "a.pt", {**weights, "lm_head.weight": projection})
        refuse(tmp_path / "a.pt", rf"lm_head.weight has the {message}, expected")
