"""Muon and AdamW as one optimizer: against the two of torch, in checkpoints and schedules, and resumed bit for bit."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.pretraining import optimizer as optimizer_module
from modeling_glm.pretraining.optimizer import (
    MuonWithAdamW,
    group_parameters,
    hidden_matrices,
    is_sharded_by_launcher,
    lacks_bf16,
    orthogonalize,
    step_in_fp32,
)
from modeling_glm.pretraining.settings import parse_arguments
from tests.support.models import tiny_config
from tests.support.pretraining_runs import one_thread, options, pretrain, read_losses, write_texts

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of torch.optim.Muon
OPTIONS = {"lr": 2e-3, "betas": (0.9, 0.98), "eps": 1e-6}

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")


def build_model() -> GLMForConditionalGeneration:
    torch.manual_seed(0)
    return GLMForConditionalGeneration(tiny_config())


def decayed_names(model: GLMForConditionalGeneration) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.ndim == 2]


def build_optimizer(model: GLMForConditionalGeneration) -> MuonWithAdamW:
    return MuonWithAdamW(group_parameters(model, decayed_names(model), 0.1, 0.01), OPTIONS)


def draw_gradients(model: GLMForConditionalGeneration, seed: int):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def train(model, optimizer, steps: range, scheduler=None):
    for step in steps:
        draw_gradients(model, step)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def same_weights(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_every_parameter_is_in_one_group():
    model = build_model()
    shrunk, kept, muon = group_parameters(model, decayed_names(model), 0.1, 0.01)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    grouped = [[names[id(parameter)] for parameter in group["params"]] for group in (shrunk, kept, muon)]
    assert sorted(grouped[0] + grouped[1] + grouped[2]) == sorted(names.values())
    assert grouped[0] == [
        "glm.word_embeddings.weight",
        "glm.transformer.position_embeddings.weight",
        "glm.transformer.block_position_embeddings.weight",
    ]
    assert all(name.endswith(("bias", "layernorm.weight")) for name in grouped[1])
    layers = model.config.num_hidden_layers
    assert len(grouped[2]) == 4 * layers  # two matrices of attention and two of the MLP
    assert all(".layers." in name and name.endswith(".weight") for name in grouped[2])
    assert [group["weight_decay"] for group in (shrunk, kept, muon)] == [0.1, 0.0, 0.1]


def test_frozen_parameters_are_left_out():
    model = build_model()
    model.glm.requires_grad_(False)
    model.glm.transformer.layers[0].mlp.requires_grad_(True)
    optimizer = build_optimizer(model)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4
    before = copy.deepcopy(model)
    train(model, optimizer, range(1))
    changed = [
        n for (n, a), b in zip(model.named_parameters(), before.parameters(), strict=True) if not torch.equal(a, b)
    ]
    assert changed == [f"glm.transformer.layers.0.mlp.{name}.{kind}" for name in ("dense_h_to_4h", "dense_4h_to_h")
                       for kind in ("weight", "bias")]  # fmt: skip


@pytest.mark.parametrize("in_fp32", [False, True])
def test_the_steps_are_those_of_the_two_optimizers_of_torch(in_fp32, monkeypatch):
    """In bf16 bit for bit. In fp32 the updates of the matrices are as near as bf16 rounds them."""
    monkeypatch.setattr(optimizer_module, "cpu_instructions", lambda: () if in_fp32 else ("BF16",))
    model, reference = build_model(), build_model()
    train(model, build_optimizer(model), range(4))
    matrices = hidden_matrices(reference)
    rest = [parameter for parameter in reference.parameters() if parameter not in matrices]
    muon = torch.optim.Muon(matrices, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    groups = [
        {"params": [parameter for parameter in rest if (parameter.ndim == 2) == shrinks], "weight_decay": decay}
        for shrinks, decay in ((True, 0.1), (False, 0.0))
    ]
    adamw = torch.optim.AdamW(groups, **OPTIONS)
    for step in range(4):
        draw_gradients(reference, step)
        muon.step()
        adamw.step()
    assert same_weights(model, reference) is not in_fp32
    ours, theirs = (dict(one.named_parameters()) for one in (model, reference))
    for name, start in build_model().named_parameters():
        moved = (theirs[name] - start).norm()
        assert moved > 0
        off = (ours[name] - theirs[name]).norm() / moved
        assert off <= (0.02 if theirs[name] in matrices else 0)


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (1, 4)])
def test_every_iteration_applies_the_polynomial_to_the_singular_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.norm()
    a, b, c = COEFFICIENTS
    for _ in range(5):
        values = a * values + b * values**3 + c * values**5
    expected = left @ values.diag() @ right
    torch.testing.assert_close(orthogonalize(matrix, COEFFICIENTS, 5, 1e-7), expected.float(), atol=1e-4, rtol=1e-4)


def test_a_matrix_of_zeros_stays():
    assert not orthogonalize(torch.zeros(3, 4), COEFFICIENTS, 5, 1e-7).any()


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_matrix_of_one_weight_moves_as_by_hand(nesterov):
    weight, frozen = torch.nn.Parameter(torch.tensor([[2.0]])), torch.nn.Parameter(torch.tensor([[5.0]]))
    options = {"lr": 0.1, "weight_decay": 0.5, "momentum": 0.9, "nesterov": nesterov}
    optimizer = torch.optim.Muon([weight, frozen], **options, adjust_lr_fn="match_rms_adamw")
    expected, average = 2.0, 0.0
    size = orthogonalize(torch.ones(1, 1), COEFFICIENTS, 5, 1e-7).item()
    for gradient in (3.0, -1.0, -40.0):
        weight.grad = torch.tensor([[gradient]])
        step_in_fp32(optimizer)
        average = 0.9 * average + 0.1 * gradient
        update = 0.1 * gradient + 0.9 * average if nesterov else average
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * 0.2 * size * (1 if update > 0 else -1)
        assert weight.item() == pytest.approx(expected, rel=1e-5)
    assert frozen.item() == 5.0


@pytest.mark.parametrize(("instructions", "slow"), [((), True), (("AVX2",), True), (("AVX-512", "BF16"), False)])
def test_a_cpu_without_bf16_is_known(instructions, slow, monkeypatch):
    monkeypatch.setattr(optimizer_module, "cpu_instructions", lambda: instructions)
    assert lacks_bf16([torch.ones(1)]) is slow
    assert not lacks_bf16([torch.ones(1), torch.ones(1, device="meta")])


def test_a_loaded_state_continues_bit_for_bit(tmp_path):
    whole, begun = build_model(), build_model()
    train(whole, build_optimizer(whole), range(6))
    first = build_optimizer(begun)
    train(begun, first, range(3))
    torch.save(first.state_dict(), tmp_path / "optimizer.pt")
    resumed = build_optimizer(begun)
    resumed.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    train(begun, resumed, range(3, 6))
    assert same_weights(whole, begun)


def test_a_schedule_scales_both_learning_rates_to_zero():
    model = build_model()
    optimizer = build_optimizer(model)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 4)
    train(model, optimizer, range(2), scheduler)
    assert scheduler.get_last_lr() == [1e-3, 1e-3, 0.005]
    train(model, optimizer, range(2, 4), scheduler)
    assert scheduler.get_last_lr() == [0.0, 0.0, 0.0]
    before = copy.deepcopy(model)
    train(model, optimizer, range(4, 5))
    assert same_weights(model, before)


def test_a_closure_computes_the_loss_with_gradients():
    model = build_model()
    optimizer = build_optimizer(model)

    def closure() -> float:
        loss = sum(parameter.square().sum() for parameter in model.parameters())
        loss.backward()
        return loss.item()

    first = optimizer.step(closure)
    optimizer.zero_grad()
    assert optimizer.step(closure) < first


@pytest.mark.parametrize("name", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_sharding_is_seen_in_the_environment(name):
    assert is_sharded_by_launcher({name: "true"})
    assert not is_sharded_by_launcher({name: "false"})
    assert not is_sharded_by_launcher({})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"muon_learning_rate": 0.1, "optimizer": None}, "--muon_learning_rate 0.1 needs --optimizer muon"),
        ({"optim": "adafactor"}, "--optim is adafactor: leave out --optim"),
        ({"muon_learning_rate": -1}, "--muon_learning_rate -1: give a number of at least 0"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(tmp_path, settings, message):
    with pytest.raises(SystemExit, match=message):
        parse_arguments("", options(tmp_path, **{"optimizer": "muon", **settings}))


def test_an_old_torch_and_sharding_are_refused(tmp_path, monkeypatch):
    line = options(tmp_path, optimizer="muon")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(SystemExit, match=r"needs whole matrices, and FSDP and DeepSpeed shard them"):
        parse_arguments("", line)
    monkeypatch.delattr(optimizer_module.torch.optim, "Muon")
    with pytest.raises(SystemExit, match=r"needs torch 2\.9 or later, and this is .*: update torch"):
        parse_arguments("", line)


def test_the_learning_rate_of_muon_is_that_of_adamw_by_default(tmp_path):
    args, _ = parse_arguments("", options(tmp_path, optimizer="muon", learning_rate=3e-3))
    assert args.muon_learning_rate == 3e-3
    args, _ = parse_arguments("", options(tmp_path, learning_rate=3e-3))
    assert (args.optimizer, args.muon_learning_rate) == ("adamw", None)


@pytest.mark.slow
def test_a_run_with_muon_resumes_bit_for_bit_and_only_with_muon(tmp_path):
    write_texts(tmp_path / "texts.txt")
    muon = {"optimizer": "muon", "muon_learning_rate": 0.01, "decay_steps": 4, "min_lr_ratio": 0.0, "warmup_steps": 1}
    muon["eval_strategy"] = "no"
    with one_thread():
        pretrain(tmp_path, **muon, max_steps=4)
        pretrain(tmp_path, **muon, output_dir=tmp_path / "parts", max_steps=2)
        pretrain(tmp_path, **muon, output_dir=tmp_path / "parts", max_steps=4)
    assert read_losses(tmp_path / "run") == read_losses(tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / "final" / "model.safetensors") for name in ("run", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    state = torch.load(tmp_path / "run" / "checkpoint-4" / "optimizer.pt", weights_only=True)
    assert [group["optimizer"] for group in state["param_groups"]] == ["adamw", "adamw", "muon"]
    assert [group["initial_lr"] for group in state["param_groups"]] == [2e-3, 2e-3, 0.01]
    assert all(group["lr"] == 0.0 for group in state["param_groups"])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["optimizer"] == "muon"
    settings = json.loads((tmp_path / "run" / "final" / "training.json").read_text())["arguments"]
    assert (settings["optimizer"], settings["muon_learning_rate"]) == ("muon", 0.01)
    card = " ".join((tmp_path / "run" / "final" / "README.md").read_text().split())
    assert (
        "Muon with 0.01 for the matrices of the layers, otherwise AdamW with a peak learning rate of 0.002, and"
        in card
    )
    with pytest.raises(SystemExit, match="optimizer was muon and is adamw"):
        pretrain(tmp_path, max_steps=6)
