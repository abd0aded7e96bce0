"""The sizing study."""

import pytest

from benchmarks.studies import sizing
from modeling_glm.configuration_glm import PRESETS


def test_rows_of_a_single_objective():
    token = {"max_length": 512, "objectives": {"token": 1.0}, "mask_ratio": 0.15, "mean_span_length": 3.0}
    # Spans have 3 / (1 - exp(-3)) = 3.157 tokens on average, so 76.8 masked tokens are 24.3 pieces.
    assert sizing.row_size(token) == sizing.RowSize(text=512, row=561, labelled=101)
    document = {"max_length": 512, "objectives": {"document": 1.0}, "min_document_ratio": 0.5}
    assert sizing.row_size(document) == sizing.RowSize(text=512, row=514, labelled=385)
    sentence = {"max_length": 500, "objectives": {"sentence": 1.0}, "sentence_ratio": 0.2}
    assert sizing.row_size(sentence) == sizing.RowSize(text=500, row=510, labelled=105)


def test_table_has_a_row_for_each_preset(capsys):
    sizing.main(["--no-check"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| glm-")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(PRESETS)


def test_check_compares_with_half_the_depth(monkeypatch):
    asked = []

    def run_alone(function, layers, rows, length, rounds, environment):
        asked.append((function, layers, rows, length, rounds))
        return {"bytes": 2.0 * 2**30, "seconds": layers / 3}

    monkeypatch.setattr(sizing, "run_alone", run_alone)
    monkeypatch.setattr(sizing, "measure_matmul_peak", lambda device: 1e11)
    table = sizing.check_table(rows=2, length=282, rounds=3)
    assert asked == [(sizing.measure_steps, layers, 2, 282, 3) for layers in (6, 12, 6)]
    memory, seconds = (line.split(" | ") for line in table.splitlines()[-2:])
    assert memory[2] == "2.00"
    assert seconds[2] == "4.00"
    # Twice the depth takes less than twice the time, because the projection to the vocabulary does not grow.
    assert 3.0 < float(seconds[1]) < 4.0


@pytest.mark.slow  # trains two layers of the Base size
def test_steps_are_measured():
    found = sizing.measure_steps(layers=1, rows=1, length=40, rounds=1)
    assert found["seconds"] > 0.01
    assert found["bytes"] > 2**28
