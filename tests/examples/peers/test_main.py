"""The command of the peers: tables, questions as JSON lines, estimates and wrong arguments."""

import json

import pytest

from examples.peers.__main__ import main
from modeling_glm.evaluation.choices import read_choice_example
from tests.support.paths import EXAMPLES

TINY = str(EXAMPLES / "glm-tiny")


def test_tables_are_printed_and_written(questions, tmp_path, capsys):
    main([TINY, "--tasks", "social_iqa", "winograd", "--limit", "1", "--output_dir", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out" / "peers.md").read_text()
    assert "| social_iqa | per_character | 1 | 33.3 | " in printed
    assert "| social_iqa | OPT-125M | 41.9 | " in printed


def test_questions_for_the_command_line(questions, tmp_path):
    main(["--write_rows", str(tmp_path / "rows")])
    assert sorted(file.name for file in (tmp_path / "rows").iterdir()) == [
        "agreement.jsonl",
        "social_iqa.jsonl",
        "winograd.jsonl",
    ]
    lines = (tmp_path / "rows" / "winograd.jsonl").read_text().splitlines()
    assert read_choice_example(json.loads(lines[2])).choices == ["Zora", "Mina"]


def test_an_estimate(questions, tmp_path, capsys):
    main([TINY, "--tasks", "winograd", "--estimate", "--output_dir", str(tmp_path / "out")])
    assert capsys.readouterr().out.startswith("glm-tiny, winograd: 4 questions take about")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a model, such as examples/glm-tiny or smollm2"),
        ([TINY, "--limit", "0"], "--limit 0: expected at least 1 question"),
        ([TINY, "--tasks", "boolq"], "invalid choice: 'boolq'"),
    ],
)
def test_wrong_arguments(capsys, arguments, message):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_missing_data(tmp_path, monkeypatch):
    monkeypatch.setenv("GLM_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"error: .*social_iqa\.json is missing\. Run make data"):
        main([TINY, "--tasks", "social_iqa"])
