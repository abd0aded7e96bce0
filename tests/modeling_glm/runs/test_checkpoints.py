"""Checkpoints of a long run: a full disk keeps the earlier ones, and a resumed run draws the same numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modeling_glm import GLMConfig, GLMForConditionalGeneration
from modeling_glm.runs.checkpoints import load_weights
from modeling_glm.runs.manifest import FoundCheckpoint, ResumeError, last_good_checkpoint
from tests.support import distributed_run
from tests.support.pretraining_runs import one_thread


@pytest.fixture
def tokenizer_folder(tokenizer, tmp_path) -> Path:
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def train(tokenizer_folder: Path, folder: Path, *options: object) -> dict[str, float]:
    """Run in this process; return the loss of every step."""
    distributed_run.train(distributed_run.read_options([str(tokenizer_folder), str(folder), *map(str, options)]))
    return json.loads((folder / "losses.json").read_text())


@pytest.mark.slow
@one_thread()
def test_a_full_disk_keeps_the_last_checkpoint(tokenizer_folder, tmp_path, capsys):
    """The second save meets a limit of the system on the size of files, as it would meet a full disk."""
    folder, whole = tmp_path / "run", tmp_path / "whole"
    command = [sys.executable, "-m", "tests.support.distributed_run", tokenizer_folder, folder]
    command += ["--steps", 6, "--limit", 1, "--full_disk"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
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


@one_thread()
def test_a_resumed_run_draws_the_same_dropout(tokenizer_folder, tmp_path, capsys):
    options = ("--steps", 6, "--dropout", 0.2)
    whole = train(tokenizer_folder, tmp_path / "whole", *options)
    train(tokenizer_folder, tmp_path / "parts", *options, "--stop_at", 3)
    capsys.readouterr()
    assert train(tokenizer_folder, tmp_path / "parts", *options) == whole
    assert "started at sample 8" in capsys.readouterr().out


def test_weights_of_a_checkpoint(tmp_path):
    config = GLMConfig(vocab_size=64, hidden_size=32, num_attention_heads=4, num_hidden_layers=1)
    saved, loaded = GLMForConditionalGeneration(config), GLMForConditionalGeneration(config)
    saved.save_pretrained(tmp_path / "checkpoint-1")
    load_weights(loaded, tmp_path / "checkpoint-1")
    assert all(torch.equal(saved.state_dict()[name], tensor) for name, tensor in loaded.state_dict().items())
    with pytest.raises(ResumeError, match=r"has neither pytorch_model_fsdp_0 nor model\.safetensors"):
        load_weights(loaded, tmp_path)
