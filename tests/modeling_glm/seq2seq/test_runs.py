"""Runs in several processes, and runs that are killed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modeling_glm.runs.manifest import last_good_checkpoint
from tests.support.kills import Kill, free_port, start_together, wait_for_all, watch
from tests.support.seq2seq_runs import evaluate_together, train_short_run

# In two processes with two rows each, the last batches have 2 rows and 1, or 1 row and none.
COUNTS = (7, 5)


@pytest.fixture(scope="module")
def tokenizer_folder(tokenizer, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
def test_two_processes_predict_every_row_once(tokenizer_folder, tmp_path):
    found = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        arguments = (tokenizer_folder, str(folder), COUNTS)
        group = {"count": processes, "root": folder, "port": free_port()}
        ended = wait_for_all(start_together(evaluate_together, *arguments, **group), 240)
        assert [end.code for end in ended] == [0] * processes, "\n".join(end.output for end in ended)
        found[processes] = json.loads((folder / "found.json").read_text())
    for count, alone, together in zip(COUNTS, found[1], found[2], strict=True):
        assert (alone["processes"], together["processes"]) == (1, 2)
        for name in ("predictions", "label_ids"):
            assert len(together[name]) == count
            assert strip(together[name]) == strip(alone[name])
        assert together["metrics"]["rows"] == together["metrics"]["sources"] == count
        assert together["metrics"]["loss"] == pytest.approx(alone["metrics"]["loss"], rel=0.1)
    # Every process alone has shorter rows than all together.
    assert len({len(row) for row in strip(found[2][0]["label_ids"])}) > 2


def strip(rows: list[list[int]]) -> list[list[int]]:
    return [[token_id for token_id in row if token_id != -100] for row in rows]


@pytest.mark.slow
def test_a_killed_run_resumes_with_the_same_weights(tokenizer_folder, tmp_path):
    whole = watch(train_short_run, tokenizer_folder, str(tmp_path / "whole"), root=tmp_path / "whole")
    assert whole.code == 0, whole.output
    expected = load_file(tmp_path / "whole" / "model" / "model.safetensors")
    settings = [number for number, write in enumerate(whole.writes) if "seq2seq.json" in write]
    assert len(settings) >= 3  # in two checkpoints and the model
    for number in (settings[0], settings[-1], len(whole.writes) // 2):
        folder = tmp_path / str(number)
        killed = watch(train_short_run, tokenizer_folder, str(folder), root=folder, kill=Kill(write=number))
        assert killed.killed
        finished = watch(train_short_run, tokenizer_folder, str(folder), root=folder)
        assert finished.code == 0, finished.output
        found = load_file(folder / "model" / "model.safetensors")
        assert all(torch.equal(found[name], value) for name, value in expected.items())
        assert last_good_checkpoint(folder / "run").path == Path(folder / "run" / "checkpoint-4")
