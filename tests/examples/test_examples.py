"""Every example runs, with small settings."""

import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str):
    """Runs a script as `python examples/name` does."""
    before = sys.argv, list(sys.path)
    sys.argv, sys.path[:0] = [str(EXAMPLES / name), *map(str, arguments)], [str(EXAMPLES)]
    try:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("[0-9]*.py")))
def test_help_explains(name, capsys):
    with pytest.raises(SystemExit) as stop:
        run(name, "--help")
    assert stop.value.code == 0
    assert len(capsys.readouterr().out) > 300


def test_quickstart(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run("01_quickstart.py", "--blanks", "40", "--steps", "3", "--output_dir", tmp_path / "tuned")
    printed = capsys.readouterr().out
    for expected in ("(a)", "(b)", "(c)", "(d)", "back-off n-gram", "same answers"):
        assert expected in printed
    assert {"model.safetensors", "tokenizer.json", "loss.png"} <= {p.name for p in (tmp_path / "tuned").iterdir()}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_quickstart_on_another_model(tmp_path, monkeypatch, capsys):
    import shutil

    shutil.copytree(EXAMPLES / "glm-tiny", tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    run("01_quickstart.py", "--model", tmp_path / "copy")
    printed = capsys.readouterr().out
    assert "(c)" in printed
    assert "(d)" not in printed


TINY_RUN = ["--disable_tqdm", "true", "--per_device_train_batch_size", 4, "--logging_steps", 1, "--report_to", "none"]


def write_rte(folder: Path, lines: int = 24):
    folder.mkdir()
    for split, start in (("train", 0), ("val", 100), ("test", 200)):
        rows = [
            {
                "premise": f"The number {n} is even." if n % 2 == 0 else f"The number {n} is odd.",
                "hypothesis": f"{n} is even.",
                "label": "not_entailment" if n % 2 else "entailment",
                "idx": n,
            }
            for n in range(start, start + lines)
        ]
        if split == "test":
            rows = [{key: value for key, value in row.items() if key != "label"} for row in rows]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_cloze_on_superglue(tmp_path, capsys):
    write_rte(tmp_path / "RTE")
    arguments = ["--task", "rte", "--data_dir", tmp_path, "--pattern_ids", 0, 1, "--max_steps", 3]
    arguments += ["--lora", "--lora_rank", 2]
    run("02_cloze_classification.py", *arguments, "--output_dir", tmp_path / "run", *TINY_RUN)
    printed = capsys.readouterr().out
    assert "TF-IDF + logistic regression" in printed
    model = tmp_path / "run" / "pretrained" / "model"
    names = {path.name for path in model.iterdir()}
    assert {"adapter_model.safetensors", "cloze.json", "confusion.png", "metrics.json", "RTE.jsonl"} <= names
    submission = [json.loads(line) for line in (model / "RTE.jsonl").read_text().splitlines()]
    assert [line["idx"] for line in submission] == list(range(200, 224))
    assert {line["label"] for line in submission} <= {"entailment", "not_entailment"}
    assert len((model / "predictions.jsonl").read_text().splitlines()) == 24


def test_cloze_zero_shot_with_calibrations(tmp_path, capsys):
    write_rte(tmp_path / "RTE")
    arguments = ["--task", "rte", "--data_dir", tmp_path, "--zero_shot", "--domain_premise", "Answer: [MASK]"]
    run("02_cloze_classification.py", *arguments, "--output_dir", tmp_path / "run", *TINY_RUN)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(results) == ["zero-shot", "zero-shot, contextual calibration", "zero-shot, mutual information"]
    assert all(0 <= row["accuracy"] <= 1 and 0 <= row["ece"] <= 1 for row in results.values())


def test_cloze_on_files_of_ones_own(tmp_path):
    lines = ["text,kind", *(f'"the {word}, number {n}",{word}' for n in range(12) for word in ("good", "bad"))]
    (tmp_path / "train.csv").write_text("\n".join(lines), encoding="utf-8")
    arguments = ["--train_file", tmp_path / "train.csv", "--test_file", tmp_path / "train.csv", "--shots", 6]
    arguments += ["--predict_file", tmp_path / "train.csv", "--label_field", "kind", "--max_steps", 2]
    arguments += ["--pattern", "{soft:2}{text|shorten} It was [MASK].", "--freeze"]
    arguments += ["--verbalizer", '{"good": ["fine", "good"], "bad": "bad"}', "--output_dir", tmp_path / "run"]
    run("02_cloze_classification.py", *arguments, *TINY_RUN)
    model = tmp_path / "run" / "pretrained" / "model"
    assert len((model / "unlabelled.jsonl").read_text().splitlines()) == 24
    assert (model / "adapter_model.safetensors").exists()
    assert len((model / "cloze.json").read_text()) > 100


def test_a_trained_folder_is_a_pipeline(tmp_path):
    from transformers import pipeline

    write_rte(tmp_path / "RTE")
    arguments = ["--task", "rte", "--data_dir", tmp_path, "--max_steps", 1, "--output_dir", tmp_path / "run"]
    run("02_cloze_classification.py", *arguments, *TINY_RUN)
    folder = tmp_path / "run" / "pretrained" / "model"
    classifier = pipeline("cloze-classification", model=str(folder))
    line = json.loads((folder / "predictions.jsonl").read_text().splitlines()[0])
    (found,) = classifier(line["example"])
    assert found["label"] == line["predicted"]
    assert found["score"] == pytest.approx(line["probability"], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "rte"], "needs --data_dir"),
        (["--pattern", "{a} [MASK]"], "--pattern needs --verbalizer"),
        (["--test_file", "x.csv"], "need --pattern"),
        (["--task", "nothing"], "Unknown task 'nothing'"),
        (["--pattern", "{a} [MASK]", "--verbalizer", "{", "--test_file", "x.csv"], "--verbalizer is not JSON"),
        (["--pattern", "{a}", "--verbalizer", '{"x": "x", "y": "y"}', "--test_file", "x.csv"], "has 0 blanks"),
        (["--pattern", "{a} [MASK]", "--verbalizer", '{"x": "x", "y": "y"}', "--test_file", "x.csv"], "no file x.csv"),
    ],
)
def test_cloze_says_what_is_wrong(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        run("02_cloze_classification.py", *arguments)
    assert not list(tmp_path.iterdir())


def test_cloze_goes_on_where_it_was_killed(tmp_path):
    """A run that is killed in the middle of training and started again ends with the metrics of one that was not."""
    lines = ["text,label", *(f'"the {word}, number {n}",{word}' for n in range(40) for word in ("good", "bad"))]
    (tmp_path / "data.csv").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, EXAMPLES / "02_cloze_classification.py", "--train_file", tmp_path / "data.csv"]
    command += ["--test_file", tmp_path / "data.csv", "--pattern", "{text|shorten} It was [MASK].", *TINY_RUN]
    command += ["--verbalizer", '{"good": "fine", "bad": "bad"}', "--max_steps", 30, "--save_steps", 5]
    command += ["--learning_rate", 3e-4, "--output_dir"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(folder: Path) -> subprocess.Popen:
        arguments = [str(argument) for argument in (*command, folder)]
        return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)

    def metrics(folder: Path) -> dict:
        return json.loads((folder / "pretrained" / "model" / "metrics.json").read_text())

    whole = start(tmp_path / "whole")
    assert whole.wait(300) == 0, whole.stderr.read().decode()
    killed = start(tmp_path / "killed")
    while not list((tmp_path / "killed").glob("pretrained/checkpoint-*/trainer_state.json")):
        assert killed.poll() is None, killed.stderr.read().decode()
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "killed" / "pretrained" / "model").exists()
    again = start(tmp_path / "killed")
    assert again.wait(300) == 0, again.stderr.read().decode()
    expected, found = metrics(tmp_path / "whole"), metrics(tmp_path / "killed")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


def test_cloze_refuses_the_folder_of_another_run(tmp_path):
    write_rte(tmp_path / "RTE")
    arguments = [
        "--task",
        "rte",
        "--data_dir",
        tmp_path,
        "--max_steps",
        1,
        "--output_dir",
        tmp_path / "run",
        *TINY_RUN,
    ]
    run("02_cloze_classification.py", *arguments)
    with pytest.raises(SystemExit, match="holds a run with other arguments"):
        run("02_cloze_classification.py", *arguments, "--learning_rate", 1e-3)
