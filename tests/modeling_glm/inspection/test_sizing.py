"""Sizing: operations against torch's counter, memory against the tensors that the backward pass keeps."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from modeling_glm import GLMConfig, GLMForConditionalGeneration
from modeling_glm.configuration_glm import PRESETS
from modeling_glm.hub.card import count_parameters
from modeling_glm.inspection.sizing import TrainingMemory, measure_matmul_peak, training_flops, training_memory
from tests.support.models import FIRST_WORD, TOKEN_IDS, tiny_config

ROWS, PART_A, PIECE = 3, 30, 10
LENGTH = PART_A + PIECE
SIZES = {"batch_tokens": ROWS * LENGTH, "row_length": LENGTH, "labelled_tokens": ROWS * PIECE}


def make_batch() -> dict[str, torch.Tensor]:
    """Rows with one blank each, all of one length."""
    input_ids = torch.randint(FIRST_WORD, 64, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
    input_ids[:, 4] = TOKEN_IDS["mask_token_id"]
    input_ids[:, PART_A] = TOKEN_IDS["sop_token_id"]
    labels = input_ids.roll(-1, dims=1)
    labels[:, :PART_A] = -100
    labels[:, -1] = TOKEN_IDS["eop_token_id"]
    return {"input_ids": input_ids, "labels": labels}


def make_model(**overrides) -> GLMForConditionalGeneration:
    torch.manual_seed(0)
    return GLMForConditionalGeneration(tiny_config(attn_implementation="eager", **overrides)).train()


@pytest.mark.parametrize(
    "overrides",
    [{}, {"intermediate_size": 48}, {"num_hidden_layers": 1, "vocab_size": 200}, {"attention_dropout": 0.1}],
)
def test_operations_are_those_that_torch_counts(overrides):
    """Exactly: the counter, too, counts matrix products only."""
    model = make_model(**overrides)
    with FlopCounterMode(display=False) as counter:
        model(**make_batch()).loss.backward()
    expected = training_flops(model.config, tokens=ROWS * LENGTH, labelled_tokens=ROWS * PIECE, row_length=LENGTH)
    assert expected == counter.get_total_flops()


def test_operations_of_a_large_model_are_six_per_parameter_and_token():
    config = GLMConfig.from_preset("glm-10b")
    flops = training_flops(config, tokens=1000, labelled_tokens=0, row_length=512)
    matrices = 12 * 48 * 4096**2
    assert flops / 1000 == pytest.approx(6 * matrices, rel=0.03)  # and 2% for the attention


def kept_bytes(model: GLMForConditionalGeneration, precision: str) -> int:
    """Bytes that the forward pass keeps for the backward pass, each storage once, without parameters and ids."""
    known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype != torch.long and tensor.untyped_storage().data_ptr() not in known:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"),
    ):
        loss = model(**make_batch()).loss
    assert loss.isfinite()
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16-mixed"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_activations_are_those_that_the_backward_pass_keeps(monkeypatch, precision, dropout):
    """Of a layer: the difference between a model and one with a layer more; as on GPUs."""
    monkeypatch.setattr("modeling_glm.cpu_functions.mlp.is_recomputed", lambda *_: False)
    monkeypatch.setattr("modeling_glm.cpu_functions.kept_weights.keeps_weights", lambda *_: False)
    overrides = {"attention_dropout": dropout, "hidden_dropout": dropout, "embedding_dropout": dropout}
    kept, expected, copied = [], [], []
    for layers in (2, 3):
        model = make_model(num_hidden_layers=layers, **overrides)
        memory = training_memory(model.config, precision=precision, attention="eager", **SIZES)
        kept.append(kept_bytes(model, precision))
        expected.append(memory.activations)
        copied.append(memory.copies)
    # The copies of the weights by autocast are kept as well.
    assert kept[1] - kept[0] == pytest.approx(expected[1] - expected[0] + copied[1] - copied[0], rel=0.02)


def test_activations_without_fused_attention_are_those_of_korthikanti():
    """At 2 bytes for all, (34 + 5as/h)h for each token and layer; here the residual stream and the softmax have 4."""
    config = GLMConfig.from_preset("glm-large")
    batch = {"batch_tokens": 512, "row_length": 512, "labelled_tokens": 0}
    one_more = GLMConfig.from_preset("glm-large", num_hidden_layers=25)
    layer = training_memory(one_more, **batch, attention="eager").activations
    layer -= training_memory(config, **batch, attention="eager").activations
    hidden, heads = 1024, 16
    theirs = (34 + 5 * heads * 512 / hidden) * hidden
    assert layer / 512 - theirs == 2 * 2 * hidden + 2 * heads * 512 + 16


@pytest.mark.parametrize("preset", PRESETS)
def test_states_are_sixteen_bytes_per_parameter(preset):
    config = GLMConfig.from_preset(preset)
    memory = training_memory(config, batch_tokens=0, row_length=1)
    assert memory.weights == memory.gradients == 4 * count_parameters(config)
    assert memory.optimizer == 8 * count_parameters(config)
    assert memory.activations == 0
    assert memory.total == 16 * count_parameters(config) + memory.copies


def test_without_block_positions_or_tied_embeddings():
    for overrides in ({"block_position_embeddings": False}, {"tie_word_embeddings": False}):
        config = tiny_config(**overrides)
        assert training_memory(config, batch_tokens=0, row_length=1).weights == 4 * count_parameters(config)


def test_what_saves_memory_saves_it():
    config = GLMConfig.from_preset("glm-large")
    batch = {"batch_tokens": 16 * 512, "row_length": 512}
    plain = training_memory(config, **batch)
    assert training_memory(config, **batch, gradient_checkpointing=True).activations < plain.activations / 4
    assert training_memory(config, **batch, attention="eager").activations > plain.activations
    assert training_memory(config, **batch, precision="fp32").activations > 1.5 * plain.activations
    assert training_memory(config, **batch, optimizer="sgd").optimizer == 0
    sharded = training_memory(config, **batch, shards=8)
    assert sharded.weights == plain.weights / 8
    assert sharded.optimizer == plain.optimizer / 8
    assert sharded.activations == plain.activations
    assert sharded.copies < plain.copies


def test_checkpointed_blocks_keep_their_input():
    kept = []
    for layers in (2, 3):
        model = make_model(num_hidden_layers=layers)
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        kept.append(kept_bytes(model, "fp32"))
    memory = [
        training_memory(
            tiny_config(num_hidden_layers=layers), precision="fp32", gradient_checkpointing=True, **SIZES
        ).activations
        for layers in (2, 3)
    ]
    assert kept[1] - kept[0] == memory[1] - memory[0] == ROWS * LENGTH * 4 * 32


def test_total_is_the_sum():
    assert TrainingMemory(weights=1, gradients=2, optimizer=4, copies=8, activations=16).total == 31


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_tokens": -1}, "numbers must not be negative"),
        ({"labelled_tokens": 10_000}, "there cannot be more labels than tokens"),
        ({"shards": 0}, "shards=0 must be at least 1"),
        ({"optimizer": "lion"}, "optimizer='lion': expected one of adamw, sgd"),
        ({"precision": "fp16"}, "precision='fp16': expected one of fp32, bf16-mixed"),
        ({"attention": "flash"}, "attention='flash': expected one of eager, sdpa"),
    ],
)
def test_errors_say_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        training_memory(tiny_config(), **{**SIZES, **changes})


def test_operations_refuse_more_labels_than_tokens():
    with pytest.raises(ValueError, match="there cannot be more labels than tokens"):
        training_flops(tiny_config(), tokens=3, labelled_tokens=4, row_length=3)


def test_peak_is_that_of_a_computer():
    peak = measure_matmul_peak("cpu", torch.float32, size=256, seconds=0.05)
    assert 1e8 < peak < 1e15
    assert 1e8 < measure_matmul_peak("cpu", torch.float32, size=(128, 256, 512), seconds=0.05) < 1e15
    with pytest.raises(ValueError, match="size=-1 must be at least 1"):
        measure_matmul_peak("cpu", size=-1)
