"""Each package of an extra is asked for with the name of its extra."""

import configparser
import importlib
import re
import sys

import pytest

from modeling_glm.runs.fine_tuning import add_adapter
from modeling_glm.utils.extras import from_extra
from modeling_glm.utils.plots import plot_losses
from tests.support.paths import ROOT

CODE = [path for folder in ("modeling_glm", "tokenization") for path in sorted((ROOT / folder).rglob("*.py"))]


def read_extras() -> dict[str, str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return dict(setup["options.extras_require"])


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    wanted = r"^BLEU needs the package sacrebleu.metrics: pip install 'modeling-glm\[eval\]'\.$"
    with pytest.raises(ImportError, match=wanted), from_extra("eval", "BLEU"):
        importlib.import_module("sacrebleu.metrics")


def test_other_errors_pass():
    with pytest.raises(ImportError, match="cannot import name 'nothing'"), from_extra("eval", "BLEU"):
        from json import nothing  # noqa: F401


def test_every_extra_that_is_named_exists():
    named = [
        name
        for path in CODE
        for name in re.findall(r"modeling-glm\[([a-z]+)\]|from_extra\(\"([a-z]+)\"", path.read_text(encoding="utf-8"))
    ]
    found = {first or second for first, second in named}
    assert {"constraints", "eval", "plots", "train"} <= found <= set(read_extras()), found


def test_all_has_every_job():
    extras = read_extras()
    jobs = set(extras) - {"all", "demo", "docs", "examples", "test"}  # these serve work in a clone
    assert {line.strip() for line in extras["all"].splitlines() if line.strip()} >= {
        line.strip() for job in jobs for line in extras[job].splitlines() if line.strip()
    }


def test_pictures_and_adapters_name_theirs(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"modeling-glm\[plots\]"):
        plot_losses([], tmp_path / "loss.png", "title", per="token")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"modeling-glm\[train\]"):
        add_adapter(None, "glm", lora_rank=1, token_ids=[], task_type="SEQ_2_SEQ_LM")
