"""The manifest: what is damaged is named and skipped."""

import os
import re
from pathlib import Path

import pytest

from modeling_glm.runs.checkpoints import resume_point
from modeling_glm.runs.manifest import (
    FoundCheckpoint,
    ResumeError,
    add_checksums,
    checkpoints,
    last_good_checkpoint,
    read_manifest,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two whole checkpoints, with files in folders of their own."""
    for step in (90, 100):  # 100 is newer, though "90" is the later text
        path = tmp_path / f"checkpoint-{step}"
        (path / "shards").mkdir(parents=True)
        (path / "model.safetensors").write_bytes(bytes(range(200)))
        (path / "shards" / "__1_0.distcp").write_bytes(b"shard" * step)
        (path / "trainer_state.json").write_text("{}")
        add_checksums(path, write_manifest(path, step, samples_seen=8 * step, num_processes=2))
    return tmp_path


def flip(path: Path, position: int = 7):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "truncated": (
        lambda c: os.truncate(c / "model.safetensors", 150),
        r"model.safetensors has 150 bytes, expected 200",
    ),
    "flipped": (lambda c: flip(c / "shards/__1_0.distcp"), r"__1_0.distcp is damaged \(crc32 \w{8}, expected \w{8}\)"),
    "missing": (lambda c: (c / "shards/__1_0.distcp").unlink(), r"__1_0.distcp is missing"),
    "no manifest": (lambda c: (c / "manifest.json").unlink(), r"checkpoint-100 has no manifest.json"),
    "unreadable": (lambda c: os.truncate(c / "manifest.json", 40), r"manifest.json cannot be read \(JSONDecodeError"),
    "not a manifest": (lambda c: (c / "manifest.json").write_text("[]"), r"manifest.json cannot be read"),
    "other position": (
        lambda c: (c / "manifest.json").write_text((c / "manifest.json").read_text().replace("800", "808")),
        r"manifest.json is damaged",
    ),
}


def test_the_newest_is_found(folder):
    assert last_good_checkpoint(folder) == FoundCheckpoint(path=folder / "checkpoint-100")
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-100", "checkpoint-90"]
    manifest = read_manifest(folder / "checkpoint-100")
    assert (manifest.step, manifest.samples_seen, manifest.num_processes) == (100, 800, 2)
    assert set(manifest.files) == {"model.safetensors", "shards/__1_0.distcp", "trainer_state.json"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_skipped(folder, damage, capsys):
    do, expected = DAMAGES[damage]
    do(folder / "checkpoint-100")
    found = last_good_checkpoint(folder)
    (problem,) = found.problems
    assert found.path == folder / "checkpoint-90"
    assert re.search(expected, problem), problem
    start = resume_point(folder)
    assert (start.checkpoint, start.samples_seen) == (str(folder / "checkpoint-90"), 720)
    assert f"Skipped a checkpoint: {problem}" in capsys.readouterr().out


def test_a_run_does_not_overwrite_damaged_checkpoints(folder):
    DAMAGES["flipped"][0](folder / "checkpoint-100")
    DAMAGES["no manifest"][0](folder / "checkpoint-90")
    for function in (last_good_checkpoint, resume_point):
        with pytest.raises(ResumeError, match=r"No checkpoint in [^:]+ can be resumed") as caught:
            function(folder)
        for expected in ("__1_0.distcp is damaged", "checkpoint-90 has no manifest", "name another folder"):
            assert expected in str(caught.value)


def test_a_run_starts_where_nothing_was_finished(tmp_path):
    assert last_good_checkpoint(tmp_path / "absent") == FoundCheckpoint(path=None)
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-10" / "model.safetensors").write_bytes(b"half")
    (tmp_path / "checkpoint-best").mkdir()
    found = last_good_checkpoint(tmp_path)
    assert found.path is None
    assert found.problems == (f"{tmp_path / 'checkpoint-10'} has no manifest.json: the checkpoint is unfinished.",)
    assert (resume_point(tmp_path).checkpoint, resume_point(tmp_path).samples_seen) == (None, 0)
