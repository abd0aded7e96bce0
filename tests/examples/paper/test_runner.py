"""Every table runs from end to end on small weights and files of the same form, resumes, and says what is wrong."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from examples.paper.runner import TableRun, start_process
from examples.paper.tables import PublishedModel, available_tables, read_table
from modeling_glm import GLMConfig
from modeling_glm.runs.lock import hold_folder
from tests.support.paper_runs import short_settings, start_here, write_data, write_weights

# One model is trained for each of the five shares of words. `test_commands` has the others.
SOME_ROWS = {"yahoo": ["0.5"]}


@pytest.fixture(scope="module")
def weights(tokenizer, tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"), tokenizer)


@pytest.fixture
def make_run(weights, tmp_path):
    """Makes runs of tables in one folder for results, with data of the right form."""

    def make(name, **settings):
        data = tmp_path / "data" / name
        given = {"table": read_table(name), "model": "own", "weights": str(weights), "output": tmp_path / "out"}
        given |= {"changed": short_settings(name), "start": start_here}
        if "data" not in settings:
            given["data"] = write_data(name, data) if not data.exists() else next(data.iterdir())
        return TableRun(**{**given, **settings})

    return make


@pytest.fixture
def published(weights):
    """LAMBADA's table as if the weights were published, with settings and a size that suit them, and given figures."""

    def make(bidirectional, unidirectional=0.0):
        table = read_table("lambada")
        rows = {name: replace(row, size=2) for name, row in table.rows.items()}
        figures = {"bidirectional": {"accuracy": bidirectional}, "unidirectional": {"accuracy": unidirectional}}
        models = {"tiny": PublishedModel(source="a test", figures=figures)}
        table = replace(table, rows=rows, models=models, settings={"max_length": 60})
        sizes = {"tiny": GLMConfig.from_pretrained(weights).to_dict()}
        return {"table": table, "model": "tiny", "sizes": sizes, "changed": {}}

    return make


def read_rows(output: Path) -> list[dict]:
    return json.loads((output / "report.json").read_text(encoding="utf-8"))["rows"]


def never(command):
    pytest.fail(f"started: {command}")


@pytest.mark.slow
@pytest.mark.parametrize("name", available_tables())
def test_tables(make_run, tmp_path, name):
    run = make_run(name)
    assert run.run(SOME_ROWS.get(name, ())) == 0
    rows = read_rows(tmp_path / "out")
    assert [row["row"] for row in rows] == sorted(SOME_ROWS.get(name, run.table.rows))
    for row in rows:
        findings = row["findings"]
        assert {one["verdict"] for one in findings} == {"not comparable"}
        assert [one["measure"] for one in findings if one["found"] is None] == list(
            run.table.rows[row["row"]].unmeasured
        )
        assert all(0 <= one["found"] <= 100 for one in findings if one["found"] is not None and name != "wikitext")
    assert "own is not a model of this table" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_verdicts_and_resuming(make_run, published, tmp_path):
    """A finished row is not started again. Its verdict follows from the table as it is now."""
    started = []

    def start(command):
        started.append("--unidirectional" in command)
        return 5 if started == [False, True] else start_here(command)

    run = make_run("lambada", **published(0.0), start=start)
    assert run.run() == 1  # the second row fails, and has no result
    (row,) = read_rows(tmp_path / "out")
    assert run.run() == 0
    assert started == [False, True, True]
    assert run.run() == 0
    assert len(started) == 3
    score = row["scores"]["accuracy"]
    verdicts = [one["verdict"] for row in read_rows(tmp_path / "out") for one in row["findings"]]
    assert verdicts[0] == ("reproduced" if score <= 0.1 else "not reproduced")
    assert len(verdicts) == 2


def test_a_changed_setting_is_not_comparable(make_run, published, tmp_path):
    of_table = published(50.0)
    same = {"batch_size": 1, "max_length": 60}
    make_run("lambada", **{**of_table, "changed": same}).run(["bidirectional"])
    make_run("lambada", **{**of_table, "changed": {"max_length": 50}}).run(["unidirectional"])
    neutral, changed = read_rows(tmp_path / "out")
    assert neutral["findings"][0]["verdict"] in ("reproduced", "not reproduced")
    assert changed["findings"][0]["reason"] == "other settings than the table's: max_length"


@pytest.mark.parametrize(
    "changed", [{"max_length": 40}, {"max_length": 60, "seed": 2}, {}], ids=["another", "one more", "one less"]
)
def test_other_settings_in_the_same_folder(make_run, changed):
    """A seed counts here, though scores stay comparable. Settings of the machine may change."""
    run = make_run("lambada")
    run.run(["bidirectional"])
    with pytest.raises(ValueError, match=r"bidirectional holds a run with other .*settings"):
        replace(run, changed=changed, start=never).run(["bidirectional"])
    assert replace(run, changed={**run.changed, "batch_size": 1}, start=never).run(["bidirectional"]) == 0


def test_data_can_be_corrected(make_run, tmp_path):
    """A run with wrong data leaves nothing that a run with the right ones would trip over."""
    run = make_run("lambada")
    with pytest.raises(
        FileNotFoundError, match=r"Row bidirectional: There is no file .*nothing\. --data needs: the file lam"
    ):
        replace(run, data=tmp_path / "nothing", start=never).run()
    assert run.run(["bidirectional"]) == 0


def write(name: str, text: str):
    def change(data: Path):
        path = data / name if data.is_dir() else data
        path.write_text(text, encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "superglue",
            write("RTE/val.jsonl", '{"premise": "a"}\n'),
            "Row rte: .*RTE/val.jsonl, line 1: there is no 'hyp",
        ),
        ("superglue", lambda data: (data / "WSC" / "train.jsonl").unlink(), "Row wsc: .*WSC.* --data needs: .*--rows"),
        ("cnn_dm", write("test.source", "one line\n"), "Row test: .*test.source has 1 lines, but .*test.target has"),
        ("cnn_dm", lambda data: (data / "test.target").unlink(), "Row test: .* has no test rows with targets"),
        ("gigaword", lambda data: (data / "train.target").unlink(), "Row test: There is no file .*train.target"),
        ("xsum", write("10000202.summary", "[SN]URL[SN]\n"), r"Row test: .*summary has no text under \[SN\]RESTBODY"),
        ("question_generation", write("test.json", "{}"), "Row test: .*test.json: the file has no 'data'"),
        ("yahoo", write("blank/test.maskratio0.1.blank", "a [MASK]\n"), "Row 0.1: .*test.txt"),
        ("lambada", write("", '{"txt": "a b"}\n'), "Row bidirectional: .*line 1 of .*jsonl: The line has no .text."),
        ("lambada", write("", ""), "Row bidirectional: .*is empty"),
        ("wikitext", write("", " \n"), "Row bidirectional: .*has no words"),
    ],
)
def test_data_of_another_form(make_run, name, change, message):
    run = make_run(name, start=never)
    change(run.data)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run.run()


@pytest.mark.parametrize(
    ("settings", "rows", "message"),
    [
        ({"model": "glm-2b"}, [], "--model glm-2b: lambada has figures of glm-10b; or 'own'"),
        ({"model": "glm-10b"}, [], "is not glm-10b: it has layers 1, width 16, .*Give --model own"),
        ({"processes": 0}, [], "--processes 0: expected at least 1"),
        ({}, ["both"], "--rows both: lambada has the rows bidirectional, unidirectional"),
    ],
    ids=["model", "size", "processes", "row"],
)
def test_wrong_arguments(make_run, settings, rows, message):
    with pytest.raises(ValueError, match=message):
        make_run("lambada", **settings, start=never).run(rows)


def test_one_run_at_a_time(make_run):
    run = make_run("lambada", start=never)
    with hold_folder(run.folder), pytest.raises(ValueError, match="is in use by process"):
        run.run()


def test_batches_are_divided(make_run):
    """As in the authors' scripts: 16 examples for each step of GLM-RoBERTa, 64 for each of GLM-10B."""
    run = make_run("cnn_dm", changed={}, processes=4)
    of_model = {
        model: replace(run, model=model).settings_of("test") for model in ("glm-roberta-large", "glm-10b", "own")
    }
    assert [settings["gradient_accumulation_steps"] for settings in of_model.values()] == [1, 4, 1]
    assert [settings["per_device_train_batch_size"] for settings in of_model.values()] == [4, 4, 4]
    assert (of_model["glm-10b"]["recipe"], of_model["glm-10b"]["task"]) == ("cnn_dm-10b", "cnn_dm_original")
    smaller = replace(run, changed={"per_device_train_batch_size": 2}).settings_of("test")
    assert smaller["gradient_accumulation_steps"] == 2
    with pytest.raises(ValueError, match="A step of cnn_dm has 16 examples: 4 on each of 3 processes"):
        replace(run, processes=3).settings_of("test")


def test_commands(make_run, tmp_path):
    """A training is shared by processes, a measurement is not."""
    commands = []

    def start(command):
        commands.append(command)
        return 1

    make_run("gigaword", processes=2, start=start).run()
    make_run("wikitext", processes=2, start=start).run(["unidirectional"])
    assert make_run("yahoo", start=start).run() == 5
    training, measuring, *of_shares = commands
    assert [command[command.index("--mask_ratio") + 1] for command in of_shares] == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    assert training[:5] == [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]
    assert Path(training[5]).name == "04_seq2seq.py"
    text = " ".join(training[6:])
    assert "--recipe gigaword --original_search true" in text
    assert "--per_device_train_batch_size 4 --gradient_accumulation_steps 2" in text
    assert measuring[:5] == [sys.executable, "-m", "modeling_glm", "evaluate", "perplexity"]
    text = " ".join(measuring)
    assert "--one-document --detokenize wikitext --window 60 --stride 15 --unidirectional --output" in text


def test_start_process():
    assert start_process([sys.executable, "-c", "raise SystemExit(7)"]) == 7
