"""Models that are named by strings, and the devices they come to."""

import logging
from types import SimpleNamespace

import pytest
import torch

from modeling_glm import GLMForSequenceClassification
from modeling_glm.evaluation.loading import choose_device, join_processes, load_scoring_model
from tests.support.models import make_model


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)


def test_a_folder_is_loaded_with_its_tokenizer(model, tokenizer, tmp_path, no_accelerator):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, of_model = load_scoring_model(tmp_path)
    assert not loaded.training
    assert (loaded.dtype, loaded.device) == (torch.float32, torch.device("cpu"))
    assert of_model.get_vocab() == tokenizer.get_vocab()
    loaded, other = load_scoring_model(str(tmp_path), tokenizer, dtype="bfloat16", device="cpu")
    assert loaded.dtype == torch.bfloat16
    assert other is tokenizer
    assert load_scoring_model(loaded)[1].get_vocab() == tokenizer.get_vocab()  # the folder that it came from


def test_a_model_is_taken_as_it_is(model, tokenizer):
    assert load_scoring_model(model, tokenizer) == (model, tokenizer)


@pytest.mark.parametrize(
    "given", [{"dtype": "float16"}, {"device": "cpu"}, {"peft": "x"}, {"device_map": "auto"}], ids=str
)
def test_arguments_of_loading_need_something_to_load(model, tokenizer, given):
    with pytest.raises(
        ValueError, match=f"{next(iter(given))} is for a model to be loaded, but pretrained is a model"
    ):
        load_scoring_model(model, tokenizer, **given)


def test_an_unknown_argument_is_named(model, tmp_path, no_accelerator):
    model.save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match="windw=3 is an unknown argument of the model: expected one of GLMHarnessModel"
    ):
        load_scoring_model(tmp_path, windw=3)


def test_a_model_without_a_projection_is_refused(tokenizer):
    with pytest.raises(ValueError, match="GLMForSequenceClassification: expected a GLMForConditionalGeneration"):
        load_scoring_model(make_model(GLMForSequenceClassification), tokenizer)


def test_the_commands_default_device_works_without_it(no_accelerator, caplog):
    """The harness asks for "cuda:0" where its user asks for nothing."""
    with caplog.at_level(logging.WARNING):
        assert choose_device("cuda:0") == torch.device("cpu")
    assert "device=cuda:0, but there is no CUDA device" in caplog.text


def test_devices(monkeypatch):
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cpu", SimpleNamespace(device=torch.device("meta"))) == torch.device("meta")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("meta"))
    assert choose_device(None) == torch.device("meta")
    with pytest.raises(ValueError, match="device='gpu'"):
        choose_device("gpu")


@pytest.mark.parametrize(("size", "expected"), [(None, None), ("1", None), ("2", "joined")])
def test_several_processes_are_joined(monkeypatch, size, expected):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("accelerate.Accelerator", lambda: "joined")
    for value in [size] if size else []:
        monkeypatch.setenv("WORLD_SIZE", value)
    assert join_processes() == expected
