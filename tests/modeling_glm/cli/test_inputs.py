"""Models of the commands: folders, devices and data types."""

import pytest
import torch

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.cli.inputs import Dtype, PrecisionName, load, read_precision
from modeling_glm.precision import choosing
from modeling_glm.precision.choosing import PRECISIONS
from modeling_glm.precision.quantizer import is_int8
from tests.support.command import objects

TINY = "examples/glm-tiny"


@pytest.mark.parametrize("command", ["fill", "choose", "generate", "card", "info", "demo"])
def test_a_model_that_is_not_there_is_named(run, command):
    texts = {"fill": ["a [MASK]"], "choose": ["a [MASK]", "b"], "generate": ["a"]}.get(command, [])
    result = run(command, "nowhere/at-all", *texts)
    assert result.returncode == 1
    assert "nowhere/at-all" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["fill", "info"])
@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("shards/1000/mp_rank_00_model_states.pt", "modeling-glm convert"),
        ("shards/mp_rank_00_model_states.pt", "modeling-glm convert"),
        ("glm-large.tar.bz2", "unpack it, and then convert"),
        ("model.pt", "modeling-glm convert"),
    ],
)
def test_checkpoints_of_the_originals_are_to_be_converted(run, tmp_path, command, path, told):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    result = run(command, str(tmp_path / path.split("/")[0]), *(["a [MASK]"] if command == "fill" else []))
    assert result.returncode == 1
    assert told in result.stderr


def test_a_device_that_does_not_exist_is_named(run):
    result = run("fill", TINY, "a [MASK]", "--device", "nonsense")
    assert result.returncode == 1
    assert "--device nonsense" in result.stderr


@pytest.mark.parametrize("options", [("--precision", "bf16"), ("--dtype", "bfloat16"), ("--precision", "int8")])
def test_models_have_the_precision_that_was_asked_for(run, options):
    exact = run("fill", TINY, "The number 12 is [MASK].")
    assert "precision" not in exact.stderr  # auto keeps fp32 for a small model
    coarse = run("fill", TINY, "The number 12 is [MASK].", *options)
    expected, found = (objects(result)[0]["fillings"][0]["log_prob"] for result in (exact, coarse))
    assert found != expected
    assert found == pytest.approx(expected, abs=0.2)


def test_auto_says_what_it_chose(monkeypatch, capsys):
    monkeypatch.setattr(choosing, "FEWEST", 0)
    monkeypatch.setattr(choosing, "cpu_instructions", lambda: ("AVX2", "VNNI"))
    model, _ = load(GLMForConditionalGeneration, TINY, "cpu", PrecisionName.auto, None)
    assert is_int8(model)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "precision: int8, because this CPU has dot products of 8 bits (VNNI). --precision fp32 turns this off."
    )
    for dtype, precision in ((Dtype.float32, PrecisionName.auto), (None, PrecisionName.fp32), (None, None)):
        model, _ = load(GLMForConditionalGeneration, TINY, "cpu", read_precision(dtype, precision), None)
        assert model.dtype == torch.float32
        assert not is_int8(model)
    assert "because" not in capsys.readouterr().err


def test_precisions_that_cannot_be(run):
    result = run("fill", TINY, "a [MASK]", "--precision", "int8", "--dtype", "bfloat16")
    assert result.returncode == 1
    assert "--dtype bfloat16 and --precision int8: give one of them" in result.stderr
    with pytest.raises(ValueError, match="int8 works on CPUs only, but the device is meta"):
        load(GLMForConditionalGeneration, TINY, "meta", PrecisionName.int8, None)


def test_names_of_precisions_are_those_of_the_library():
    assert tuple(PrecisionName) == PRECISIONS
