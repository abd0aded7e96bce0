"""The command `modeling-glm`: what it prints, how it ends, and the options that it hands on."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modeling_glm import GLMForConditionalGeneration
from tests.support.checkpoints import (
    CHECKPOINTS,
    CONFIG,
    ORIGINAL,
    assert_same,
    base_weights,
    module_of,
    save_module,
    weights_of,
)
from tests.support.models import tiny_config


def test_convert(tmp_path, run):
    code, out, _ = run(
        *("convert", CHECKPOINTS / "glm-tiny_MP2", tmp_path / "glm"),
        *("--config", CONFIG, "--vocab", ORIGINAL, "--check", "--license", "mit"),
    )
    assert code == 0
    first, second = out.splitlines()
    assert first == (
        f"{tmp_path / 'glm'}: 41 tensors, 0.5 MB, GLMForConditionalGeneration with 3 layers of width 48 and 4 heads"
    )
    assert re.fullmatch(r"logits of source and target differ by at most \S+", second)
    assert_same(weights_of(tmp_path / "glm"), load_file(ORIGINAL / "model.safetensors"))
    assert (tmp_path / "glm" / "tokenizer.json").exists()


@pytest.mark.parametrize("name", ["config.json", "./config.json"])
def test_convert_in_the_folder_of_the_config(tmp_path, run, monkeypatch, name):
    shutil.copyfile(CONFIG, tmp_path / "config.json")
    monkeypatch.chdir(tmp_path)
    code, _, err = run("convert", CHECKPOINTS / "glm-tiny", "glm", "--config", name)
    assert (code, err) == (0, "")
    assert GLMForConditionalGeneration.from_pretrained("glm").config.num_attention_heads == 4


def test_convert_into_the_working_folder(tmp_path, run, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    code, _, _ = run("convert", ORIGINAL, ".")
    assert code == 0
    assert_same(weights_of(tmp_path / "here"), load_file(ORIGINAL / "model.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_convert_says_what_is_missing(tmp_path, run):
    weights = base_weights(hidden_size=64)
    save_module(tmp_path / "a.pt", {**weights, "prompt_spell.a": torch.zeros(1)})
    code, out, _ = run("convert", tmp_path / "a.pt", tmp_path / "glm", "--dtype", "bfloat16")
    assert code == 0
    assert "left out: prompt_spell.a" in out
    assert "There was no vocabulary, so there is no tokenizer: only weights and config. --vocab FOLDER adds it." in out
    assert "The ids of the special tokens are not known" in out
    assert GLMForConditionalGeneration.from_pretrained(tmp_path / "glm").dtype == torch.bfloat16


def test_convert_back(tmp_path, run):
    code, out, _ = run("convert", ORIGINAL, tmp_path / "split", "--shards", 2)
    assert code == 0
    assert len(out.splitlines()) == 1
    for rank in range(2):
        name = f"mp_rank_0{rank}_model_states.pt"
        assert_same(
            module_of(tmp_path / "split" / "0" / name), module_of(CHECKPOINTS / "glm-tiny_MP2" / "1000" / name)
        )


def test_errors_are_one_line(tmp_path, run):
    code, out, err = run("convert", CHECKPOINTS / "glm-tiny", tmp_path / "glm", "--preset", "glm-large")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"error: word_embeddings.weight has the shape \(320, 48\), expected .*\n", err)
    (tmp_path / "glm").mkdir()
    (tmp_path / "glm" / "config.json").write_text("{}")
    (tmp_path / "glm" / "a").write_text("")
    code, _, err = run("convert", ORIGINAL, tmp_path / "glm")
    assert code == 1
    assert re.fullmatch(r"error: .*glm exists already: .*\n", err)
    code, _, _ = run("convert", ORIGINAL, tmp_path / "glm", "--overwrite")
    assert code == 0
    assert not (tmp_path / "glm" / "a").exists()


def test_warnings_are_one_line(tmp_path, run):
    save_module(
        tmp_path / "a.pt", {**base_weights(), "transformer.final_layernorm.bias": torch.full((32,), torch.nan)}
    )
    tiny_config().to_json_file(tmp_path / "config.json")
    code, _, err = run("convert", tmp_path / "a.pt", tmp_path / "glm", "--config", tmp_path / "config.json")
    assert code == 0
    assert re.search(r"(?m)^warning: 1 tensors hold a NaN .*: transformer.final_layernorm.bias.$", err)


@pytest.mark.parametrize(
    "arguments", [["convert"], ["convert", "a"], ["konvert"], ["convert", "a", "b", "--shards", "0"], ["--verbose"]]
)
def test_wrong_usage(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: modeling-glm" in err


def test_help_teaches(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("convert", "--help")
    assert code == 0
    for text in ("SOURCE", "TARGET", "--config", "--preset", "--vocab", "--shards", "--check", "glm-10b-chinese"):
        assert text in out
    code, out, _ = run("--help")
    assert code == 0
    assert "convert" in out


SLOWLY = """
import signal, sys, time
# Whatever the tests were started with, such as in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[1:] == ["nohup"] else signal.SIG_DFL)
from modeling_glm.checkpoints import convert as conversion
from modeling_glm.cli import main as cli
isfinite = conversion.torch.isfinite
def slow(tensor):
    print("working", flush=True)
    time.sleep(60)
conversion.torch.isfinite = slow
sys.argv = ["modeling-glm", "convert", "a.pt", "glm", "--config", "config.json"]
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_leave_nothing_behind(tmp_path, number, code):
    save_module(tmp_path / "a.pt", base_weights())
    tiny_config().to_json_file(tmp_path / "config.json")
    process = subprocess.Popen([sys.executable, "-c", SLOWLY], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "working\n"
    assert len(list(tmp_path.iterdir())) > 2
    process.send_signal(number)
    assert process.wait(30) == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt", "config.json"]


def test_nohup_is_respected(tmp_path):
    save_module(tmp_path / "a.pt", base_weights())
    tiny_config().to_json_file(tmp_path / "config.json")
    command = [
        sys.executable,
        "-c",
        SLOWLY.replace("time.sleep(60)", "time.sleep(0.02); return isfinite(tensor)"),
        "nohup",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert_same(weights_of(tmp_path / "glm"), base_weights())


@pytest.mark.parametrize("command", [["modeling-glm"], ["python", "-m", "modeling_glm"]])
def test_it_is_installed(tmp_path, command):
    """As a console script, and as a module."""
    program = shutil.which(command[0], path=Path(sys.executable).parent)
    result = subprocess.run(
        [program, *command[1:], "convert", "none", "glm"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: There is no file or folder none here, and the hub does not give a repo")
    assert list(tmp_path.iterdir()) == []
