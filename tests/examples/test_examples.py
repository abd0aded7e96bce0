"""Every example runs, with small settings."""

import json
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str):
    """Runs a script as `python examples/name` does."""
    before = sys.argv, list(sys.path)
    sys.argv, sys.path[:0] = [str(EXAMPLES / name), *map(str, arguments)], [str(EXAMPLES)]
    try:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("[0-9]*.py")))
def test_help_explains(name, capsys):
    with pytest.raises(SystemExit) as stop:
        run(name, "--help")
    assert stop.value.code == 0
    assert len(capsys.readouterr().out) > 300


def test_quickstart(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run("01_quickstart.py", "--blanks", "40", "--steps", "3", "--output_dir", tmp_path / "tuned")
    printed = capsys.readouterr().out
    for expected in ("(a)", "(b)", "(c)", "(d)", "back-off n-gram", "same answers"):
        assert expected in printed
    assert {"model.safetensors", "tokenizer.json", "loss.png"} <= {p.name for p in (tmp_path / "tuned").iterdir()}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_quickstart_on_another_model(tmp_path, monkeypatch, capsys):
    import shutil

    shutil.copytree(EXAMPLES / "glm-tiny", tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    run("01_quickstart.py", "--model", tmp_path / "copy")
    printed = capsys.readouterr().out
    assert "(c)" in printed
    assert "(d)" not in printed


def test_pretraining_from_a_text_file_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("\n".join(f"{n} times ten is {n}0." for n in range(200)))
    small = ["--corpus", tmp_path / "texts.txt", "--vocab_size", 300, "--hidden_size", 16, "--num_hidden_layers", 1]
    small += ["--num_attention_heads", 2, "--batch_size", 8, "--save_steps", 2, "--output_dir", tmp_path / "run"]
    run("03_pretrain.py", *small, "--max_steps", 4, "--export", tmp_path / "first")
    run("03_pretrain.py", *small, "--max_steps", 6, "--export", tmp_path / "second")
    from modeling_glm import GLMForConditionalGeneration, GLMTokenizer

    assert {p.name for p in (tmp_path / "run").glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    model = GLMForConditionalGeneration.from_pretrained(tmp_path / "second")
    tokenizer = GLMTokenizer.from_pretrained(tmp_path / "second")
    inputs = tokenizer("7 times ten is [MASK].", return_tensors="pt")
    assert len(tokenizer.decode_blanks(model.generate(**inputs, max_new_tokens=3))[0]) == 1
    assert json.loads((tmp_path / "second" / "training.json").read_text())["arguments"]["max_steps"] == 6


def test_pretraining_refuses_a_file_without_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(SystemExit, match="0 lines with text"):
        run("03_pretrain.py", "--corpus", tmp_path / "empty.txt")
