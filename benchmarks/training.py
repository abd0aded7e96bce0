"""A training step (forward, backward, AdamW): time against peers, share of the matmul limit, peak memory."""

import sys
from collections.abc import Callable
from typing import Any

import torch

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMTokenizer
from modeling_glm.layout_glm import compute_position_ids

from .measuring import ROOT, Line, PeakMemory, compare, run_alone, take_turns
from .naive_glm import NaiveGLM, loss_everywhere
from .pretrain_step import split_row
from .settings import Settings
from .shapes import BASE, LARGE, SHAPES, TINY, Shape, build_glm, build_peer, draw_ids, glm_config

SPAN = 3
MASKED = 0.15
Batch = dict[str, torch.Tensor]


def make_batch(shape: Shape, rows: int, length: int) -> Batch:
    """Rows of Part A with blanks for 15% of a text, and Part B, whose tokens have the labels."""
    config = glm_config(shape)
    part_a, pieces = split_row(length, MASKED)
    input_ids = draw_ids(shape, rows, length)
    input_ids[:, 0], input_ids[:, part_a - 1] = config.cls_token_id, config.eos_token_id
    input_ids[:, torch.linspace(1, part_a - 2, pieces).long()] = config.mask_token_id
    labels = torch.full_like(input_ids, -100)
    labels[:, part_a:] = draw_ids(shape, rows, length - part_a, seed=1)
    input_ids[:, part_a :: SPAN + 1] = config.sop_token_id
    return {"input_ids": input_ids, "labels": labels}


def make_step(name: str, shape: Shape, rows: int, length: int, device: str = "cpu", bf16: bool = False) -> Any:
    """
    A step of one model on a batch of its own objective, and the function that gives its loss.

    Args:
        name: "GLM", "naive GLM", "GLM, checkpointing", or a peer.
    """
    batch = make_batch(shape, rows, length)
    if "GLM" in name:
        model = build_glm(shape).train()
        if name == "GLM, checkpointing":
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        position_ids = compute_position_ids(batch["input_ids"], model.config).to(device)
        batch = {key: value.to(device) for key, value in batch.items()}
        model.to(device)
        naive = NaiveGLM(model).train()

        def loss() -> torch.Tensor:
            if name == "naive GLM":
                return loss_everywhere(naive, batch["input_ids"], position_ids, batch["labels"])
            return model(**batch).loss
    else:
        model = build_peer(name, shape, length).train().to(device)
        batch = {key: value.to(device) for key, value in make_peer_batch(name, shape, rows, length).items()}

        def loss() -> torch.Tensor:
            return model(**batch).loss

    return optimizing(model, loss, device, bf16), loss


def make_peer_batch(name: str, shape: Shape, rows: int, length: int) -> Batch:
    """As many tokens, in the objective of a peer: all for GPT-2, 15% for BERT, Part B in the decoder of the others."""
    ids = draw_ids(shape, rows, length)
    if name == "GPT-2":
        return {"input_ids": ids, "labels": ids}
    if name == "BERT":
        return {"input_ids": ids, "labels": torch.where(torch.arange(length) % 20 < 3, ids, -100)}
    encoded, _ = split_row(length, MASKED)
    return {"input_ids": ids[:, :encoded], "labels": draw_ids(shape, rows, length - encoded, seed=1)}


def count_flops(shape: Shape, rows: int, length: int) -> float:
    """Of forward and backward pass: three times the forward pass, of which the labelled positions are projected."""
    labelled = int((make_batch(shape, rows, length)["labels"] != -100).sum())
    return 3 * shape.forward_flops(rows, length, labelled)


def measure_memory(name: str, shape: str, vocabulary: int, rows: int, length: int) -> dict[str, float]:
    """How many bytes a process grows by for a model and a step of it; called in a process of its own."""
    chosen = SHAPES[shape].with_vocabulary(vocabulary)
    make_step(name, TINY, 1, 32)[0]()  # what libraries load at first use
    with PeakMemory() as memory:
        step, _ = make_step(name, chosen, rows, length)
        step()
        step()  # with the state of the optimizer
    return {"bytes": memory.grown}


def run(settings: Settings) -> list[Line]:
    lines = []
    base, large = (TINY, TINY) if settings.quick else (BASE, LARGE)
    rows, length = (2, 128) if settings.quick else (4, 512)
    if settings.on_gpu:
        rows = 32
    for vocabulary, goal in ((30592, 1.7), (50304, 2.0)):
        shape = base if settings.quick else base.with_vocabulary(vocabulary)
        peers = ["naive GLM", *(["GPT-2", "T5", "T5, half as deep", "BART", "BERT"] if vocabulary == 30592 else [])]
        lines += _compare(settings, shape, rows, length, peers, {"naive GLM": goal, "GPT-2": 1.3, "T5": 1.3})
        lines.append(_memory(settings, shape, rows, length, "naive GLM", 1 / 0.6))
    lines += _compare(settings, large, max(1, rows // 4), length, ["naive GLM"], {})
    lines += _compare_precision(settings, base, rows, length)
    lines += _compare_checkpointing(settings, base, rows, length)
    return lines + _compare_packing(settings, base, length)


def _compare(
    settings: Settings, shape: Shape, rows: int, length: int, peers: list[str], goals: dict[str, float]
) -> list[Line]:
    steps = {name: make_step(name, shape, rows, length, settings.device) for name in ["GLM", *peers]}
    flops = count_flops(shape, rows, length)
    seconds = take_turns({name: step for name, (step, _) in steps.items()}, settings.rounds, settings.device)
    work = f"{shape.name}, vocabulary {shape.vocabulary}, {rows} x {length} tokens, fp32"
    lines = [
        Line(suite="training", work=work, peer=name, goal=goals.get(name), **compare(seconds, "GLM", name))
        for name in peers
    ]
    share = flops / min(seconds["GLM"]) / settings.limits[f"{shape.name} float32"]
    lines.append(
        Line(suite="training", work=work, share=share, limit="matmul fp32", goal=0.8, ours=min(seconds["GLM"]))
    )
    return lines


def _memory(settings: Settings, shape: Shape, rows: int, length: int, peer: str, goal: float | None) -> Line:
    sizes = [
        run_alone("training", "measure_memory", name, shape.name, shape.vocabulary, rows, length)["bytes"] / 2**30
        for name in ("GLM", peer)
    ]
    return Line(
        suite="training",
        work=f"{shape.name}, vocabulary {shape.vocabulary}, {rows} x {length} tokens, peak memory",
        peer=peer,
        ratio=sizes[1] / sizes[0],
        ours=sizes[0],
        theirs=sizes[1],
        unit="GiB",
        goal=goal,
        note=f"{sizes[0] / sizes[1]:.2f} of it",
    )


def _compare_precision(settings: Settings, shape: Shape, rows: int, length: int) -> list[Line]:
    """bf16 autocast against fp32."""
    runs = {name: make_step("GLM", shape, rows, length, settings.device, name == "bf16") for name in ("fp32", "bf16")}
    flops = count_flops(shape, rows, length)
    seconds = take_turns({name: step for name, (step, _) in runs.items()}, settings.rounds, settings.device)
    computes = settings.limits["computes bf16"]
    note = "" if computes else "this machine has no bf16 arithmetic: no goal"
    work = f"{shape.name}, {rows} x {length} tokens, bf16 autocast"
    share = flops / min(seconds["bf16"]) / settings.limits[f"{shape.name} bfloat16"]
    return [
        Line(
            suite="training",
            work=work,
            peer="our fp32",
            goal=1.6 if computes else None,
            note=note,
            **compare(seconds, "bf16", "fp32"),
        ),
        Line(
            suite="training",
            work=work,
            share=share,
            limit="matmul bf16",
            goal=0.6 if computes else None,
            ours=min(seconds["bf16"]),
            note=note,
        ),
    ]


def _compare_checkpointing(settings: Settings, shape: Shape, rows: int, length: int) -> list[Line]:
    names = ("GLM", "GLM, checkpointing")
    steps = {name: make_step(name, shape, rows, length, settings.device)[0] for name in names}
    seconds = take_turns(steps, settings.rounds, settings.device)
    work = f"{shape.name}, {rows} x {length} tokens, gradient checkpointing"
    sizes = [
        run_alone("training", "measure_memory", name, shape.name, shape.vocabulary, rows, length)["bytes"] / 2**30
        for name in names
    ]
    return [
        Line(suite="training", work=work, peer="without", **compare(seconds, names[1], names[0])),
        Line(
            suite="training",
            work=f"{work}, peak memory",
            peer="without",
            ratio=sizes[0] / sizes[1],
            ours=sizes[1],
            theirs=sizes[0],
            unit="GiB",
        ),
    ]


def _compare_packing(settings: Settings, shape: Shape, length: int) -> list[Line]:
    """The same texts of the embedded corpus in a row each, padded to the longest, and several to a row."""
    if str(ROOT / "examples") not in sys.path:
        sys.path.insert(0, str(ROOT / "examples"))
    from corpus import build_splits

    tokenizer = GLMTokenizer.from_pretrained(ROOT / "examples" / "glm-tiny")
    texts = [document.text for document in build_splits()[0][: 16 if settings.quick else 64]]
    features = [
        {"input_ids": ids, "sample_id": number}
        for number, ids in enumerate(tokenizer(texts, add_special_tokens=False)["input_ids"])
    ]
    known = GLMConfig.from_pretrained(ROOT / "examples" / "glm-tiny").to_dict()
    ids = {name: number for name, number in known.items() if name.endswith("token_id") and number is not None}
    model = build_glm(shape.with_vocabulary(len(tokenizer)), **ids).train().to(settings.device)
    steps, sizes = {}, {}
    for name, packed_length in (("packed", length), ("padded", None)):
        batch = DataCollatorForBlankInfilling(tokenizer, packed_length=packed_length)(features)
        sizes[name] = " x ".join(map(str, batch["input_ids"].shape))
        moved = {key: value.to(settings.device) for key, value in batch.items()}
        steps[name] = optimizing(model, lambda moved=moved: model(**moved).loss, settings.device)
    return [
        Line(
            suite="training",
            work=f"{shape.name}, {len(texts)} texts packed into {sizes['packed']} tokens",
            peer=f"padded to {sizes['padded']}",
            **compare(take_turns(steps, settings.rounds, settings.device), "packed", "padded"),
        )
    ]


def optimizing(
    model: Any, loss: Callable[[], torch.Tensor], device: str = "cpu", bf16: bool = False
) -> Callable[[], None]:
    """A step with AdamW down a loss of a model."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step():
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
