"""The command of the study of what the parts of the objective are worth."""

import json

import pytest

from benchmarks.studies import pretrain_ablation as study
from benchmarks.studies.ablation.study import Study
from benchmarks.studies.ablation.texts import READERS
from tests.support.ablation_texts import SMALL, made_up_sources

OPTIONS = [
    "steps",
    "batch_size",
    "hidden_size",
    "num_hidden_layers",
    "blanks",
    "vocab_size",
    "max_length",
    "packed_length",
]


@pytest.mark.slow
def test_study_trains_and_resumes(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(READERS, "real", made_up_sources)
    results = tmp_path / "runs" / "ablation.jsonl"
    arguments = ["--texts", "real", "--variants", "mixture", "no-block-positions", "causal", "--seeds", "0"]
    arguments += [part for name in OPTIONS for part in (f"--{name}", str(getattr(SMALL, name)))]
    arguments += ["--results", str(results)]
    study.main(arguments)
    table = capsys.readouterr().out
    assert [line for line in table.splitlines() if line.startswith("#")] == ["### WordNet", "### Prose"]
    runs = [json.loads(line) for line in results.read_text().splitlines()]
    assert [run["variant"] for run in runs] == ["mixture", "no-block-positions", "causal"]
    # A killed process left half of the last line: that run counts as not done, and is done again.
    whole = results.read_text()
    results.write_text(whole[:-40])
    trained = []
    run_once = Study.run

    def run(self, name, seed, bf16):
        assert bf16 == runs[0]["bf16"]
        trained.append((name, seed))
        return run_once(self, name, seed, bf16)

    monkeypatch.setattr(Study, "run", run)
    monkeypatch.setattr(study, "has_fast_bf16", lambda: not runs[0]["bf16"])  # it resumes on another machine
    study.main(arguments)
    assert trained == [("causal", 0)]
    study.main(arguments)
    assert trained == [("causal", 0)]
    assert capsys.readouterr().out == 2 * table
    assert results.read_text().count("\n") == 3
    # Other settings are another study in the same file.
    monkeypatch.setattr(study, "has_fast_bf16", lambda: runs[0]["bf16"])
    study.main([*arguments, "--steps", "1"])
    assert trained[1:] == [("mixture", 0), ("no-block-positions", 0), ("causal", 0)]
    assert results.read_text().count("\n") == 6


def test_settings_are_those_of_the_texts_unless_given():
    args, settings = study.parse(["--texts", "real", "--steps", "7"])
    assert settings == study.replace(study.PRESETS["real"], steps=7)
    assert args.variants == list(study.VARIANTS)
    _, settings = study.parse(["--families", "years"])
    assert settings == study.replace(study.PRESETS["facts"], families=("years",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden_size", "100"], "--hidden_size must be a multiple of 32"),
        (["--texts", "real", "--families", "years"], "--families belongs to --texts facts"),
        (["--workers", "0"], "--workers 0 must be at least 1"),
    ],
    ids=["hidden_size", "families", "workers"],
)
def test_wrong_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        study.main(arguments)
    assert message in capsys.readouterr().err


def test_results_of_two_studies_share_a_file(tmp_path):
    path = tmp_path / "runs" / "a.jsonl"
    one, other = (study.RunLog(path, {"steps": steps}) for steps in (1, 2))
    one.add({"variant": "mixture", "seed": 0, "steps": 1, "loss": 5})
    other.add({"variant": "mixture", "seed": 0, "steps": 2, "loss": 4})
    assert [log.read()["mixture", 0]["loss"] for log in (one, other)] == [5, 4]
