"""Where the weights are: in files of several kinds and ages, wrapped in other things, in folders; and what is refused."""

import argparse
import json
import random
import shutil
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modeling_glm import GLMForConditionalGeneration, convert_checkpoint
from modeling_glm.checkpoints.shards import split_tensor
from tests.support.checkpoints import ORIGINAL, assert_same, base_weights, save_module, weights_of
from tests.support.models import make_model, tiny_config


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.module.", "glm.", ""])
@pytest.mark.parametrize("nested", [["module"], ["model"], ["state_dict"], [], ["outer", "model_state_dict"]])
def test_the_module_is_found(tmp_path, prefix, nested):
    """Beside optimizer states, and however it is wrapped."""
    weights = base_weights()
    content = {prefix + name: tensor for name, tensor in weights.items()}
    for key in reversed(nested):
        content = {
            "optimizer": {"state": {0: torch.zeros(3)}, "param_groups": []},
            key: content,
            "rng": torch.zeros(5),
        }
    torch.save(content, tmp_path / "a.pt")
    convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config())
    assert_same(weights_of(tmp_path / "glm"), weights)


@pytest.mark.parametrize("number", [1, 2])
def test_files_of_old_versions_of_torch(tmp_path, number):
    """Before torch 1.6 they were no archives."""
    for rank in range(number):
        module = {name: split_tensor(name, tensor, number)[rank] for name, tensor in base_weights().items()}
        path = tmp_path / "old" / f"mp_rank_{rank:02d}_model_states.pt"
        path.parent.mkdir(exist_ok=True)
        torch.save({"module": module, "iteration": 7}, path, _use_new_zipfile_serialization=False)
        assert not zipfile.is_zipfile(path)
    convert_checkpoint(tmp_path / "old", tmp_path / "glm", config=tiny_config())
    assert_same(weights_of(tmp_path / "glm"), base_weights())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["glm", "old"]


def test_states_of_random_numbers_and_settings_are_ignored(tmp_path):
    """The golden files hold a state of NumPy; others an argparse.Namespace or DeepSpeed's loss scaler as well."""

    extras = {
        "args": argparse.Namespace(lr=0.1, extra=[1, 2]),
        "np_rng_state": np.random.default_rng(0).bit_generator.state,
        "np_random": np.random.get_state(),
        "scale": np.float64(3.5),
        "random": random.getstate(),
    }
    save_module(tmp_path / "a.pt", weights := base_weights(), **extras)
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(tmp_path / "a.pt", weights_only=True)
    convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config())
    assert_same(weights_of(tmp_path / "glm"), weights)


def test_the_folder_below_is_found(tmp_path):
    """By the tracker's tag, such as "best", or because there is only one."""
    for tracker, tag in (("latest", "best"), ("latest_checkpointed_iteration.txt", "release"), (None, "500")):
        folder = tmp_path / tag
        save_module(folder / tag / "mp_rank_00_model_states.pt", base_weights())
        if tracker:
            (folder / tracker).write_text(f"{tag}\n")
            save_module(folder / "other" / "mp_rank_00_model_states.pt", {"word_embeddings.weight": torch.zeros(1)})
        convert_checkpoint(folder, tmp_path / f"{tag}-glm", config=tiny_config())
        assert_same(weights_of(tmp_path / f"{tag}-glm"), base_weights())


def test_hub_folders(tmp_path):
    """With pytorch_model.bin, whole or in parts, and a stray file of code, which is not copied."""
    folder = shutil.copytree(ORIGINAL, tmp_path / "hub", ignore=shutil.ignore_patterns("*.safetensors", "cases.json"))
    weights = load_file(ORIGINAL / "model.safetensors")
    (folder / "modeling_glm.py").write_text("raise SystemExit('run')")
    torch.save(weights, folder / "pytorch_model.bin")
    done = convert_checkpoint(folder, tmp_path / "whole", check=True)
    assert done.has_tokenizer
    assert_same(weights_of(tmp_path / "whole"), weights)
    assert "SystemExit" not in (tmp_path / "whole" / "modeling_glm.py").read_text()

    names = list(weights)
    parts = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for name, keys in parts.items():
        torch.save({key: weights[key] for key in keys}, folder / name)
    weight_map = {key: name for name, keys in parts.items() for key in keys}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "pytorch_model.bin").unlink()
    convert_checkpoint(folder, tmp_path / "parts")
    assert_same(weights_of(tmp_path / "parts"), weights)


def test_whole_weights_beside_a_tracker_of_deepspeed(tmp_path):
    """As Trainer leaves them."""
    save_module(tmp_path / "tuned" / "step" / "optimizer.pt", {"a": torch.zeros(1)})
    (tmp_path / "tuned" / "latest").write_text("step")
    make_model(GLMForConditionalGeneration).save_pretrained(tmp_path / "tuned")
    convert_checkpoint(tmp_path / "tuned", tmp_path / "glm")
    assert_same(weights_of(tmp_path / "glm"), dict(make_model(GLMForConditionalGeneration).glm.state_dict()))


def test_a_revision_is_for_the_hub(tmp_path):
    path = save_module(tmp_path / "a.pt", base_weights())
    with pytest.raises(ValueError, match=r"revision='v1' is for a repository on the hub, but .*a.pt is here"):
        convert_checkpoint(path, tmp_path / "glm", config=tiny_config(), revision="v1")
