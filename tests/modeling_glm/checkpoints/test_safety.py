"""
Hostile and broken checkpoints, and disks that fill up: a clear error, the source as it was, and no half-made target.
"""

import argparse
import errno
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from modeling_glm import convert_checkpoint
from modeling_glm.checkpoints import convert as conversion
from modeling_glm.checkpoints import writer as weight_writer
from modeling_glm.checkpoints.files import CheckpointError
from modeling_glm.checkpoints.shards import split_tensor
from tests.support.checkpoints import CHECKPOINTS, CONFIG, SHARDED, assert_same, base_weights, save_module, weights_of
from tests.support.models import tiny_config


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def refuse(tmp_path):
    """Converting fails with this message, and leaves everything as it was."""

    def refuse(source, message: str, error=CheckpointError, target="glm", **options):
        before = snapshot(tmp_path)
        with pytest.raises(error, match=message):
            convert_checkpoint(source, tmp_path / target, **{"config": tiny_config(), **options})
        assert snapshot(tmp_path) == before

    return refuse


def save_shards(folder: Path, weights: dict[str, torch.Tensor], number: int = 2, **extras) -> list[Path]:
    pieces = {name: split_tensor(name, tensor, number) for name, tensor in weights.items()}
    return [
        save_module(
            folder / f"mp_rank_{rank:02d}_model_states.pt",
            {name: parts[rank].clone() for name, parts in pieces.items()},
            **extras,
        )
        for rank in range(number)
    ]


# Pickles


class Attack:
    """Pickled, it makes whoever loads it run a command."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("place", ["beside", "as the module", "in a tensor's place"])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("call", [os.system, exec, eval, subprocess.getoutput], ids=lambda call: call.__name__)
def test_a_pickle_that_would_run_code_does_not(tmp_path, refuse, place, legacy, call):
    marker = tmp_path / "marker"
    command = f"open({str(marker)!r}, 'w')" if call in (exec, eval) else f"touch {marker}"
    attack = Attack(call, command)
    content = {
        "beside": {"module": base_weights(), "rng": attack},
        "as the module": attack,
        "in a tensor's place": {"module": {**base_weights(), "word_embeddings.weight": attack}},
    }[place]
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert marker.exists()  # the attack works
    marker.unlink()
    refuse(tmp_path / "a.pt", r"holds more than tensors \(.*can run code")
    assert not marker.exists()


def test_names_that_are_ignored_are_not_called(tmp_path, monkeypatch):
    """What stands for settings is not even made: an argparse.Namespace that tells when it is."""
    made = []
    monkeypatch.setattr(argparse.Namespace, "__init__", lambda self, **kwargs: made.append(kwargs))

    class Disguised:
        def __reduce__(self):
            return argparse.Namespace, ()

    path = save_module(tmp_path / "a.pt", base_weights(), args=Disguised())
    torch.load(path, weights_only=False)
    assert made == [{}]
    convert_checkpoint(path, tmp_path / "glm", config=tiny_config())
    assert_same(weights_of(tmp_path / "glm"), base_weights())
    assert made == [{}]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol 4")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        b"\x80\x02}q\x00.",
        pickle.dumps({"word_embeddings.weight": 1}),
        b"PK\x03\x04" + b"\0" * 60,
    ],
)
def test_files_of_something_else(tmp_path, refuse, content):
    (tmp_path / "a.pt").write_bytes(content)
    refuse(tmp_path / "a.pt", r"a.pt (is no whole file of torch.save|is damaged|holds no weights of a GLM)")


@pytest.mark.parametrize("content", [{"model": {"a": torch.zeros(2)}}, [1, 2], {}, {"optimizer": {"state": {}}}])
def test_files_without_a_model(tmp_path, refuse, content):
    torch.save(content, tmp_path / "a.pt")
    refuse(tmp_path / "a.pt", "holds no weights of a GLM: no tensor in it is named word_embeddings.weight")


# Damage


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    weights = base_weights(num_hidden_layers=1)
    save_module(folder / "a.pt", weights, iteration=3)
    save_file(weights, folder / "a.safetensors", {"format": "pt"})
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def convert_damaged(folder: Path, suffix: str, content: bytes):
    """None if it was refused, otherwise the weights that came of it."""
    source = folder / f"a{suffix}"
    source.write_bytes(content)
    target = folder / "glm"
    try:
        convert_checkpoint(source, target, config=tiny_config(num_hidden_layers=1), overwrite=True)
    except CheckpointError:
        assert {path.name for path in folder.iterdir()} <= {source.name, target.name}
        return None
    return weights_of(target)


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_truncated_files(whole_files, tmp_path, suffix, data):
    content = whole_files[suffix]
    length = data.draw(st.integers(0, len(content) - 1))
    assert convert_damaged(tmp_path, suffix, content[:length]) is None


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bits_in_pickled_files(whole_files, tmp_path, data):
    """Every part has a checksum. What lies between the parts means nothing."""
    content = bytearray(whole_files[".pt"])
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found = convert_damaged(tmp_path, ".pt", bytes(content))
    if found is not None:
        assert_same(found, base_weights(num_hidden_layers=1))


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bits_in_the_header_of_safetensors(whole_files, tmp_path, data):
    """The numbers themselves have no checksum in this format."""
    content = bytearray(whole_files[".safetensors"])
    header = 8 + int.from_bytes(content[:8], "little")
    content[data.draw(st.integers(0, header - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found = convert_damaged(tmp_path, ".safetensors", bytes(content))
    if found is not None:
        assert_same(found, base_weights(num_hidden_layers=1))


def test_a_flipped_bit_in_a_weight_is_found(tmp_path, refuse):
    path = save_module(tmp_path / "a.pt", base_weights())
    with zipfile.ZipFile(path) as archive:
        part = max(archive.infolist(), key=lambda part: part.file_size)
    content = bytearray(path.read_bytes())
    content[part.header_offset + 200 + part.file_size // 2] ^= 1
    path.write_bytes(content)
    refuse(path, r"a.pt is damaged \(Bad CRC-32.*get the file anew")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_warned_of(tmp_path, value):
    weights = base_weights()
    weights["transformer.layers.1.mlp.dense_h_to_4h.bias"][3] = value
    save_module(tmp_path / "a.pt", weights)
    with pytest.warns(UserWarning, match=r"1 tensors hold a NaN or an infinity.*layers.1.mlp.dense_h_to_4h.bias"):
        done = convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), check=True)
    assert done.not_finite == ["transformer.layers.1.mlp.dense_h_to_4h.bias"]
    assert_same(weights_of(tmp_path / "glm"), weights)


def test_numbers_that_the_new_dtype_cannot_hold_are_warned_of(tmp_path):
    weights = base_weights()
    weights["transformer.final_layernorm.bias"][0] = 1e6
    save_module(tmp_path / "a.pt", weights)
    with pytest.warns(UserWarning, match=r"a NaN or an infinity.*final_layernorm.bias"):
        convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), dtype=torch.float16)


# Shards


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ([0], r"holds the shards \[1, 2, 3\] of a model, but not \[0\]: get mp_rank_00_model_states.pt"),
        (
            [1, 2],
            r"holds the shards \[0, 3\] of a model, but not \[1, 2\]: get mp_rank_01_model_states.pt, mp_rank_02",
        ),
        ([3], r"word_embeddings.weight has the shape \(240, 48\), expected \(320, 48\).* Are all shards"),
        ([2, 3], r"word_embeddings.weight has the shape \(160, 48\), expected \(320, 48\).* Are all shards"),
    ],
)
def test_missing_shards(tmp_path, refuse, missing, message):
    (folder := tmp_path / "source").mkdir()
    for path in (CHECKPOINTS / SHARDED[4] / "1000").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    for rank in missing:
        (folder / f"mp_rank_{rank:02d}_model_states.pt").unlink()
    refuse(folder, message, config=CONFIG)


def test_the_number_of_shards_that_deepspeed_wrote_down(tmp_path, refuse):
    save_shards(tmp_path / "source", base_weights(), mp_world_size=4)
    refuse(tmp_path / "source", r"is one of 4 shards, but there are 2: give the folder that has all")


def test_one_shard_alone(tmp_path, refuse):
    first, _ = save_shards(tmp_path / "source", base_weights())
    refuse(first, r"is one of 2 shards of a model: give the folder .*source to convert them all")


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


# Indices and folders


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
    refuse(folder, r"The index says that .*a.safetensors holds extra, which it does not")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"weight_map": 3}', '{"metadata": {}}', "null"])
def test_an_index_that_is_none(tmp_path, refuse, content):
    refuse(write_index(tmp_path / "source", content), "is no index of weights")
    refuse(write_index(tmp_path / "source", {}), "names no files")


@pytest.mark.parametrize("content", ["[1]", "7", "{", "null"])
def test_a_config_that_is_none(tmp_path, refuse, content):
    source = save_module(tmp_path / "a.pt", base_weights())
    (tmp_path / "config.json").write_text(content)
    refuse(source, r"config.json is no config of a model", config=tmp_path / "config.json")


def test_a_tokenizer_that_is_damaged(tmp_path, refuse):
    source = save_module(tmp_path / "a.pt", base_weights())
    (tmp_path / "vocabulary").mkdir()
    (tmp_path / "vocabulary" / "tokenizer.json").write_text('{"version": "1.0"')
    refuse(source, r"The vocabulary in .*vocabulary cannot be read", vocabulary=tmp_path / "vocabulary")


def test_a_dict_that_holds_itself(tmp_path, refuse):
    content: dict = {"a": torch.zeros(2)}
    content["again"] = content
    torch.save(content, tmp_path / "a.pt")
    refuse(tmp_path / "a.pt", "holds no weights of a GLM")


def test_embeddings_of_one_dimension(tmp_path, refuse):
    save_module(tmp_path / "a.pt", {**base_weights(), "word_embeddings.weight": torch.zeros(64)})
    refuse(tmp_path / "a.pt", r"word_embeddings.weight has the shape \(64,\), expected two dimensions", config=None)


def test_folders_without_weights(tmp_path, refuse):
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", r"holds no weights: expected mp_rank_00_model_states.pt, .*; found nothing")
    (tmp_path / "empty" / "adapter_config.json").write_text("{}")
    refuse(tmp_path / "empty", r"holds an adapter of PEFT, not a model: merge it into its base model first")
    refuse(tmp_path / "no/where/at/all", "There is no file or folder", error=FileNotFoundError)
    source = save_module(tmp_path / "a.pt", base_weights())
    refuse(source, "There is no config", error=FileNotFoundError, config=tmp_path / "none.json")


# Targets


def test_a_target_that_exists(tmp_path, refuse):
    source = save_module(tmp_path / "a.pt", base_weights())
    (tmp_path / "glm").mkdir()
    (tmp_path / "glm" / "mine").write_text("kept")
    refuse(source, "glm exists already", error=FileExistsError)
    refuse(source, "glm is not the folder of a model", error=FileExistsError, overwrite=True)
    (tmp_path / "glm" / "config.json").write_text("{}")
    convert_checkpoint(source, tmp_path / "glm", config=tiny_config(), overwrite=True)
    assert not (tmp_path / "glm" / "mine").exists()
    assert_same(weights_of(tmp_path / "glm"), base_weights())


@pytest.mark.parametrize("target", [".", "source", "source/a.pt"])
def test_a_target_that_holds_the_source(tmp_path, refuse, target):
    save_module(tmp_path / "source" / "a.pt", base_weights())
    refuse(tmp_path / "source" / "a.pt", "holds the source", error=ValueError, target=target, overwrite=True)


def test_a_target_that_holds_what_else_is_read(tmp_path, refuse):
    source = save_module(tmp_path / "a.pt", base_weights())
    tiny_config().save_pretrained(tmp_path / "other")
    again = {"error": ValueError, "target": "other", "overwrite": True}
    refuse(source, "holds the source", config=tmp_path / "other" / "config.json", **again)
    refuse(source, "holds the source", vocabulary=tmp_path / "other", **again)
    (tmp_path / "linked").symlink_to(tmp_path / "other")
    save_module(tmp_path / "other" / "b.pt", base_weights())
    refuse(tmp_path / "linked" / "b.pt", "holds the source", **again)


def test_a_target_inside_the_source(tmp_path):
    save_module(tmp_path / "source" / "a.pt", base_weights())
    convert_checkpoint(tmp_path / "source" / "a.pt", tmp_path / "source" / "glm", config=tiny_config())
    assert sorted(path.name for path in (tmp_path / "source").iterdir()) == ["a.pt", "glm"]


def test_too_little_space(tmp_path, refuse, monkeypatch):
    source = save_module(tmp_path / "a.pt", base_weights())
    usage = conversion.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(conversion.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    refuse(source, r"The target takes 0.00 GB, but only 0.00 GB are free", error=OSError)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fills_up(tmp_path, refuse, monkeypatch, code):
    """Although there seemed to be room."""

    class FullDisk:
        def __init__(self, path, mode):
            self.file = open(path, mode)  # noqa: SIM115  closed below
            self.left = 50_000

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, content):
            self.left -= len(content)
            if self.left < 0:
                raise OSError(code, os.strerror(code))
            self.file.write(content)

    source = save_module(tmp_path / "a.pt", base_weights())
    monkeypatch.setattr(weight_writer, "open", FullDisk, raising=False)
    refuse(source, f"The target was not made, because it could not be written .{os.strerror(code)}", error=OSError)


LIMITED = """
import resource, signal, sys
from modeling_glm import GLMConfig, convert_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for shards in (None, 1, 2):
    try:
        convert_checkpoint("a.pt", "glm", config=sys.argv[1], shards=shards)
    except OSError as error:
        print(error)
"""


def test_files_that_the_system_does_not_let_grow(tmp_path):
    """A real failure of the system, for both formats."""
    save_module(tmp_path / "a.pt", base_weights(vocab_size=4096))
    tiny_config(vocab_size=4096).to_json_file(tmp_path / "config.json")
    before = snapshot(tmp_path)
    command = [sys.executable, "-c", LIMITED, "config.json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout.count("The target was not made, because it could not be written") == 3
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_interruptions(tmp_path, refuse, monkeypatch, interruption):
    source = save_module(tmp_path / "a.pt", base_weights())
    count = iter(range(1000))

    def isfinite(tensor):
        if next(count) == 10:
            raise interruption("stop")
        return torch.ones_like(tensor, dtype=torch.bool)

    monkeypatch.setattr(conversion.torch, "isfinite", isfinite)
    refuse(source, "stop", error=interruption)
