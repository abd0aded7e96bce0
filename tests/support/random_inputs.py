"""Random inputs for a model: valid batches with every kind of padding, and what callers get wrong about them."""

import random
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch

import modeling_glm
from modeling_glm import GLMConfig
from modeling_glm.layout_glm import compute_position_ids
from tests.support.models import FIRST_WORD, make_model

# Small tables, so that their ends are met.
POSITIONS = 24
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "eager": {"attn_implementation": "eager"},
    "one table": {"block_position_embeddings": False},
    "one mask": {"smask_token_id": None, "gmask_token_id": None},
    "padded with ends": {"pad_token_id": 1, "eos_token_id": 1},
}
HEADS = [
    "GLMModel",
    "GLMForConditionalGeneration",
    "GLMForMultipleChoice",
    "GLMForSequenceClassification",
    "GLMForTokenClassification",
    "GLMForQuestionAnswering",
]


@cache
def random_model(name: str, variant: str = "plain", dtype: torch.dtype = torch.float32) -> Any:
    """Make a model of a class and a variant of the config. Each is made once."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": 3}
    settings = {**sizes, "max_position_embeddings": POSITIONS, **VARIANTS[variant]}
    # A seed with which greedy pieces have lengths from 0 to the limit.
    return make_model(getattr(modeling_glm, name), seed=4, **settings).to(dtype)


def draw_words(draw: random.Random, most: int, least: int = 0) -> list[int]:
    return [draw.randrange(FIRST_WORD, 64) for _ in range(draw.randint(least, most))]


def draw_context(draw: random.Random, config: GLMConfig, most_blanks: int = 3) -> list[int]:
    """Draw a text with one blank or more."""
    ids = [] if draw.random() < 0.1 else [config.cls_token_id]
    for _ in range(draw.randint(1, most_blanks)):
        ids += [*draw_words(draw, 3), draw.choice(config.mask_token_ids)]
    ids += draw_words(draw, 3)
    return ids if draw.random() < 0.2 else [*ids, config.eos_token_id]


def draw_piece(draw: random.Random) -> list[int]:
    return draw_words(draw, draw.choice([0, 1, 3, 8]))


def pad(draw: random.Random, rows: list[list[int]], value: int, side: str) -> tuple[list[list[int]], list[list[int]]]:
    """Pad rows to one length, and return them with their mask. "anywhere" scatters the padding among the tokens."""
    width = max(map(len, rows)) + draw.choice([0, 0, 1, 4])
    padded, masks = [], []
    for row in rows:
        places = {
            "left": range(width - len(row), width),
            "right": range(len(row)),
            "anywhere": sorted(draw.sample(range(width), len(row))),
        }[side]
        new, mask = [value] * width, [0] * width
        for place, token_id in zip(places, row, strict=True):
            new[place], mask[place] = token_id, 1
        padded.append(new)
        masks.append(mask)
    return padded, masks


def draw_inputs(
    draw: random.Random, config: GLMConfig, pieces: bool, side: str | None = None
) -> dict[str, torch.Tensor]:
    """
    Draw a valid batch: ids, their mask where there is padding, and sometimes their positions.

    Args:
        draw: The source of all draws.
        config: The model's config.
        pieces: Whether pieces follow the texts. Then there are labels, too.
        side: The side of the padding: "left", "right", "anywhere". None draws one.
    """
    rows, labels = [], []
    for _ in range(draw.randint(1, 4)):
        context = draw_context(draw, config)
        row, targets = [*context], [-100] * len(context)
        blanks = sum(token_id in config.mask_token_ids for token_id in context)
        for _ in range(draw.randint(1, blanks) if pieces else 0):
            piece = draw_piece(draw)
            row += [config.sop_token_id, *piece]
            targets += [*piece, config.eop_token_id]
        rows.append(row)
        labels.append(targets)
    side = side or draw.choice(["left", "right", "anywhere"])
    hidden = config.pad_token_id if draw.random() < 0.7 else draw.randrange(64)  # what is hidden does not matter
    state = draw.getstate()
    ids, mask = pad(draw, rows, hidden, side)
    draw.setstate(state)  # the labels stand where the ids do
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
    if pieces:
        inputs["labels"] = torch.tensor(pad(draw, labels, -100, side)[0])
    if inputs["attention_mask"].all() and draw.random() < 0.5:
        del inputs["attention_mask"]
    elif draw.random() < 0.3:
        inputs["attention_mask"] = inputs["attention_mask"].to(draw.choice([torch.bool, torch.int32, torch.float32]))
    return inputs


def with_positions(inputs: Mapping[str, torch.Tensor], config: GLMConfig) -> dict[str, torch.Tensor]:
    """Add the positions that the model would compute."""
    return {
        **inputs,
        "position_ids": compute_position_ids(inputs["input_ids"], config, inputs.get("attention_mask")),
    }


def draw_choices(draw: random.Random, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Add choices for the first blank of every row, and the number of the right one."""
    batch = len(inputs["input_ids"])
    width, length = draw.randint(1, 4), draw.randint(1, 5)
    choices = torch.full((batch, width, length), -100)
    labels = []
    for row in range(batch):
        number = draw.randint(1, width)
        for choice in range(number):
            words = draw_words(draw, length, least=1)
            choices[row, choice, : len(words)] = torch.tensor(words)
        labels.append(draw.choice([*range(number), -100]))
    return {**inputs, "choice_ids": choices, "labels": torch.tensor(labels)}


# Ids, counts and labels beyond every table and type.
ABSURD = (-1, -2, -100, -101, 0, 1, 3, 6, 7, 23, 24, 25, 63, 64, 255, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63))
DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
)


def _set_one(draw: random.Random, values: torch.Tensor) -> torch.Tensor:
    values = values.clone()
    if values.numel():
        place = tuple(draw.randrange(size) for size in values.shape)
        values[place] = _fitting(draw, values)
    return values


def _set_all(draw: random.Random, values: torch.Tensor) -> torch.Tensor:
    return torch.full_like(values, _fitting(draw, values))


def _fitting(draw: random.Random, values: torch.Tensor) -> Any:
    """Draw an absurd value that the type of a tensor can hold."""
    if values.is_floating_point():
        return draw.choice([0.0, 1.0, 0.5, -1.0, 6e4, float("nan"), float("inf"), float("-inf")])
    if values.is_complex() or values.dtype == torch.bool:
        return draw.choice([0, 1])
    limits = torch.iinfo(values.dtype)
    return draw.choice([value for value in ABSURD if limits.min <= value <= limits.max])


def _swap_two(draw: random.Random, values: torch.Tensor) -> torch.Tensor:
    if values.ndim == 0 or not values.numel():
        return values
    order = list(range(values.shape[-1]))
    draw.shuffle(order)
    return values[..., order]


def _reshape(draw: random.Random, values: torch.Tensor) -> torch.Tensor:
    changes: list[Callable[[torch.Tensor], torch.Tensor]] = [
        lambda v: v[None],
        lambda v: v[..., None],
        lambda v: v.reshape(-1),
        lambda v: v.transpose(0, -1) if v.ndim else v,
        lambda v: v[0] if v.ndim and len(v) else v,
        lambda v: v.reshape(-1)[:1].squeeze(),
        lambda v: v[..., :0] if v.ndim else v,
        lambda v: v[:0] if v.ndim else v,
        lambda v: v[..., :-1] if v.ndim else v,
        lambda v: v[..., 1:] if v.ndim else v,
        lambda v: torch.cat((v, v[..., :1]), dim=-1) if v.ndim else v,
        lambda v: torch.cat((v, v)) if v.ndim else v,
        lambda v: torch.cat((v, v, v), dim=-1) if v.ndim else v,
    ]
    return draw.choice(changes)(values)


def _other_type(draw: random.Random, values: torch.Tensor) -> Any:
    changes: list[Callable[[torch.Tensor], Any]] = [
        lambda v: v.tolist(),
        lambda v: (v.float() if v.dtype == torch.bfloat16 else v).detach().numpy(),
        lambda v: tuple(v.tolist()) if v.ndim else (),
        lambda v: [*v] if v.ndim else [],
        lambda v: str(v.tolist()),
        lambda v: {"input_ids": v},
        lambda v: [],
        lambda v: [[]],
        lambda v: 7,
        lambda v: 1.5,
        lambda v: True,
        lambda v: b"ids",
        lambda v: object(),
        lambda v: [["the", "words"]],
        lambda v: [[1, None]],
        lambda v: [[1], [1, 2]],
        lambda v: v.to_sparse() if v.ndim else v,
        lambda v: v.to("meta"),
        lambda v: torch.nn.Parameter(v.float()),
    ]
    return draw.choice(changes)(values)


def spoil(draw: random.Random, values: Any) -> Any:
    """Change an argument into something that a caller may give by mistake. It may still be right."""
    if not isinstance(values, torch.Tensor):
        return draw.choice([None, -1, 0, 1.5, "x", [], {}, True, 10**9, float("nan")])
    if values.is_meta or values.layout != torch.strided:
        return values
    change = draw.choice(["one", "one", "all", "order", "shape", "shape", "type", "dtype", "dtype"])
    if change == "one":
        return _set_one(draw, values)
    if change == "all":
        return _set_all(draw, values)
    if change == "order":
        return _swap_two(draw, values)
    if change == "shape":
        return _reshape(draw, values)
    if change == "dtype":
        wanted = draw.choice(DTYPES)
        return values.real.to(wanted) if values.is_complex() and not wanted.is_complex else values.to(wanted)
    return _other_type(draw, values)
