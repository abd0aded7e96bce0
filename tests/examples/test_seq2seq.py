"""The script 04_seq2seq.py, with small settings."""

import json
import os
from pathlib import Path

import pytest
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from modeling_glm import DataCollatorForInfillingSeq2Seq
from modeling_glm.runs.lock import hold_folder
from modeling_glm.seq2seq.predictions import predict_targets
from modeling_glm.seq2seq.sources import Columns, Seq2SeqData
from tests.support.scripts import run_script
from tests.support.seq2seq_features import write_files

SCRIPT = "04_seq2seq.py"
SMALL = ["--max_steps", 2, "--disable_tqdm", "true", "--per_device_train_batch_size", 4, "--max_new_tokens", 6]


def write_table(path: Path, rows: int = 12) -> Path:
    lines = ["id,text,title", *(f'{n},"the time 1{n % 10}:20, exactly",hour 1{n % 10}' for n in range(rows))]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_files_of_your_own_and_predictions_with_the_run(tmp_path, capsys):
    """A LoRA run writes scores, answers and a folder that predicts as the script does."""
    path = write_table(tmp_path / "rows.csv")
    arguments = ["--train_file", path, "--test_file", path, "--source", "text", "--target", "title", "--lora"]
    arguments += ["--num_beams", 2, "--metrics", "rouge", "bleu", "chrf", "exact_match", "squad", "--show", 2]
    run_script(SCRIPT, *arguments, *SMALL, "--output_dir", tmp_path / "run")
    printed = capsys.readouterr()
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(results) == ["GLM", "lead words", "nearest neighbour"]
    assert {"rouge1", "bleu", "chrf", "exact_match", "squad_f1"} <= set(results["GLM"])
    assert results["nearest neighbour"]["exact_match"] > 80
    assert "warning: GLM has rouge1" in printed.err
    assert "On 12 test rows, in percent:" in printed.out
    assert "the time 16:20, exactly" in printed.out
    folder = tmp_path / "run" / "model"
    names = {file.name for file in folder.iterdir()}
    assert {"adapter_model.safetensors", "seq2seq.json", "metrics.json", "answers.jsonl", "README.md"} <= names
    assert json.loads((folder / "metrics.json").read_text()) == results["GLM"]
    answers = read_lines(folder / "answers.jsonl")
    assert [line["id"] for line in answers] == [str(number) for number in range(12)]

    (tmp_path / "new.csv").write_text('id,text\n7,"the time 13:20, exactly"\n8\n9, \n')
    arguments = ["--model", tmp_path / "run", "--predict_file", tmp_path / "new.csv", "--num_beams", 2]
    with pytest.raises(SystemExit) as stop:
        run_script(SCRIPT, *arguments, "--max_new_tokens", 6, "--output_dir", tmp_path / "out")
    assert stop.value.code == 1
    assert "1 of 3 rows are predicted in" in capsys.readouterr().out
    first, short, empty = read_lines(tmp_path / "out" / "predicted" / "predicted.jsonl")
    assert (first["id"], first["prediction"]["text"]) == ("7", answers[3]["prediction"]["text"])
    assert first["prediction"]["log_prob"] == pytest.approx(answers[3]["prediction"]["log_prob"], abs=1e-4)
    assert (short["line"], empty["line"]) == (3, 4)
    assert "has an empty source" in empty["error"]
    # The folder loads as others load it.
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    collator = DataCollatorForInfillingSeq2Seq.from_pretrained(folder, tokenizer)
    found = predict_targets(model.float(), collator, [answers[3]], num_beams=2, max_new_tokens=6)[0]
    assert found.text == first["prediction"]["text"]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["gigaword", "squad"])
def test_tasks_of_the_originals(tmp_path, capsys, task):
    folder = write_files(task, tmp_path / "data")
    (tmp_path / "recipe.yaml").write_text(
        f"task: {task}\nmax_source_length: 48\nmax_target_length: 12\nlabel_smoothing_factor: 0.1\nmin_lr_ratio: 0.1\n"
        "no_repeat_ngram_size: 3\n"
    )
    arguments = ["--recipe", tmp_path / "recipe.yaml", "--data_dir", folder, "--output_dir", tmp_path / "run"]
    run_script(SCRIPT, *arguments, *SMALL)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert next(iter(results["GLM"])) == {"gigaword": "rouge1", "squad": "squad_exact_match"}[task]
    assert "[sMASK]" in capsys.readouterr().out
    saved = json.loads((tmp_path / "run" / "model" / "seq2seq.json").read_text())
    assert (saved["max_source_length"], saved["max_target_length"]) == (48, 12)


@pytest.mark.slow
def test_the_default(tmp_path, capsys, monkeypatch):
    """With few rows of the embedded task. `tests/examples/corpora/test_docstrings.py` tests the task."""
    rows = [{"docstring": f"Return the number {number}.", "name": f"number {number}"} for number in range(8)]
    columns = Columns(pattern="{docstring|shorten} This function is called [MASK].", targets=("name",))
    data = Seq2SeqData(
        name="names", columns=columns, train=rows, validation=rows[:2], test=rows[:3], metrics=("rouge", "exact_match")
    )
    from examples.corpora import docstrings

    monkeypatch.setitem(docstrings.EMBEDDED_TASKS, "names", lambda: data)
    monkeypatch.setitem(__import__("sys").modules, "corpora.docstrings", docstrings)
    monkeypatch.chdir(tmp_path)
    run_script(SCRIPT, *SMALL)
    printed = capsys.readouterr().out
    assert "8 to train on, 2 for validation, 3 to report on" in printed
    assert (tmp_path / "runs" / "seq2seq" / "model" / "model.safetensors").is_file()
    # The same command again finds the finished run.
    run_script(SCRIPT, *SMALL)
    assert capsys.readouterr().out.count("'loss'") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "xsum"], "error: Task 'xsum' needs --data_dir"),
        (["--recipe", "nothing"], "error: There is no recipe nothing"),
        (["--train_file", "x.csv"], "error: There is no file x.csv"),
        (["--train_file", "rows.csv"], "error: rows.csv, line 2 has no column 'source'"),
        (["--train_file", "rows.csv", "--source", "text"], "line 2 has no column 'target'"),
        (["--train_file", "rows.csv", "--pattern", "{text}", "--target", "title"], "error: .*blank"),
        (
            ["--train_file", "rows.csv", "--pattern", "{text} [MASK] [MASK]", "--target", "title"],
            "error: rows.csv, line 2 has one text in 'title', but the pattern has 2 blanks: .*--target",
        ),
        (
            ["--train_file", "rows.csv", "--source", "text", "--target", "title", "--metrics", "meteor"],
            "Unknown metric",
        ),
        (["--train_file", "rows.csv", "--source", "text", "--target", "title", "--layout", "x"], "layout='x'"),
        (["--predict_file", "rows.csv", "--source", "text", "--max_source_length", 999], "position table ends at 256"),
    ],
)
def test_errors(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "rows.csv")
    with pytest.raises(SystemExit, match=message):
        run_script(SCRIPT, *arguments)
    assert not list((tmp_path / "runs").rglob("*.safetensors"))


def test_two_runs_in_one_folder(tmp_path):
    path = write_table(tmp_path / "rows.csv")
    arguments = ["--train_file", path, "--source", "text", "--target", "title", "--output_dir", tmp_path / "run"]
    with (
        hold_folder(tmp_path / "run"),
        pytest.raises(SystemExit, match=f"error: .*run is in use by process {os.getpid()}: wait until"),
    ):
        run_script(SCRIPT, *arguments, *SMALL)


def test_an_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SystemExit, match=r"error: --output_dir .*is a file, expected a folder"):
        run_script(SCRIPT, "--train_file", "no-file", "--model", "no-model", "--output_dir", tmp_path / "file")
