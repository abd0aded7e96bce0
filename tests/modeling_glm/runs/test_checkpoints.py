"""Checkpoints of a long run: a full disk keeps the earlier ones, and a resumed run draws the same numbers."""

import json
from pathlib import Path

import pytest
import torch

from modeling_glm import GLMConfig, GLMForConditionalGeneration
from modeling_glm.runs import checkpoints as checkpoints_module
from modeling_glm.runs import manifest as manifest_module
from modeling_glm.runs.checkpoints import delete_old, load_weights
from modeling_glm.runs.manifest import FoundCheckpoint, ResumeError, checkpoints, last_good_checkpoint
from tests.support import distributed_run
from tests.support.kills import watch
from tests.support.pretraining_runs import one_thread


@pytest.fixture(scope="module")
def tokenizer_folder(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


def train(tokenizer_folder: Path, folder: Path, *options: object) -> dict[str, float]:
    """Run in this process; return the loss of every step."""
    distributed_run.train(distributed_run.read_options([str(tokenizer_folder), str(folder), *map(str, options)]))
    return json.loads((folder / "losses.json").read_text())


@pytest.mark.slow
@one_thread()
def test_a_full_disk_keeps_the_last_checkpoint(tokenizer_folder, tmp_path, capsys):
    """The second save meets a limit of the system on the size of files, as it would meet a full disk."""
    folder, whole = tmp_path / "run", tmp_path / "whole"
    words = [str(tokenizer_folder), str(folder), "--steps", "6", "--limit", "1", "--full_disk"]
    ended = watch(distributed_run.main, words, root=folder)
    assert ended.code == 1, ended.output
    last = ended.output.strip().splitlines()[-1]
    for expected in (
        f"RuntimeError: {folder / 'checkpoint-4'} could not be written and was deleted: OSError: ",
        "File too large",
        "GB are free on this disk",
        f"the same command resumes from {folder / 'checkpoint-2'}, the last good checkpoint.",
    ):
        assert expected in last
    assert {path.name for path in folder.iterdir()} == {"_run.lock", "checkpoint-2"}
    assert last_good_checkpoint(folder) == FoundCheckpoint(path=folder / "checkpoint-2")

    resumed = train(tokenizer_folder, folder, "--steps", 6, "--limit", 1)
    assert "started at sample 8, ended at 24" in capsys.readouterr().out
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-6"]
    assert resumed == train(tokenizer_folder, whole, "--steps", 6)


@pytest.mark.slow
@one_thread()
def test_a_resumed_run_draws_the_same_dropout(tokenizer_folder, tmp_path, capsys):
    options = ("--steps", 6, "--dropout", 0.2)
    whole = train(tokenizer_folder, tmp_path / "whole", *options)
    train(tokenizer_folder, tmp_path / "parts", *options, "--stop_at", 3)
    capsys.readouterr()
    assert train(tokenizer_folder, tmp_path / "parts", *options) == whole
    assert "started at sample 8" in capsys.readouterr().out


class Killed(BaseException):
    """Ends a run where a kill would: nothing of the run handles it."""


OPTIONS = ("--steps", 6, "--dropout", 0.2, "--logging_steps", 3, "--limit", 1)


@pytest.fixture(scope="module")
def whole(tokenizer_folder, tmp_path_factory) -> Path:
    """The folder of a run without a kill."""
    folder = tmp_path_factory.mktemp("whole")
    with one_thread():
        train(tokenizer_folder, folder, *OPTIONS)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_at", "call", "started", "skipped"),
    [
        ("write_manifest", 0, 0, "checkpoint-2 has no manifest.json: the checkpoint is unfinished."),
        ("write_manifest", 1, 8, "checkpoint-4 has no manifest.json: the checkpoint is unfinished."),
        ("add_checksums", 0, 8, None),
        ("add_checksums", 1, 16, None),
        ("delete_old", 1, 16, None),
    ],
    ids=["first manifest", "second manifest", "first checksums", "second checksums", "deletion"],
)
@one_thread()
def test_a_kill_within_a_save(
    tokenizer_folder, whole, tmp_path, monkeypatch, capsys, killed_at, call, started, skipped
):
    """The run resumes from the newest checkpoint with a manifest, and logs the losses of a run without a kill."""
    folder = tmp_path / "run"
    calls = []

    def kill(*args, **kwargs):
        calls.append(0)
        if len(calls) > call:
            raise Killed
        return real(*args, **kwargs)

    real = getattr(checkpoints_module, killed_at)
    monkeypatch.setattr(checkpoints_module, killed_at, kill)
    with pytest.raises(Killed):
        train(tokenizer_folder, folder, *OPTIONS)
    monkeypatch.undo()
    capsys.readouterr()
    train(tokenizer_folder, folder, *OPTIONS)
    printed = capsys.readouterr().out
    assert f"started at sample {started}, ended at 24" in printed
    lines = [line for line in printed.splitlines() if line.startswith("Skipped")]
    assert lines == ([f"Skipped a checkpoint: {folder}/{skipped}"] if skipped else [])
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-6"]
    for name in ("losses.json", *(f"checkpoint-6/{name}" for name in ("model.safetensors", "optimizer.pt"))):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.slow
@one_thread()
def test_a_run_that_has_ended_is_not_trained_further(tokenizer_folder, tmp_path, capsys):
    losses = train(tokenizer_folder, tmp_path / "run", "--steps", 2)
    assert train(tokenizer_folder, tmp_path / "run", "--steps", 2) == losses
    assert "started at sample 8, ended at 8" in capsys.readouterr().out


def test_the_time_without_a_manifest_does_not_grow_with_the_model(tmp_path, monkeypatch):
    """No file is read before the manifest is there."""
    opened = []
    (tmp_path / "model.safetensors").write_bytes(bytes(100))
    monkeypatch.setattr(manifest_module, "_checksum", lambda path: opened.append(path.name) or 0)
    manifest = manifest_module.write_manifest(tmp_path, 1, 8, 1)
    assert (tmp_path / "manifest.json").exists()
    assert opened == []
    manifest_module.add_checksums(tmp_path, manifest)
    assert opened == ["model.safetensors"]


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [
        (1, None, [50]),
        (2, None, [50, 40]),
        (3, None, [50, 40, 20]),
        (9, None, [50, 40, 20, 10]),
        (1, 10, [50, 10]),
        (2, 10, [50, 10]),
        (3, 10, [50, 40, 10]),
        (1, 50, [50]),
        (2, 50, [50, 40]),
    ],
)
def test_old_checkpoints_are_deleted(tmp_path, monkeypatch, limit, best, kept):
    """The unfinished one of step 30 is deleted without being counted, and the newer one of step 60 stays."""
    monkeypatch.chdir(tmp_path)
    for step in (10, 20, 30, 40, 50, 60):
        (tmp_path / f"run/checkpoint-{step}").mkdir(parents=True)
        if step != 30:
            (tmp_path / f"run/checkpoint-{step}/manifest.json").write_text("{}")
    # Trainer may write the path in another way.
    delete_old(tmp_path / "run/checkpoint-50", limit, best and f"./run/../run/checkpoint-{best}")
    assert [path.name for path in checkpoints(tmp_path / "run")] == [f"checkpoint-{step}" for step in (60, *kept)]


def test_weights_of_a_checkpoint(tmp_path):
    config = GLMConfig(vocab_size=64, hidden_size=32, num_attention_heads=4, num_hidden_layers=1)
    saved, loaded = GLMForConditionalGeneration(config), GLMForConditionalGeneration(config)
    saved.save_pretrained(tmp_path / "checkpoint-1")
    load_weights(loaded, tmp_path / "checkpoint-1")
    assert all(torch.equal(saved.state_dict()[name], tensor) for name, tensor in loaded.state_dict().items())
    with pytest.raises(ResumeError, match=r"has neither pytorch_model_fsdp_0 nor model\.safetensors"):
        load_weights(loaded, tmp_path)
