"""The study of what the parts of the objective are worth."""

import json

import pytest
import torch

from benchmarks.studies import pretrain_ablation as study


@pytest.mark.slow  # trains three models for a few steps
def test_study_trains_and_resumes(tmp_path, capsys, monkeypatch):
    results = tmp_path / "runs" / "ablation.jsonl"
    arguments = ["--variants", "mixture", "no-block-positions", "causal", "--seeds", "0", "--families", "ordinals"]
    arguments += ["--steps", "2", "--batch_size", "4", "--hidden_size", "32", "--num_hidden_layers", "1"]
    arguments += ["--blanks", "3", "--results", str(results)]
    study.main(arguments)
    table = capsys.readouterr().out
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| mixture", "| without block positions", "| causal, loss on all tokens"]
    runs = [json.loads(line) for line in results.read_text().splitlines()]
    assert [run["variant"] for run in runs] == ["mixture", "no-block-positions", "causal"]
    assert all(5 < run["loss"] < 12 for run in runs)
    # Block positions have 257 rows, and the table of positions has 257 instead of 256.
    assert runs[0]["parameters"] - runs[1]["parameters"] == 258 * 32
    monkeypatch.setattr(study, "train", lambda *args: pytest.fail("all runs are finished"))
    study.main(arguments)
    assert capsys.readouterr().out == table


def test_labels_of_part_a_are_the_next_tokens():
    # [CLS] a M <eos> S x, one place of padding; the piece "x" ends with E.
    batch = {
        "input_ids": torch.tensor([[1, 10, 3, 2, 4, 11, 0]]),
        "labels": torch.tensor([[-100, -100, -100, -100, 11, 5, -100]]),
        "position_ids": torch.tensor([[[0, 1, 2, 3, 2, 2, 0], [0, 0, 0, 0, 1, 2, 0]]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1, 0]]),
    }
    assert study.label_part_a(batch).tolist() == [[10, 3, 2, 4, 11, 5, -100]]


def test_texts_are_drawn_once_per_epoch():
    drawn = study.draw_texts([[1], [2], [3]], seed=0)
    rows = [next(drawn) for _ in range(6)]
    assert [row["sample_id"] for row in rows] == list(range(6))
    assert (
        sorted(row["input_ids"][0] for row in rows[:3]) == sorted(row["input_ids"][0] for row in rows[3:]) == [1, 2, 3]
    )


def test_hidden_size_must_fit_the_heads(capsys):
    with pytest.raises(SystemExit):
        study.main(["--hidden_size", "100"])
    assert "--hidden_size must be a multiple of 32" in capsys.readouterr().err
