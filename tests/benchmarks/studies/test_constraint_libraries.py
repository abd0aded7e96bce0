"""The study of libraries for constraints."""

import pytest

pytest.importorskip("llguidance")
pytest.importorskip("outlines_core")

from benchmarks.studies import constraint_libraries


def test_every_library_allows_the_answers(tokenizer, tmp_path, capsys):
    tokenizer.save_pretrained(tmp_path)
    constraint_libraries.main([str(tmp_path), "--rounds", "1", "--tasks", "date", "person", "sums"])
    first, second = capsys.readouterr().out.split("| library | version |")
    rows = [line.split(" | ") for line in first.splitlines() if line.startswith("| ") and "---" not in line][1:]
    libraries = {(row[0], row[1]) for row in rows}
    assert {("| regex: date", name) for name in ("outlines-core, bytes", "outlines-core", "llguidance")} <= libraries
    assert {("| schema: person", "llguidance"), ("| grammar: sums", "llguidance")} <= libraries
    assert {row[-1] for row in rows} == {"yes |"}
    assert "| llguidance | " in second


def test_what_is_not_installed_is_named(monkeypatch):
    needs = {"library": {"library", "helper-that-nobody-has"}, "modeling-glm": {"numpy"}}
    monkeypatch.setattr(constraint_libraries, "requirements", needs.__getitem__)
    monkeypatch.setattr(constraint_libraries.importlib.metadata, "version", lambda name: "1.0")
    row = constraint_libraries.size_row("library")
    assert row == ("library", "1.0", "0.0", "helper-that-nobody-has not installed, library not installed")
