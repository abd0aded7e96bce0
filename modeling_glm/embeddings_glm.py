"""
Inputs that hold no ids: embeddings, and the virtual tokens of soft prompts (prompt tuning, P-tuning, prefix tuning).

The layout of an input follows from a few special tokens. In embeddings they are found by equality with their rows of the
embedding, as the multimodal models of Transformers find their placeholders. What is not a row of the embedding is a
virtual token. Virtual tokens are the first tokens of Part A, whether they come as embeddings or as keys and values:

    virtual  v  v  [CLS] a  M  <eos>  S  x
    row 0    0  1    2   3  4    5    4  4
    row 1    0  0    0   0  0    0    1  2
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F
from transformers.cache_utils import Cache, EncoderDecoderCache

from .configuration_glm import GLMConfig
from .layout_glm import is_empty, own_padding_mask, real_tokens

UNKNOWN = -1  # in place of the id of a token that is not found
CHUNK = 4096  # rows of the embedding that are compared at a time

# Marks the caches that a GLM filled, in contrast to the keys of virtual tokens.
HOLDS_TEXT = "_holds_glm_text"

Embed = Callable[[torch.Tensor], torch.Tensor]


def find_special_ids(inputs_embeds: torch.Tensor, embed: Embed, config: GLMConfig) -> torch.Tensor:
    """
    Find the special tokens that a text is laid out by.

    Args:
        inputs_embeds: (batch, seq, hidden).
        embed: The module of the word embeddings. It is called rather than its weight read, because it may be sharded,
            offloaded, or adapted.
        config: Gives the ids.

    Returns:
        (batch, seq) int64, `UNKNOWN` for all other tokens.
    """
    ids = torch.full(inputs_embeds.shape[:2], UNKNOWN, dtype=torch.long, device=inputs_embeds.device)
    listed = _special_ids(config)
    for token_id, row in zip(listed, _rows(embed, listed, inputs_embeds), strict=True):
        ids = torch.where((inputs_embeds == row).all(-1), token_id, ids)
    return ids


def find_all_ids(inputs_embeds: torch.Tensor, embed: Embed, config: GLMConfig) -> torch.Tensor:
    """
    Find the tokens of the whole vocabulary. It reads the whole embedding, so it is for a prompt, not for every step.

    Args:
        inputs_embeds, embed, config: See `find_special_ids`.

    Returns:
        (batch, seq) int64, `UNKNOWN` for what is not a row of the embedding.
    """
    states = inputs_embeds.detach().flatten(0, 1)
    ids = torch.full(states.shape[:1], UNKNOWN, dtype=torch.long, device=states.device)
    sums = _checksums(states)
    for chunk in range(0, config.vocab_size, CHUNK):
        listed = list(range(chunk, min(chunk + CHUNK, config.vocab_size)))
        rows = _rows(embed, listed, inputs_embeds)
        ordered, order = _checksums(rows).sort()
        nearest = order[torch.searchsorted(ordered, sums).clamp(max=len(listed) - 1)]
        ids = torch.where((rows[nearest] == states).all(-1), nearest + chunk, ids)
    # Where rows are equal, the special tokens come first.
    special = find_special_ids(inputs_embeds, embed, config)
    return torch.where(special == UNKNOWN, ids.view(inputs_embeds.shape[:2]), special)


def require_known_tokens(
    ids: torch.Tensor, inputs_embeds: torch.Tensor, embed: Embed, config: GLMConfig, real: torch.Tensor
):
    """
    Raise a `ValueError` for embeddings in which the blanks and pieces could not be found if there were any.

    That is so in a row where not one token is a row of the embedding, and where a mask cannot be told from the start of
    a piece.

    Args:
        ids: (batch, seq) what `find_special_ids` found.
        inputs_embeds, embed, config: See `find_special_ids`.
        real: (batch, seq) bool, False for padding.
    """
    lost = ((ids == UNKNOWN) | ~real).all(-1) & real.any(-1)
    if lost.any():
        numbers = lost.nonzero().view(-1)
        found = find_all_ids(inputs_embeds[numbers], embed, config)
        lost = ((found == UNKNOWN) | ~real[numbers]).all(-1)
        if lost.any():
            raise ValueError(
                f"Row {int(numbers[lost][0])} of inputs_embeds has not one token that is a row of the word embeddings, so "
                "its blanks and pieces cannot be found: the embeddings were changed (by noise, dropout or scaling), or "
                "belong to another model. Give input_ids, or also position_ids of shape (batch, 2, seq)."
            )
    if config.sop_token_id is not None and config.mask_token_ids:
        start, *masks = _rows(embed, [config.sop_token_id, *config.mask_token_ids], inputs_embeds)
        if any(torch.equal(start, mask) for mask in masks):
            raise ValueError(
                f"The rows of the word embeddings of a mask (ids {config.mask_token_ids}) and of the start of a piece "
                f"(id {config.sop_token_id}) are equal, so inputs_embeds does not tell them apart: give input_ids."
            )


def align_labels(
    labels: torch.Tensor, ids: torch.Tensor, config: GLMConfig, attention_mask: torch.Tensor | None
) -> torch.Tensor:
    """
    Put -100 in front of labels that leave out the virtual tokens, as those of some task types of PEFT do.

    Args:
        labels: (batch, seq) or shorter.
        ids: (batch, seq) what `find_special_ids` found.
        config: Gives the id that opens a text.
        attention_mask: As given to the model.

    Returns:
        (batch, seq) labels if every text begins behind the first `seq - labels.shape[1]` tokens. Others are returned as
        they are.
    """
    missing = ids.shape[1] - labels.shape[-1] if isinstance(labels, torch.Tensor) and labels.ndim == 2 else 0
    if not 0 < missing < ids.shape[1]:
        return labels
    mask = own_padding_mask(attention_mask, labels.shape[1])
    return F.pad(labels, (missing, 0), value=-100) if begins_text(ids[:, missing:], config, mask) else labels


class VirtualKeys(NamedTuple):
    """
    Hold the inputs behind a cache of virtual keys, as prefix tuning gives it.

    Attributes:
        number: How many tokens the cache holds; 0 if it holds none, or those of a text.
        attention_mask: The mask, which covers them too.
        position_ids: (batch, 2, seq) the positions given, None if none were given.
    """

    number: int
    attention_mask: torch.Tensor | None
    position_ids: torch.Tensor | None


def find_virtual_keys(
    cache: Cache | None,
    attention_mask: torch.Tensor | None,
    position_ids: torch.Tensor | None,
    length: int,
    is_prepared: bool,
) -> VirtualKeys:
    """
    Tell whether a cache holds virtual tokens.

    Args:
        cache: Any cache. That of a text is recognised by the mark that `mark_as_text` left.
        attention_mask: (batch, seq) or (batch, virtual + seq).
        position_ids: (batch, 2, seq), or None. PEFT adds the number of virtual tokens to both rows; that is undone in
            row 1, which counts within a piece.
        length: The number of tokens given.
        is_prepared: Whether the positions are those of `generate`, which count virtual tokens already.
    """
    none = VirtualKeys(0, attention_mask, position_ids)
    if cache is None or getattr(cache, HOLDS_TEXT, False) or is_empty(cache):
        return none
    count = int(cache.get_seq_length())
    if position_ids is not None and not is_prepared:
        if position_ids.ndim != 3 or not (position_ids >= count).all():  # a token of Part B has the place of its blank
            return none
        position_ids = torch.stack((position_ids[:, 0], position_ids[:, 1] - count), dim=1)
    if isinstance(attention_mask, torch.Tensor) and attention_mask.ndim == 2 and attention_mask.shape[1] == length:
        attention_mask = F.pad(attention_mask, (count, 0), value=1)
    return VirtualKeys(count, attention_mask, position_ids)


class SoftPrompt(NamedTuple):
    """
    Hold what PEFT adds to the inputs that `prepare_inputs_for_generation` returns.

    Attributes:
        number: How many virtual tokens it puts in front, 0 for none.
        has_keys: Whether they are keys and values (prefix tuning) rather than embeddings.
        is_encoder_decoder: Whether it takes the model for an encoder-decoder. Then it leaves the mask as it is.
    """

    number: int = 0
    has_keys: bool = False
    is_encoder_decoder: bool = False


def find_soft_prompt(prepare_inputs: Any) -> SoftPrompt:
    """
    Read the soft prompt of PEFT from the function that it sets in place of a model's `prepare_inputs_for_generation`.

    For encoder-decoder tasks PEFT hands embeddings to `generate` instead. Then it adds none here.
    """
    config = getattr(getattr(prepare_inputs, "__self__", None), "active_peft_config", None)
    if config is None or not config.is_prompt_learning:
        return SoftPrompt()
    has_keys = config.peft_type in ("PREFIX_TUNING", "CARTRIDGE")
    is_encoder_decoder = config.task_type == "SEQ_2_SEQ_LM"
    if is_encoder_decoder and not has_keys:
        return SoftPrompt()
    return SoftPrompt(config.num_virtual_tokens, has_keys, is_encoder_decoder)


def mark_as_text(cache: Cache | None):
    """Mark a cache as filled by a text."""
    if cache is not None:
        setattr(cache, HOLDS_TEXT, True)


def self_attention_cache(cache: Cache | None) -> Cache | None:
    """Take the part of a cache that GLM uses. For encoder-decoder tasks PEFT makes one with two parts."""
    return cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache


def begins_text(ids: torch.Tensor, config: GLMConfig, attention_mask: torch.Tensor | None) -> bool:
    """Return whether every row of ids (batch, seq) begins with the token that opens a text, padding aside."""
    if config.cls_token_id is None:
        return False
    first = real_tokens(ids, attention_mask).int().argmax(-1, keepdim=True)
    return bool((ids.gather(1, first) == config.cls_token_id).all())


def _special_ids(config: GLMConfig) -> list[int]:
    """List the ids that are looked for, the least important first: a later one wins where rows are equal."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    listed = [config.eop_token_id, config.pad_token_id, *ends, config.cls_token_id, config.sop_token_id]
    listed += config.mask_token_ids
    return list(dict.fromkeys(token_id for token_id in listed if token_id is not None))


@torch.no_grad()
def _rows(embed: Embed, ids: list[int], like: torch.Tensor) -> torch.Tensor:
    rows = embed(torch.tensor(ids, device=like.device))
    return rows.detach().to(device=like.device, dtype=like.dtype)


def _checksums(states: torch.Tensor) -> torch.Tensor:
    """Compute numbers (n,) that are equal for equal rows of (n, hidden), and practically never else."""
    bits = states.contiguous().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[states.element_size()]).long()
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(2**62, (states.shape[-1],), generator=generator) * 2 + 1
    return (bits * factors.to(states.device)).sum(-1)  # wraps around
