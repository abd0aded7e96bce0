"""Files of several kinds and ages are read; hostile and damaged files are refused."""

import argparse
import os
import pickle
import random
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from modeling_glm import (
    convert_checkpoint,
)
from modeling_glm.checkpoints.files import CheckpointError
from modeling_glm.checkpoints.shards import split_tensor
from tests.support.checkpoints import (
    assert_same,
    base_weights,
    save_module,
    weights_of,
)
from tests.support.models import tiny_config


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.module.", "glm.", ""])
@pytest.mark.parametrize("nested", [["module"], ["model"], ["state_dict"], [], ["outer", "model_state_dict"]])
def test_the_module_is_found(tmp_path, prefix, nested):
    """The state dict is found beside optimizer states and in nested dicts."""
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
    """Before torch 1.6 files were not archives."""
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
    """The golden files hold a state of NumPy. Others hold an argparse.Namespace or DeepSpeed's loss scaler as well."""

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


class Attack:
    """An object whose pickle runs a command when it is loaded."""

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
    """Ignored objects are not made: an argparse.Namespace records every call of its constructor."""
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
    refuse(tmp_path / "a.pt", r"a.pt (is not a whole file of torch.save|is damaged|holds no weights of a GLM)")


@pytest.mark.parametrize("content", [{"model": {"a": torch.zeros(2)}}, [1, 2], {}, {"optimizer": {"state": {}}}])
def test_files_without_a_model(tmp_path, refuse, content):
    torch.save(content, tmp_path / "a.pt")
    refuse(tmp_path / "a.pt", "holds no weights of a GLM: no tensor in it is named word_embeddings.weight")


def test_a_dict_that_holds_itself(tmp_path, refuse):
    content: dict = {"a": torch.zeros(2)}
    content["again"] = content
    torch.save(content, tmp_path / "a.pt")
    refuse(tmp_path / "a.pt", "holds no weights of a GLM")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    weights = base_weights(num_hidden_layers=1)
    save_module(folder / "a.pt", weights, iteration=3)
    save_file(weights, folder / "a.safetensors", {"format": "pt"})
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def convert_damaged(folder: Path, suffix: str, content: bytes):
    """Convert a damaged file, and return the weights; None if it was refused."""
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


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bits_in_pickled_files(whole_files, tmp_path, data):
    """Every storage has a checksum. Bytes between the parts have no meaning."""
    content = bytearray(whole_files[".pt"])
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found = convert_damaged(tmp_path, ".pt", bytes(content))
    if found is not None:
        assert_same(found, base_weights(num_hidden_layers=1))


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bits_in_the_header_of_safetensors(whole_files, tmp_path, data):
    """In this format only the header can be checked; the data has no checksum."""
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
    refuse(path, r"a.pt is damaged \(the storage \d+ does not have the checksum.*get the file again")
