"""modeling-glm export."""

from modeling_glm.cli import export
from modeling_glm.export.save import Export


def test_it_hands_its_options_on_and_says_what_was_made(run, tmp_path, monkeypatch):
    calls = []

    def export_model(model, target, **settings):
        calls.append((model, target, settings))
        return Export(target=target, model_class="GLMForConditionalGeneration", num_bytes=12_300_000, fills=True)

    monkeypatch.setattr(export, "export_model", export_model)
    target = tmp_path / "onnx"
    result = run("export", "examples/glm-tiny", target, "--quantize", "int8", "--overwrite")
    assert result.returncode == 0, result.stderr
    settings = {"format": "onnx", "quantize": "int8", "overwrite": True, "revision": None}
    assert calls == [("examples/glm-tiny", target, settings)]
    first, second = result.stdout.splitlines()
    assert first == f"{target}: GLMForConditionalGeneration as onnx, 12.3 MB"
    assert f'ORTFiller("{target}")' in second


def test_what_cannot_be_exported_is_said_in_one_line(run, tmp_path):
    result = run("export", "examples/glm-tiny", tmp_path / "onnx", "--format", "tflite")
    assert result.returncode == 2
    assert "tflite" in result.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    result = run("export", "examples/glm-tiny", tmp_path / "full")
    assert result.returncode == 1
    assert "exists already" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "onnx").exists()
