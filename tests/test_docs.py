"""What the docs show works: the commands of docs/checkpoints.md, the code of docs/cloze.md and docs/pretraining.md."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modeling_glm import GLMConfig, GLMTokenizer
from modeling_glm.cli.main import app
from modeling_glm.configuration_glm import PRESETS
from tests.support.checkpoints import save_module, shrink_preset
from tests.support.original_files import write_vocabulary
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
COMMANDS = dict(re.findall(r"^\| (glm-[\w-]+) \|[^|]*\| `(modeling-glm convert [^`]*)`", PAGE, flags=re.MULTILINE))


def test_every_published_checkpoint_has_a_command():
    assert COMMANDS.keys() == PRESETS.keys()


def test_the_readme_has_the_same_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^modeling-glm convert .*$", text, flags=re.MULTILINE)
    assert len(commands) == 2
    assert all(command in PAGE for command in commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_converts(tmp_path, monkeypatch, name):
    """From an archive that is as narrow as it can be, with the vocabulary from its folder."""
    monkeypatch.chdir(tmp_path)
    command, convert, source, target, option, vocabulary = shlex.split(COMMANDS[name])
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


@pytest.fixture
def run_page(tmp_path, monkeypatch, capsys):
    """What the Python code of a page prints, run in a folder with the examples."""

    def run_page(name: str) -> str:
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL))
        (tmp_path / "examples").symlink_to(ROOT / "examples")
        monkeypatch.chdir(tmp_path)
        exec(compile(code, name, "exec"), {})
        return capsys.readouterr().out

    return run_page


def test_the_code_of_the_cloze_page_runs(run_page):
    printed = run_page("cloze.md")
    assert "['greek', 'cyrillic']" in printed
    assert "[{'label': 'latin'" in printed
    assert "trainable params: 960" in printed
    assert "'labels': ['" in printed


def test_the_code_of_the_filling_page_runs(run_page):
    assert "The time 19:20 has the hour 19 and the minute 20. [('19', 28), ('20', 46)]" in run_page("filling.md")


PRETRAINING = (ROOT / "docs" / "pretraining.md").read_text(encoding="utf-8")


def pretraining_commands() -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", PRETRAINING, flags=re.MULTILINE | re.DOTALL)
    readme = re.findall(
        r"^(?:python|accelerate launch) .*03_pretrain.*$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    script = (ROOT / "examples" / "03_pretrain.py").read_text().partition('"""')[2].partition('"""')[0]
    lines = "\n".join([*blocks, *readme, script]).replace("\\\\\n", " ").replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if re.match(r" *(python|accelerate launch) ", line)]


def test_the_commands_of_the_pretraining_page_are_understood(tmp_path, monkeypatch):
    from modeling_glm.pretraining.settings import parse_arguments

    commands = [shlex.split(command) for command in pretraining_commands()]
    assert len(commands) >= 9
    monkeypatch.chdir(tmp_path)
    for command in commands:
        script = command.index("examples/03_pretrain.py")
        if command[0] == "accelerate":
            assert (ROOT / command[command.index("--config_file") + 1]).is_file()
        parse_arguments("", command[script + 1 :], recipes=ROOT / "examples" / "recipes", embedded_corpus="python")


def test_the_code_of_the_pretraining_page_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", PRETRAINING, flags=re.MULTILINE | re.DOTALL)
    own = [block for block in blocks if "push_to_hub" not in block]
    assert len(own) == 1
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(own[0], "pretraining.md", "exec"), {})
    assert "<|startofpiece|>" in capsys.readouterr().out


def test_the_sizing_table_is_up_to_date(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr("sys.argv", ["sizing.py", "--no-check"])
    runpy.run_path(str(ROOT / "benchmarks" / "sizing.py"), run_name="__main__")
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| glm-")]
    assert len(rows) == len(PRESETS)
    assert all(row in PRETRAINING for row in rows)
