"""The commands and the code of README and MODEL_CARD do what they say."""

import os
import re

import pytest

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_code_runs_and_is_short(tmp_path, monkeypatch, capsys):
    assert sum(len([line for line in block.splitlines() if line.strip()]) for block in CODE) <= 40
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in CODE:
        exec(compile(block, "README.md", "exec"), names)
    promised = re.search(r"^# (\[.*)$", CODE[0], flags=re.MULTILINE).group(1)
    assert capsys.readouterr().out.splitlines()[0] == promised


def test_set_up_commands_exist():
    commands = re.search(r"```bash\n(.*?)```", README, flags=re.DOTALL).group(1)
    targets = re.findall(r"^make (\w+)", commands, flags=re.MULTILINE)
    assert targets == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for target in targets)


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "MODEL_CARD.md",
        "CONTRIBUTING.md",
        "docs/checkpoints.md",
        "docs/cloze.md",
        "docs/filling.md",
        "docs/results/performance.md",
        "docs/pretraining.md",
        "docs/results/ablation.md",
        "examples/glm-tiny/README.md",
    ],
)
def test_links_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert os.path.exists(path.parent / target), target
