"""Conversion of checkpoints of the authors and of the hub into folders that every class loads, and back, bit for bit."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.serialization import skip_data
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

from modeling_glm import (
    GLMConfig,
    GLMForConditionalGeneration,
    GLMModel,
    GLMTokenizer,
    convert_checkpoint,
)
from modeling_glm.checkpoints import convert as conversion
from modeling_glm.checkpoints.shards import split_tensor
from tests.support.checkpoints import (
    CONFIG,
    ITERATION,
    ORIGINAL,
    SHARDED,
    assert_same,
    base_weights,
    module_of,
    save_module,
    weights_of,
)
from tests.support.golden import NATIVE, golden_inputs, golden_tensors
from tests.support.kills import watch
from tests.support.models import tiny_config
from tests.support.uploaded import MODEL_CODE, TOKENIZER_CODE


@pytest.mark.parametrize("number", SHARDED)
def test_golden_checkpoints(tmp_path, number):
    """1, 2 and 4 shards give the weights of the model, bit for bit, and its logits."""
    done = convert_checkpoint(SHARDED[number], tmp_path / "glm", config=CONFIG, vocabulary=ORIGINAL, check=True)
    assert done.difference <= 1e-5
    assert done.has_tokenizer
    assert done.left_out == done.not_finite == []
    assert_same(weights_of(tmp_path / "glm"), load_file(ORIGINAL / "model.safetensors"))
    model = GLMForConditionalGeneration.from_pretrained(tmp_path / "glm", dtype="auto")
    for key, expected in golden_tensors(ORIGINAL.name, NATIVE).items():
        with torch.no_grad():
            logits = model(**golden_inputs(ORIGINAL.name, key.removeprefix("out.logits."))).logits
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("number", SHARDED)
@pytest.mark.parametrize("source", SHARDED)
def test_splitting_back_reproduces_the_shards(tmp_path, source, number):
    convert_checkpoint(SHARDED[source], tmp_path / "split", config=CONFIG, shards=number, check=True)
    expected = SHARDED[number]
    names = sorted(path.relative_to(expected) for path in expected.glob("*/*.pt"))
    assert sorted(path.relative_to(tmp_path / "split") for path in (tmp_path / "split").glob("*/*.pt")) == names
    for name in names:
        assert_same(module_of(tmp_path / "split" / name), module_of(expected / name))
    assert (tmp_path / "split" / "latest_checkpointed_iteration.txt").read_text() == ITERATION
    # The config lies beside them, so they can be merged again.
    convert_checkpoint(tmp_path / "split", tmp_path / "merged")
    assert_same(weights_of(tmp_path / "merged"), load_file(ORIGINAL / "model.safetensors"))


def test_the_target_is_complete(tmp_path):
    """Auto classes load it, it generates as the original folder does, and it has a card."""
    convert_checkpoint(ORIGINAL, tmp_path / "glm", license="mit")
    names = {path.name for path in (tmp_path / "glm").iterdir()}
    assert names == {
        *("config.json", "generation_config.json", "model.safetensors", "README.md"),
        *("tokenizer.json", "tokenizer_config.json"),
        *TOKENIZER_CODE,
        *MODEL_CODE,
    }
    config = json.loads((tmp_path / "glm" / "config.json").read_text())
    assert config["auto_map"]["AutoModelForSeq2SeqLM"] == "modeling_glm.GLMForConditionalGeneration"
    assert config["model_type"] == "glm_infilling"
    assert "license: mit" in (tmp_path / "glm" / "README.md").read_text()
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "glm")
    assert type(model) is GLMForConditionalGeneration
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "glm")
    ids = model.generate(**tokenizer("a b [MASK] c", return_tensors="pt"), max_new_tokens=5)
    original = GLMForConditionalGeneration.from_pretrained(ORIGINAL)
    expected = GLMTokenizer.from_pretrained(ORIGINAL)
    inputs = expected("a b [MASK] c", return_tensors="pt")
    assert torch.equal(ids, original.generate(**inputs, max_new_tokens=5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("wanted", [None, torch.float16, torch.float32])
def test_dtypes(tmp_path, dtype, wanted):
    weights = {name: tensor.to(dtype) for name, tensor in base_weights().items()}
    save_module(tmp_path / "a.pt", weights)
    done = convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), dtype=wanted, check=True)
    assert_same(weights_of(tmp_path / "glm"), {name: tensor.to(wanted or dtype) for name, tensor in weights.items()})
    assert AutoConfig.from_pretrained(tmp_path / "glm").dtype == done.config.dtype == (wanted or dtype)


def test_mixed_dtypes_are_kept(tmp_path):
    weights = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in base_weights().items()}
    weights["transformer.final_layernorm.bias"] = torch.ones(32, dtype=torch.float64)
    save_module(tmp_path / "a.pt", weights)
    convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config())
    assert_same(weights_of(tmp_path / "glm"), weights)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_warned_of(tmp_path, value):
    weights = base_weights()
    weights["transformer.layers.1.mlp.dense_h_to_4h.bias"][3] = value
    save_module(tmp_path / "a.pt", weights)
    with pytest.warns(UserWarning, match=r"1 tensors hold a NaN or an infinity.*layers.1.mlp.dense_h_to_4h.bias"):
        done = convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), check=True)
    assert done.not_finite == ["transformer.layers.1.mlp.dense_h_to_4h.bias"]
    assert_same(weights_of(tmp_path / "glm"), weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_no_number_is_overlooked(dtype):
    """In any place of a chunk, beside the largest numbers, and in chunks of any length."""
    for length in (0, 1, 7, 33, 129):
        chunk = torch.full((length,), torch.finfo(dtype).max, dtype=dtype)
        chunk[1::2] *= -1
        assert conversion._is_finite(chunk)
        for place in range(length):
            for value in (torch.nan, torch.inf, -torch.inf):
                changed = chunk.clone()
                changed[place] = value
                assert not conversion._is_finite(changed)


def test_numbers_that_the_new_dtype_cannot_hold_are_warned_of(tmp_path):
    weights = base_weights()
    weights["transformer.final_layernorm.bias"][0] = 1e6
    save_module(tmp_path / "a.pt", weights)
    with pytest.warns(UserWarning, match=r"a NaN or an infinity.*final_layernorm.bias"):
        convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config(), dtype=torch.float16)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_interruptions(tmp_path, refuse, monkeypatch, interruption):
    source = save_module(tmp_path / "a.pt", base_weights())
    count = iter(range(1000))

    def is_finite(chunk):
        if next(count) == 10:
            raise interruption("stop")
        return True

    monkeypatch.setattr(conversion, "_is_finite", is_finite)
    refuse(source, "stop", error=interruption)


def read_peak() -> int:
    # ru_maxrss would also count the process that started this one.
    status = Path("/proc/self/status").read_text()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) * 1024


def measure_conversion(source: Path, target: Path, shards: int):
    before = read_peak()
    done = convert_checkpoint(source, target, shards=shards or None)
    print(done.config.num_attention_heads, read_peak() - before)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(("number", "layers", "shards"), [(2, 1, 0), (1, 2, 2)])
def test_memory_of_a_10b_shaped_checkpoint(tmp_path, number, layers, shards):
    """
    Real shapes, few layers, zeros: beside Python and torch there is never more in memory than the largest shard has.
    """
    with torch.device("meta"):
        state = GLMModel(GLMConfig.from_preset("glm-10b", num_hidden_layers=layers)).half().state_dict()
    source = tmp_path / "source"
    for rank in range(number):
        module = {
            name: torch.empty_like(split_tensor(name, tensor, number)[rank], device="cpu")
            for name, tensor in state.items()
        }
        with skip_data():  # a file with holes
            save_module(source / f"mp_rank_{rank:02d}_model_states.pt", module, iteration=1)
    largest = max(path.stat().st_size for path in source.iterdir())
    ended = watch(measure_conversion, source, tmp_path / "glm", shards, root=tmp_path)
    assert ended.code == 0, ended.output
    heads, peak = map(int, ended.output.splitlines()[-1].split())
    assert heads == 64
    assert peak <= largest
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.suffix in (".safetensors", ".pt"))
    assert written >= 2 * sum(tensor.nbytes for tensor in state.values())
