"""Folders of exported models: what they hold, and what is refused."""

import json

import pytest
import torch
from transformers import DynamicCache

from modeling_glm import GLMForConditionalGeneration, set_precision
from modeling_glm.embeddings_glm import mark_as_text
from modeling_glm.export import save
from modeling_glm.export.graphs import BlankGraph
from modeling_glm.export.save import export_model
from tests.support.models import make_model, make_text_model


def test_a_folder_has_the_model_its_tokenizer_and_the_runtime(exported):
    done = exported["onnx"]
    assert (done.model_class, done.fills) == ("GLMForConditionalGeneration", True)
    names = {path.name for path in done.target.iterdir()}
    assert names >= {"model.onnx", "model.onnx.data", "export.json", "config.json", "tokenizer.json", "ort_filler.py"}
    assert done.num_bytes == sum(path.stat().st_size for path in done.target.iterdir() if path.is_file())
    assert json.loads((done.target / "export.json").read_text())["export_format"] == "onnx"


@pytest.mark.filterwarnings("ignore:.*children_specs.*:FutureWarning")  # in the exporters of Transformers 5.23
def test_a_program_of_torch_is_saved_and_loaded(exporters, exported, text_model):
    loaded = exporters.ExportedModel.from_pretrained(exported["torch"].target)
    cache, config = DynamicCache(config=text_model.config), text_model.config
    width = config.hidden_size // config.num_attention_heads
    generator = torch.Generator().manual_seed(0)
    for layer in range(config.num_hidden_layers):
        cache.update(*torch.randn(2, 3, config.num_attention_heads, 7, width, generator=generator), layer)
    mark_as_text(cache)
    inputs = {
        "input_ids": torch.arange(6).view(3, 2) + 20,
        "attention_mask": torch.ones(3, 1, 2, 9, dtype=torch.bool).tril(7),
        "position_ids": torch.tensor([[4, 4], [5, 6]]).expand(3, -1, -1),
        "places": torch.tensor([1, 3, 4, 5, 0]),
        "past_key_values": cache,
    }
    found = loaded(**inputs)
    with torch.no_grad():
        expected = BlankGraph(text_model)(**inputs)
    torch.testing.assert_close(found["log_probs"], expected["log_probs"], atol=1e-4, rtol=0)
    assert found["past_key_values"].get_seq_length() == 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "tflite"}, "format='tflite': expected one of onnx, torch"),
        ({"quantize": "int4"}, "quantize='int4': expected one of int8, or None"),
        ({"quantize": "int8", "format": "torch"}, "works with format='onnx', but the format is 'torch'"),
    ],
)
def test_settings_are_checked_before_anything_is_loaded(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        export_model("no/such-model", tmp_path / "target", **settings)
    assert not (tmp_path / "target").exists()


def test_a_target_that_exists_stays(exporters, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        export_model("no/such-model", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_nothing_is_half_written_and_the_model_stays_as_it_was(tmp_path, text_model, monkeypatch):
    def fail(folder, config):
        assert (folder / "model.onnx").exists() or (folder / "export.json").exists()
        raise OSError("the disk is full")

    class Exporter:
        def export(self, module, inputs, settings):
            return self

        def save_pretrained(self, folder):
            (folder / "export.json").write_text("{}")

    monkeypatch.setattr(save, "_find_exporter", lambda format, quantize: (Exporter(), {}))
    monkeypatch.setattr(save, "_add_filler", fail)
    text_model.train()
    try:
        with pytest.raises(OSError, match="the disk is full"):
            export_model(text_model, tmp_path / "target")
        assert text_model.training
    finally:
        text_model.eval()
    assert not list(tmp_path.iterdir())


def test_a_class_without_an_export_is_named(exporters, tmp_path, text_model):
    config = text_model.config.to_dict() | {"architectures": ["GLMForSomethingElse"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="GLMForSomethingElse, which has no export: expected one of GLMModel"):
        export_model(tmp_path, tmp_path / "target")


def test_a_missing_package_is_named_with_its_extra(exporters, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"Exporting to ONNX needs the package onnxscript: .*modeling-glm\[export\]"):
        export_model("no/such-model", tmp_path / "target")


def test_an_older_transformers_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(save, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs Transformers 5\.23 or later, .*: pip install -U transformers"):
        export_model("no/such-model", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_models_in_int8_are_exported_before(exporters, tmp_path):
    model = set_precision(make_model(GLMForConditionalGeneration), "int8")
    with pytest.raises(ValueError, match="export it before"):
        export_model(model, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_broken_tokenizer_is_not_left_out(exporters, tmp_path, text_model, text_tokenizer):
    text_model.save_pretrained(tmp_path / "model")
    assert save._find_tokenizer(tmp_path / "model", None) is None
    text_tokenizer.save_pretrained(tmp_path / "model")
    assert save._find_tokenizer(tmp_path / "model", None).get_vocab() == text_tokenizer.get_vocab()
    (tmp_path / "model" / "tokenizer.json").write_text("{")
    with pytest.raises((OSError, ValueError)):
        export_model(tmp_path / "model", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_every_tensor_and_module_is_as_before(text_tokenizer):
    """Adapters in fp32 on a model in bf16, and a frozen part that does not drop out."""
    model = make_text_model(text_tokenizer).to(torch.bfloat16).train()
    model.lm_head.float()
    model.glm.transformer.layers[0].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    with save._exportable(model):
        assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
