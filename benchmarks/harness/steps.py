"""Training steps (forward, backward, AdamW) of GLM, of GLM as the original code computes it, and of peers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from modeling_glm import GLMConfig, GLMForConditionalGeneration
from modeling_glm.layout_glm import compute_position_ids

from .naive_glm import NaiveGLM, loss_everywhere
from .peers import build_peer, make_peer_batch
from .shapes import Shape, build_glm, draw_ids

GLM, CHECKPOINTING, NAIVE = "GLM", "GLM with gradient checkpointing", "naive GLM"
SPAN = 3  # tokens of a piece
MASKED = 0.15  # share of the tokens of a text that are in spans

Batch = dict[str, torch.Tensor]
Step = Callable[[], None]


@dataclass(frozen=True)
class RowParts:
    """How a row of Part A and Part B is divided: positions of Part A, and number of pieces in Part B."""

    part_a: int
    pieces: int


def split_row(length: int) -> RowParts:
    """
    Divide a row whose text has 15% of its tokens in spans of three.

    A span is one mask in Part A, and `<sop>` with three tokens in Part B. So a text of n tokens with k spans makes a row of
    (n - 3k + k) + 4k = n + 2k positions, where 3k = 0.15 n.
    """
    pieces = max(1, round(length * MASKED / (SPAN + 2 * MASKED)))
    return RowParts(length - (SPAN + 1) * pieces, pieces)


def make_batch(config: GLMConfig, rows: int, length: int) -> Batch:
    """
    Make a pretraining batch of random ids: (rows, length) `input_ids` and `labels`, without padding.

    Part A has a mask for each piece, evenly spread. All tokens of Part B have labels.
    """
    parts = split_row(length)
    input_ids = draw_ids(config.vocab_size, rows, length)
    input_ids[:, 0], input_ids[:, parts.part_a - 1] = config.cls_token_id, config.eos_token_id
    input_ids[:, torch.linspace(1, parts.part_a - 2, parts.pieces).long()] = config.mask_token_id
    labels = torch.full_like(input_ids, -100)
    labels[:, parts.part_a :] = draw_ids(config.vocab_size, rows, length - parts.part_a, seed=1)
    input_ids[:, parts.part_a :: SPAN + 1] = config.sop_token_id  # <sop> x y z <sop> x y z ...
    return {"input_ids": input_ids, "labels": labels}


def make_step(name: str, shape: Shape, rows: int, length: int, device: str = "cpu", bf16: bool = False) -> Step:
    """
    Make a training step of a model on a batch of its own objective.

    Args:
        name: GLM, CHECKPOINTING, NAIVE or a peer.
        shape: Size of the model.
        rows, length: Size of the batch.
        device: Where the model runs.
        bf16: Use bf16 autocast.
    """
    if name not in (GLM, CHECKPOINTING, NAIVE):
        peer = build_peer(name, shape).train().to(device)
        batch = to_device(make_peer_batch(name, shape, rows, length, split_row(length).part_a), device)
        return optimizing(peer, lambda: peer(**batch).loss, device, bf16)

    model = build_glm(GLMForConditionalGeneration, shape).train().to(device)
    batch = to_device(make_batch(model.config, rows, length), device)
    if name == CHECKPOINTING:
        model.activation_checkpointing_enable()
    if name == NAIVE:
        naive = NaiveGLM(model).train()
        position_ids = compute_position_ids(batch["input_ids"], model.config)
        return optimizing(model, lambda: loss_everywhere(naive, position_ids=position_ids, **batch), device, bf16)
    return optimizing(model, lambda: model(**batch).loss, device, bf16)


def optimizing(
    model: PreTrainedModel,
    loss: Callable[[], torch.Tensor],
    device: str = "cpu",
    bf16: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
) -> Step:
    """Make a training step of a loss. Without an optimizer, it has fused AdamW, the default of Trainer."""
    if optimizer is None:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step():
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def step_flops(shape: Shape, rows: int, length: int) -> float:
    """Count the floating point operations of the matmuls in a GLM step: three times those of a forward pass."""
    labelled = rows * (length - split_row(length).part_a)
    return 3 * shape.forward_flops(rows, length, labelled)


def to_device(batch: Batch, device: str) -> Batch:
    return {name: values.to(device) for name, values in batch.items()}
