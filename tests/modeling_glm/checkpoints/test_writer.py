"""Weights in several files, and files that cannot be written."""

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from modeling_glm import convert_checkpoint
from modeling_glm.checkpoints import writer
from tests.support.checkpoints import (
    assert_same,
    base_weights,
    save_module,
    snapshot,
    weights_of,
)
from tests.support.kills import watch
from tests.support.models import tiny_config


def test_a_large_model_is_written_in_several_files(tmp_path):
    save_module(tmp_path / "a.pt", weights := base_weights())
    convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), max_shard_size="40KB", check=True)
    files = sorted((tmp_path / "glm").glob("*.safetensors"))
    assert len(files) == 5
    assert all(path.stat().st_size < 50_000 for path in files)
    assert_same(weights_of(tmp_path / "glm"), weights)
    # And in again, by its index, its folder or one of each.
    for source in (tmp_path / "glm", tmp_path / "glm" / "model.safetensors.index.json"):
        convert_checkpoint(source, tmp_path / "again", overwrite=True)
        assert_same(weights_of(tmp_path / "again"), weights)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fills_up(tmp_path, refuse, monkeypatch, code):
    """The disk fills up after the check of its space."""

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
    monkeypatch.setattr(writer, "open", FullDisk, raising=False)
    refuse(source, f"The target was not made, because it could not be written .{os.strerror(code)}", error=OSError)


def convert_with_a_limit(folder: Path):
    os.chdir(folder)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    for shards in (None, 1, 2):
        try:
            convert_checkpoint("a.pt", "glm", config="config.json", shards=shards)
        except OSError as error:
            print(error)


@pytest.mark.slow
def test_files_that_the_system_does_not_let_grow(tmp_path):
    """The system limits the size of files: a real failure, for both formats."""
    save_module(tmp_path / "a.pt", base_weights(vocab_size=4096))
    tiny_config(vocab_size=4096).to_json_file(tmp_path / "config.json")
    before = snapshot(tmp_path)
    ended = watch(convert_with_a_limit, tmp_path, root=tmp_path)
    assert ended.code == 0, ended.output
    assert ended.output.count("The target was not made, because it could not be written") == 3
    assert snapshot(tmp_path) == before
