"""Model-parallel shards: merging undoes splitting, and shards that do not belong together are refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm import (
    convert_checkpoint,
)
from modeling_glm.checkpoints.files import CheckpointError
from modeling_glm.checkpoints.shards import merge_tensor, split_tensor
from tests.support.checkpoints import (
    assert_same,
    base_weights,
    save_module,
    save_shards,
    weights_of,
)
from tests.support.models import tiny_config


@given(
    number=st.sampled_from([1, 2, 3, 4]),
    rows=st.integers(1, 3),
    columns=st.integers(1, 3),
    name=st.sampled_from(
        [
            "word_embeddings.weight",
            "transformer.layers.3.mlp.dense_h_to_4h.weight",
            "transformer.layers.3.mlp.dense_4h_to_h.weight",
            "transformer.layers.11.attention.query_key_value.weight",
            "transformer.layers.0.attention.dense.weight",
            "transformer.layers.0.attention.dense.bias",
            "transformer.final_layernorm.weight",
        ]
    ),
)
def test_merging_undoes_splitting(number, rows, columns, name):
    tensor = torch.arange(3 * number * rows * number * columns).view(3 * number * rows, number * columns)
    pieces = split_tensor(name, tensor, number)
    assert len(pieces) == number
    assert torch.equal(merge_tensor(name, pieces), tensor)


def test_splitting_by_hand():
    """Each shard has the queries, keys and values of the same heads."""
    rows = torch.tensor([[0], [1], [10], [11], [20], [21]])  # q0 q1 k0 k1 v0 v1
    pieces = split_tensor("transformer.layers.0.attention.query_key_value.weight", rows, 2)
    assert [piece.flatten().tolist() for piece in pieces] == [[0, 10, 20], [1, 11, 21]]
    square = torch.tensor([[0, 1], [2, 3]])
    pieces = split_tensor("transformer.layers.0.attention.dense.weight", square, 2)
    assert [piece.tolist() for piece in pieces] == [[[0], [2]], [[1], [3]]]
    pieces = split_tensor("transformer.layers.0.mlp.dense_h_to_4h.weight", square, 2)
    assert [piece.tolist() for piece in pieces] == [[[0, 1]], [[2, 3]]]


def test_what_cannot_be_split(tmp_path):
    save_module(tmp_path / "a.pt", base_weights())
    with pytest.raises(CheckpointError, match=r"word_embeddings.weight has the shape \(64, 32\).* for 3 shards"):
        convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), shards=3)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_the_number_of_shards_that_deepspeed_wrote_down(tmp_path, refuse):
    save_shards(tmp_path / "source", base_weights(), mp_world_size=4)
    refuse(tmp_path / "source", r"is one of 4 shards, but there are 2: give the folder that has all")


def test_shards_of_different_runs(tmp_path, refuse):
    _, second = save_shards(tmp_path / "source", base_weights(), iteration=5)
    module = torch.load(second, weights_only=True)["module"]
    save_module(second, module, iteration=6)
    refuse(tmp_path / "source", "has the iteration 5, .* 6: they are shards of different runs")
    save_module(second, {**module, "transformer.final_layernorm.bias": torch.zeros(32)}, iteration=5)
    refuse(tmp_path / "source", r"transformer.final_layernorm.bias differs between .*_00_.* and .*_01_")
    save_module(second, {**module, "extra": torch.zeros(1)}, iteration=5)
    refuse(tmp_path / "source", r"hold different tensors \(such as extra\)")
    save_module(second, {name: tensor.half() for name, tensor in module.items()}, iteration=5)
    refuse(tmp_path / "source", r"word_embeddings.weight has the dtypes torch.float(16|32), torch.float(16|32) in the")
    save_module(second, {**module, "word_embeddings.weight": torch.zeros(30, 32)}, iteration=5)
    refuse(tmp_path / "source", r"word_embeddings.weight has the shapes \(3[02], 32\), \(3[02], 32\) in the shards")


def test_the_same_nan_in_every_shard_is_no_difference(tmp_path):
    weights = base_weights()
    weights["transformer.final_layernorm.bias"][0] = float("nan")
    save_shards(tmp_path / "source", weights)
    with pytest.warns(UserWarning, match="NaN"):
        convert_checkpoint(tmp_path / "source", tmp_path / "glm", config=tiny_config())
    assert_same(weights_of(tmp_path / "glm"), weights)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1, 10**30, 1.5, True, "many", -float("inf")])
def test_absurd_numbers_of_a_step(tmp_path, refuse, value):
    save_module(tmp_path / "a.pt", base_weights(), iteration=value)
    refuse(tmp_path / "a.pt", r"The file has iteration=.*: expected a whole number from 0 to", shards=1)
    save_shards(tmp_path / "source", base_weights(), mp_world_size=value)
    refuse(tmp_path / "source", r"The file has mp_world_size=.*: expected a whole number from 0 to")


@pytest.mark.parametrize("value", [0, 7, 7.0, 10**6])
def test_numbers_of_a_step(tmp_path, value):
    save_module(tmp_path / "a.pt", base_weights(), iteration=value)
    convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), shards=2)
    assert (tmp_path / "glm" / "latest_checkpointed_iteration.txt").read_text() == str(int(value))


@pytest.mark.parametrize("shards", [0, -1, 1.5, "2", True, 10**12])
def test_absurd_numbers_of_shards(tmp_path, refuse, shards):
    save_module(tmp_path / "a.pt", base_weights())
    refuse(tmp_path / "a.pt", "shards=|cannot be split into", error=ValueError, shards=shards)


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, "float32", torch.float8_e4m3fn])
def test_dtypes_that_no_model_has(tmp_path, refuse, dtype):
    save_module(tmp_path / "a.pt", base_weights())
    refuse(tmp_path / "a.pt", "dtype=.*: expected one of torch.float16", error=ValueError, dtype=dtype)
