"""Weights are found in folders, by trackers and by indices; errors name the files that are missing."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling_glm import (
    GLMConfig,
    GLMForConditionalGeneration,
    convert_checkpoint,
)
from tests.support.checkpoints import (
    CONFIG,
    ITERATION,
    ORIGINAL,
    SHARDED,
    assert_same,
    base_weights,
    save_module,
    save_shards,
    weights_of,
)
from tests.support.models import make_model, tiny_config


def test_the_folder_below_is_found(tmp_path):
    """A tracker names the sub-folder, such as "best", or there is only one."""
    for tracker, tag in (("latest", "best"), ("latest_checkpointed_iteration.txt", "release"), (None, "500")):
        folder = tmp_path / tag
        save_module(folder / tag / "mp_rank_00_model_states.pt", base_weights())
        if tracker:
            (folder / tracker).write_text(f"{tag}\n")
            save_module(folder / "other" / "mp_rank_00_model_states.pt", {"word_embeddings.weight": torch.zeros(1)})
        convert_checkpoint(folder, tmp_path / f"{tag}-glm", config=tiny_config())
        assert_same(weights_of(tmp_path / f"{tag}-glm"), base_weights())


def test_hub_folders(tmp_path):
    """pytorch_model.bin may be whole or in parts. A stray file of code is not copied."""
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
    """Trainer leaves such a folder."""
    save_module(tmp_path / "tuned" / "step" / "optimizer.pt", {"a": torch.zeros(1)})
    (tmp_path / "tuned" / "latest").write_text("step")
    make_model(GLMForConditionalGeneration).save_pretrained(tmp_path / "tuned")
    convert_checkpoint(tmp_path / "tuned", tmp_path / "glm")
    assert_same(weights_of(tmp_path / "glm"), dict(make_model(GLMForConditionalGeneration).glm.state_dict()))


def test_a_revision_is_for_the_hub(tmp_path):
    path = save_module(tmp_path / "a.pt", base_weights())
    with pytest.raises(ValueError, match=r"revision='v1' is for a repository on the hub, but .*a.pt is a local path"):
        convert_checkpoint(path, tmp_path / "glm", config=tiny_config(), revision="v1")


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ([0], r"holds the shards \[1, 2, 3\] of a model, but not \[0\]: get mp_rank_00_model_states.pt"),
        (
            [1, 2],
            r"holds the shards \[0, 3\] of a model, but not \[1, 2\]: get mp_rank_01_model_states.pt, mp_rank_02",
        ),
        ([3], r"word_embeddings.weight has the shape \(ROWS, WIDTH\), expected \(ALL, WIDTH\).* Are all shards"),
        ([2, 3], r"word_embeddings.weight has the shape \(ROWS, WIDTH\), expected \(ALL, WIDTH\).* Are all shards"),
    ],
)
def test_missing_shards(tmp_path, refuse, missing, message):
    (folder := tmp_path / "source").mkdir()
    original = GLMConfig.from_pretrained(CONFIG)
    rows = original.vocab_size // 4 * (4 - len(missing))
    for name, number in {"ROWS": rows, "ALL": original.vocab_size, "WIDTH": original.hidden_size}.items():
        message = message.replace(name, str(number))
    for path in (SHARDED[4] / ITERATION).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    for rank in missing:
        (folder / f"mp_rank_{rank:02d}_model_states.pt").unlink()
    refuse(folder, message, config=CONFIG)


def test_one_shard_alone(tmp_path, refuse):
    first, _ = save_shards(tmp_path / "source", base_weights())
    refuse(first, r"is one of 2 shards of a model: give the folder .*source to convert them all")


@pytest.mark.parametrize(
    ("tracker", "message"),
    [("", "names no folder beside it"), ("../elsewhere", "names no folder"), ("700", "names the folder 700, where")],
)
def test_trackers_that_lead_nowhere(tmp_path, refuse, tracker, message):
    save_shards(tmp_path / "elsewhere", base_weights())
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "latest").write_text(tracker)
    refuse(tmp_path / "source", message)


def test_several_checkpoints_in_one_folder(tmp_path, refuse):
    for name in ("100", "200"):
        save_shards(tmp_path / "source" / name, base_weights())
    refuse(tmp_path / "source", r"holds several checkpoints \(100, 200\): give the folder of one")


def write_index(folder: Path, weight_map: object) -> Path:
    folder.mkdir(exist_ok=True)
    content = weight_map if isinstance(weight_map, str) else json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(content)
    return folder


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "a/../../b", "..", "", "c:x", "..\\x", 7])
def test_an_index_that_leads_out_of_its_folder(tmp_path, refuse, name):
    save_file(base_weights(), tmp_path / "outside.safetensors")
    folder = write_index(tmp_path / "source", dict.fromkeys(base_weights(), name))
    refuse(folder, r"names the file .*, which is not in its folder: it was not opened")


def test_an_index_that_names_what_is_not_there(tmp_path, refuse):
    weights = base_weights()
    folder = write_index(tmp_path / "source", {**dict.fromkeys(weights, "a.safetensors"), "extra": "b.safetensors"})
    save_file(weights, folder / "a.safetensors")
    refuse(folder, r"names files that are not there: b.safetensors")
    write_index(folder, {**dict.fromkeys(weights, "a.safetensors"), "extra": "a.safetensors"})
    refuse(folder, r"The index says that .*a.safetensors holds extra, but it does not")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"weight_map": 3}', '{"metadata": {}}', "null"])
def test_an_index_that_is_none(tmp_path, refuse, content):
    refuse(write_index(tmp_path / "source", content), "is not an index of weights")
    refuse(write_index(tmp_path / "source", {}), "names no files")


def test_folders_without_weights(tmp_path, refuse):
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", r"holds no weights: expected mp_rank_00_model_states.pt, .*; found nothing")
    (tmp_path / "empty" / "adapter_config.json").write_text("{}")
    refuse(tmp_path / "empty", r"holds an adapter of PEFT, not a model: merge it into its base model first")
    refuse(tmp_path / "no/where/at/all", "There is no file or folder", error=FileNotFoundError)
    source = save_module(tmp_path / "a.pt", base_weights())
    refuse(source, "There is no config", error=FileNotFoundError, config=tmp_path / "none.json")


def test_shards_with_absurd_numbers(tmp_path, refuse):
    """The numbers between are not listed."""
    save_shards(folder := tmp_path / "source", base_weights())
    (folder / "mp_rank_999999999999_model_states.pt").touch()
    message = (
        r"holds the shards \[0, 1, 999999999999\] of a model, but not \[2, 3, 4, 5, 6, 7, 8, 9\], …: get mp_rank_02"
    )
    refuse(folder, message)
    (folder / "mp_rank_999999999999_model_states.pt").rename(folder / "mp_rank_1_model_states.pt")
    refuse(folder, "holds two files of one shard")


def test_a_tracker_that_is_a_huge_file(tmp_path, refuse):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "latest").write_text("x" * 10**7)
    refuse(tmp_path / "source", "latest names no folder beside it: 'xxx")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"weight_map": ' * 200 + "1" + "}" * 200])
def test_an_index_that_is_nested(tmp_path, refuse, content):
    refuse(write_index(tmp_path / "source", content), "is not an index of weights .*nested too deeply")


def test_one_tensor_by_two_names(tmp_path, refuse):
    weights = base_weights()
    wrapped = {f"glm.{name}": tensor for name, tensor in weights.items()}
    save_module(tmp_path / "a.pt", {**wrapped, "word_embeddings.weight": weights["word_embeddings.weight"]})
    refuse(tmp_path / "a.pt", r"glm.word_embeddings.weight and word_embeddings.weight are the same tensor of a GLM")
