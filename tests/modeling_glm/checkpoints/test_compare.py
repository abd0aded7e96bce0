"""Comparing a written model with its source finds differences of the base model and of the head."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification
from modeling_glm.checkpoints.compare import compare_logits
from modeling_glm.checkpoints.files import CheckpointError
from modeling_glm.checkpoints.source import find_source
from modeling_glm.checkpoints.weights import open_weights
from tests.support.checkpoints import base_weights, save_module
from tests.support.models import make_model


def compare(tmp_path, model) -> float:
    """Compare the saved model with the folder beside it."""
    weights = open_weights(find_source(tmp_path / "source"))
    names = {name: name for name in weights.tensors}
    model.config.dtype = torch.float32
    return compare_logits(weights, names, type(model), model.config, tmp_path / "target")


@pytest.mark.parametrize("model_class", [GLMForConditionalGeneration, GLMForSequenceClassification])
def test_the_same_weights_give_the_same_logits(tmp_path, model_class):
    model = make_model(model_class)
    for name in ("source", "target"):
        model.save_pretrained(tmp_path / name)
    assert compare(tmp_path, model) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("glm.transformer.layers.1.mlp.dense_h_to_4h.bias", "differ from those of the source by up to"),
        ("classifier.out_proj.bias", "classifier.out_proj.bias differs from the source"),
    ],
)
def test_changed_weights_are_found(tmp_path, name, message):
    model = make_model(GLMForSequenceClassification)
    for folder in ("source", "target"):
        model.save_pretrained(tmp_path / folder)
    path = tmp_path / "target" / "model.safetensors"
    weights = load_file(path)
    save_file({**weights, name: weights[name] + 0.5}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=message):
        compare(tmp_path, model)


def test_shards_are_compared_as_they_are_written(tmp_path):
    model = make_model(GLMForConditionalGeneration)
    model.save_pretrained(tmp_path / "source")
    save_module(tmp_path / "target" / "mp_rank_00_model_states.pt", base_weights())
    assert compare(tmp_path, model) == 0
