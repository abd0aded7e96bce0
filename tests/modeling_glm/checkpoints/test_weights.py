"""The files of a checkpoint as one model: names without wrappers, tensors of several files, copies of old files."""

import pytest
import torch
from safetensors.torch import save_file

from modeling_glm import GLMForSequenceClassification
from modeling_glm.checkpoints.files import CheckpointError
from modeling_glm.checkpoints.source import Source, find_source
from modeling_glm.checkpoints.weights import open_weights
from tests.support.checkpoints import assert_same, base_weights, save_module, save_shards
from tests.support.models import make_model


def read_all(weights) -> dict[str, torch.Tensor]:
    return {name: weights.read(name) for name in weights.tensors}


@pytest.mark.parametrize("prefix", ["", "module.", "glm.", "base_model.model.glm."])
def test_wrappers_leave_the_names(tmp_path, prefix):
    expected = base_weights()
    path = save_module(tmp_path / "a.pt", {prefix + name: tensor for name, tensor in expected.items()}, iteration=3)
    weights = open_weights(find_source(path))
    assert_same(read_all(weights), expected)
    assert weights.tensors["word_embeddings.weight"].is_meta
    assert weights.extras == {"iteration": 3}


def test_a_head_keeps_its_name_beside_a_wrapped_base_model(tmp_path):
    state = make_model(GLMForSequenceClassification).state_dict()
    path = save_module(tmp_path / "a.pt", {f"module.{name}": tensor for name, tensor in state.items()})
    names = open_weights(find_source(path)).tensors.keys()
    assert names == {name.removeprefix("glm.") for name in state}
    assert "classifier.dense.weight" in names


def test_shards_are_read_in_blocks_of_rows(tmp_path):
    expected = base_weights()
    paths = save_shards(tmp_path / "shards", expected)
    weights = open_weights(Source(files=tuple(paths), is_split=True, folders=()))
    assert_same(read_all(weights), expected)
    name = "transformer.layers.0.attention.query_key_value.weight"
    assert [len(block) for block in weights.stream(name)] == [16] * 6  # three parts of two shards


def test_an_index_says_which_file_holds_a_tensor(tmp_path):
    expected = base_weights()
    parts = {"a.safetensors": list(expected)[::2], "b.safetensors": list(expected)[1::2]}
    for file_name, names in parts.items():
        save_file({name: expected[name] for name in names}, tmp_path / file_name)
    weight_map = {name: tmp_path / file_name for file_name, names in parts.items() for name in names}
    files = tuple(sorted(set(weight_map.values())))
    assert_same(read_all(open_weights(Source(files=files, weight_map=weight_map, folders=()))), expected)
    wrong = {**weight_map, "extra": files[0]}
    with pytest.raises(CheckpointError, match=r"a.safetensors holds extra, but it does not"):
        open_weights(Source(files=files, weight_map=wrong, folders=()))


def test_files_of_old_versions_are_read_in_place(tmp_path):
    expected = base_weights()
    torch.save({"module": expected, "iteration": 7}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    weights = open_weights(find_source(tmp_path / "a.pt"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
    assert_same(read_all(weights), expected)
    assert weights.extras == {"iteration": 7}
