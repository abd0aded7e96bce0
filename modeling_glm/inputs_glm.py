"""
Check what a model is given before anything is computed from it: ids, masks, positions, branches, embeddings and caches.

Otherwise wrong input fails deep inside, in words about something else, or gives a wrong answer silently. So it raises a
`ValueError` here, which names the argument, what was found, what was expected, and the row.

Types and shapes are always checked, except while a graph is traced. Values are checked on the CPU, because elsewhere a check
waits for the device; `generate` waits once.
"""

import operator
from typing import Any

import torch
from transformers.cache_utils import Cache
from transformers.masking_utils import BlockMask

from .configuration_glm import GLMConfig

# The types of ids, positions and numbers of branches. The embedding reads the first two.
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
EMBEDDED = INTEGERS[:2]
FROM_TOKENIZER = "The tokenizer makes it with padding=True, return_tensors='pt'."


def is_traced() -> bool:
    """Return whether a graph is traced, in which neither shapes nor values can be compared."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def is_exported() -> bool:
    """Return whether a graph is traced to be exported, for inputs of other sizes than those of the example."""
    compiler = torch.compiler  # before torch 2.7 it does not tell an export from a compilation
    return compiler.is_exporting() if hasattr(compiler, "is_exporting") else compiler.is_compiling()


def is_readable(values: torch.Tensor) -> bool:
    """Return whether values can be read without waiting for a device, and without breaking a graph that is traced."""
    return values.device.type == "cpu" and not is_traced()


def require_everywhere(condition: torch.Tensor, message: str):
    """
    Raise a `ValueError` unless `condition` holds everywhere. It is checked only where it `is_readable`.

    `{row}` in the message becomes the number of the first row where it does not hold.
    """
    if is_readable(condition) and not condition.all():
        raise ValueError(message.replace("{row}", str(int((~condition).nonzero()[0, 0]))))


def describe(values: Any) -> str:
    """Write what was found in place of a tensor, for an error: "has shape (2, 7) and dtype torch.float32"."""
    if not isinstance(values, torch.Tensor):
        return f"is a {type(values).__name__}"
    layout = "" if values.layout == torch.strided else f" and layout {values.layout}"
    return f"has shape {tuple(values.shape)} and dtype {values.dtype}{layout}"


def require_integers(values: Any, name: str, expected: str, hint: str = "") -> torch.Tensor:
    """
    Raise a `ValueError` for what is not a plain tensor of integers.

    Args:
        values: What the caller gave.
        name: The name of the argument.
        expected: Its shape, for the message.
        hint: A sentence behind the message that says what makes such a tensor.

    Returns:
        The values, as int64 where they are neither int64 nor int32.
    """
    if not isinstance(values, torch.Tensor) or values.dtype not in INTEGERS or values.layout != torch.strided:
        raise ValueError(f"{name} {describe(values)}: expected int64 {expected}. {hint}".rstrip())
    return values if values.dtype in EMBEDDED else values.long()


def require_ids(values: Any, name: str = "input_ids") -> torch.Tensor:
    """
    Raise a `ValueError` for what is not a batch of ids (batch, seq) with at least one row and one column.

    Returns:
        The ids, as int64 where they are neither int64 nor int32.
    """
    values = require_integers(values, name, "(batch, seq)", FROM_TOKENIZER)
    if not is_traced():
        if values.ndim != 2:
            one = f" Give one row as {name}[None]." if values.ndim == 1 else ""
            raise ValueError(f"{name} {describe(values)}: expected int64 (batch, seq).{one} {FROM_TOKENIZER}")
        require_some(values, name)
    return values


def require_some(values: torch.Tensor, name: str):
    """Raise a `ValueError` for a tensor without elements."""
    if not values.numel():
        raise ValueError(f"{name} {describe(values)}: expected at least one row and one token in each.")


def require_values(weight: torch.Tensor, **given: Any):
    """Raise a `ValueError` for inputs on the device "meta", which have no values, where the weights have some."""
    for name, values in given.items():
        if isinstance(values, torch.Tensor) and values.is_meta and not weight.is_meta:
            raise ValueError(f"{name} is on the device meta, so it has no values: expected it on {weight.device}.")


def check_ids(input_ids: torch.Tensor, config: GLMConfig, wait: bool = False, name: str = "input_ids"):
    """
    Raise a `ValueError` for ids outside the vocabulary.

    Args:
        input_ids: (batch, seq) integers.
        config: Gives `vocab_size`.
        wait: Whether to wait for a device. Without it only ids on the CPU are checked.
        name: The name of the argument.
    """
    place = find_outside(input_ids, config.vocab_size, wait)
    if place is not None:
        raise ValueError(
            f"{name} holds {int(input_ids[tuple(place)])} (row {place[0]}, column {place[-1]}), but the vocabulary is 0 ... "
            f"{config.vocab_size - 1}. The tokenizer and the model must belong together."
        )


def check_lengths(position_ids: torch.Tensor, config: GLMConfig, wait: bool = False):
    """
    Raise a `ValueError` for positions outside the position tables.

    Args:
        position_ids: (batch, 2, seq) integers.
        config: Gives the sizes of the tables.
        wait: Whether to wait for a device. Without it only positions on the CPU are checked.
    """
    sizes = (config.max_context_length, config.max_piece_length + 1)
    for axis, size in enumerate(sizes[: 1 + config.block_position_embeddings]):
        row = position_ids[:, axis]
        place = find_outside(row, size, wait)
        if place is None:
            continue
        number, found = place[0], int(row[tuple(place)])
        if found < 0:
            raise ValueError(
                f"position_ids holds {found} (text {number}, row {axis}, column {place[1]}): expected 0 ... {size - 1}."
            )
        found = int(row[number].max())
        table = f"the position table ends there (config.max_position_embeddings={config.max_position_embeddings})."
        if axis == 0:
            raise ValueError(
                f"Part A (the text with its blanks) of row {number} reaches {found + 1} tokens, but {size} are the limit: "
                f"{table}"
            )
        raise ValueError(
            f"A piece of Part B (a start token and what fills the blank) of row {number} reaches {found} tokens, but "
            f"{size - 1} are the limit: {table}"
        )


def find_outside(values: torch.Tensor, limit: int, wait: bool = False) -> list[int] | None:
    """Find the place of the first value that is not in 0 ... limit - 1, None if there is none or nothing can be read."""
    if values.numel() == 0 or not (wait or is_readable(values)):
        return None
    lowest, highest = values.aminmax()
    if int(lowest) >= 0 and int(highest) < limit:
        return None
    return ((values < 0) | (values >= limit)).nonzero()[0].tolist()


def require_embeddings(values: Any, config: GLMConfig, dtype: torch.dtype | None = None):
    """
    Raise a `ValueError` for what is not a batch of embeddings (batch, seq, hidden).

    Args:
        values: What the caller gave.
        config: Gives `hidden_size`.
        dtype: The type of the model's weights, where it cannot compute with any other.
    """
    expected = (
        f"expected (batch, seq, {config.hidden_size}) floats, as model.get_input_embeddings()(input_ids) makes them."
    )
    if not isinstance(values, torch.Tensor) or not values.is_floating_point() or values.layout != torch.strided:
        raise ValueError(f"inputs_embeds {describe(values)}: {expected}")
    if is_traced():
        return
    if values.ndim != 3 or values.shape[-1] != config.hidden_size:
        raise ValueError(f"inputs_embeds has shape {tuple(values.shape)}: {expected}")
    require_some(values, "inputs_embeds")
    is_other = dtype is not None and torch.promote_types(values.dtype, dtype) != dtype
    if is_other and not torch.is_autocast_enabled(values.device.type):
        raise ValueError(f"inputs_embeds {describe(values)}, but the model computes in {dtype}: {expected}")


def require_finite_embeddings(values: torch.Tensor):
    """Raise a `ValueError` for embeddings (batch, seq, hidden) with NaN or infinity, which has no answer but NaN."""
    wrong = ~values.isfinite().all(-1)
    if wrong.any():
        row, place = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"Row {row} of inputs_embeds has a value at position {place} that is not finite (NaN or infinity): expected "
            "finite floats at all positions, padding included."
        )


def require_mask(mask: Any, name: str):
    """Raise a `ValueError` for what is not a plain tensor of real numbers."""
    if not isinstance(mask, torch.Tensor) or mask.layout != torch.strided or mask.is_complex():
        raise ValueError(
            f"{name} {describe(mask)}: expected a tensor (batch, seq) with 0 for padding. {FROM_TOKENIZER}"
        )


def require_zeros_and_ones(mask: torch.Tensor, name: str):
    """Raise a `ValueError` for a mask of floats with others than 0 and 1. One that is added to scores has 0 for 1."""
    if mask.is_floating_point():
        fits = ((mask == 0) | (mask == 1)).flatten()
        require_everywhere(fits, f"{name} {describe(mask)}: expected 0 for padding and 1 for all other tokens.")


def check_attention_mask(
    mask: Any, config: GLMConfig, batch: int, length: int, cache: Cache | None = None, name: str = "attention_mask"
):
    """
    Raise a `ValueError` for a mask that does not fit the tokens.

    Args:
        mask: What the caller gave, or None.
        config: Gives the number of heads.
        batch, length: The size of the input.
        cache: What a mask of two dimensions covers, too.
        name: The name of the argument.
    """
    if mask is None or isinstance(mask, BlockMask):
        return
    require_mask(mask, name)
    if is_traced():
        return
    shape = tuple(mask.shape)
    if mask.ndim == 2:
        width = length if cache is None else _covered(length, cache, shape[1])
        if shape != (batch, width):
            held = "" if width == length else " with the tokens that past_key_values holds"
            raise ValueError(
                f"{name} has shape {shape}: expected (batch, seq) = ({batch}, {width}){held}, 0 for padding."
            )
        require_zeros_and_ones(mask, name)
    elif mask.ndim == 4:
        keys = length if cache is None else cache.get_mask_sizes(length, 0)[0]
        full = (batch, config.num_attention_heads, length, keys)
        if any(size not in (1, whole) for size, whole in zip(shape, full, strict=True)):
            raise ValueError(
                f"{name} has shape {shape}: expected a 4D mask that broadcasts to (batch, heads, seq, keys) = {full}."
            )
    else:
        raise ValueError(
            f"{name} has shape {shape}: expected (batch, seq) with 0 for padding, or a 4D mask that broadcasts to "
            "(batch, heads, seq, keys)."
        )


def _covered(length: int, cache: Cache, width: int) -> int:
    """Return how many tokens a mask must cover: those that the cache holds, and the new ones."""
    held = _held(cache)
    # A static cache has more keys than there are tokens, and a mask may cover them all.
    if held is None or held + length < width <= cache.get_mask_sizes(length, 0)[0]:
        return width
    return held + length


def _held(cache: Cache) -> int | None:
    """Return how many tokens a cache holds, None if that is on a device."""
    held = cache.get_seq_length()
    if isinstance(held, torch.Tensor):
        return int(held) if is_readable(held) else None
    return held


def check_cache(cache: Any, config: GLMConfig, batch: int, length: int):
    """
    Raise a `ValueError` for what is not a cache, for the cache of another model or of other rows, and for one that is full.

    Args:
        cache: What the caller gave, or None.
        config: The model's config.
        batch, length: The size of the input.
    """
    if cache is None:
        return
    if not isinstance(cache, Cache):
        raise ValueError(
            f"past_key_values is a {type(cache).__name__}: expected a Cache of Transformers, as the model returns with "
            "use_cache=True."
        )
    if is_traced():
        return
    held = _held(cache)
    room = cache.get_mask_sizes(length, 0)[0]
    if held is not None and held + length > room:
        raise ValueError(
            f"past_key_values has room for {room} tokens, but {held} are held and {length} come: give a larger cache."
        )
    keys = getattr(cache.layers[0], "keys", None) if cache.layers else None
    if not isinstance(keys, torch.Tensor) or keys.ndim != 4 or not keys.numel():
        return
    rows, heads, _, width = keys.shape
    expected = (config.num_hidden_layers, config.num_attention_heads, config.hidden_size // config.num_attention_heads)
    # Under tensor parallelism every process has a part of the heads.
    if (len(cache.layers), width) != (expected[0], expected[2]) or expected[1] % heads:
        raise ValueError(
            f"past_key_values has (layers, heads, head_dim) = {(len(cache.layers), heads, width)}, but the model {expected}: "
            "give the cache of the same model."
        )
    if rows != batch:
        raise ValueError(
            f"past_key_values holds {rows} rows, but the input has {batch}: give the cache of the same rows."
        )


def check_positions(position_ids: Any, batch: int, length: int, name: str = "position_ids"):
    """Raise a `ValueError` for positions that are not integers (batch, 2, seq), or (1, 2, seq) for all rows."""
    expected = f"(batch, 2, seq) = ({batch}, 2, {length})"
    meaning = "Row 0 is the place in the text, row 1 the place in the piece."
    require_integers(position_ids, name, expected, meaning)
    if is_traced():
        return
    if position_ids.ndim != 3 or position_ids.shape[0] not in (1, batch) or position_ids.shape[1:] != (2, length):
        raise ValueError(f"{name} has shape {tuple(position_ids.shape)}: expected {expected}. {meaning}")


def check_branch(branch: Any, batch: int, length: int):
    """Raise a `ValueError` for numbers of branches that are not integers (batch, seq) from 0 on."""
    if branch is None:
        return
    expected = f"(batch, seq) = ({batch}, {length})"
    require_integers(branch, "branch", expected, "0 is the text that all branches share.")
    if is_traced():
        return
    if branch.shape != (batch, length):
        raise ValueError(
            f"branch has shape {tuple(branch.shape)}: expected {expected}, 0 for the text that all share."
        )
    require_everywhere(branch >= 0, "branch holds a negative number: expected 0 for the text that all branches share.")


def check_logits_to_keep(logits_to_keep: Any, length: int) -> Any:
    """
    Raise a `ValueError` for what is neither a number of last positions, nor a tensor of positions.

    Returns:
        The same; a tensor as int64, because torch takes uint8 for a mask.
    """
    if logits_to_keep is None or is_traced():
        return logits_to_keep
    if isinstance(logits_to_keep, torch.Tensor) and logits_to_keep.ndim == 1 and not logits_to_keep.is_meta:
        kept = require_integers(logits_to_keep, "logits_to_keep", "(kept,), the positions to keep").long()
        if find_outside(kept + length, 2 * length) is None:
            return kept
    elif type(logits_to_keep) is int and logits_to_keep >= 0:
        return logits_to_keep
    raise ValueError(
        f"logits_to_keep is {logits_to_keep!r}: expected how many of the last positions to keep, 0 for all, or a tensor "
        f"(kept,) of positions in 0 ... {length - 1}."
    )


def require_count(value: Any, name: str) -> int:
    """Return a whole number as an int, and raise a `ValueError` for anything else. Tensors of one number are numbers."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name}={value!r} must be a whole number.") from None


def require_token_id(value: Any, name: str, config: GLMConfig) -> int:
    """Return the id of a token other than the start of a piece as an int, and raise a `ValueError` for anything else."""
    token_id = require_count(value, name)
    if token_id >= config.vocab_size:
        raise ValueError(f"{name}={token_id} is outside the vocabulary, 0 ... {config.vocab_size - 1}.")
    if token_id == config.sop_token_id:
        raise ValueError(
            f"{name}={token_id} is the start of a piece, which opens the next blank: choose another token."
        )
    return token_id
