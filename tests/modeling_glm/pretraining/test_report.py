"""The report of a run: seconds over restarts, the summary and the section of the card."""

from types import SimpleNamespace

import pytest

from modeling_glm.pretraining import report
from modeling_glm.pretraining.report import Stopwatch, summarize, training_section
from modeling_glm.pretraining.settings import parse_arguments

HISTORY = [
    {"step": 1, "loss": 3.0, "mfu": 0.2, "tokens_per_second": 100.0, "padding": 0.0},
    {"step": 2, "loss": 2.0, "mfu": 0.4, "tokens_per_second": 300.0, "padding": 0.1},
    {"step": 2, "eval_token_loss": 2.51234},
    {"step": 4, "eval_token_loss": 1.25},
]
DATA = {"train_texts": 1000, "train_tokens": 20000, "validation_texts": 20}


@pytest.fixture
def settings(tmp_path):
    words = ["--corpus", "a/wiki.jsonl=0.7", "books.txt=0.3", "--output_dir", str(tmp_path), "--bf16", "true"]
    return parse_arguments("", words)


def test_summary(settings):
    summary = summarize(*settings, HISTORY, 1234, DATA, seconds=150.0)
    assert summary["arguments"]["objectives"] == {"token": 0.75, "sentence": 0.1, "document": 0.15}
    assert summary["arguments"]["learning_rate"] == 2e-3
    assert not {"export", "cache_dir", "shares"} & set(summary["arguments"])
    assert summary["minutes"] == 2.5
    assert summary["precision"] == "bf16 autocast"
    assert summary["speed"] == pytest.approx({"tokens_per_second": 200.0, "mfu": 0.3, "padding": 0.05})
    assert summary["validation_loss"]["token"] == {2: 2.5123, 4: 1.25}
    assert summary["validation_loss"]["document"] == {}


def test_section_of_the_card(settings):
    section = training_section(*settings, summarize(*settings, HISTORY, 1234, DATA, seconds=150.0))
    assert "2% of each is held out, by documents" in section
    assert "1,000 texts with 20,000 tokens to train on, 20 to validate on." in section
    assert "took 2 minutes on" in section
    assert "200 tokens per second" in section
    assert "| token | 2 | 2.51 | 1.25 |" in section
    assert "| document |" not in section
    assert "(25% of a text in short spans)" in section


def test_the_card_names_whole_words(settings):
    settings[0].whole_words = True
    section = training_section(*settings, summarize(*settings, HISTORY, 1234, DATA, seconds=150.0))
    assert "(25% of a text in short spans of whole words)" in section


def test_nothing_was_logged(settings):
    summary = summarize(*settings, [], 1234, DATA, seconds=0.0)
    assert summary["speed"] == {"tokens_per_second": 0.0, "mfu": 0.0, "padding": 0.0}
    assert "| objective |" not in training_section(*settings, summary)


def test_seconds_add_up_over_restarts(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(report.time, "monotonic", lambda: now[0])
    first, state = SimpleNamespace(is_world_process_zero=True), SimpleNamespace(is_world_process_zero=False)
    watch = Stopwatch(tmp_path / "seconds.txt")
    watch.on_train_begin()
    now[0] = 5.0
    watch.on_save(None, state, None)
    assert not (tmp_path / "seconds.txt").exists()  # only the first process writes
    watch.on_save(None, first, None)
    now[0] = 9.0  # killed here: the run resumes from the save
    again = Stopwatch(tmp_path / "seconds.txt")
    again.on_train_begin()
    now[0] = 12.0
    again.on_train_end(None, first, None)
    assert again.total == 8.0
    assert Stopwatch(tmp_path / "seconds.txt").total == 8.0
    (tmp_path / "seconds.txt").write_text("damaged")
    assert Stopwatch(tmp_path / "seconds.txt").total == 0.0
