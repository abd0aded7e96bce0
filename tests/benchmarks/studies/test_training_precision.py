"""The study that trains in fp32 and in bf16 side by side."""

import json

import pytest

from benchmarks.studies import training_precision
from benchmarks.studies.training_precision import (
    BF16,
    FP32,
    LossCurve,
    PrecisionSetting,
    draw_batches,
    read_lines,
    show,
)

FEW = ["--shape", "Tiny", "--rows", "2", "--length", "32", "--steps", "5"]


@pytest.fixture(autouse=True)
def texts(monkeypatch):
    """Short texts, because building the embedded corpus takes seconds."""
    monkeypatch.setattr(
        training_precision, "training_texts", lambda: [f"The number {n} is odd, and {n} is small." for n in range(90)]
    )


def test_windows_by_hand():
    curve = LossCurve(losses=[5.0, 4.0, 4.0, 3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 0.0], seconds=1.0)
    assert curve.windows() == [4.5, 3.5, 2.5, 1.5, 0.5]


def test_the_table_by_hand():
    def curve(start: float, seconds: float) -> LossCurve:
        return LossCurve(losses=[start - number / 10 for number in range(5)], seconds=seconds)

    shown = show(
        {"0": {FP32: curve(5.0, 3.0), BF16: curve(5.01, 1.5)}, "1": {FP32: curve(5.2, 3.0), BF16: curve(5.2, 1.0)}}
    )
    lines = shown.splitlines()
    assert lines[2] == "| 1 to 1 | 5.100 | 5.105 | 5.000 to 5.200 | 5.010 to 5.200 |"
    assert lines[6] == "| 5 to 5 | 4.700 | 4.705 | 4.600 to 4.800 | 4.610 to 4.800 |"
    assert lines[-1] == "A step in bf16 is 2.50 (2.00 to 3.00) times as fast as one in fp32."


def test_batches_have_as_many_rows_and_are_drawn_by_the_seed(tokenizer):
    setting = PrecisionSetting(rows=3, length=32)
    lines = read_lines(setting, tokenizer)
    first, again, other = (next(draw_batches(setting, tokenizer, lines, seed)) for seed in (0, 0, 1))
    rows, length = first["input_ids"].shape  # as long as the longest row
    assert rows == 3
    assert 16 < length <= 32
    assert first["input_ids"].equal(again["input_ids"])
    assert not first["input_ids"].equal(other["input_ids"])


def test_both_models_learn_the_same_and_a_study_is_resumed(tmp_path, capsys, monkeypatch):
    line = [*FEW, "--seeds", "1", "--output", str(tmp_path / "runs" / "precision.json")]
    training_precision.main(line)
    (seeds,) = json.loads((tmp_path / "runs" / "precision.json").read_text()).values()
    fp32, bf16 = (LossCurve(**seeds["0"][name]) for name in (FP32, BF16))
    assert len(fp32.losses) == 5
    assert fp32.losses[0] == pytest.approx(bf16.losses[0], rel=1e-2)
    assert fp32.losses != bf16.losses
    assert fp32.losses[-1] < fp32.losses[0]
    trained = []
    monkeypatch.setattr(
        training_precision,
        "train_side_by_side",
        lambda setting, tokenizer, lines, seed: trained.append(seed) or {FP32: fp32, BF16: bf16},
    )
    training_precision.main([*line, "--seeds", "2"])
    assert trained == [1]
    assert capsys.readouterr().out.splitlines()[0] == training_precision.describe_this_machine()
