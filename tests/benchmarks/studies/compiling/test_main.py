"""The study of compiled training and decoding."""

import pytest
import torch

from benchmarks.harness.shapes import TINY
from benchmarks.studies.compiling import __main__ as study
from benchmarks.studies.compiling import ways
from benchmarks.studies.compiling.ways import PLAIN, WORKS


@pytest.fixture
def compiled(monkeypatch) -> list[str]:
    """What was compiled. Nothing is: compiling takes half a minute."""
    found: list[str] = []

    def compile_function(function, **options):
        found.append(f"forward {options['options']}")
        return function

    monkeypatch.setattr(torch, "compile", compile_function)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **options: found.append(type(module).__name__))
    return found


def test_ways_compile_what_they_say(compiled):
    for work, sizes in {"training": (2, 32), "decoding": (2, 16, 2)}.items():
        for way in WORKS[work].ways:
            before = len(compiled)
            WORKS[work].make(way, TINY, *sizes)()
            assert (len(compiled) > before) == (way in WORKS[work].compiled)
    blocks = ["GLMBlock"] * TINY.layers
    templates = "{'freezing': True, 'max_autotune': True, 'max_autotune_gemm_backends': 'CPP,ATEN'}"
    assert compiled == [*blocks, "GLMModel", "forward {}", "forward {'freezing': True}", f"forward {templates}"]


def test_ways_are_compared(compiled, monkeypatch, capsys):
    called = []

    def run_alone(function, *arguments, environment):
        called.append((function, *arguments, environment["TORCHINDUCTOR_CACHE_DIR"]))
        return {"seconds": float(len(called))}

    monkeypatch.setattr(study, "run_alone", run_alone)
    study.main(["--shape", "Tiny", "--texts", "1", "--rounds", "2", "--tokens", "32", "16", "2"])
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    rows = {
        row[0]: row for row in cells if row and row[0] in {PLAIN, *WORKS["training"].ways, *WORKS["decoding"].ways}
    }
    assert rows[PLAIN][1:3] == ["–", "–"]
    assert rows[PLAIN][4:] == ["1.00", "1.00 to 1.00"]
    # The first process compiles, and the second one finds its cache.
    assert rows["blocks"][1:3] == ["1.0", "2.0"]
    assert rows["frozen"][1:3] == ["7.0", "8.0"]
    assert called[0] == called[1] != called[2]
    assert called[-1][:3] == (ways.time_first_call, "decoding", "templates")


def test_the_first_call_is_timed():
    assert ways.time_first_call("decoding", PLAIN, TINY.name, 1, 16, 2)["seconds"] > 0
