"""The commands of programs, and BLEU of filled texts."""

import json
from pathlib import Path

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from examples.paper.programs import PROGRAMS, compute_text_bleu

WORDS = st.lists(st.sampled_from(["fox", "Dog", "the", "runs", "in", "Rome"]), min_size=4, max_size=12)


def make_row(words: list[str], hidden: list[bool], answers: list[str]) -> dict:
    """Hide words of a text, each behind a blank of its own."""
    source = ["[MASK]" if hide else word for word, hide in zip(words, hidden, strict=False)]
    return {"source": " ".join(source), "text": " ".join(words), "prediction": {"answers": answers}}


@given(st.data())
def test_right_answers_have_a_bleu_of_100(data):
    words = data.draw(WORDS)
    hidden = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    answers = [f" {word}".upper() for word, hide in zip(words, hidden, strict=True) if hide]
    assert compute_text_bleu([make_row(words, hidden, answers)]) == {"text_bleu": pytest.approx(100)}


def test_text_bleu():
    """A blank without an answer stays empty, and one too many is left out."""
    rows = [
        make_row(
            ["the", "quick", "fox", "jumps", "over", "the", "lazy", "dog"],
            [False, True, False, True] + [False] * 4,
            ["slow", "jumps"],
        ),
        make_row(["Rome", "is", "the", "capital", "of", "Italy"], [True] + [False] * 5, []),
        make_row(["it", "was", "not", "found", "at", "all"], [False] * 5 + [True], ["all .", "nothing"]),
    ]
    filled = ["the slow fox jumps over the lazy dog", "is the capital of italy", "it was not found at all ."]
    texts = [row["text"].lower() for row in rows]
    expected = sacrebleu.corpus_bleu(filled, [texts], tokenize="none", force=True).score
    assert 50 < expected < 90
    assert compute_text_bleu(rows) == {"text_bleu": pytest.approx(expected)}


def test_rows_without_texts_have_no_text_bleu():
    assert compute_text_bleu([{"source": "a", "target": "b", "prediction": {"answers": ["b"]}}]) == {}
    assert compute_text_bleu([]) == {}


def test_commands():
    settings = {"task": "rte", "pattern_ids": [0, 2], "learning_rate": 1e-5, "bf16": True, "fp16": False}
    script, *words = PROGRAMS["classification"].command(settings, "weights", Path("data"), Path("run"))
    assert Path(script).is_file()
    assert " ".join(words) == (
        "--task rte --pattern_ids 0 2 --learning_rate 1e-05 --bf16 true --fp16 false "
        "--model weights --data_dir data --output_dir run"
    )
    settings = {"max_length": 512, "unidirectional": True, "skip_errors": False}
    words = PROGRAMS["lambada"].command(settings, "weights", Path("file"), Path("run"))
    assert " ".join(words) == (
        "-m modeling_glm evaluate lambada weights file --max-length 512 --unidirectional --output run/report.json"
    )


def test_scores(tmp_path):
    """Those of the model come first, before its baselines."""
    results = {"cloze, pretrained weights": {"accuracy": 0.75, "ece": 0.1}, "majority": {"accuracy": 0.5}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert PROGRAMS["classification"].scores(tmp_path) == {"accuracy": 75.0, "ece": 10.0}
    results = {"GLM": {"exact_match": 0.0}, "lead words": {"exact_match": 50.0}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "model").mkdir()
    row = make_row(["a\u2028b", "fox", "runs", "in", "Rome"], [False] * 4 + [True], ["Rome"])  # not the end of a line
    (tmp_path / "model" / "answers.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert PROGRAMS["seq2seq"].scores(tmp_path) == {"exact_match": 0.0, "text_bleu": pytest.approx(100)}
    (tmp_path / "report.json").write_text(json.dumps({"metrics": {"accuracy": 12.5}}))
    assert PROGRAMS["lambada"].scores(tmp_path) == {"accuracy": 12.5}
