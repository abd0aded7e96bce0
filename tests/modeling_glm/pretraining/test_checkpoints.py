"""Checkpoints of a long run: what is damaged is passed over, what cannot be written leaves the earlier ones whole."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_glm.pretraining.checkpoints import resume_point
from modeling_glm.pretraining.manifest import (
    FoundCheckpoint,
    ResumeError,
    last_good_checkpoint,
    read_manifest,
    write_manifest,
)
from tests.support.paths import ROOT

RUN = ROOT / "tests" / "support" / "distributed_run.py"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two whole checkpoints, with files in folders of their own."""
    for step in (90, 100):  # 100 is newer, though "90" is the later text
        path = tmp_path / f"checkpoint-{step}"
        (path / "shards").mkdir(parents=True)
        (path / "model.safetensors").write_bytes(bytes(range(200)))
        (path / "shards" / "__1_0.distcp").write_bytes(b"shard" * step)
        (path / "trainer_state.json").write_text("{}")
        write_manifest(path, step, samples_seen=8 * step, num_processes=2)
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
    "flipped": (lambda c: flip(c / "shards/__1_0.distcp"), r"__1_0.distcp is damaged"),
    "missing": (lambda c: (c / "shards/__1_0.distcp").unlink(), r"__1_0.distcp is missing"),
    "no manifest": (lambda c: (c / "manifest.json").unlink(), r"checkpoint-100 has no manifest.json"),
    "unreadable": (lambda c: os.truncate(c / "manifest.json", 40), r"manifest.json cannot be read \(JSONDecodeError"),
    "not a manifest": (lambda c: (c / "manifest.json").write_text("[]"), r"manifest.json cannot be read"),
    "other position": (
        lambda c: (c / "manifest.json").write_text((c / "manifest.json").read_text().replace("800", "808")),
        r"manifest.json is damaged",
    ),
}


def test_the_newest_is_taken(folder):
    assert last_good_checkpoint(folder) == FoundCheckpoint(path=folder / "checkpoint-100")
    manifest = read_manifest(folder / "checkpoint-100")
    assert (manifest.step, manifest.samples_seen, manifest.num_processes) == (100, 800, 2)
    assert set(manifest.files) == {"model.safetensors", "shards/__1_0.distcp", "trainer_state.json"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_passed_over(folder, damage, capsys):
    do, expected = DAMAGES[damage]
    do(folder / "checkpoint-100")
    found = last_good_checkpoint(folder)
    (problem,) = found.problems
    assert found.path == folder / "checkpoint-90"
    assert re.search(expected, problem), problem
    start = resume_point(folder)
    assert (start.checkpoint, start.samples_seen) == (str(folder / "checkpoint-90"), 720)
    assert f"Skipped a checkpoint: {problem}" in capsys.readouterr().out


def test_a_run_does_not_start_over_what_is_damaged(folder):
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
    assert len(found.problems) == 1
    assert (resume_point(tmp_path).checkpoint, resume_point(tmp_path).samples_seen) == (None, 0)


def start(tokenizer_folder: Path, folder: Path, *options: object) -> subprocess.CompletedProcess:
    command = [sys.executable, RUN, tokenizer_folder, folder, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, env=environment)


def losses(folder: Path) -> dict[str, float]:
    return json.loads((folder / "losses.json").read_text())


@pytest.fixture
def tokenizer_folder(tokenizer, tmp_path) -> Path:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_checkpoint(tokenizer_folder, tmp_path):
    """The second save meets a limit of the system on the size of files, as it would meet a full disk."""
    folder, whole = tmp_path / "run", tmp_path / "whole"
    done = start(tokenizer_folder, folder, "--steps", 6, "--limit", 1, "--full_disk")
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for expected in (
        f"RuntimeError: {folder / 'checkpoint-4'} could not be written and was deleted: OSError: ",
        "File too large",
        "GB are free on this disk",
        f"the same command resumes from {folder / 'checkpoint-2'}, the last good checkpoint.",
    ):
        assert expected in last
    assert [path.name for path in folder.iterdir()] == ["checkpoint-2"]
    assert last_good_checkpoint(folder) == FoundCheckpoint(path=folder / "checkpoint-2")

    done = start(tokenizer_folder, folder, "--steps", 6, "--limit", 1)
    assert done.returncode == 0, done.stderr
    assert "started at sample 8, ended at 24" in done.stdout
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-6"]
    assert start(tokenizer_folder, whole, "--steps", 6).returncode == 0
    assert losses(folder) == losses(whole)


@pytest.mark.slow
def test_a_resumed_run_draws_the_same_dropout(tokenizer_folder, tmp_path):
    options = ("--steps", 6, "--dropout", 0.2)
    assert start(tokenizer_folder, tmp_path / "whole", *options).returncode == 0
    assert start(tokenizer_folder, tmp_path / "parts", *options, "--stop_at", 3).returncode == 0
    done = start(tokenizer_folder, tmp_path / "parts", *options)
    assert "started at sample 8" in done.stdout, done.stderr
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
