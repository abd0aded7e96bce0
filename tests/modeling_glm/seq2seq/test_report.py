"""Files and tables of results."""

import json

import pytest

from modeling_glm.seq2seq.predictions import TargetPrediction
from modeling_glm.seq2seq.report import format_examples, format_results, warn_of_baselines, write_results
from modeling_glm.seq2seq.sources import Columns, Seq2SeqData
from modeling_glm.seq2seq.training import Seq2SeqOutcome
from modeling_glm.utils.rows import RowError
from tests.support.seq2seq_runs import make_arguments

ROWS = [{"id": number, "source": f"source {number}", "target": f"target {number}"} for number in range(6)]


def answer(text: str, log_prob: float = -1.0) -> TargetPrediction:
    return TargetPrediction(
        answers=tuple(text.split("\n")), text=text, token_ids=(6, 9, 7), log_prob=log_prob, score=log_prob / 2
    )


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_files(tmp_path):
    data = Seq2SeqData(
        name="x",
        columns=Columns(),
        test=ROWS[:2],
        unlabelled=[{"source": "a"}, ValueError("bad"), {"source": ""}],
        lines=[2, 4, 5],
    )
    unlabelled = [answer("é"), RowError(1, "bad", "Line"), RowError(2, "The line has an empty source.", "Line")]
    write_results(
        tmp_path, data, Seq2SeqOutcome({"rouge1": 50.0}, ROWS[:2], [answer("one"), answer("two")], unlabelled)
    )
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"rouge1": 50.0}
    first, second = read_lines(tmp_path / "answers.jsonl")
    assert first == {**ROWS[0], "prediction": answer("one").as_dict()}
    assert second["prediction"]["probability"] == pytest.approx(0.3679, abs=1e-4)
    assert read_lines(tmp_path / "predicted.jsonl") == [
        {"source": "a", "prediction": answer("é").as_dict()},
        {"line": 4, "error": "bad"},
        {"line": 5, "error": "The line has an empty source."},
    ]


def test_a_column_with_the_name_of_the_result_stays(tmp_path):
    row = {"source": "a", "target": "b", "prediction": "mine"}
    data = Seq2SeqData(name="x", columns=Columns(), test=[row], unlabelled=[row])
    write_results(tmp_path, data, Seq2SeqOutcome({"rouge1": 50.0}, [row], [answer("one")], [answer("two")]))
    for name, text in (("answers", "one"), ("predicted", "two")):
        (found,) = read_lines(tmp_path / f"{name}.jsonl")
        assert found["input_prediction"] == "mine"
        assert found["prediction"]["text"] == text


def test_no_files_without_rows(tmp_path):
    write_results(tmp_path, Seq2SeqData(name="x", columns=Columns()), Seq2SeqOutcome({}, [], [], []))
    assert not list(tmp_path.iterdir())


def test_examples():
    data = Seq2SeqData(name="x", columns=Columns())
    table = format_examples(data, ROWS, [answer(f"answer {number}") for number in range(6)], 3)
    assert [number for number in range(6) if f"source {number}" in table] == [0, 2, 4]
    assert "answer 2" in table
    assert "target 2" in table
    assert "target" not in format_examples(data, [{"source": "s"}], [answer("a")], 3)
    long = format_examples(data, [{"source": "word " * 400, "target": "t"}], [answer("a")], 3, width=80)
    assert "..." in long
    assert max(map(len, long.splitlines())) <= 80
    blanks = Columns(pattern="{source} [MASK] [MASK]")
    rows = [{"source": "s", "target": ["one", "two"]}]
    assert "one | two" in format_examples(Seq2SeqData(name="x", columns=blanks), rows, [answer("1\n2")], 1)


def test_results():
    lines = format_results({"GLM": {"rouge1": 12.345, "bleu": 1}, "lead words": {"rouge1": 3}}).splitlines()
    assert [line.split() for line in lines] == [["rouge1", "bleu"], ["GLM", "12.3", "1.0"], ["lead", "words", "3.0"]]


def test_warning(tmp_path):
    arguments = make_arguments(tmp_path, num_train_epochs=4)
    results = {"GLM": {"rouge1": 12.0}, "lead words": {"rouge1": 3.0}, "nearest neighbour": {"rouge1": 13.0}}
    warning = warn_of_baselines(results, arguments)
    assert warning.startswith(
        "GLM has rouge1 12.0, the baseline 'nearest neighbour' has 13.0: the model did not learn"
    )
    assert "--learning_rate 3e-02 or 3e-03, more --num_train_epochs than 4" in warning
    assert warn_of_baselines({**results, "GLM": {"rouge1": 14.0}}, arguments) is None
    assert warn_of_baselines({"GLM": {"rouge1": 1.0}}, arguments) is None
