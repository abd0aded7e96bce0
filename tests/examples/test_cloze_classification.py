"""The script 02_cloze_classification.py, with small settings."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from transformers import pipeline

from modeling_glm import ClozeClassifier, GLMForMultipleChoice, GLMTokenizer, PatternVerbalizer
from modeling_glm.cloze.sources import load_published
from modeling_glm.runs.lock import hold_folder
from tests.support.cloze_runs import FineTuning
from tests.support.fake_hub import TOKEN, run_hub
from tests.support.kills import Kill
from tests.support.paths import EXAMPLES
from tests.support.real_tasks import write_real_data
from tests.support.scripts import command_of, run_script

SCRIPT = "02_cloze_classification.py"
TINY_RUN = ["--disable_tqdm", "true", "--per_device_train_batch_size", 4, "--logging_steps", 1, "--report_to", "none"]


@pytest.fixture
def rte(tmp_path) -> Path:
    return write_rte(tmp_path)


def write_rte(root: Path) -> Path:
    """Write a folder with files like those of RTE, with labels that are easy to learn."""
    folder = root / "RTE"
    folder.mkdir()
    for split, start in (("train", 0), ("val", 100), ("test", 200)):
        rows = [
            {
                "premise": f"The number {n} is {('even', 'odd')[n % 2]}.",
                "hypothesis": f"{n} is even.",
                "label": ("entailment", "not_entailment")[n % 2],
                "idx": n,
            }
            for n in range(start, start + 24)
        ]
        if split == "test":
            rows = [{key: value for key, value in row.items() if key != "label"} for row in rows]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[list, Path]:
    """The command line of a run that has ended, and the folder of its model."""
    rte = write_rte(tmp_path_factory.mktemp("trained"))
    arguments = ["--task", "rte", "--data_dir", rte, "--max_steps", 1, "--output_dir", rte / "run", *TINY_RUN]
    run_script(SCRIPT, *arguments)
    return arguments, rte / "run" / "pretrained" / "model"


def write_table(path: Path, rows: int = 12, label: str = "label") -> Path:
    lines = [f"text,{label}", *(f'"the {word}, number {n}",{word}' for n in range(rows) for word in ("good", "bad"))]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_help(capsys, monkeypatch):
    """The help shows all arguments of the script, and of Trainer's only those with other defaults."""
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as stop:
        run_script(SCRIPT, "--help")
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert 'pipeline("cloze-classification", model=FOLDER)' in printed
    for argument in ("--task", "--pattern", "--verbalizer", "--shots", "--lora_rank", "--learning_rate", "--seed"):
        assert f"  {argument} " in printed
    assert "--adam_beta1" not in printed
    assert "All other arguments of Transformers' TrainingArguments work too" in printed


@pytest.mark.slow
def test_superglue(rte, capsys):
    arguments = ["--task", "rte", "--data_dir", rte, "--pattern_ids", 0, 1, "--max_steps", 3]
    arguments += ["--lora", "--lora_rank", 2]
    run_script(SCRIPT, *arguments, "--output_dir", rte / "run", *TINY_RUN)
    printed = capsys.readouterr().out
    assert "TF-IDF + logistic regression" in printed
    assert "24 of 24 examples are predicted in" in printed
    assert "RTE.jsonl" in printed
    model = rte / "run" / "pretrained" / "model"
    names = {path.name for path in model.iterdir()}
    assert {"adapter_model.safetensors", "cloze.json", "confusion.png", "metrics.json", "RTE.jsonl"} <= names
    submission = read_lines(model / "RTE.jsonl")
    assert [line["idx"] for line in submission] == list(range(200, 224))
    assert {line["label"] for line in submission} <= {"entailment", "not_entailment"}
    assert len(read_lines(model / "predictions.jsonl")) == 24
    # The folder loads from anywhere: its base model has an absolute path, and its tokenizer carries the task.
    base = json.loads((model / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert Path(base) == (EXAMPLES / "glm-tiny").absolute()
    line = read_lines(model / "predictions.jsonl")[0]
    # The script computes in float32. An adapter alone would get the data type of its base model, bfloat16.
    (found,) = pipeline("cloze-classification", model=str(model), dtype="float32")(line["example"])
    assert (found["label"], found["score"]) == (line["predicted"], pytest.approx(line["probability"], abs=1e-4))
    saved = PatternVerbalizer.from_pretrained(model).with_calibration(None)
    assert saved.to_dict() == PatternVerbalizer.from_task("rte").select([0, 1]).to_dict()


@pytest.mark.slow
def test_zero_shot_with_calibrations(rte):
    arguments = ["--task", "rte", "--data_dir", rte, "--zero_shot", "--domain_premise", "Answer: [MASK]"]
    run_script(SCRIPT, *arguments, "--output_dir", rte / "run", *TINY_RUN)
    results = json.loads((rte / "run" / "results.json").read_text())
    data = load_published("rte", data_dir=rte)
    tokenizer = GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")
    model = GLMForMultipleChoice.from_pretrained(EXAMPLES / "glm-tiny", dtype="float32", attn_implementation="eager")
    classifier = ClozeClassifier(model, tokenizer, data.task)
    expected = {"zero-shot": classifier.score(data.test)}
    expected["zero-shot, contextual calibration"] = classifier.calibrate("contextual").score(data.test)
    classifier.calibrate("pmi", domain_premise="Answer: [MASK]")
    expected["zero-shot, mutual information"] = classifier.score(data.test)
    assert {name: metrics["accuracy"] for name, metrics in results.items()} == expected


def test_a_task_of_real_data(tmp_path, monkeypatch, capsys):
    """On made-up files of the same form. Texts are cut at the length of the task, unless another one is given."""
    monkeypatch.setenv("GLM_DATA", str(write_real_data(tmp_path / "data", count=12)))
    cut = []
    monkeypatch.setattr(
        "modeling_glm.cloze.training.ClozeClassifier",
        lambda *args, max_length, **kwargs: cut.append(max_length) or 1 / 0,
    )
    for arguments in ([], ["--max_length", 64]):
        with pytest.raises(ZeroDivisionError):
            run_script(
                SCRIPT, "--task", "trec", "--zero_shot", *arguments, "--output_dir", tmp_path / "run", *TINY_RUN
            )
    assert cut == [128, 64]
    assert "trec: {text|shorten} The answer is a [MASK]." in capsys.readouterr().out
    monkeypatch.setenv("GLM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit, match=r"error: .*question_labels\.txt is missing. Run make data"):
        run_script(SCRIPT, "--task", "trec", "--zero_shot", "--output_dir", tmp_path / "other", *TINY_RUN)


def test_files_of_your_own(tmp_path):
    path = write_table(tmp_path / "train.csv", label="kind")
    pattern, words = "{soft:2}{text|shorten} It was [MASK].", {"good": ["fine", "good"], "bad": "bad"}
    arguments = ["--train_file", path, "--test_file", path, "--predict_file", path, "--shots", 6]
    arguments += ["--label_field", "kind", "--max_steps", 2, "--freeze", "--pattern", pattern]
    arguments += ["--verbalizer", json.dumps(words), "--output_dir", tmp_path / "run"]
    run_script(SCRIPT, *arguments, *TINY_RUN)
    model = tmp_path / "run" / "pretrained" / "model"
    predicted = read_lines(model / "unlabelled.jsonl")
    assert [line["text"] for line in predicted] == [f"the {w}, number {n}" for n in range(12) for w in ("good", "bad")]
    assert all(sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5) for line in predicted)
    assert (model / "adapter_model.safetensors").is_file()
    task = PatternVerbalizer.from_pretrained(model)
    assert [found.text for found in task.patterns] == [pattern]
    assert task.labels == ["good", "bad"]


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (4, [], r"error: own has no labelled examples for validation.*--validation_file.*--eval_strategy no"),
        (
            20,
            ["--coverage", 0.9],
            r"error: There are 4 labelled examples.*needs at least 18, half of them for the temp",
        ),
        (20, ["--coverage", 90], r"error: coverage=90.0: expected a number above 0"),
    ],
)
def test_too_few_examples_for_validation_are_told_before_training(tmp_path, capsys, rows, settings, message):
    path = write_table(tmp_path / "train.csv", rows=rows)
    arguments = [
        "--train_file",
        path,
        "--pattern",
        "{text} It was [MASK].",
        "--output_dir",
        tmp_path / "run",
        *settings,
    ]
    with pytest.raises(SystemExit, match=message):
        run_script(SCRIPT, *arguments, "--verbalizer", '{"good": "fine", "bad": "bad"}', *TINY_RUN)
    assert not list(tmp_path.rglob("checkpoint-*"))
    assert "train_loss" not in capsys.readouterr().out


def test_a_trained_folder_is_a_pipeline(trained):
    _, folder = trained
    classifier = pipeline("cloze-classification", model=str(folder))
    line = read_lines(folder / "predictions.jsonl")[0]
    (found,) = classifier(line["example"])
    assert found["label"] == line["predicted"]
    assert found["score"] == pytest.approx(line["probability"], abs=1e-4)


@pytest.mark.slow
def test_predict_with_the_task_that_a_folder_carries(tmp_path, capsys):
    """A merged LoRA model predicts new rows as its pipeline does, repeats their columns, and names bad lines."""
    path = write_table(tmp_path / "train.csv", rows=20)
    arguments = ["--train_file", path, "--pattern", "{text|shorten} It was [MASK].", "--max_steps", 2, *TINY_RUN]
    arguments += ["--verbalizer", '{"good": "fine", "bad": "bad"}', "--lora", "--merge"]
    arguments += ["--validation_file", path, "--test_file", path, "--coverage", 0.9, "--answer_accuracy", 0.2]
    run_script(SCRIPT, *arguments, "--output_dir", tmp_path / "run")
    folder = tmp_path / "run" / "pretrained" / "model"
    assert {"model.safetensors", "config.json", "README.md"} <= {file.name for file in folder.iterdir()}
    assert not (folder / "adapter_config.json").exists()
    card = (folder / "README.md").read_text()
    assert "| good | `fine` |" in card
    assert "returns sets of labels, of which 90.0% have the right one" in card
    metrics = json.loads((tmp_path / "run" / "results.json").read_text())["cloze, pretrained weights"]
    assert {"answered", "answer_accuracy", "coverage", "set_size"} <= set(metrics)
    assert metrics["coverage"] > 0.5
    assert (folder / "reliability.png").is_file()
    assert "Ice is" not in card

    rows = ['{"id": 7, "text": "the number 3"}', "{", '{"id": 8, "text": null}', '{"id": 9, "text": "a bad one"}']
    (tmp_path / "new.jsonl").write_text("\n".join(rows))
    with pytest.raises(SystemExit) as stop:
        run_script(
            SCRIPT, "--model", folder, "--predict_file", tmp_path / "new.jsonl", "--output_dir", tmp_path / "out"
        )
    assert stop.value.code == 1
    printed = capsys.readouterr()
    assert "2 of 4 examples are predicted" in printed.out
    assert "2 could not be predicted" in printed.err
    first, broken, missing, last = read_lines(tmp_path / "out" / "predicted" / "unlabelled.jsonl")
    assert (broken["line"], missing["line"]) == (2, 3)
    assert "not JSON" in broken["error"]
    assert "'text'" in missing["error"]
    classifier = pipeline("cloze-classification", model=str(folder), top_k=None)
    rule = PatternVerbalizer.from_pretrained(folder).answer_rule
    for line, number, text in ((first, 7, "the number 3"), (last, 9, "a bad one")):
        assert (line["id"], line["text"]) == (number, text)
        expected = {found["label"]: found["score"] for found in classifier(text)}
        assert line["probabilities"] == pytest.approx(expected, abs=1e-4)
        assert line["predicted"] == max(expected, key=expected.get)
        assert line["answered"] == (classifier(text, threshold=rule["threshold"]) != [])
        assert line["labels"] == [found["label"] for found in classifier(text, prediction_sets=True)]


@pytest.mark.slow
def test_push(tmp_path):
    """With --push_to_hub the repository has the task, the card and the code beside the weights."""
    path = write_table(tmp_path / "train.csv")
    arguments = ["--train_file", path, "--test_file", path, "--max_steps", 2, "--save_steps", 2]
    arguments += ["--pattern", "{text|shorten} It was [MASK].", "--verbalizer", '{"good": "fine", "bad": "bad"}']
    arguments += ["--output_dir", tmp_path / "run", "--push_to_hub", "--hub_model_id", "writer/cloze", *TINY_RUN]
    with run_hub() as hub:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        settings = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf")}
        settings |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command_of(SCRIPT, *arguments), env={**kept, **settings}, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-5000:]
        files = hub.repo("writer/cloze").history()[-1].files
    assert {"model.safetensors", "README.md", "modeling_glm.py", "tokenization_glm.py", "cloze.json"} <= set(files)
    assert "- cloze\n" in files["README.md"].decode()  # a tag of our card
    assert "- accuracy: " in files["README.md"].decode()
    assert 'pipeline("cloze-classification", model="writer/cloze")' in files["README.md"].decode()
    # Pushed as the script measured and saved it: with the fitted temperature.
    assert json.loads(files["cloze.json"]) == json.loads(
        (tmp_path / "run" / "pretrained" / "model" / "cloze.json").read_text()
    )
    assert json.loads(files["cloze.json"])["patterns"] == ["{text|shorten} It was [MASK]."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "rte"], "needs --data_dir"),
        (["--data_dir", "."], "name the task whose files it holds with --task"),
        (["--validation_file", "x.csv"], "carries no task"),
        (["--pattern", "{a} [MASK]"], "--pattern needs --verbalizer"),
        (["--test_file", "x.csv"], "carries no task: files of your own need --pattern"),
        (["--task", "rte", "--data_dir", ".", "--predict_file", "x.csv"], "reads its own files"),
        (["--task", "nothing"], "Unknown task 'nothing'"),
        (["--pattern", "{a} [MASK]", "--verbalizer", "{", "--test_file", "x.csv"], "--verbalizer is not JSON"),
        (["--pattern", "{a}", "--verbalizer", '{"x": "x", "y": "y"}', "--test_file", "x.csv"], "has 0 blanks"),
        (["--pattern", "{a} [MASK]", "--verbalizer", '{"x": "x", "y": "y"}', "--test_file", "x.csv"], "no file x.csv"),
    ],
)
def test_errors(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        run_script(SCRIPT, *arguments)
    assert not list(tmp_path.iterdir())


class TestKilledRuns:
    """The same command resumes, and all files are those of a run without a kill. `tests/stress` has every moment."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "write"),
        [
            pytest.param("plain", r".*checkpoint-2/trainer_state\.json", id="within the first checkpoint"),
            pytest.param("plain", r".*checkpoint-2/_manifest.*", id="before the manifest of the first checkpoint"),
            pytest.param(
                "a checkpoint at the end of the epoch",
                r".*checkpoint-6/optimizer\.pt",
                id="after the evaluation of an epoch",
            ),
            pytest.param("lora", r"open run/pretrained/_model.*README.*", id="within the finished adapter"),
        ],
    )
    def test_resume(self, fine_tuned, fine_tuning_data, tmp_path, name, write):
        ended, expected = fine_tuned(name)
        number = next(number for number, text in enumerate(ended.writes) if re.fullmatch(write, text))
        run = FineTuning(name, tmp_path / "run", fine_tuning_data)
        assert run.kill(Kill(write=number)).killed
        run.finish()
        run.check(expected)

    @pytest.mark.slow
    def test_a_finished_run_stays(self, fine_tuned, fine_tuning_data, tmp_path):
        """Also if the best checkpoint, which it loads at the end, is not the last one."""
        expected = fine_tuned("best model")[1]
        run = FineTuning("best model", tmp_path / "run", fine_tuning_data)
        run.finish()
        again = run.finish()
        assert "checkpoint-9" not in " ".join(again.writes)
        run.check(expected)


def test_two_runs_in_one_folder(rte):
    """The second is refused before it loads a model."""
    arguments = ["--task", "rte", "--data_dir", rte, "--model", "no-model", "--output_dir", rte / "run", *TINY_RUN]
    with (
        hold_folder(rte / "run"),
        pytest.raises(SystemExit, match=f"error: .*run is in use by process {os.getpid()}: wait until"),
    ):
        run_script(SCRIPT, *arguments)


@pytest.mark.parametrize("below", ["", "/deep"])
def test_an_output_folder_that_is_a_file(tmp_path, below):
    """It is said before data and model are read."""
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SystemExit, match=r"error: --output_dir .*is a file, expected a folder"):
        run_script(SCRIPT, "--test_file", "no-file", "--model", "no-model", "--output_dir", f"{tmp_path}/file{below}")
    assert (tmp_path / "file").read_text() == "kept"


def test_the_folder_of_another_run_is_refused(trained):
    arguments, _ = trained
    with pytest.raises(SystemExit, match=r"holds a run with other arguments: .*learning_rate is 0\.001, was"):
        run_script(SCRIPT, *arguments, "--learning_rate", 1e-3)
