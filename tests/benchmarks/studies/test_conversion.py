"""The study of conversion."""

from dataclasses import replace

from benchmarks.harness.results import Memory, Speed, Value
from benchmarks.harness.shapes import TINY
from benchmarks.studies import conversion
from modeling_glm import GLMModel


def test_the_tables(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(conversion, "make_shape", lambda layers: replace(TINY, layers=layers))
    monkeypatch.setattr(conversion, "run_alone", lambda function, *arguments: function(*arguments))
    speed, value, memory = conversion.compare(tmp_path, layers=1, rounds=1)
    assert [type(result) for result in (speed, value, memory)] == [Speed, Value, Memory]
    assert memory.theirs == (tmp_path / "source.pt").stat().st_size
    assert value.value == memory.theirs / speed.ours / 1e6
    conversion.main(["--layers", "1", "--rounds", "1"])
    assert "| a plain copy of the file |" in capsys.readouterr().out


def test_what_is_converted_is_a_model(tmp_path):
    source, copied = tmp_path / "source.pt", tmp_path / "copied.pt"
    conversion.write_source(source, TINY)
    conversion.convert(str(source), str(tmp_path / "glm"), TINY)
    conversion.copy_plainly(source, copied)
    assert copied.read_bytes() == source.read_bytes()
    assert GLMModel.from_pretrained(tmp_path / "glm").config.hidden_size == TINY.hidden
