"""The search for the best recipe of the embedded checkpoint."""

import json
from types import SimpleNamespace

import pytest

from benchmarks.studies import recipe_search
from benchmarks.studies.recipe_search import add_to_log, family_table, main, read_log, run_table, score_table
from examples.corpora.embedded import EMBEDDED
from modeling_glm.pretraining.settings import parse_arguments, read_corpora

ROW = {"blanks": 300, "exact_match": 0.1, "told_length": 0.25, "ngram": 0.257, "loss": 1.2}
RUN = {
    "name": "muon",
    "why": "fewer steps",
    "options": ["--optimizer", "muon"],
    "parameters": 4_300_000,
    "minutes": 12.6,
    "tokens": 2_800_000,
    "device": "1 CPU thread",
    "families": {"bible": ROW},
}


@pytest.fixture
def log(monkeypatch, tmp_path):
    monkeypatch.setattr(recipe_search, "LOG", tmp_path / "log.jsonl")
    return tmp_path / "log.jsonl"


def test_a_run_is_trained_measured_and_logged(log, monkeypatch, tmp_path, capsys):
    commands = []
    monkeypatch.setattr(
        recipe_search.subprocess, "run", lambda command: commands.append(command) or SimpleNamespace(returncode=0)
    )
    monkeypatch.setattr(recipe_search, "describe", lambda folder: {**RUN, "folder": str(folder)})
    for _ in range(2):
        main(["run", "muon", "--why", "fewer steps", "--folder", str(tmp_path), "--", "--optimizer", "muon"])
    assert commands[0][-2:] == ["--optimizer", "muon"]
    assert str(tmp_path / "muon") in commands[0]
    (entry,) = read_log()
    assert entry["folder"] == str(tmp_path / "muon" / "final")
    assert "10 / 25" in capsys.readouterr().out


def test_a_failed_run_has_a_line(log, monkeypatch):
    monkeypatch.setattr(recipe_search.subprocess, "run", lambda command: SimpleNamespace(returncode=3))
    with pytest.raises(SystemExit, match="3"):
        main(["run", "too_much", "--", "--hidden_size", "4096"])
    machine = recipe_search.describe_this_machine()
    assert read_log()[0] | {"minutes": 0} == {
        "name": "too_much",
        "why": "",
        "options": ["--hidden_size", "4096"],
        "machine": machine,
        "failed": "exit code 3",
        "minutes": 0,
        "device": "",
    }


def test_the_tables_have_failures_and_the_ngram():
    failed = {"name": "broken", "why": "", "options": [], "failed": "exit code 1", "minutes": 1.0, "device": ""}
    scores = score_table([failed, RUN]).splitlines()
    assert "failed" in scores[2]
    assert "10 / 25" in scores[3]
    assert "- / 26" in scores[4]
    runs = run_table([failed, RUN]).splitlines()
    assert "broken" in runs[2]
    assert "4.3M | 2.8M | 13" in runs[3]


def test_the_page_has_the_tables_of_the_log():
    page = recipe_search.PAGE.read_text(encoding="utf-8")
    assert family_table(read_log()) in page
    assert run_table(read_log()) in page
    assert score_table(read_log()) in page


def test_a_later_run_of_a_name_takes_its_place(log):
    add_to_log(RUN)
    add_to_log({**RUN, "name": "other"})
    add_to_log({**RUN, "why": "again"})
    assert [(entry["name"], entry["why"]) for entry in read_log()] == [("other", "fewer steps"), ("muon", "again")]
    assert all(json.loads(line) for line in log.read_text().splitlines())


def test_the_recipe_is_understood(tmp_path):
    args, _ = parse_arguments("", ["--recipe", str(recipe_search.RECIPE), "--output_dir", str(tmp_path / "run")])
    corpora, weights = read_corpora(args, args.corpus)
    assert EMBEDDED.holds(corpora)
    assert sum(weights) == pytest.approx(1)
    assert args.whole_words
    assert args.hidden_size % args.num_attention_heads == 0
