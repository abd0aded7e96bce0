"""Cells: searches, measures, and results that stay."""

import json

import numpy as np
import pytest

from benchmarks.harness.machine import describe_this_machine
from benchmarks.studies.real_tasks import cells
from benchmarks.studies.real_tasks.cells import Row, TaskStudy, measure, missing_cells, rows_of, search
from benchmarks.studies.real_tasks.methods import METHODS, Rates
from modeling_glm.cloze.answers.reliability import expected_calibration_error

RATES = Rates((1e-4, 3e-4, 1e-3), low=1e-5, high=1e-2)


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (3e-4, [1e-4, 3e-4, 1e-3]),
        (1e-3, [1e-4, 3e-4, 1e-3, 3e-3]),
        (1e-1, [1e-4, 3e-4, 1e-3, 3e-3, 9e-3]),
        (1e-7, [1e-5, 3e-5, 1e-4, 3e-4, 1e-3]),
    ],
)
def test_search_goes_on_at_its_ends_within_the_limits(best, tried):
    """The accuracy falls with the distance from the best rate, in steps of the search."""

    def try_rate(rate):
        return {"rate": rate, "accuracy": 0.9 - abs(round(2 * np.log10(rate / best))) / 10, "loss": 0.0}

    assert [one["rate"] for one in search(RATES, try_rate, examples=400)] == tried


@pytest.mark.parametrize(
    ("accuracies", "losses", "examples", "best"),
    [
        ([0.5, 0.5, 0.5], [0.7, 0.504, 0.5], 400, 3e-4),  # losses that differ by less than 0.01 are level, too
        ([0.158, 0.155, 0.148], [2.92, 2.69, 2.79], 400, 3e-4),  # the standard error is 0.018
        ([0.158, 0.155, 0.148], [2.92, 2.69, 2.79], 400_000, 1e-4),
        ([0.50, 0.52, 0.60], [0.6, 0.5, 0.9], 400, 1e-3),  # 0.024: the others are behind
        ([1.0, 0.99, 0.99], [0.5, 0.1, 0.1], 400, 1e-4),  # all are right: no error
    ],
)
def test_among_level_accuracies_the_loss_decides(accuracies, losses, examples, best):
    tried = [
        {"rate": rate, "accuracy": accuracy, "loss": loss}
        for rate, accuracy, loss in zip(RATES.first, accuracies, losses, strict=True)
    ]
    assert cells.best_of(tried, examples)["rate"] == best


def test_measure_against_numbers_worked_by_hand():
    """Four examples with the probability 3/4 for the first class, which is right for two."""
    scores, gold = np.log([[0.75, 0.25]] * 4), np.array([0, 1, 0, 1])
    found = measure(scores, gold, scores[:3], gold[:3])
    assert found["accuracy"] == 0.5
    assert found["loss"] == pytest.approx(np.log(2), abs=1e-3)  # at the highest temperature
    assert found["ece"] == pytest.approx(0.25)
    # Two of three are right: 3/4 becomes 2/3 at the temperature log(3) / log(2).
    assert found["temperature"] == pytest.approx(np.log(3) / np.log(2), abs=1e-3)
    assert found["ece_calibrated"] == pytest.approx(2 / 3 - 1 / 2, abs=1e-4)
    assert found["ece"] == pytest.approx(expected_calibration_error(np.exp(scores), gold))


def test_measure_of_a_temperature_out_of_bounds_and_of_scores_that_are_no_probabilities():
    scores, gold = np.log([[0.75, 0.25]] * 2), np.array([0, 0])
    found = measure(scores, gold, scores, gold)
    assert (found["temperature"], found["ece"]) == (1.0, found["ece_calibrated"])
    assert set(measure(scores, gold, has_probabilities=False)) == {"accuracy", "loss"}
    assert measure(np.array([[0.0, -np.inf]]), np.array([1]), has_probabilities=False) == {"accuracy": 0.0}


def test_rows():
    rows = rows_of(["trec", "r8"], ["0", "32"], ["cloze", "svm"])
    assert rows == [
        Row("trec", "0", "cloze"),
        Row("r8", "0", "cloze"),
        *(Row(task, "32", method) for task in ("trec", "r8") for method in ("cloze", "svm")),
    ]
    assert Row("trec", "32", "svm").seeds([3, 4]) == [3, 4]
    assert Row("trec", "all", "svm").seeds([3, 4]) == [3]


@pytest.mark.slow
def test_cells_run_once(model, tasks, short, tmp_path, monkeypatch):
    study = TaskStudy(model, tmp_path, load=tasks.__getitem__)
    rows = [Row("sms_spam", shots, name) for shots in ("0", "32") for name in ("cloze", "majority")]
    for row, seed in missing_cells(study, rows, [0, 1]):
        study.run(row, seed)
    zero, few = (study.results(Row("sms_spam", shots, "cloze"), [0, 1]) for shots in ("0", "32"))
    assert [result["examples"] for result in zero + few] == [0, 32, 32]
    assert [result["test_examples"] for result in zero + few] == [9, 9, 9]
    assert {result["machine"] for result in zero + few} == {describe_this_machine()}
    assert (zero[0]["learning_rate"], "ece_calibrated" in zero[0]) == (None, False)
    rate = study.read_rate(Row("sms_spam", "32", "cloze"))
    assert few[0]["learning_rate"] == rate["rate"] in [one["rate"] for one in rate["tried"]]
    # The most frequent label is that of all examples, in every row.
    majority = [study.results(row, [0, 1]) for row in rows if row.method == "majority"]
    assert [one[0]["examples"] for one in majority] == [len(tasks["sms_spam"].train)] * 2

    monkeypatch.setattr(type(METHODS["cloze"]), "learn", lambda *args: pytest.fail("all cells have run"))
    again = TaskStudy(model, tmp_path, load=tasks.__getitem__)
    assert not list(missing_cells(again, rows, [0, 1]))
    assert again.run(rows[0], 0) == zero[0]
    assert not list(tmp_path.rglob("training"))


def test_a_stopped_training_starts_again(model, tasks, short, tmp_path, monkeypatch):
    study, row = TaskStudy(model, tmp_path, load=tasks.__getitem__), Row("r8", "32", "head")
    (tmp_path / "r8/32/head").mkdir(parents=True)
    (tmp_path / "r8/32/head/rate.json").write_text(json.dumps({"rate": 1e-3}))
    (tmp_path / "r8/32/head/training").mkdir()
    (tmp_path / "r8/32/head/training/left").touch()
    assert study.run(row, 0)["learning_rate"] == 1e-3
    assert sorted(path.name for path in (tmp_path / "r8/32/head").iterdir()) == ["rate.json", "seed-0.json"]


def test_a_folder_belongs_to_one_model(model, tmp_path):
    TaskStudy(model, tmp_path)
    TaskStudy(model, tmp_path)
    with pytest.raises(ValueError, match="holds a run with other model"):
        TaskStudy("owner/name", tmp_path)
