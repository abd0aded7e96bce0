"""The manifest: what is damaged is named and skipped."""

import json
import os
import re
import zlib
from pathlib import Path

import pytest

from modeling_glm.runs import manifest as manifest_module
from modeling_glm.runs.checkpoints import resume_point
from modeling_glm.runs.manifest import (
    FoundCheckpoint,
    ResumeError,
    add_checksums,
    checkpoints,
    delete_checkpoint,
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


@pytest.fixture
def unchecked(folder) -> Path:
    """A checkpoint whose run was stopped before the checksums were known."""
    path = folder / "checkpoint-110"
    path.mkdir()
    (path / "model.safetensors").write_bytes(bytes(range(200)))
    write_manifest(path, 110, samples_seen=880, num_processes=2, logged_step=100, losses=[0.1, 2.5])
    return path


def test_a_manifest_without_checksums_is_enough(unchecked):
    before = read_manifest(unchecked)
    assert before.files == {"model.safetensors": (200, None)}
    assert (before.logged_step, before.losses, before.has_checksums) == (100, [0.1, 2.5], False)
    assert last_good_checkpoint(unchecked.parent) == FoundCheckpoint(path=unchecked)
    assert resume_point(unchecked.parent).samples_seen == 880
    after = read_manifest(unchecked)  # with the checksums, which are known from here on
    assert (after.has_checksums, after.boot, after.losses) == (True, None, [0.1, 2.5])
    flip(unchecked / "model.safetensors")
    assert last_good_checkpoint(unchecked.parent).path == unchecked.parent / "checkpoint-100"


def test_a_checkpoint_without_checksums_may_not_have_reached_the_disk(unchecked, monkeypatch):
    """After a start of the machine only checksums tell whether files have their content."""
    monkeypatch.setattr(manifest_module, "_boot", lambda: "another start")
    found = last_good_checkpoint(unchecked.parent)
    assert found.path == unchecked.parent / "checkpoint-100"
    assert found.problems == (f"{unchecked} has no checksums: the machine stopped before all files were on the disk.",)
    for step in (90, 100):
        delete_checkpoint(unchecked.parent / f"checkpoint-{step}")
    assert last_good_checkpoint(unchecked.parent).path is None  # unfinished, not damaged


def test_sizes_are_compared_without_checksums(unchecked):
    os.truncate(unchecked / "model.safetensors", 150)
    found = last_good_checkpoint(unchecked.parent)
    assert found.path == unchecked.parent / "checkpoint-100"
    assert "has 150 bytes, expected 200" in found.problems[0]


@pytest.mark.parametrize("done", ["nothing", "manifest", "some files"])
def test_a_deletion_that_was_interrupted_is_no_damage(folder, monkeypatch, done):
    """A kill during the deletion of an old checkpoint leaves an unfinished one."""
    files = [path for path in (folder / "checkpoint-90").rglob("*") if path.is_file() and path.name != "manifest.json"]
    monkeypatch.setattr(
        manifest_module.shutil, "rmtree", lambda *_, **__: files[0].unlink() if done == "some files" else None
    )
    if done != "nothing":
        delete_checkpoint(folder / "checkpoint-90")
    DAMAGES["no manifest"][0](folder / "checkpoint-100")
    found = last_good_checkpoint(folder)
    assert found.path == (folder / "checkpoint-90" if done == "nothing" else None)


def test_the_manifest_of_an_earlier_version_is_read(folder):
    path = folder / "checkpoint-100" / "manifest.json"
    content = json.loads(path.read_text())
    content = {name: content[name] for name in ("step", "samples_seen", "num_processes", "files")}
    content["crc32"] = zlib.crc32(json.dumps(content).encode())
    path.write_text(json.dumps(content))
    assert last_good_checkpoint(folder) == FoundCheckpoint(path=folder / "checkpoint-100")
    assert read_manifest(folder / "checkpoint-100").logged_step is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"crc32": 0, "files": {"a": 1}}',
        b'{"crc32": 0, "files": []}',
    ],
    ids=["empty", "zeros", "null", "no keys", "nested", "no pairs", "no names"],
)
def test_a_manifest_of_another_form_is_damaged(folder, content):
    (folder / "checkpoint-100" / "manifest.json").write_bytes(content)
    with pytest.raises(ResumeError, match=r"manifest\.json cannot be read"):
        read_manifest(folder / "checkpoint-100")
    assert last_good_checkpoint(folder).path == folder / "checkpoint-90"


def test_a_run_starts_where_nothing_was_finished(tmp_path):
    assert last_good_checkpoint(tmp_path / "absent") == FoundCheckpoint(path=None)
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-10" / "model.safetensors").write_bytes(b"half")
    (tmp_path / "checkpoint-best").mkdir()
    found = last_good_checkpoint(tmp_path)
    assert found.path is None
    assert found.problems == (f"{tmp_path / 'checkpoint-10'} has no manifest.json: the checkpoint is unfinished.",)
    assert (resume_point(tmp_path).checkpoint, resume_point(tmp_path).samples_seen) == (None, 0)
