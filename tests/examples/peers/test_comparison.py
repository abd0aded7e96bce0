"""A GLM and a causal model on the same questions: results that are the measurement's, kept and resumed."""

import json

import pytest

from examples.peers.comparison import (
    TASKS,
    LoadedPeer,
    comparison_table,
    draw,
    estimate_seconds,
    load_peer,
    measure_task,
    published_table,
    summarise,
)
from examples.peers.questions import ChoiceRow
from modeling_glm.evaluation.choices import ChoiceAccuracy, evaluate_choices
from tests.support.causal import save_causal
from tests.support.paths import EXAMPLES

ROWS = [ChoiceRow(str(number), ["a", "b"], 0, "x") for number in range(20)]


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    return [load_peer(str(EXAMPLES / "glm-tiny")), load_peer(str(save_causal(tmp_path_factory.mktemp("causal"))))]


def test_the_same_questions_for_both(peers, questions, tmp_path):
    reports = [measure_task(peer, name, task.rows(), tmp_path) for name, task in TASKS.items() for peer in peers]
    for report, peer in zip(reports, peers * len(TASKS), strict=True):
        rows = TASKS[report["task"]].rows()
        expected = evaluate_choices(peer.model, peer.tokenizer, [row.fields() for row in rows])
        found = report["measures"]["sum"]["all"]
        assert found["num_questions"] == len(rows)
        for name, value in expected.metrics().items():
            assert found[name] == pytest.approx(value)
    assert [list(report["measures"]) for report in reports[:4]] == [
        ["sum", "per_character"],
        ["sum", "per_character"],
        ["sum"],
        ["sum", "behind"],
    ]
    assert not list(tmp_path.glob("*.partial"))
    table = comparison_table(reports).splitlines()
    assert table[0].startswith("| task | measure | questions | chance | glm-tiny | causal")
    assert table[2].startswith("| social_iqa | sum | 2 | 33.3 | ")
    assert len([line for line in table if line.startswith("| winograd | behind | 4 | 50.0 | - | ")]) == 1


def test_results_are_read_again(peers, tmp_path, monkeypatch):
    rows = [ChoiceRow("Ice is [MASK] now.", ["cold", "hot"], 0, "ice")]
    first = measure_task(peers[1], "winograd", rows, tmp_path)
    monkeypatch.setattr("examples.peers.comparison.evaluate_choices", None)
    assert measure_task(peers[1], "winograd", rows, tmp_path) == first
    with pytest.raises(TypeError):  # other questions are measured
        measure_task(peers[1], "winograd", rows * 2, tmp_path)


def test_measures_that_do_not_suit_a_model(peers, questions, tmp_path):
    rows = TASKS["winograd"].rows()
    reports = [measure_task(peer, "winograd", rows, tmp_path, measures=["behind"]) for peer in peers]
    assert [list(report["measures"]) for report in reports] == [[], ["behind"]]
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_an_interrupted_measurement_resumes(peers, tmp_path, monkeypatch):
    rows = [ChoiceRow(f"Number {number} is", ["small", "large"], 0, "size") for number in range(6)]
    once = measure_task(peers[1], "agreement", rows, tmp_path / "once", batch_size=2)
    read = []

    def stop_after(number):
        def read_ids(_, args, kwargs):
            read.append(kwargs["input_ids"].shape)
            if len(read) == number:
                raise KeyboardInterrupt

        return peers[1].model.register_forward_pre_hook(read_ids, with_kwargs=True)

    handle = stop_after(4)
    with pytest.raises(KeyboardInterrupt):
        measure_task(peers[1], "agreement", rows, tmp_path / "two", batch_size=2)
    handle.remove()
    (partial_file,) = (tmp_path / "two").glob("*.partial")
    done = len(partial_file.read_text().splitlines()) - 1
    assert 0 < done < 6
    again = measure_task(peers[1], "agreement", rows, tmp_path / "two", batch_size=2)
    assert again["measures"] == once["measures"]


def test_a_draw_is_a_function_of_its_seed():
    drawn = draw(ROWS, 5, seed=1)
    assert drawn == draw(ROWS, 5, seed=1) != draw(ROWS, 5, seed=2)
    assert [ROWS.index(row) for row in drawn] == sorted({ROWS.index(row) for row in drawn})
    assert draw(ROWS, None, 0) == draw(ROWS, 100, 0) == ROWS


def test_groups_are_summed_up():
    found = ChoiceAccuracy(rows=(0, 1, 2), scores=((-1.0, -2.0), (-2.0, -1.0), (-1.0, -2.0, -3.0)), labels=(0, 0, 0))
    summary = summarise(found, ["a", "a", "b"])
    assert {name: (one["num_questions"], one["accuracy"]) for name, one in summary.items()} == {
        "a": (2, 50.0),
        "b": (1, 100.0),
        "all": (3, pytest.approx(200 / 3)),
    }
    assert summary["all"]["chance"] == pytest.approx(100 * (1 / 2 + 1 / 2 + 1 / 3) / 3)
    assert summary["b"]["accuracy_low"] == pytest.approx(100 / (1 + 1.959964**2))
    assert list(summarise(found, ["a"] * 3)) == ["all"]


def test_an_estimate_grows_with_the_questions(peers):
    rows = [ChoiceRow(f"Number {number} is", ["small", "large"], 0, "size") for number in range(4)]
    assert 0 < estimate_seconds(peers[1], rows) < 60


def test_names_of_files(peers, tmp_path):
    assert LoadedPeer(name="a b/c", model=None, tokenizer=None).slug == "a-b-c"
    rows = [ChoiceRow("Ice is [MASK] now.", ["cold", "hot"], 0, "ice")]
    measure_task(peers[0], "agreement", rows, tmp_path)
    (file,) = tmp_path.glob("*.json")
    assert file.name.startswith("glm-tiny.agreement.")
    assert json.loads(file.read_text())["is_causal"] is False


def test_published_numbers_of_the_tasks():
    assert "MobileLLM-125M | 42.4" in published_table(["social_iqa"])
    assert len(published_table(["agreement"]).splitlines()) == 2
