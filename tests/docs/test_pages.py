"""Run the code and the commands of all pages, and compare what they print with what the pages show."""

import json
import os
import pydoc
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from configparser import ConfigParser
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import modeling_glm
from modeling_glm import GLMConfig, GLMTokenizer
from modeling_glm.cli.main import app
from modeling_glm.configuration_glm import PRESETS
from tests.support.checkpoints import save_module, shrink_preset
from tests.support.fake_hub import TOKEN, run_hub
from tests.support.original_files import write_vocabulary
from tests.support.pages import commands_of, prepare_folder, read_blocks, run_blocks, run_commands, same_output
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "MODEL_CARD.md", *sorted(DOCS.rglob("*.md"))]
PUBLISH = DOCS / "guides" / "publish.md"
# README has a test file of its own, which also runs on the lowest supported Transformers.
ELSEWHERE = [PUBLISH, ROOT / "README.md"]
WITH_PYTHON = [page for page in PAGES if any(block.is_run for block in read_blocks(page)) and page not in ELSEWHERE]
WITH_OUTPUT = [page for page in PAGES if any(block.output is not None for block in read_blocks(page, "bash"))]
CONVERT = (DOCS / "guides" / "convert.md").read_text(encoding="utf-8")
CONVERSIONS = dict(
    re.findall(r"^\| (glm-[\w-]+) \|[^|]*\| `(modeling-glm convert [^`]*)`", CONVERT, flags=re.MULTILINE)
)


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def compare(page: Path, shown: str | None, printed: str, line: int) -> None:
    assert same_output(shown or "", printed), (
        f"{page_name(page)}:{line} prints\n{printed}\nbut shows\n{shown}\n"
        f"`python -m tests.support.pages {page_name(page)}` writes what it prints into the page."
    )


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if page.stem == "export" else ()) for page in WITH_PYTHON],
    ids=page_name,
)
def test_code_prints_what_the_page_shows(page, tmp_path, monkeypatch):
    prepare_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    for block, printed in run_blocks(page):
        if block.output is not None or page.name != "MODEL_CARD.md":  # the card shows no outputs
            compare(page, block.output, printed, block.line)


def test_only_code_of_other_libraries_is_not_run():
    skipped = {page.parent.name for page in PAGES for block in read_blocks(page) if not block.is_run}
    assert skipped == {"coming_from"}


@pytest.mark.slow
def test_the_publishing_page_pushes_to_a_hub(tmp_path):
    """The hub is on loopback, and the client runs in a process of its own, which knows no other hub."""
    prepare_folder(tmp_path)
    with run_hub() as hub:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
        settings = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf")}
        settings |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.support.pages", "--json", PUBLISH]
        done = subprocess.run(
            command, cwd=tmp_path, env={**kept, **settings}, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stderr[-3000:]
    for block, printed in zip(read_blocks(PUBLISH), json.loads(done.stdout.splitlines()[-1]), strict=True):
        compare(PUBLISH, block.output, printed, block.line)


@pytest.mark.parametrize("page", WITH_OUTPUT, ids=page_name)
def test_commands_print_what_the_page_shows(page, tmp_path, monkeypatch):
    prepare_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    for block in read_blocks(page, "bash"):
        if block.output is not None:
            compare(page, block.output, run_commands(block), block.line)


def commands() -> list[list[str]]:
    """List all commands of all pages and of the script for pretraining, as words."""
    lines = [
        line for page in PAGES for block in read_blocks(page, "bash") if block.is_run for line in commands_of(block)
    ]
    script = (ROOT / "examples" / "03_pretrain.py").read_text(encoding="utf-8").partition('"""')[2].partition('"""')[0]
    script = script.replace("\\\\\n", " ").replace("\\\n", " ")
    lines += [line.strip() for line in script.splitlines() if re.match(r" *(python|accelerate launch) ", line)]
    return [[word for word in shlex.split(line) if not re.match(r"[A-Z_]+=", word)] for line in lines]


def check_modeling_glm(words: list[str]) -> None:
    command = typer.main.get_command(app)
    if words[1:] == ["--help"]:
        return
    chosen = command.commands[words[1]]
    if words[2:] != ["--help"]:
        chosen.make_context(words[1], words[2:])


def check_pretraining(words: list[str]) -> None:
    from modeling_glm.pretraining.settings import parse_arguments

    parse_arguments("", words, recipes=ROOT / "examples" / "recipes", embedded_corpus="python")


def check_command(words: list[str]) -> None:
    """Check that a command exists, as far as that is cheap, and that it understands its arguments."""
    if "|" in words:
        words = words[words.index("|") + 1 :]
    match words:
        case ["make", target, *_]:
            assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
        case ["modeling-glm", *_]:
            check_modeling_glm(words)
        case ["python", "-m", module, *_]:
            parts = module.split(".")
            assert any((ROOT.joinpath(*parts[:-1], parts[-1] + ending)).exists() for ending in ("", ".py")), module
        case ["python", "examples/03_pretrain.py", *arguments]:
            check_pretraining(arguments)
        case ["python", script, *_]:
            assert (ROOT / script).is_file(), script
        case ["accelerate", "launch", "--config_file", file, "examples/03_pretrain.py", *arguments]:
            assert (ROOT / file).is_file()
            check_pretraining(arguments)
        case ["pip", "install", *_]:
            setup = ConfigParser()
            setup.read(ROOT / "setup.cfg", encoding="utf-8")
            extras = re.findall(r"modeling-glm\[(\w+)\]", " ".join(words))
            assert set(extras) <= set(setup["options.extras_require"])
        case ["hf", *_]:  # a command of the hub's client
            assert words[1] in ("download", "repos", "upload")
        case _:
            raise AssertionError(f"No check knows {shlex.join(words)!r}.")


def test_all_commands_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = commands()
    assert sum("examples/03_pretrain.py" in words for words in found) >= 7
    for words in found:
        check_command(words)


def test_the_reference_names_the_commands_of_every_option():
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    groups = typer.main.get_command(app).commands
    listed = re.findall(r"^\| `modeling-glm (\w+)", page, flags=re.MULTILINE)
    assert set(listed) == set(groups)
    rows = re.findall(r"^\| (`-.*?) \| (.*?) \|", page, flags=re.MULTILINE)
    assert len(rows) >= 8
    known = {}
    for name, group in groups.items():
        # `modeling-glm evaluate` has a command for each measure, and what holds for it holds for all of them.
        commands = list(getattr(group, "commands", {"": group}).values())
        opts = ({option for parameter in command.params for option in parameter.opts} for command in commands)
        known[name] = set.intersection(*opts)
    named: dict[str, set[str]] = defaultdict(set)  # an option that means several things has several rows
    for options, names in rows:
        named[options] |= set(groups) if names == "all" else set(re.findall(r"`(\w+)`", names))
    for options, names in named.items():
        wanted = set(re.findall(r"--?[a-z-]+", options))
        having = {name for name in groups if wanted <= known[name]}
        assert names == having, f"{options} belongs to {sorted(having)}"


def test_the_reference_has_every_public_name_and_no_other():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    named = re.findall(r"^\.\. auto(?:class|function):: (?:modeling_glm\.)?([\w.]+)$", pages, flags=re.MULTILINE)
    assert len(named) == len(set(named))
    assert set(modeling_glm.__all__) <= set(named)
    assert not [name for name in named if pydoc.locate(f"modeling_glm.{name}") is None]


def test_every_published_checkpoint_has_a_command():
    assert CONVERSIONS.keys() == PRESETS.keys()


@pytest.mark.parametrize("name", CONVERSIONS)
def test_the_command_converts(tmp_path, monkeypatch, name):
    """From an archive that is as narrow as it can be, with the vocabulary from its folder."""
    monkeypatch.chdir(tmp_path)
    command, convert, source, target, option, vocabulary = shlex.split(CONVERSIONS[name])
    assert (command, convert, option) == ("modeling-glm", "convert", "--vocab")
    save_module(Path(source, "best", "mp_rank_00_model_states.pt"), shrink_preset(monkeypatch, name))
    write_vocabulary(vocabulary, Path(vocabulary))
    result = CliRunner().invoke(app, [convert, source, target, option, vocabulary], catch_exceptions=False)
    assert result.exit_code == 0
    config = GLMConfig.from_pretrained(target)
    expected = GLMConfig.from_preset(name)
    if name == "glm-10b-chinese":  # as trained, where one token has both roles
        expected.gmask_token_id = expected.eop_token_id
    for key in [key for key in PRESETS[name] if key.endswith("_token_id")]:
        assert getattr(config, key) == getattr(expected, key), key
    tokenizer = GLMTokenizer.from_pretrained(target)
    assert tokenizer.special_token_ids == {key: getattr(expected, key) for key in tokenizer.special_token_ids}


def test_the_sizing_table_is_up_to_date(monkeypatch, capsys):
    from benchmarks.studies import sizing

    monkeypatch.setattr("sys.argv", ["sizing", "--no-check"])
    sizing.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| glm-")]
    assert len(rows) == len(PRESETS)
    page = (DOCS / "guides" / "pretrain.md").read_text(encoding="utf-8")
    assert all(row in page for row in rows)
