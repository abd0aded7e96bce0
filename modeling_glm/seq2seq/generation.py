"""Generate targets from prompts: what the trainer and `predict_targets` share."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from ..settings_glm import GenerationSettings, end_token_ids
from ..utils.inference import fill_rows, find_soft_prompt_config
from ..utils.numbers import check_whole_number

IGNORED = -100
# Arguments of `generate` with which it makes no cache of its own.
PLAIN = frozenset(
    [
        "do_sample",
        "early_stopping",
        "eos_token_id",
        "length_penalty",
        "max_new_tokens",
        "max_new_tokens_per_blank",
        "min_new_tokens",
        "no_repeat_ngram_size",
        "num_beams",
        "num_return_sequences",
        "repetition_penalty",
    ]
)


def choose_limits(model: Any, arguments: Mapping[str, Any], longest_target: int | None) -> dict[str, Any]:
    """
    Complete arguments of `generate` with a limit of new tokens.

    `max_length` counts what it counts for encoder-decoder models: a row of the predictions, from its `<sop>` to its
    `<eop>`. In `generate` itself, it counts the prompt too.

    Args:
        model: A `GLMForConditionalGeneration`, or a PEFT wrapper around it.
        arguments: What the caller gives. None stands for no argument.
        longest_target: The most tokens of a target in training. It is the limit if neither the arguments nor a
            generation config have one.

    Raises:
        ValueError: For a `max_length` that leaves no room for a token.
    """
    chosen = {name: value for name, value in arguments.items() if value is not None}
    length = chosen.pop("max_length", None)
    if length is not None:
        because = ", the start of a piece and a token"
        most = check_whole_number("max_length", length, least=2, because=because) - 1
        chosen.setdefault("max_new_tokens", most)
    settings = GenerationSettings.read(chosen, chosen.get("generation_config"), model.generation_config)
    is_limited = settings.has_total_limit or settings.max_new_tokens_per_blank is not None
    if longest_target is not None and not is_limited:
        chosen["max_new_tokens"] = longest_target
    return chosen


def count_returned(model: Any, arguments: Mapping[str, Any]) -> int:
    """Return `num_return_sequences` as `generate` reads it: from its arguments, the given config, or the model's own."""
    given = arguments.get("generation_config")
    own = model.generation_config
    found = (arguments.get("num_return_sequences"), *(getattr(c, "num_return_sequences", None) for c in (given, own)))
    return next((number for number in found if number is not None), 1)


class Generated(NamedTuple):
    """
    Hold what `generate` wrote behind prompts.

    Attributes:
        sequences: (rows, seq) int64, prompts and all that follows.
        pieces: (rows, length) int64: `<sop> answer <sop> answer <eop>` in every row, with -100 behind the end.
    """

    sequences: torch.Tensor
    pieces: torch.Tensor


def find_ends(model: Any, arguments: Mapping[str, Any]) -> list[int]:
    """List the tokens that end a row, as `generate` does."""
    settings = GenerationSettings.read(dict(arguments), arguments.get("generation_config"), model.generation_config)
    return end_token_ids(model.config, settings.check(model.config).eos_token_id)


def generate_pieces(model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, **arguments: Any) -> Generated:
    """
    Fill the blanks of prompts, and separate Part B from the prompts.

    Args:
        model: A `GLMForConditionalGeneration`, or a PEFT wrapper around it.
        input_ids, attention_mask: (batch, seq) int64 prompts without a start of piece, padded on any side.
        arguments: Further arguments of `generate`.
    """
    cache = _read_once(model, input_ids, attention_mask, arguments)
    output = fill_rows(model, input_ids, attention_mask=attention_mask, **arguments, **cache)
    sequences = output if isinstance(output, torch.Tensor) else output.sequences
    return Generated(sequences, cut_behind_ends(sequences[:, input_ids.shape[1] :], find_ends(model, arguments)))


@torch.no_grad()
def _read_once(
    model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Read prompts once for all their beams, and return the cache that holds them, as an argument of `generate`.

    `generate` itself reads a prompt once for each beam. With settings beside `PLAIN` nothing is read here.
    """
    beams, own = arguments.get("num_beams", 1), model.generation_config
    is_plain = set(arguments) <= PLAIN and not arguments.get("do_sample")
    has_own_cache = own.cache_implementation is not None or own.use_cache is False or own.guidance_scale is not None
    if beams == 1 or not is_plain or has_own_cache or find_soft_prompt_config(model) is not None:
        return {}
    cache = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=True, logits_to_keep=1).past_key_values
    cache.batch_repeat_interleave(beams)
    return {"past_key_values": cache}


def cut_behind_ends(pieces: torch.Tensor, ends: list[int]) -> torch.Tensor:
    """
    Replace what stands behind the first end of every row by -100, and leave out columns without any token.

        S x E P P      S x E . .
        S y z E P  ->  S y z E .  ->  4 columns

    Args:
        pieces: (rows, length) int64, which begin with a start of piece.
        ends: The tokens that end a row.
    """
    is_end = torch.isin(pieces, torch.tensor(ends, dtype=pieces.dtype, device=pieces.device))
    is_behind = (is_end.cumsum(-1) - is_end.long()) > 0
    pieces = pieces.masked_fill(is_behind, IGNORED)
    return pieces[:, : int((~is_behind).any(0).sum())]


__all__ = ["Generated", "choose_limits", "count_returned", "cut_behind_ends", "find_ends", "generate_pieces"]
