"""Fill blanks with `generate`: all blanks of every row, from left to right, in any number and of any length."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F
from transformers import GenerationConfig, GenerationMixin, LogitsProcessor, LogitsProcessorList
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask
from transformers.utils import logging

from .cache_glm import let_grow
from .configuration_glm import GLMConfig
from .layout_glm import check_ids, check_lengths, compute_position_ids, create_glm_mask, find_blanks, piece_numbers

logger = logging.get_logger(__name__)

# The longest answer where the caller sets no limit.
DEFAULT_MAX_NEW_TOKENS_PER_BLANK = 64
# Seq2SeqTrainer writes this `max_length` into the model's generation config. Found there, it is nobody's choice.
LIBRARY_DEFAULT_MAX_LENGTH = 20


class NextBlankLogitsProcessor(LogitsProcessor):
    """
    Move on to the next blank where a piece ends.

    The end of a piece is never fed (paper section 2.1). So while blanks remain, the start of the next piece gets the
    score of the end. Behind the last blank no piece can start.

    Args:
        config: Gives the ids of the masks and of the start of a piece.
        end_token_ids: The tokens that end a piece; empty if pieces must not end before the limit of length.
        merge: Whether several ends add up their probabilities (in sampling and beams), or the best one counts (greedy).
    """

    def __init__(self, config: GLMConfig, end_token_ids: list[int], merge: bool):
        self.config = config
        self.end_token_ids = end_token_ids
        self.merge = merge

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if not self.end_token_ids:
            scores = scores.clone()
            scores[:, [self.config.sop_token_id, self.config.eop_token_id]] = -torch.inf
            return scores
        ends = scores[:, self.end_token_ids]
        end_score = ends.logsumexp(-1) if self.merge else ends.amax(-1)
        more = remaining_blanks(input_ids, self.config) > 0
        scores = scores.clone()
        scores[:, self.config.sop_token_id] = torch.where(more, end_score, -torch.inf)
        scores[:, self.end_token_ids] = ends.masked_fill(more[:, None], -torch.inf)
        return scores


class MaxPieceLengthLogitsProcessor(LogitsProcessor):
    """
    End every piece that has `max_new_tokens` tokens: with the start of the next piece, or the end of the last one.

    Args:
        config: Gives the ids of the masks, of the start and of the end of a piece.
        max_new_tokens: The most tokens of a piece, its start and end not counted.
    """

    def __init__(self, config: GLMConfig, max_new_tokens: int):
        self.config = config
        self.max_new_tokens = max_new_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        index = torch.arange(input_ids.shape[1], device=input_ids.device)
        last_start = torch.where(input_ids == self.config.sop_token_id, index, -1).amax(-1)
        # Behind a start in column 7, the columns 8 and 9 hold 2 tokens: 9 - 7.
        full = input_ids.shape[1] - 1 - last_start >= self.max_new_tokens
        more = remaining_blanks(input_ids, self.config) > 0
        end = torch.where(more, self.config.sop_token_id, self.config.eop_token_id)
        forced = torch.full_like(scores, -torch.inf).scatter(1, end[:, None], 0.0)
        return torch.where(full[:, None], forced, scores)


def end_token_ids(config: GLMConfig, chosen: int | list[int] | None = None) -> list[int]:
    """
    List the tokens that end a piece: its own end token, and the end of text or the tokens chosen in its place.

    Args:
        config: Gives the ids.
        chosen: An `eos_token_id` as `generate` takes it. -1 is the library's way to say that nothing ends a piece.
    """
    chosen = config.eos_token_id if chosen is None else chosen
    listed = chosen if isinstance(chosen, list | tuple) else [chosen]
    if any(token_id is not None and token_id < 0 for token_id in listed):
        return []
    return sorted({token_id for token_id in (config.eop_token_id, *listed) if token_id is not None})


def remaining_blanks(input_ids: torch.Tensor, config: GLMConfig) -> torch.Tensor:
    """Count the blanks of every row that have no piece yet, not even a started one: (batch,) int64."""
    return find_blanks(input_ids, config).sum(-1) - (input_ids == config.sop_token_id).sum(-1)


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """The settings of the library that `GLMGenerationMixin.generate` reads itself; None where nobody set them."""

    cache_implementation: str | None
    eos_token_id: int | list[int] | None
    max_length: int | None
    max_new_tokens: int | None
    max_new_tokens_per_blank: int | None
    pad_token_id: int | None
    prefill_chunk_size: int | None

    @classmethod
    def read(
        cls, kwargs: dict[str, Any], given: GenerationConfig | None, own: GenerationConfig
    ) -> "GenerationSettings":
        """Read every setting from the keyword arguments, else the given config, else the model's own config."""
        values = {}
        for field in fields(cls):
            own_value = getattr(own, field.name, None)
            if field.name == "max_length" and own_value == LIBRARY_DEFAULT_MAX_LENGTH:
                own_value = None
            found = (kwargs.get(field.name), getattr(given, field.name, None), own_value)
            values[field.name] = next((value for value in found if value is not None), None)
        return cls(**values)

    @property
    def has_total_limit(self) -> bool:
        """Whether a limit for the whole output is set."""
        return self.max_new_tokens is not None or self.max_length is not None


class Prompt(NamedTuple):
    """
    Hold the inputs that `generate` of Transformers starts from.

    Attributes:
        input_ids: (batch, seq), every row ends with its running piece.
        attention_mask: (batch, seq), 0 for padding.
        settings: What changes in the generation config.
        model_kwargs: Further arguments of `prepare_inputs_for_generation` at every step.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    settings: dict[str, Any]
    model_kwargs: dict[str, Any]


class GLMGenerationMixin(GenerationMixin):
    """`generate` for blanks. It keeps no state: everything follows from the ids, in beams and drafts as well."""

    config: GLMConfig

    @property
    def padding_id(self) -> int:
        """The id to pad prompts with: the vocabulary's padding, or the end of a piece where it has none."""
        return self.config.eop_token_id if self.config.pad_token_id is None else self.config.pad_token_id

    def default_generation_config(self) -> GenerationConfig:
        """Make the settings of a model without a generation_config.json, with all tokens that end a piece."""
        return GenerationConfig(pad_token_id=self.config.pad_token_id, eos_token_id=end_token_ids(self.config) or None)

    @torch.no_grad()
    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *args: Any,
        **kwargs: Any,
    ):
        """
        Fill all blanks of every row from left to right (paper section 2.1).

        It takes everything that `transformers.GenerationMixin.generate` takes, and returns the same.
        `tokenizer.decode_blanks` reads the answers from the result.

        Args:
            inputs: (batch, seq) int64 prompts with at least one mask token each (also as `input_ids`). A prompt without
                a start of piece gets one; a prompt that has one is continued. Padding may be on either side, and rows
                may have different numbers of blanks.
            generation_config: As in Transformers.
            max_new_tokens_per_blank (`int`, *optional*): Ends every answer at this length. The default is 64, if there
                is no other limit (`max_new_tokens`, `max_length`) either. No answer outgrows the position table. As in
                the authors' code, later blanks do not see the last token of an answer that was cut off.
            attention_mask: (batch, seq), 0 for padding. Without it nothing is padding, because the vocabularies of GLM
                pad with the token that ends a text.
            position_ids: (batch, 2, seq) as the originals' tokenizers build them. Then one piece is decoded at these
                positions, and blanks are not looked for. Every row must hold its start of piece and end without
                padding. `generation_attention_mask` (batch, 1, seq, seq) is used with them.
            labels: Not used, but marks a training batch, whose gold Part B is cut off before filling.
            score_observers (sequence of `LogitsProcessor`, *optional*): Called at every step with the model's own
                scores, before anything changes them.

        Raises:
            ValueError: for a prompt without a blank, or with more pieces than blanks; a text or a limit that exceeds
                the position table; ids outside the vocabulary or missing in the config.
            NotImplementedError: for chunked prefill and continuous batching, which assume a causal prompt.
        """
        input_ids = inputs if inputs is not None else kwargs.pop("input_ids", None)
        if input_ids is None:
            raise ValueError("generate needs input_ids: the blanks to fill are found in them.")
        settings = GenerationSettings.read(kwargs, generation_config, self.generation_config)
        if settings.prefill_chunk_size is not None or settings.cache_implementation == "paged":
            raise NotImplementedError(
                "GLM reads its prompt in both directions, so the prompt cannot be split: use neither prefill_chunk_size "
                "nor continuous batching (cache_implementation='paged')."
            )
        self.config.require_token_ids("sop_token_id", "eop_token_id", purpose="Filling blanks")
        check_ids(input_ids, self.config, wait=True)

        attention_mask = kwargs.pop("attention_mask", None)
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
            self._warn_of_unmasked_padding(input_ids)
        if kwargs.pop("labels", None) is not None:  # cut off Part B
            attention_mask = attention_mask.masked_fill(piece_numbers(input_ids, self.config) > 0, 0)
            input_ids = input_ids.masked_fill(input_ids == self.config.sop_token_id, self.padding_id)

        kwargs.pop("max_new_tokens_per_blank", None)
        position_ids = kwargs.pop("position_ids", None)
        if position_ids is None:
            prompt = self._prepare_blanks(input_ids, attention_mask, settings)
        else:
            prompt = self._prepare_given_positions(input_ids, attention_mask, position_ids, settings)
        changed = {"pad_token_id": self.padding_id if settings.pad_token_id is None else settings.pad_token_id}
        changed.update(prompt.settings)
        if generation_config is None:
            kwargs.update(changed)
        else:
            generation_config = copy.deepcopy(generation_config)
            generation_config.update(**changed)
        kwargs.update(prompt.model_kwargs)
        return super().generate(
            prompt.input_ids, generation_config, *args, attention_mask=prompt.attention_mask, **kwargs
        )

    def generate_batch(self, *args: Any, **kwargs: Any):
        """Raise a `NotImplementedError`: continuous batching does not fit GLM."""
        raise NotImplementedError(
            "Continuous batching assumes one-dimensional positions and a causal prompt, which GLM does not have: use "
            "generate, which fills rows with different numbers of blanks together."
        )

    def _prepare_blanks(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, settings: GenerationSettings
    ) -> Prompt:
        """Prepare prompts whose blanks are found in the ids."""
        input_ids, attention_mask = self._open_first_piece(input_ids, attention_mask)
        check_lengths(compute_position_ids(input_ids, self.config, attention_mask), self.config, wait=True)
        limit = self._piece_limit(settings.max_new_tokens_per_blank)
        changed: dict[str, Any] = {"eos_token_id": end_token_ids(self.config, settings.eos_token_id) or -1}
        if not settings.has_total_limit:
            if settings.max_new_tokens_per_blank is None:
                limit = min(limit, DEFAULT_MAX_NEW_TOKENS_PER_BLANK)
            pieces = remaining_blanks(input_ids, self.config) + 1  # the running one included
            changed["max_new_tokens"] = int(pieces.max()) * (limit + 1)  # each piece ends with one token more
        return Prompt(input_ids, attention_mask, changed, {"piece_limit": limit})

    def _prepare_given_positions(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        settings: GenerationSettings,
    ) -> Prompt:
        """Prepare prompts of which one piece is decoded at the positions given."""
        if (input_ids != self.config.sop_token_id).all(-1).any() or (attention_mask[:, -1] == 0).any():
            raise ValueError(
                "With position_ids given, every row of input_ids must hold its start of piece and end without padding: "
                "use tokenizer.build_inputs_for_generation, or leave position_ids out."
            )
        changed = {"eos_token_id": settings.eos_token_id or end_token_ids(self.config)}
        return Prompt(input_ids, attention_mask, changed, {"generation_position_ids": position_ids})

    def _open_first_piece(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Check that every row has a blank to fill, and let it end with its running piece. Rows without one get one."""
        real = attention_mask != 0
        blanks = (find_blanks(input_ids, self.config) & real).sum(-1)
        pieces = ((input_ids == self.config.sop_token_id) & real).sum(-1)
        if (blanks == 0).any():
            raise ValueError(
                f"Row {int((blanks == 0).nonzero()[0])} of input_ids has no blank to fill: put [MASK], [sMASK] or "
                f"[gMASK] (ids {self.config.mask_token_ids}) where text is wanted. To continue a text, end it with "
                "[gMASK], or with [MASK] where the vocabulary has no [gMASK]."
            )
        if (pieces > blanks).any():
            row = int((pieces > blanks).nonzero()[0])
            raise ValueError(f"Row {row} of input_ids has {int(blanks[row])} blanks, but {int(pieces[row])} pieces.")

        unopened = pieces == 0
        if unopened.any():
            start = torch.where(unopened, self.config.sop_token_id, self.padding_id)
            input_ids = torch.cat((input_ids, start[:, None]), dim=1)
            attention_mask = torch.cat((attention_mask, unopened[:, None].to(attention_mask.dtype)), dim=1)
        # A new token must stand directly behind the last real one, so padding on the right moves to the left:
        # ids [a M S x - -] with mask [1 1 1 1 0 0] -> source [4 5 0 1 2 3] -> [- - a M S x]
        index = torch.arange(input_ids.shape[1], device=input_ids.device)
        trailing = input_ids.shape[1] - 1 - torch.where(attention_mask != 0, index, -1).amax(-1, keepdim=True)
        source = (index - trailing) % input_ids.shape[1]
        return input_ids.gather(1, source), attention_mask.gather(1, source)

    def _piece_limit(self, max_new_tokens_per_blank: int | None) -> int:
        longest = self.config.max_piece_length - 1  # the start of a piece takes the first of its positions
        if max_new_tokens_per_blank is None:
            return longest
        if not 1 <= max_new_tokens_per_blank <= longest:
            raise ValueError(
                f"max_new_tokens_per_blank={max_new_tokens_per_blank} must be between 1 and {longest}, the longest answer "
                f"that the position table holds (config.max_position_embeddings={self.config.max_position_embeddings})."
            )
        return max_new_tokens_per_blank

    def _warn_of_unmasked_padding(self, input_ids: torch.Tensor):
        pad = self.config.pad_token_id
        if pad is not None and bool(((input_ids[:, 0] == pad) | (input_ids[:, -2:] == pad).all(-1)).any()):
            logger.warning(
                "A prompt looks padded, but generate was given no attention_mask: the padding is read as text. Pass the "
                "attention_mask that the tokenizer returns."
            )

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        next_sequence_length: int | None = None,
        past_key_values: Cache | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: None = None,  # never kept between steps
        generation_position_ids: torch.Tensor | None = None,
        generation_attention_mask: torch.Tensor | None = None,
        piece_limit: int | None = None,
        score_observers: Sequence[LogitsProcessor] = (),  # for the processors alone
        **kwargs: Any,
    ) -> dict[str, Any]:
        length = input_ids.shape[1]
        if generation_position_ids is not None:
            position_ids = _continue_positions(generation_position_ids, length)
        else:
            position_ids = compute_position_ids(input_ids, self.config, attention_mask)
            # Rows that have ended are fed padding until the last row ends: keep it inside the position table.
            position_ids[:, 1].clamp_(max=self.config.max_piece_length)
            if piece_limit is not None:
                attention_mask = self._hide_unread(input_ids, attention_mask, position_ids, piece_limit)
        if generation_attention_mask is not None:
            queries = length if next_sequence_length is None else next_sequence_length
            attention_mask = _continue_mask(generation_attention_mask, length)[:, :, -queries:]
            if past_key_values is not None:
                keys, _ = past_key_values.get_mask_sizes(queries, 0)
                attention_mask = F.pad(attention_mask, (0, keys - length))
        return super().prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **kwargs,
        )

    @staticmethod
    def create_masks_for_generate(
        config: GLMConfig,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor | None,
        past_key_values: Cache | None,
        position_ids: torch.Tensor | None = None,
        is_first_iteration: bool = False,
        **kwargs: Any,
    ) -> torch.Tensor | None:
        if not is_first_iteration:
            return create_causal_mask(config, inputs_embeds, attention_mask, past_key_values)
        return create_glm_mask(config, inputs_embeds, attention_mask, position_ids, past_key_values)

    def _hide_unread(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
        position_ids: torch.Tensor,
        max_new_tokens: int,
    ) -> torch.Tensor | None:
        """
        Mask the last token of every piece that was cut off at `max_new_tokens`.

        The authors' code moves on to the next blank at once there. So this token is part of the answer, but the model
        never reads it. With `max_new_tokens` 2:

            ids     S  x  y  S  z
            row 1   1  2  3  1  2
            mask    1  1  0  1  1      y has position 2 + 1, and a start of piece follows
        """
        cut_off = position_ids[:, 1, :-1] == max_new_tokens + 1
        unread = cut_off & (input_ids[:, 1:] == self.config.sop_token_id)
        if not unread.any():
            return attention_mask
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return mask.masked_fill(F.pad(unread, (0, 1)), 0)

    def _prepare_position_ids_for_generation(self, *args: Any, **kwargs: Any) -> None:
        # The library extends one-dimensional positions. Ours are computed from the ids at every step.
        return None

    def _prepare_cache_for_generation(
        self, generation_config: GenerationConfig, model_kwargs: dict, *args: Any, **kwargs: Any
    ):
        given = model_kwargs.get("past_key_values")
        super()._prepare_cache_for_generation(generation_config, model_kwargs, *args, **kwargs)
        cache = model_kwargs.get("past_key_values")
        # An assistant's cache records its past in layers of its own kind.
        if given is None and cache is not None and not generation_config.is_assistant:
            let_grow(cache)

    def _get_logits_processor(
        self,
        generation_config: GenerationConfig,
        *args: Any,
        model_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> LogitsProcessorList:
        model_kwargs = model_kwargs or {}
        observers = model_kwargs.get("score_observers") or ()
        processors = super()._get_logits_processor(generation_config, *args, model_kwargs=model_kwargs, **kwargs)
        if model_kwargs.get("generation_position_ids") is not None:
            return LogitsProcessorList([*observers, *processors])
        merge = bool(generation_config.do_sample or generation_config.num_beams > 1)
        ends = end_token_ids(self.config, generation_config.eos_token_id)
        limit = self._piece_limit(model_kwargs.get("piece_limit"))
        return LogitsProcessorList(
            [
                *observers,
                NextBlankLogitsProcessor(self.config, ends, merge),  # so that the library's see the scores that count
                *processors,
                MaxPieceLengthLogitsProcessor(self.config, limit),  # last, so that nothing undoes it
            ]
        )


def _continue_positions(position_ids: torch.Tensor, length: int) -> torch.Tensor:
    """
    Cut positions (batch, 2, given) to `length` tokens, or continue them within the last piece.

        row 0   0 1 2 1 1 -> 0 1 2 1 1 1 1
        row 1   0 0 0 1 2 -> 0 0 0 1 2 3 4
    """
    if (missing := length - position_ids.shape[-1]) > 0:
        step = torch.arange(1, missing + 1, device=position_ids.device)
        last = position_ids[..., -1:]
        position_ids = torch.cat((position_ids, last + torch.stack((torch.zeros_like(step), step))), dim=-1)
    return position_ids[..., :length]


def _continue_mask(mask: torch.Tensor, length: int) -> torch.Tensor:
    """
    Cut a mask (batch, 1, given, given) to `length` tokens, or continue it causally.

        1 1 0      1 1 0 0 0      the new tokens (rows) see what the last one saw,
        1 1 1  ->  1 1 1 0 0      and each other causally
                   1 1 1 1 0
                   1 1 1 1 1
    """
    if (missing := length - mask.shape[-1]) > 0:
        seen = torch.cat((mask, mask[:, :, -1:].expand(-1, -1, missing, -1)), dim=2)
        causal = torch.ones(missing, missing, dtype=mask.dtype, device=mask.device).tril()
        added = F.pad(causal, (0, 0, mask.shape[-1], 0)).expand(*mask.shape[:2], -1, -1)
        mask = torch.cat((seen, added), dim=3)
    return mask[:, :, :length, :length]
