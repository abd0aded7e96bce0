"""A study on made-up texts."""

from dataclasses import replace

import pytest

from benchmarks.harness.machine import describe_this_machine
from benchmarks.studies.ablation import study as module
from benchmarks.studies.ablation.study import Study
from benchmarks.studies.ablation.texts import READERS
from tests.support.ablation_texts import SMALL, made_up_sources


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(READERS, "real", made_up_sources)
        yield Study(SMALL, tmp_path_factory.mktemp("study"))


def test_vocabulary_is_trained_once(study, tmp_path, monkeypatch):
    monkeypatch.setitem(READERS, "real", made_up_sources)
    first = Study(SMALL, tmp_path)
    monkeypatch.setattr(module.GLMTokenizer, "train_from_iterator", lambda *args: pytest.fail("it is there"))
    again = Study(SMALL, tmp_path)
    assert first.tokenizer.get_vocab() == again.tokenizer.get_vocab() == study.tokenizer.get_vocab()
    assert [path.name for path in tmp_path.iterdir()] == [f"ablation-vocabulary-{SMALL.vocab_size}-{first.digest}"]


def test_identity_is_settings_and_texts(study):
    assert study.identity["steps"] == SMALL.steps
    assert study.identity["digest"] == study.digest
    assert study.groups == {"WordNet": ["wordnet"], "prose": ["austen", "bible"]}


def test_a_run_measures_every_source(study):
    run, again = (study.run("mixture", 3, bf16=False) for _ in range(2))
    assert run["measured"] == again["measured"]
    assert (run["variant"], run["seed"]) == ("mixture", 3)
    assert run["machine"] == describe_this_machine()
    assert list(run["measured"]) == ["wordnet", "austen", "bible"]
    for scores in run["measured"].values():
        assert list(scores) == ["one", "several", "reversed", "sentence", "document"]
        assert len(scores["one"]["nll"]) == SMALL.blanks
        assert len(scores["several"]["nll"]) == SMALL.blanks // 2
        assert scores["several"]["tokens"] == scores["reversed"]["tokens"]


def test_causal_runs_have_no_other_order(study):
    assert "reversed" not in study.run("causal", 0, bf16=False)["measured"]["wordnet"]


def test_long_texts_are_not_measured(study, monkeypatch):
    held_out = study.sources["austen"].held_out
    lengths = [len(ids) for ids in study._encode(held_out)]
    monkeypatch.setattr(study, "settings", replace(SMALL, max_length=min(lengths)))
    kept = study._short_enough(held_out)
    assert 0 < len(kept) < len(held_out)
    assert {len(ids) for ids in study._encode(kept)} == {min(lengths)}
