"""
Search for answers as the authors' code does, with the ids and scores of their code.

This search reproduces the scores of the authors' fine-tuned checkpoints. It works as `custom_generate` of
`generate`, and as functions that return Part B alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MaxLengthCriteria,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    StoppingCriteriaList,
)
from transformers.generation import EosTokenCriteria, GenerateBeamDecoderOnlyOutput

from ..configuration_glm import GLMConfig
from ..layout_glm import find_parts, is_empty
from ..processors_glm import (
    BlankLogitsProcessor,
    LastPositionLogitsProcessor,
    MaxPieceLengthLogitsProcessor,
    StopStringLogitsProcessor,
)
from ..settings_glm import end_token_ids
from ..utils.inference import evaluation_mode, find_soft_prompt_config, unwrap
from .originals.branches import prefill
from .originals.decoding import OriginalSettings, fill_blanks_greedily, search_beams

# The settings of `generate` that mean the same to the originals come as processors of these classes.
KNOWN_PROCESSORS = (MinLengthLogitsProcessor, MinNewTokensLengthLogitsProcessor, NoRepeatNGramLogitsProcessor)
# GLM's `generate` adds these itself. The search follows the same rules without them.
OWN_PROCESSORS = (MaxPieceLengthLogitsProcessor, LastPositionLogitsProcessor, StopStringLogitsProcessor)
KNOWN_CRITERIA = (EosTokenCriteria, MaxLengthCriteria)
# Settings that choose another search, or return more than answers.
REFUSED_SETTINGS = (
    "constraints",
    "diversity_penalty",
    "do_sample",
    "dola_layers",
    "early_stopping",
    "force_words_ids",
    "low_memory",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "penalty_alpha",
    "prompt_lookup_num_tokens",
    "token_healing",
)
REFUSED_ARGUMENTS = ("score_observers", "streamer", "synced_gpus", "assistant_model")
# What `prepare_inputs_for_generation` needs of what `generate` prepared.
PROMPT_ARGUMENTS = (
    "attention_mask",
    "generation_position_ids",
    "generation_attention_mask",
    "piece_limit",
    "piece_ends",
)
SOFT_PROMPT = (
    "The originals' search does not know virtual tokens (soft prompts of PEFT, inputs_embeds): use generate without "
    "custom_generate, or a model without them."
)


@dataclass(frozen=True)
class OriginalAnswers:
    """
    Hold what the originals' search finds.

    Attributes:
        sequences: (answers, length) int64, Part B alone: `<sop> answer <eop>`, or `<sop> answer <sop> answer <eop>`. The
            answers of a row stand together, the best first. An answer that reached the limit has no `<eop>`. Padding that
            the model wrote is left out, as the originals leave it out of texts.
        scores: (answers,) float32, the originals' scores. That of several blanks is the sum of log-probabilities.
    """

    sequences: torch.Tensor
    scores: torch.Tensor


def search_as_originals(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    position_ids: torch.Tensor | None = None,
    *,
    max_new_tokens: int,
    num_beams: int = 1,
    length_penalty: float = 0.0,
    no_repeat_ngram_size: int = 0,
    min_new_tokens: int = 0,
    num_return_sequences: int = 1,
) -> OriginalAnswers:
    """
    Find answers as the authors' code does in its seq2seq tasks (`DecoderEvaluater`, with `--select-topk`).

    Args:
        model: A `GLMForConditionalGeneration`, or a PEFT wrapper of one without a soft prompt.
        input_ids, attention_mask: (rows, seq) prompts with one blank each, as `generate` takes them. With one beam they
            may have several blanks, which are filled as by `fill_as_originals`.
        position_ids: (rows, 2, seq) for prompts in the originals' layout: rows end with `<sop>`, and padding of the context
            is read as text where `attention_mask` does not hide it. One piece is written at these positions. They may be
            given for more tokens than the prompt has, such as 1 throughout row 1 (`--no-block-position`).
        max_new_tokens: The most tokens of an answer, the originals' `--tgt-seq-length`.
        num_beams: `--num-beams`.
        length_penalty: `--length-penalty`.
        no_repeat_ngram_size: `--no-repeat-ngram-size`. N-grams of generated tokens count, those of the prompt do not.
        min_new_tokens: `--min-tgt-length`.
        num_return_sequences: How many answers of every row to return.

    Raises:
        ValueError: For numbers out of range; rows with several blanks and more than one beam; one beam with a length
            penalty where an answer is empty, which the originals divide by its length of 0; and as `generate`.
    """
    settings = OriginalSettings(
        num_beams=num_beams,
        length_penalty=length_penalty,
        no_repeat_ngram_size=no_repeat_ngram_size,
        min_new_tokens=min_new_tokens,
        max_new_tokens=max_new_tokens,
        num_return_sequences=num_return_sequences,
    )
    return _call_generate(model, input_ids, attention_mask, position_ids, settings, infills=False)


def fill_as_originals(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    position_ids: torch.Tensor | None = None,
    *,
    max_new_tokens: int,
    no_repeat_ngram_size: int = 0,
    min_new_tokens: int = 0,
) -> OriginalAnswers:
    """
    Fill all blanks of every row greedily, as the authors' code does in its infilling tasks (`BlankLMEvaluater`).

    Args:
        model, input_ids, attention_mask, position_ids: As in `search_as_originals`, with any number of blanks.
        max_new_tokens: The most tokens of all answers of a row together, the starts of further pieces included
            (`--tgt-seq-length`). Blanks that are not reached have no piece.
        no_repeat_ngram_size: `--no-repeat-ngram-size`. N-grams run across the answers of a row.
        min_new_tokens: `--min-tgt-length`. It counts the tokens of a row together, too.

    Raises:
        ValueError: For numbers out of range, and as `generate`.
    """
    settings = OriginalSettings(
        no_repeat_ngram_size=no_repeat_ngram_size, min_new_tokens=min_new_tokens, max_new_tokens=max_new_tokens
    )
    return _call_generate(model, input_ids, attention_mask, position_ids, settings, infills=True)


def original_beams(model: Any, input_ids: torch.Tensor, **kwargs: Any) -> Any:
    """
    Search as the originals, as `model.generate(..., custom_generate=original_beams, num_beams=5, length_penalty=0.7)`.

    It reads `num_beams`, `length_penalty` (1.0 by default in `generate`), `no_repeat_ngram_size`, `min_new_tokens`,
    `max_new_tokens` and `num_return_sequences`. Other settings of the search raise a `ValueError`. With
    `return_dict_in_generate=True` the result has the originals' scores as `sequences_scores`. See `search_as_originals`.
    """
    return _decode(model, input_ids, infills=False, **kwargs)


def original_infilling(model: Any, input_ids: torch.Tensor, **kwargs: Any) -> Any:
    """
    Fill all blanks as the originals, as `model.generate(..., custom_generate=original_infilling)`.

    It reads `no_repeat_ngram_size`, `min_new_tokens` and `max_new_tokens`, the most tokens of all answers of a row together.
    Other settings of the search raise a `ValueError`. See `fill_as_originals`.
    """
    return _decode(model, input_ids, infills=True, **kwargs)


def _call_generate(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    position_ids: torch.Tensor | None,
    settings: OriginalSettings,
    *,
    infills: bool,
) -> OriginalAnswers:
    """Search by way of `generate`, which checks and prepares prompts and works with PEFT."""
    config: Any = unwrap(model).config
    settings = settings.check(config)
    if find_soft_prompt_config(model) is not None:
        raise ValueError(SOFT_PROMPT)
    given = {"attention_mask": attention_mask, "position_ids": position_ids}
    with evaluation_mode(model):
        found = model.generate(
            input_ids=input_ids,
            **{name: value for name, value in given.items() if value is not None},
            custom_generate=partial(_decode, settings=settings, infills=infills),
            do_sample=False,
            num_beams=1,
            num_return_sequences=1,
            max_new_tokens=settings.max_new_tokens,
            return_dict_in_generate=True,
        )
    return OriginalAnswers(found.sequences, found.sequences_scores)


def _decode(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    infills: bool,
    settings: OriginalSettings | None = None,
    **model_kwargs: Any,
) -> Any:
    """
    Decode in the place of the library's own function.

    Args:
        model: The model.
        input_ids: (rows * copies, prompt) int64. `generate` repeats each row for every beam.
        logits_processor, stopping_criteria, generation_config, model_kwargs: What `generate` prepared.
        infills: Whether to fill all blanks.
        settings: How to search. Then Part B alone is returned. None to read the settings of `generate`.

    Returns:
        What `generate` returns.
    """
    config, part_b_alone = model.config, settings is not None
    _refuse_settings(model, generation_config, logits_processor, stopping_criteria, model_kwargs)
    copies = max(generation_config.num_beams or 1, generation_config.num_return_sequences or 1)
    prompt = {
        name: value[::copies] if isinstance(value, torch.Tensor) and len(value) == len(input_ids) else value
        for name, value in model_kwargs.items()
        if name in PROMPT_ARGUMENTS
    }
    input_ids = input_ids[::copies]
    if (input_ids[:, -1] != config.sop_token_id).any():
        row = int((input_ids[:, -1] != config.sop_token_id).nonzero()[0])
        raise ValueError(
            f"The piece of row {row} has tokens already, but the originals never continue an answer: give the text with its "
            "blank alone, or rows that end with the start of a piece."
        )
    if prompt.get("attention_mask") is None:  # the library leaves out masks that hide nothing
        prompt["attention_mask"] = torch.ones_like(input_ids)
    blanks = find_parts(input_ids, config, prompt["attention_mask"]).blanks
    if settings is None:
        settings = _read_settings(model, generation_config, input_ids.shape[1], model_kwargs)
    if not infills and prompt.get("generation_position_ids") is None and (blanks.sum(-1) > 1).any():
        row = int((blanks.sum(-1) > 1).nonzero()[0])
        if settings.num_beams > 1 or (part_b_alone and settings.length_penalty != 0):
            raise ValueError(
                f"Row {row} of input_ids has {int(blanks[row].sum())} blanks, but the originals' beams fill one: give "
                "num_beams=1 and length_penalty=0 to fill several from left to right, or texts with one blank."
            )
        infills = True
    if infills and max(settings.num_beams, settings.num_return_sequences) > 1:
        raise ValueError(
            f"num_beams={settings.num_beams}, num_return_sequences={settings.num_return_sequences}: the originals' infilling "
            "is greedy. Give 1 for both."
        )
    start = prefill(model, input_ids, **prompt)
    if infills:
        row0 = start.positions[:, 0, : input_ids.shape[1]]
        places = [of_row[is_blank].tolist() for of_row, is_blank in zip(row0, blanks, strict=True)]
        answers = fill_blanks_greedily(model, start, settings, places)
    else:
        answers = [answer for of_row in search_beams(model, start, settings) for answer in of_row]
    padding: Any = generation_config._pad_token_tensor
    sequences: Any = _pad([_without_padding(answer.token_ids, config) for answer in answers], int(padding), input_ids)
    context = input_ids[:, -1:] if part_b_alone else input_ids
    sequences = torch.cat((context.repeat_interleave(settings.num_return_sequences, dim=0), sequences), dim=1)
    if not generation_config.return_dict_in_generate:
        return sequences
    scores = torch.tensor([answer.score for answer in answers], device=input_ids.device)
    return GenerateBeamDecoderOnlyOutput(sequences=sequences, sequences_scores=scores)


def _read_settings(
    model: Any, generation_config: GenerationConfig, length: int, model_kwargs: dict[str, Any]
) -> OriginalSettings:
    """Read the settings of `generate` for prompts of some length. No answer outgrows the position table."""
    least = generation_config.min_new_tokens
    if least is None:
        least = max(0, (generation_config.min_length or 0) - length)
    limits = [generation_config.max_length - length, model_kwargs.get("piece_limit")]
    if model.config.block_position_embeddings:
        limits.append(model.config.max_piece_length)
    most = min(limit for limit in limits if limit is not None)
    return OriginalSettings(
        num_beams=generation_config.num_beams or 1,
        length_penalty=1.0 if generation_config.length_penalty is None else generation_config.length_penalty,
        no_repeat_ngram_size=generation_config.no_repeat_ngram_size or 0,
        min_new_tokens=least,
        max_new_tokens=most,
        num_return_sequences=generation_config.num_return_sequences or 1,
    ).check(model.config)


def _refuse_settings(
    model: Any,
    generation_config: GenerationConfig,
    processors: LogitsProcessorList,
    criteria: StoppingCriteriaList,
    model_kwargs: dict[str, Any],
) -> None:
    """Raise a `ValueError` for what the originals' search does not know. Nothing is ignored."""
    listed: list[LogitsProcessor] = []
    for processor in processors:
        listed += processor.processors if isinstance(processor, BlankLogitsProcessor) else [processor]
    refused = [
        type(part).__name__
        for part in (*listed, *criteria)
        if not isinstance(part, KNOWN_PROCESSORS + OWN_PROCESSORS + KNOWN_CRITERIA)
    ]
    refused += [name for name in REFUSED_SETTINGS if getattr(generation_config, name, None)]
    refused += [name for name in REFUSED_ARGUMENTS if model_kwargs.get(name) not in (None, False, (), [])]
    if sorted(end_token_ids(model.config, generation_config.eos_token_id)) not in (
        [model.config.eop_token_id],
        end_token_ids(model.config),
    ):
        refused.append(f"eos_token_id={generation_config.eos_token_id}")
    if model_kwargs.get("use_cache") is False:
        refused.append("use_cache=False")
    cache = model_kwargs.get("past_key_values")
    if cache is not None and (type(cache) is not DynamicCache or not is_empty(cache)):
        refused.append(f"past_key_values, a {type(cache).__name__}")
    if refused:
        raise ValueError(
            f"The originals' search does not know {', '.join(refused)}: leave it out, or leave custom_generate out. The search "
            "reads num_beams, length_penalty, no_repeat_ngram_size, min_new_tokens, max_new_tokens and num_return_sequences."
        )
    if model._soft_prompt.number or model_kwargs.get("prompt_embeds") is not None:
        raise ValueError(SOFT_PROMPT)


def _without_padding(token_ids: Sequence[int], config: GLMConfig) -> list[int]:
    """Leave out padding and ends of text, which are ordinary tokens in the search, but no part of an answer's text."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    hidden = {config.pad_token_id, *ends} - {config.eop_token_id, config.sop_token_id}
    return [token_id for token_id in token_ids if token_id not in hidden]


def _pad(rows: Sequence[Sequence[int]], padding: int, like: torch.Tensor) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows], device=like.device).long()


__all__ = [
    "OriginalAnswers",
    "fill_as_originals",
    "original_beams",
    "original_infilling",
    "search_as_originals",
]
