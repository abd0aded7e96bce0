"""modeling-glm convert and export: the options that it hands on, and what it prints."""

import re
import shutil

import pytest
import torch
from safetensors.torch import load_file

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.cli.conversion import PRESET_NAMES
from modeling_glm.configuration_glm import PRESETS
from modeling_glm.export import save
from modeling_glm.export.ort_filler import ORTFiller
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


def test_help_names_all_presets():
    assert tuple(PRESETS) == PRESET_NAMES


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
    assert "The source has no vocabulary, so the target has no tokenizer. Add one with --vocab FOLDER." in out
    assert "The ids of the special tokens are unknown" in out
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


@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_export_hands_its_options_on_and_says_what_was_made(run, tmp_path, monkeypatch, with_tokenizer):
    calls = []

    def export_model(model, target, **settings):
        calls.append((model, target, settings))
        return save.Export(
            target=target,
            model_class="GLMForConditionalGeneration",
            num_bytes=12_300_000,
            has_tokenizer=with_tokenizer,
            fills=with_tokenizer,
        )

    monkeypatch.setattr(save, "export_model", export_model)
    target = tmp_path / "onnx"
    result = run("export", "examples/glm-tiny", target, "--quantize", "int8", "--overwrite")
    assert result.returncode == 0, result.stderr
    settings = {"format": "onnx", "quantize": "int8", "overwrite": True, "revision": None}
    assert calls == [("examples/glm-tiny", target, settings)]
    first, *others = result.stdout.splitlines()
    assert first == f"{target}: GLMForConditionalGeneration as onnx, 12.3 MB"
    assert [f'ORTFiller("{target}")' in line for line in others] == [True] * with_tokenizer
    assert ("has no tokenizer" in result.stderr) is not with_tokenizer


@pytest.mark.slow  # an export
def test_an_exported_folder_fills(run, tmp_path):
    pytest.importorskip("transformers.exporters")
    target = tmp_path / "onnx"
    result = run("export", "examples/glm-tiny", target)
    assert result.returncode == 0, result.stderr
    command = re.search(r"ORTFiller.*", result.stdout)[0].replace(
        "a text with a [MASK]", "The opposite of [MASK] is cold."
    )
    assert eval(command, {"ORTFiller": ORTFiller}).text == "The opposite of hot is cold."


def test_what_cannot_be_exported_is_said_in_one_line(run, tmp_path):
    result = run("export", "examples/glm-tiny", tmp_path / "onnx", "--format", "tflite")
    assert result.returncode == 2
    assert "tflite" in result.stderr
    assert not (tmp_path / "onnx").exists()


def test_a_folder_that_exists_is_not_exported_over(run, tmp_path):
    pytest.importorskip("transformers.exporters")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    result = run("export", "examples/glm-tiny", tmp_path / "full")
    assert result.returncode == 1
    assert "exists already" in result.stderr
    assert len(result.stderr.splitlines()) == 1
