"""What `generate` needs to fill blanks: all of every row, from left to right, whatever their number and length."""

import copy
from collections.abc import Sequence
from typing import Any

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

# How long an answer may get where the caller sets no limit at all.
DEFAULT_MAX_NEW_TOKENS_PER_BLANK = 64
# Seq2SeqTrainer writes it into the model's generation config, where it says nothing of what anybody wants.
LIBRARY_DEFAULT_MAX_LENGTH = 20


class NextBlankLogitsProcessor(LogitsProcessor):
    """
    Moves on to the next blank where a piece ends. While blanks remain, the score of the end of a piece is given to the
    start of the next, because the end is never fed (paper section 2.1); behind the last blank no piece can start.

    Args:
        config: Gives the ids of the masks and of the start of a piece.
        end_token_ids: The tokens that end a piece; none where pieces are not to end by themselves.
        merge: Whether several ends add up their probability (in sampling and beams), or the best counts (greedy).
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
    Ends every piece that has `max_new_tokens` tokens: with the start of the next piece, or the end of the last.

    Args:
        config: Gives the ids of the masks, of the start and of the end of a piece.
        max_new_tokens: Tokens that a piece may have, its start and end not counted.
    """

    def __init__(self, config: GLMConfig, max_new_tokens: int):
        self.config = config
        self.max_new_tokens = max_new_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        index = torch.arange(input_ids.shape[1], device=input_ids.device)
        last_start = torch.where(input_ids == self.config.sop_token_id, index, -1).amax(-1)
        full = input_ids.shape[1] - 1 - last_start >= self.max_new_tokens
        more = remaining_blanks(input_ids, self.config) > 0
        end = torch.where(more, self.config.sop_token_id, self.config.eop_token_id)
        forced = torch.full_like(scores, -torch.inf).scatter(1, end[:, None], 0.0)
        return torch.where(full[:, None], forced, scores)


def end_token_ids(config: GLMConfig, chosen: int | list[int] | None = None) -> list[int]:
    """
    What ends a piece: its own end token, and the end of text or whatever the caller chose in place of it. Nothing does
    where the caller chose -1, the library's way to say so.
    """
    chosen = config.eos_token_id if chosen is None else chosen
    listed = chosen if isinstance(chosen, list | tuple) else [chosen]
    if any(token_id is not None and token_id < 0 for token_id in listed):
        return []
    return sorted({token_id for token_id in (config.eop_token_id, *listed) if token_id is not None})


def remaining_blanks(input_ids: torch.Tensor, config: GLMConfig) -> torch.Tensor:
    """How many blanks of every row have no piece yet, not even a started one: (batch,)."""
    return find_blanks(input_ids, config).sum(-1) - (input_ids == config.sop_token_id).sum(-1)


class GLMGenerationMixin(GenerationMixin):
    """`generate` for blanks. It keeps no state of its own: all follows from the ids, in beams and drafts as well."""

    config: GLMConfig

    def default_generation_config(self) -> GenerationConfig:
        """The settings of a model without a generation_config.json: a piece ends a generation as the end of text does."""
        return GenerationConfig(pad_token_id=self.config.pad_token_id, eos_token_id=self._end_token_ids(None) or None)

    @torch.no_grad()
    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *args: Any,
        **kwargs: Any,
    ):
        """
        Fills all blanks of every row from left to right (paper section 2.1). Takes everything that
        `transformers.GenerationMixin.generate` takes, and returns the same; `tokenizer.decode_blanks` reads the
        answers out of the result.

        Args:
            inputs: (batch, seq) int64 prompts with at least one mask token each (also as `input_ids`). A start of
                piece is appended where a prompt has none; a prompt that has one goes on from there. Padding may be on
                either side, rows may have different numbers of blanks.
            generation_config: As in Transformers.
            max_new_tokens_per_blank (`int`, *optional*): Ends every answer at this length. Without it and without any
                other limit (`max_new_tokens`, `max_length`), 64 tokens. No answer outgrows the position table. As in
                the authors' code, later blanks do not see the last token of an answer that was cut off.
            attention_mask: (batch, seq), 0 for padding. Without it nothing is taken for padding, because the
                vocabularies of GLM pad with the token that ends a text.
            position_ids: (batch, 2, seq) as the originals' tokenizers build them. Then one piece is decoded at the
                positions given, and blanks are not looked for; every row must hold its start of piece, and end without
                padding. `generation_attention_mask` (batch, 1, seq, seq) is used with them.
            score_observers (sequence of `LogitsProcessor`, *optional*): Called at every step with the model's own scores,
                before any processor changes them.
            labels: Ignored, but marks the batch as one of training: its gold Part B is cut off before filling.

        Raises:
            ValueError: for a prompt without a blank, or with more pieces than blanks; a text or a limit that exceeds
                the position table; ids outside the vocabulary or missing in the config.
            NotImplementedError: for chunked prefill and continuous batching, which assume a causal prompt.
        """
        input_ids = inputs if inputs is not None else kwargs.pop("input_ids", None)
        if input_ids is None:
            raise ValueError("generate needs input_ids: the blanks to fill are found in them.")
        chosen = self._read_settings(generation_config, kwargs)
        if chosen["prefill_chunk_size"] is not None or chosen["cache_implementation"] == "paged":
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
        if kwargs.pop("labels", None) is not None:
            attention_mask = attention_mask.masked_fill(piece_numbers(input_ids, self.config) > 0, 0)
            input_ids = input_ids.masked_fill(input_ids == self.config.sop_token_id, self._padding_id())

        settings = {"pad_token_id": self._padding_id() if chosen["pad_token_id"] is None else chosen["pad_token_id"]}
        if kwargs.get("position_ids") is not None:
            self._check_running_piece(input_ids, attention_mask)
            kwargs["generation_position_ids"] = kwargs.pop("position_ids")
            kwargs.pop("max_new_tokens_per_blank", None)
            settings["eos_token_id"] = chosen["eos_token_id"] or self._end_token_ids(None)
        else:
            input_ids, attention_mask = self._open_first_piece(input_ids, attention_mask)
            check_lengths(compute_position_ids(input_ids, self.config, attention_mask), self.config, wait=True)
            limit = self._piece_limit(chosen["max_new_tokens_per_blank"])
            if chosen["max_new_tokens"] is None and chosen["max_length"] is None:
                if chosen["max_new_tokens_per_blank"] is None:
                    limit = min(limit, DEFAULT_MAX_NEW_TOKENS_PER_BLANK)
                pieces = remaining_blanks(input_ids, self.config) + 1  # the running one included
                settings["max_new_tokens"] = int(pieces.max()) * (limit + 1)
            settings["eos_token_id"] = self._end_token_ids(chosen["eos_token_id"]) or -1
            kwargs.pop("max_new_tokens_per_blank", None)
            kwargs["piece_limit"] = limit

        if generation_config is None:
            kwargs.update(settings)
        else:
            generation_config = copy.deepcopy(generation_config)
            generation_config.update(**settings)
        return super().generate(input_ids, generation_config, *args, attention_mask=attention_mask, **kwargs)

    def _read_settings(self, generation_config: GenerationConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        """What the caller, else the given, else the model's own generation config says of the settings read here."""
        names = (
            "cache_implementation",
            "eos_token_id",
            "max_length",
            "max_new_tokens",
            "max_new_tokens_per_blank",
            "pad_token_id",
            "prefill_chunk_size",
        )
        configs = [config for config in (generation_config, self.generation_config) if config is not None]
        found = {name: [kwargs.get(name), *(getattr(config, name, None) for config in configs)] for name in names}
        if found["max_length"][-1] == LIBRARY_DEFAULT_MAX_LENGTH:
            found["max_length"].pop()
        return {name: next((value for value in values if value is not None), None) for name, values in found.items()}

    def generate_batch(self, *args: Any, **kwargs: Any):
        raise NotImplementedError(
            "Continuous batching assumes one-dimensional positions and a causal prompt, which GLM has not: use generate, "
            "which fills rows with different numbers of blanks together."
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
        if generation_position_ids is None:
            position_ids = compute_position_ids(input_ids, self.config, attention_mask)
            if piece_limit is not None:
                attention_mask = self._hide_unread(input_ids, attention_mask, position_ids, piece_limit)
        else:
            position_ids = _continue_positions(generation_position_ids, length)
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
        Masks the last token of every piece that was cut off at `max_new_tokens`. The authors' code moves on to the next
        blank at once there, so that this token is part of the answer but never read by the model.
        """
        cut_off = position_ids[:, 1, :-1] == max_new_tokens + 1  # the start of the piece has position 1
        unread = cut_off & (input_ids[:, 1:] == self.config.sop_token_id)
        if not unread.any():
            return attention_mask
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return mask.masked_fill(F.pad(unread, (0, 1)), 0)

    def _prepare_position_ids_for_generation(self, *args: Any, **kwargs: Any) -> None:
        # The library extends one-dimensional positions; ours are computed from the ids at every step.
        return None

    def _prepare_cache_for_generation(
        self, generation_config: GenerationConfig, model_kwargs: dict, *args: Any, **kwargs: Any
    ):
        given = model_kwargs.get("past_key_values")
        super()._prepare_cache_for_generation(generation_config, model_kwargs, *args, **kwargs)
        cache = model_kwargs.get("past_key_values")
        # An assistant's cache keeps records in its layers.
        if given is None and cache is not None and not generation_config.is_assistant:
            let_grow(cache)

    def _get_logits_processor(
        self,
        generation_config: GenerationConfig,
        *args: Any,
        model_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> LogitsProcessorList:
        processors = super()._get_logits_processor(generation_config, *args, model_kwargs=model_kwargs, **kwargs)
        model_kwargs = model_kwargs or {}
        observers = model_kwargs.get("score_observers") or ()
        if model_kwargs.get("generation_position_ids") is not None:
            return LogitsProcessorList([*observers, *processors])
        merge = bool(generation_config.do_sample or generation_config.num_beams > 1)
        ends = self._end_token_ids(generation_config.eos_token_id)
        limit = self._piece_limit(model_kwargs.get("piece_limit"))
        return LogitsProcessorList(
            [
                *observers,
                NextBlankLogitsProcessor(self.config, ends, merge),  # so that the library's see the scores that count
                *processors,
                MaxPieceLengthLogitsProcessor(self.config, limit),  # last, so that nothing undoes it
            ]
        )

    def _end_token_ids(self, chosen: int | list[int] | None) -> list[int]:
        return end_token_ids(self.config, chosen)

    def _padding_id(self) -> int:
        return self.config.eop_token_id if self.config.pad_token_id is None else self.config.pad_token_id

    def _piece_limit(self, max_new_tokens_per_blank: int | None) -> int:
        # The start of a piece takes the first of its positions.
        longest = self.config.max_piece_length - 1
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

    def _check_running_piece(self, input_ids: torch.Tensor, attention_mask: torch.Tensor):
        """Raises a ValueError unless every row has a piece for what is generated to continue, up to its last column."""
        if ((input_ids != self.config.sop_token_id).all(-1)).any() or (attention_mask[:, -1] == 0).any():
            raise ValueError(
                "With position_ids given, every row of input_ids must hold its start of piece and end without padding: "
                "use tokenizer.build_inputs_for_generation, or leave position_ids out."
            )

    def _open_first_piece(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Checks that every row has a blank to fill and lets it end with its running piece, a new one if it has none."""
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
            start = torch.where(unopened, self.config.sop_token_id, self._padding_id())
            input_ids = torch.cat((input_ids, start[:, None]), dim=1)
            attention_mask = torch.cat((attention_mask, unopened[:, None].to(attention_mask.dtype)), dim=1)
        # Padding on the right of a running piece goes to the left: what follows a token must stand behind it.
        index = torch.arange(input_ids.shape[1], device=input_ids.device)
        trailing = input_ids.shape[1] - 1 - torch.where(attention_mask != 0, index, -1).amax(-1, keepdim=True)
        source = (index - trailing) % input_ids.shape[1]
        return input_ids.gather(1, source), attention_mask.gather(1, source)


def _continue_positions(position_ids: torch.Tensor, length: int) -> torch.Tensor:
    """Positions (batch, 2, given) for `length` tokens: cut, or continued within the last piece."""
    if (missing := length - position_ids.shape[-1]) > 0:
        step = torch.arange(1, missing + 1, device=position_ids.device)
        last = position_ids[..., -1:]
        position_ids = torch.cat((position_ids, last + torch.stack((torch.zeros_like(step), step))), dim=-1)
    return position_ids[..., :length]


def _continue_mask(mask: torch.Tensor, length: int) -> torch.Tensor:
    """A mask (batch, 1, given, given) for `length` tokens: cut, or continued causally."""
    if (missing := length - mask.shape[-1]) > 0:
        seen = torch.cat((mask, mask[:, :, -1:].expand(-1, -1, missing, -1)), dim=2)
        causal = torch.ones(missing, missing, dtype=mask.dtype, device=mask.device).tril()
        added = F.pad(causal, (0, 0, mask.shape[-1], 0)).expand(*mask.shape[:2], -1, -1)
        mask = torch.cat((seen, added), dim=3)
    return mask[:, :, :length, :length]
