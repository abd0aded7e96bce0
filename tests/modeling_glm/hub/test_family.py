"""MODEL_CARD.md is up to date, and its code runs."""

import re
import sys

import pytest

from modeling_glm.configuration_glm import PRESETS
from modeling_glm.hub.family import create_family_card, main
from tests.support.paths import ROOT

CARD = ROOT / "MODEL_CARD.md"


def test_the_card_is_what_the_code_makes(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["family", str(tmp_path / "card.md")])
    main()
    assert (tmp_path / "card.md").read_bytes() == CARD.read_bytes(), "run `make card`"


def test_without_a_file_it_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["family"])
    with pytest.raises(SystemExit, match="Expected one argument, the file to write"):
        main()


def test_every_preset_stands_in_it_once():
    rows = re.findall(r"^\| (glm-[^|]*) \|", create_family_card().text, flags=re.MULTILINE)
    assert [name for row in rows for name in row.split(", ")] == list(PRESETS)


@pytest.mark.parametrize(
    ("page", "expected"),
    [(CARD, "The opposite of hot is cold."), (ROOT / "examples/glm-tiny/README.md", "Ice is ")],
)
def test_code_runs(page, expected, tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for block in blocks:
        exec(compile(block, page.name, "exec"), names)
    assert blocks
    assert expected in capsys.readouterr().out
