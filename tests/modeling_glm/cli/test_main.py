"""The command `modeling-glm`: its help, its signals, and how it ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from modeling_glm.checkpoints import convert as conversion
from modeling_glm.cli import main as cli
from tests.support.checkpoints import (
    assert_same,
    base_weights,
    save_module,
    weights_of,
)
from tests.support.kills import start
from tests.support.models import tiny_config
from tests.support.paths import ROOT

TINY = "examples/glm-tiny"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize(
    "arguments", [["convert"], ["convert", "a"], ["konvert"], ["convert", "a", "b", "--shards", "0"], ["--verbose"]]
)
def test_wrong_usage(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: modeling-glm" in err


@pytest.mark.parametrize("command", ["fill", "choose", "generate", "evaluate", "convert", "card", "info", "demo"])
def test_help_shows_examples(run, command):
    result = run(command, "--help")
    assert result.returncode == 0
    assert f"modeling-glm {command}" in result.stdout.split("Example", 1)[1]


def test_help_lists_commands_and_options(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("convert", "--help")
    assert code == 0
    for text in ("SOURCE", "TARGET", "--config", "--preset", "--vocab", "--shards", "--check", "glm-10b-chinese"):
        assert text in out
    code, out, _ = run("--help")
    assert code == 0
    for command in ("convert", "fill", "choose", "generate", "evaluate", "card", "info", "demo"):
        assert command in out


def convert_slowly(folder: Path, seconds: float, hangup):
    """Convert `a.pt` in the folder, and wait at every tensor. `hangup` is what SIGHUP does in the beginning."""
    # Whatever the tests were started with, such as in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, hangup)
    isfinite = conversion.torch.isfinite

    def slow(tensor):
        print("working", flush=True)
        time.sleep(seconds)
        return isfinite(tensor)

    conversion.torch.isfinite = slow
    os.chdir(folder)
    sys.argv = ["modeling-glm", "convert", "a.pt", "glm", "--config", "config.json"]
    cli.main()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_signals_leave_nothing_behind(tmp_path, number, code):
    save_module(tmp_path / "a.pt", base_weights())
    tiny_config().to_json_file(tmp_path / "config.json")
    with start(convert_slowly, tmp_path, 60, signal.SIG_DFL, root=tmp_path) as child:
        child.wait_for("working")
        assert len(list(tmp_path.glob("_glm-*.partial"))) == 1  # the new model
        os.kill(child.process.pid, number)
        assert child.wait(30).code == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt", "config.json"]


def test_nohup_is_respected(tmp_path):
    save_module(tmp_path / "a.pt", base_weights())
    tiny_config().to_json_file(tmp_path / "config.json")
    with start(convert_slowly, tmp_path, 0.02, signal.SIG_IGN, root=tmp_path) as child:
        child.wait_for("working")
        os.kill(child.process.pid, signal.SIGHUP)
        assert child.wait(60).code == 0
    assert_same(weights_of(tmp_path / "glm"), base_weights())


@pytest.mark.slow
def test_who_reads_may_stop_reading():
    """Of the installed console script. The test below runs it as a module."""
    program = shutil.which("modeling-glm", path=Path(sys.executable).parent)
    texts = b"The number [MASK].\n" * 200
    command = f"{program} fill {TINY} --batch-size 1 | head -n 1"
    result = subprocess.run(
        command, shell=True, input=texts, capture_output=True, cwd=ROOT, env=ENVIRONMENT, timeout=120
    )
    assert len(result.stdout.splitlines()) == 1
    assert b"Traceback" not in result.stderr
    assert b"BrokenPipe" not in result.stderr


@pytest.mark.slow
def test_an_interruption_ends_it():
    command = [sys.executable, "-m", "modeling_glm", "fill", TINY]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Shells have what they start in the background ignore the signal.
    listens = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, preexec_fn=listens, **pipes) as process:
        process.stdin.write(b"The number [MASK].\n" * 32)
        process.stdin.flush()
        process.stdout.readline()  # it is at work, and waits for more
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in error
