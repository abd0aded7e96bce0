"""Fill blanks with `generate`: all blanks of every row, from left to right, in any number and of any length."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F
from transformers import (
    GenerationConfig,
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    MaxLengthCriteria,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
    SuppressTokensAtBeginLogitsProcessor,
)
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask
from transformers.utils import logging

from .cache_glm import let_grow
from .configuration_glm import GLMConfig
from .embeddings_glm import UNKNOWN, SoftPrompt, find_all_ids, find_soft_prompt, require_known_tokens
from .guidance_glm import GuidanceLogitsProcessor
from .inputs_glm import (
    INTEGERS,
    check_attention_mask,
    check_ids,
    check_lengths,
    check_positions,
    describe,
    require_embeddings,
    require_everywhere,
    require_finite_embeddings,
    require_some,
    require_values,
)
from .labels_glm import check_gold_labels
from .layout_glm import (
    Parts,
    compute_position_ids,
    create_glm_mask,
    find_ends,
    find_parts,
    is_any_of,
    is_empty,
    positions_of,
    real_tokens,
)
from .processors_glm import (
    BlankLogitsProcessor,
    LastPieceCriteria,
    LastPositionLogitsProcessor,
    MaxPieceLengthLogitsProcessor,
    StopStringLogitsProcessor,
    remaining_blanks,
    words_of_text,
)
from .settings_glm import DEFAULT_MAX_NEW_TOKENS_PER_BLANK, GenerationSettings, end_token_ids

logger = logging.get_logger(__name__)

# Our own arguments of `prepare_inputs_for_generation`. Its signature does not show them where PEFT puts its own in place.
OWN_ARGUMENTS = (
    "generation_attention_mask",
    "generation_position_ids",
    "piece_ends",
    "piece_limit",
    "prompt_embeds",
    "prompt_length",
    "score_observers",
)


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
        """
        The id to pad prompts with: the vocabulary's padding, or the end of a piece where it has none.

        It is never that of a mask or of the start of a piece, because the ids that `generate` returns have no mask.
        """
        config = self.config
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        listed = (config.pad_token_id, config.eop_token_id, *ends, config.cls_token_id, *range(config.vocab_size))
        read = (None, config.sop_token_id, *config.mask_token_ids)
        return next(token_id for token_id in listed if token_id not in read)

    def default_generation_config(self) -> GenerationConfig:
        """Make the settings of a model without a generation_config.json, with all tokens that end a piece."""
        return GenerationConfig(pad_token_id=self.config.pad_token_id, eos_token_id=end_token_ids(self.config) or None)

    @torch.no_grad()
    def generate(
        self,
        inputs: torch.Tensor | Mapping[str, Any] | None = None,
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
                may have different numbers of blanks. One prompt may be (seq,). What the tokenizer returns may be given
                as it is.
            generation_config: As in Transformers.
            max_new_tokens_per_blank (`int`, *optional*): Ends every answer at this length. The default is 64, if there
                is no other limit (`max_new_tokens`, `max_length`) either. No answer outgrows the position table. As in
                the authors' code, later blanks do not see the last token of an answer that was cut off.
            attention_mask: (batch, seq), 0 for padding, wherever it stands. Hidden tokens count as removed: no blank and
                no piece is found in them, and the result holds padding in their place. Without a mask
                nothing is padding, because the vocabularies of GLM pad with the token that ends a text.
            position_ids: (batch, 2, seq) as the originals' tokenizers build them. Then one piece is decoded at these
                positions, and blanks are not looked for. Every row must hold its start of piece and end without
                padding. The piece ends with the position table. `generation_attention_mask` (batch, 1, seq, seq) is
                used with them.
            inputs_embeds: (batch, seq, hidden) in place of `inputs`. The ids are found by equality with the rows of the word
                embeddings. Other embeddings are virtual tokens, which the output shows as padding.
            labels: Not used, but marks a training batch, whose gold Part B is cut off before filling.
            guidance_scale, negative_prompt_ids, negative_prompt_attention_mask (*optional*): As in Transformers. The
                negative prompts are texts with as many blanks as the prompts. Without them the model is guided away
                from what it writes into the blanks of an empty text.
            score_observers (sequence of `LogitsProcessor`, *optional*): Called at every step with the model's own
                scores, before anything changes them.

        Settings and processors that read what was generated (`no_repeat_ngram_size`, `repetition_penalty`,
        `sequence_bias`, your own `logits_processor`, ...) see the tokens of the pieces alone: all else is the start of
        a piece, which has no score. The end of every piece is `<eop>` to them. N-grams do not run across pieces, and
        settings of length (`min_new_tokens`, `exponential_decay_length_penalty`, `begin_suppress_tokens`,
        `forced_bos_token_id`, ...) hold for every piece. The `encoder_*` settings read the words of Part A. The function
        of `prefix_allowed_tokens_fn`, and a processor of your own with the attribute `reads_prompt = True`, see the ids
        that are fed. A stop string ends its piece; `stopping_criteria` of your own end the row.

        Raises:
            ValueError: for a prompt without a blank, or with more pieces than blanks; a text or a limit that exceeds
                the position table; ids outside the vocabulary or missing in the config.
            NotImplementedError: for chunked prefill and continuous batching, which assume a causal prompt.
        """
        if isinstance(inputs, Mapping):
            kwargs, inputs = {**inputs, **kwargs}, None
        input_ids = kwargs.pop("input_ids", None)
        if inputs is not None and input_ids is not None:
            raise ValueError("The prompts are given twice, as inputs and as input_ids: give them once.")
        input_ids = input_ids if inputs is None else inputs
        inputs_embeds = kwargs.pop("inputs_embeds", None)
        if input_ids is None and inputs_embeds is None:
            raise ValueError("generate needs input_ids (or inputs_embeds): the blanks to fill are found in them.")
        if input_ids is not None:
            input_ids = self._as_rows(input_ids, "input_ids")
        for name in ("attention_mask", "labels", "negative_prompt_ids", "negative_prompt_attention_mask"):
            if kwargs.get(name) is not None:
                kwargs[name] = self._as_rows(kwargs[name], name)
        observers = kwargs.get("score_observers") or ()
        if not isinstance(observers, Sequence) or not all(map(callable, observers)):
            raise ValueError(f"score_observers is {observers!r}: expected a list of functions of ids and scores.")
        settings = GenerationSettings.read(kwargs, generation_config, self.generation_config).check(self.config)
        if settings.prefill_chunk_size is not None or settings.cache_implementation == "paged":
            raise NotImplementedError(
                "GLM reads its prompt in both directions, so the prompt cannot be split: use neither prefill_chunk_size "
                "nor continuous batching (cache_implementation='paged')."
            )
        self.config.require_token_ids("sop_token_id", "eop_token_id", purpose="Filling blanks")
        attention_mask, labels = kwargs.pop("attention_mask", None), kwargs.pop("labels", None)
        shape = self._read_shape(input_ids, inputs_embeds)
        if attention_mask is not None and attention_mask.shape != shape:
            raise ValueError(
                f"attention_mask has shape {tuple(attention_mask.shape)}, but input_ids has {tuple(shape)}: expected the same."
            )
        if labels is not None:
            check_gold_labels(labels, self.config, shape, may_be_shorter=inputs_embeds is not None)
        if inputs_embeds is not None:
            input_ids, inputs_embeds = self._read_embeddings(input_ids, inputs_embeds, attention_mask)
        check_ids(input_ids, self.config, wait=True)

        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
            if inputs_embeds is None:
                self._warn_of_unmasked_padding(input_ids)
        if labels is not None:  # cut off Part B
            part_b = find_parts(input_ids, self.config, attention_mask).piece > 0
            attention_mask = attention_mask.masked_fill(part_b, 0)

        kwargs.pop("max_new_tokens_per_blank", None)
        position_ids = kwargs.pop("position_ids", None)
        if position_ids is None:
            prompt = self._prepare_blanks(input_ids, attention_mask, settings, inputs_embeds)
        else:
            prompt = self._prepare_given_positions(
                input_ids,
                attention_mask,
                position_ids,
                settings,
                inputs_embeds,
                kwargs.pop("generation_attention_mask", None),
            )
        if self._soft_prompt.number:
            kwargs.pop("past_key_values", None)  # the library takes its virtual tokens for tokens of the prompt
        _check_continued(kwargs.get("past_key_values"), attention_mask, prompt)
        changed = {"pad_token_id": self.padding_id if settings.pad_token_id is None else settings.pad_token_id}
        changed.update(prompt.settings)
        if generation_config is None:
            kwargs.update(changed)
        else:
            generation_config = copy.deepcopy(generation_config)
            generation_config.update(**changed)
        kwargs.update(prompt.model_kwargs, prompt_length=input_ids.shape[1])
        return super().generate(
            prompt.input_ids, generation_config, *args, attention_mask=prompt.attention_mask, **kwargs
        )

    def generate_batch(self, *args: Any, **kwargs: Any):
        """Raise a `NotImplementedError`: continuous batching does not fit GLM."""
        raise NotImplementedError(
            "Continuous batching assumes one-dimensional positions and a causal prompt, which GLM does not have: use "
            "generate, which fills rows with different numbers of blanks together."
        )

    def _as_rows(self, values: Any, name: str) -> torch.Tensor:
        """Turn what a tokenizer returns into a tensor (batch, seq). One row may come without its first dimension."""
        if not isinstance(values, torch.Tensor):
            try:
                values = torch.tensor(values, device=self.device)
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(
                    f"{name} is a {type(values).__name__} that is not a table of ids: expected a tensor (batch, seq), as "
                    "the tokenizer returns with padding=True, return_tensors='pt'."
                ) from error
        if values.ndim == 1:
            values = values[None]
        if name.endswith("mask"):
            is_fit = values.ndim == 2
            if is_fit:
                check_attention_mask(values, self.config, *values.shape, name=name)
        else:
            is_fit = values.ndim == 2 and values.dtype in INTEGERS and values.layout == torch.strided
        if not is_fit:
            raise ValueError(f"{name} {describe(values)}: expected int64 (batch, seq), or (seq,) for one row.")
        require_some(values, name)
        if values.is_meta:
            raise ValueError(f"{name} is on the device meta, so it has no values: nothing can be found in it.")
        return values.long()

    @property
    def _soft_prompt(self) -> SoftPrompt:
        return find_soft_prompt(vars(self).get("prepare_inputs_for_generation"))

    def _validate_model_kwargs(self, model_kwargs: dict[str, Any]):
        super()._validate_model_kwargs({key: v for key, v in model_kwargs.items() if key not in OWN_ARGUMENTS})

    def _read_shape(self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None) -> torch.Size:
        """Return (batch, seq) of the ids and embeddings, and check that both are of the same tokens."""
        if inputs_embeds is None:
            assert input_ids is not None
            return input_ids.shape
        require_values(self.get_input_embeddings().weight, inputs_embeds=inputs_embeds)
        require_embeddings(inputs_embeds, self.config)
        require_finite_embeddings(inputs_embeds)
        if input_ids is not None and input_ids.shape != inputs_embeds.shape[:2]:
            raise ValueError(
                f"input_ids has shape {tuple(input_ids.shape)}, but inputs_embeds {tuple(inputs_embeds.shape)}: give the "
                "same tokens in both, or only one of them."
            )
        return inputs_embeds.shape[:2]

    def _read_embeddings(
        self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Find the ids of embeddings. Without virtual tokens the ids are enough, and no embeddings are returned."""
        if input_ids is not None:
            return input_ids, inputs_embeds
        embed = self.get_input_embeddings()
        ids = find_all_ids(inputs_embeds, embed, self.config)
        require_known_tokens(ids, inputs_embeds, embed, self.config, real_tokens(ids, attention_mask))
        if (ids != UNKNOWN).all():
            return ids, None
        return ids.masked_fill(ids == UNKNOWN, self.padding_id), inputs_embeds

    def _prepare_blanks(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        settings: GenerationSettings,
        inputs_embeds: torch.Tensor | None = None,
    ) -> Prompt:
        """Prepare prompts whose blanks are found in the ids."""
        input_ids, attention_mask, inputs_embeds = self._open_first_piece(input_ids, attention_mask, inputs_embeds)
        positions = compute_position_ids(input_ids, self.config, attention_mask)
        positions[:, 0] += self._soft_prompt.number
        check_lengths(positions, self.config, wait=True)
        limit = self._piece_limit(settings.max_new_tokens_per_blank)
        ends = end_token_ids(self.config, settings.eos_token_id)
        changed: dict[str, Any] = {"eos_token_id": ends or -1}
        if not settings.has_total_limit:
            if settings.max_new_tokens_per_blank is None:
                limit = self._default_piece_limit
            pieces = remaining_blanks(input_ids, self.config) + 1  # the running one included
            changed["max_new_tokens"] = int(pieces.max()) * (limit + 1)  # each piece ends with one token more
        model_kwargs = {"piece_limit": limit, "piece_ends": ends, "prompt_embeds": inputs_embeds}
        return Prompt(input_ids, attention_mask, changed, model_kwargs)

    def _prepare_given_positions(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        settings: GenerationSettings,
        inputs_embeds: torch.Tensor | None = None,
        given_mask: torch.Tensor | None = None,
    ) -> Prompt:
        """Prepare prompts of which one piece is decoded at the positions given."""
        _check_given(position_ids, given_mask, input_ids)
        parts = find_parts(input_ids, self.config, attention_mask)
        if (parts.piece[:, -1] == 0).any() or not parts.real[:, -1].all():
            raise ValueError(
                "With position_ids given, every row of input_ids must hold its start of piece and end without padding: "
                "use tokenizer.build_inputs_for_generation, or leave position_ids out."
            )
        batch, length = input_ids.shape
        # Positions may be given for more tokens than the prompt has.
        require_everywhere(
            position_ids[:, 1, length - 1 :] > 0,
            "Row 1 of position_ids says that the last token of row {row} of input_ids, or a later one, is in Part A: expected 1 "
            "or more, the place in the piece that is written there.",
        )
        position_ids = position_ids.long().expand(batch, -1, -1)
        check_lengths(position_ids, self.config, wait=True)
        order = _padding_first(parts)
        input_ids, attention_mask, inputs_embeds = self._reorder(order, input_ids, attention_mask, inputs_embeds)
        # Positions and mask may be given for more tokens than the prompt has.
        columns = torch.arange(position_ids.shape[-1], device=order.device).expand(batch, 1, -1).clone()
        columns[:, 0, :length] = order
        position_ids = position_ids.gather(2, columns.expand_as(position_ids))
        if given_mask is not None:
            given_mask = given_mask.expand(batch, -1, -1, -1)
            columns = torch.arange(given_mask.shape[-1], device=order.device).expand(batch, 1, 1, -1).clone()
            columns[:, 0, 0, :length] = order
            given_mask = given_mask.gather(3, columns.expand_as(given_mask))
            given_mask = given_mask.gather(2, columns.transpose(2, 3).expand_as(given_mask))
        ends = settings.eos_token_id if settings.eos_token_id is not None else end_token_ids(self.config)
        changed: dict[str, Any] = {"eos_token_id": ends}
        limit = settings.max_new_tokens_per_blank
        if limit is not None or not settings.has_total_limit:
            limit = self._piece_limit(limit) if limit is not None else self._default_piece_limit
            if not settings.has_total_limit:
                changed["max_new_tokens"] = limit + 1  # one token more for the end
        model_kwargs = {
            "generation_position_ids": position_ids,
            "generation_attention_mask": given_mask,
            "piece_limit": limit,
            "piece_ends": [token_id for token_id in (ends if isinstance(ends, list) else [ends]) if token_id >= 0],
            "prompt_embeds": inputs_embeds,
        }
        return Prompt(input_ids, attention_mask, changed, model_kwargs)

    def _open_first_piece(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, inputs_embeds: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Check that every row has a blank to fill, and let it end with its running piece. Rows without one get one."""
        parts = find_parts(input_ids, self.config, attention_mask)
        blanks, pieces = parts.blanks.sum(-1), parts.piece[:, -1]
        if (blanks == 0).any():
            masks = {"mask": "[MASK]", "smask": "[sMASK]", "gmask": "[gMASK]"}
            row = int((blanks == 0).nonzero()[0])
            if (is_any_of(input_ids[row], self.config.mask_token_ids) & parts.real[row]).any():
                raise ValueError(
                    f"Row {row} of input_ids has its blanks behind a start of piece (id {self.config.sop_token_id}): pieces "
                    "stand behind all blanks. Take the start of piece out of the text, or put the blanks in front of it."
                )
            known = [mask for name, mask in masks.items() if getattr(self.config, f"{name}_token_id") is not None]
            raise ValueError(
                f"Row {row} of input_ids has no blank to fill: put {' or '.join(known)} (ids "
                f"{self.config.mask_token_ids}) where text is wanted. To continue a text, end it with {known[-1]}. "
                "If the text was cut, cut it with truncation=True of the tokenizer, which keeps the blanks."
            )
        if (pieces > blanks).any():
            row = int((pieces > blanks).nonzero()[0])
            raise ValueError(f"Row {row} of input_ids has {int(blanks[row])} blanks, but {int(pieces[row])} pieces.")

        unopened = pieces == 0
        if unopened.any():
            start = torch.where(unopened, self.config.sop_token_id, self.padding_id)
            input_ids = torch.cat((input_ids, start[:, None]), dim=1)
            if inputs_embeds is not None:
                inputs_embeds = self._append_embeddings(inputs_embeds, start[:, None])
            attention_mask = torch.cat((attention_mask, unopened[:, None].to(attention_mask.dtype)), dim=1)
        order = _padding_first(find_parts(input_ids, self.config, attention_mask))
        return self._reorder(order, input_ids, attention_mask, inputs_embeds)

    def _reorder(
        self,
        order: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        inputs_embeds: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Bring all tokens of every row in an order (batch, seq). Hidden ones become padding, which nothing reads."""
        input_ids = input_ids.masked_fill(attention_mask == 0, self.padding_id)
        if inputs_embeds is not None:
            inputs_embeds = inputs_embeds.gather(1, order[..., None].expand_as(inputs_embeds))
        return input_ids.gather(1, order), attention_mask.gather(1, order), inputs_embeds

    def _append_embeddings(self, inputs_embeds: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        new = self.get_input_embeddings()(input_ids)
        return torch.cat((inputs_embeds, new.to(inputs_embeds.dtype)), dim=1)

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

    @property
    def _default_piece_limit(self) -> int:
        return min(self._piece_limit(None), DEFAULT_MAX_NEW_TOKENS_PER_BLANK)

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
        piece_ends: Sequence[int] = (),
        prompt_embeds: torch.Tensor | None = None,
        prompt_length: int | None = None,  # this and the next are for the processors alone
        score_observers: Sequence[LogitsProcessor] = (),
        **kwargs: Any,
    ) -> dict[str, Any]:
        length = input_ids.shape[1]
        parts = find_parts(input_ids, self.config, attention_mask)
        if generation_position_ids is None:
            position_ids = self._positions_inside_the_table(parts)
            hidden = self._find_hidden(input_ids, parts, position_ids, piece_limit, piece_ends)
        else:
            position_ids = _continue_positions(generation_position_ids, length, self.config.max_piece_length)
            hidden = _behind_the_end(input_ids, parts, piece_ends)
        is_hidden = bool(hidden.any())
        if generation_attention_mask is not None:
            queries = length if next_sequence_length is None else next_sequence_length
            attention_mask = _continue_mask(generation_attention_mask, length)[:, :, -queries:]
            if is_hidden:
                never = torch.finfo(attention_mask.dtype).min if attention_mask.is_floating_point() else 0
                attention_mask = attention_mask.masked_fill(hidden[:, None, None], never)
            if past_key_values is not None:
                keys, _ = past_key_values.get_mask_sizes(queries, 0)
                attention_mask = F.pad(attention_mask, (0, keys - length))
        elif is_hidden:
            attention_mask = parts.real.long().masked_fill(hidden, 0)
        inputs = super().prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **kwargs,
        )
        start = 0 if next_sequence_length is None else length - next_sequence_length
        if prompt_embeds is not None and start < prompt_embeds.shape[1]:
            fed = self._append_embeddings(prompt_embeds, input_ids[:, prompt_embeds.shape[1] :])
            inputs |= {"input_ids": None, "inputs_embeds": fed[:, start:length]}
        if self._soft_prompt.number:
            if generation_attention_mask is not None:
                raise ValueError(
                    "A soft prompt of PEFT and generation_attention_mask do not work together: give input_ids and "
                    "attention_mask alone, and generate finds the blanks."
                )
            if (
                self._soft_prompt.is_encoder_decoder
                and past_key_values is None
                and not kwargs.get("is_first_iteration")
            ):
                raise ValueError(
                    "Without a cache, PEFT gives a prefix for task_type='SEQ_2_SEQ_LM' in the first step only: leave out "
                    "use_cache=False, or train with task_type='CAUSAL_LM'."
                )
            self._make_room_for(self._soft_prompt, inputs, attention_mask)
        return inputs

    def _make_room_for(self, prompt: SoftPrompt, inputs: dict[str, Any], attention_mask: torch.Tensor | None):
        """
        Change prepared inputs for virtual tokens that PEFT puts in front of them.

        Args:
            prompt: The soft prompt.
            inputs: What is fed in this step. `prepared_position_ids` takes the place of `position_ids`, which PEFT would
                change.
            attention_mask: (batch, seq) padding of the whole input.
        """
        row0, row1 = inputs.pop("position_ids").unbind(1)
        row0 = row0 + prompt.number
        cache = inputs.get("past_key_values")
        is_first = cache is None or is_empty(cache)
        if is_first and not prompt.has_keys:
            virtual = torch.arange(prompt.number, device=row0.device).expand(row0.shape[0], -1)
            row0 = torch.cat((virtual, row0), dim=1)
            row1 = F.pad(row1, (prompt.number, 0))
        inputs["prepared_position_ids"] = torch.stack((row0, row1), dim=1)
        # A mask of two dimensions even for a static cache, because PEFT adds its tokens to such masks only.
        if prompt.is_encoder_decoder:
            if attention_mask is not None:
                attention_mask = F.pad(attention_mask, (prompt.number, 0), value=1)
            if is_first:
                inputs["decoder_input_ids"] = inputs["input_ids"]  # PEFT looks there for the size of the batch
        inputs["attention_mask"] = attention_mask

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

    def next_token_logits(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, piece_limit: int | None = None
    ) -> torch.Tensor:
        """
        Compute the logits of the next token of every row, without a cache.

        Args:
            input_ids: (batch, seq) int64, every row ends with its running piece.
            attention_mask: (batch, seq), 0 for padding anywhere.
            piece_limit: The longest piece. What it cuts off is not read.

        Returns:
            (batch, vocabulary).
        """
        parts = find_parts(input_ids, self.config, attention_mask)
        position_ids = self._positions_inside_the_table(parts)
        hidden = self._find_hidden(input_ids, parts, position_ids, piece_limit)
        outputs = self(  # type: ignore[operator]
            input_ids=input_ids,
            attention_mask=attention_mask.masked_fill(hidden, 0),
            position_ids=position_ids,
            use_cache=False,
            logits_to_keep=1,
        )
        return outputs.logits[:, -1]

    def _positions_inside_the_table(self, parts: Parts) -> torch.Tensor:
        """Compute positions (batch, 2, seq). Those of rows that wait with padding for longer ones stop at the table's end."""
        position_ids = positions_of(parts)
        position_ids[:, 1].clamp_(max=self.config.max_piece_length)
        return position_ids

    def _find_hidden(
        self,
        input_ids: torch.Tensor,
        parts: Parts,
        position_ids: torch.Tensor,
        piece_limit: int | None,
        piece_ends: Sequence[int] = (),
    ) -> torch.Tensor:
        """
        Mark the generated tokens that the model never reads: (batch, seq) bool.

        These are the padding behind the end of a row that waits for longer ones, and the last token of every piece that
        was cut off at `piece_limit`. The authors' code moves on to the next blank at once there. So this token is part of
        the answer, but the model never reads it. With `piece_limit` 2 and E the end:

            ids     S  x  y  S  z  E  -  -
            row 1   1  2  3  1  2  3  4  5
            hidden  0  0  1  0  0  0  1  1      y has position 2 + 1, and a start of piece follows
        """
        hidden = _behind_the_end(input_ids, parts, piece_ends)
        if piece_limit is None:
            return hidden
        cut_off = position_ids[:, 1, :-1] == piece_limit + 1
        hidden[:, :-1] |= cut_off & parts.starts[:, 1:]
        return hidden

    def _prepare_position_ids_for_generation(self, *args: Any, **kwargs: Any) -> None:
        # The library extends one-dimensional positions. Ours are computed from the ids at every step.
        return None

    def _prepare_cache_for_generation(
        self,
        generation_config: GenerationConfig,
        model_kwargs: dict,
        generation_mode: Any,
        batch_size: int,
        max_cache_length: int,
    ):
        given = model_kwargs.get("past_key_values")
        max_cache_length += self._soft_prompt.number
        super()._prepare_cache_for_generation(
            generation_config, model_kwargs, generation_mode, batch_size, max_cache_length
        )
        cache = model_kwargs.get("past_key_values")
        # An assistant's cache records its past in layers of its own kind.
        if given is None and cache is not None and not generation_config.is_assistant:
            let_grow(cache)

    def _get_logits_processor(
        self,
        generation_config: GenerationConfig,
        input_ids_seq_length: int | None = None,
        encoder_input_ids: torch.Tensor | None = None,
        *args: Any,
        model_kwargs: dict[str, Any] | None = None,
        negative_prompt_ids: torch.Tensor | None = None,
        negative_prompt_attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> LogitsProcessorList:
        model_kwargs = model_kwargs or {}
        length = input_ids_seq_length or 0
        prompt_length = model_kwargs.get("prompt_length") or length
        attention_mask = model_kwargs.get("attention_mask")
        ends = end_token_ids(self.config, generation_config.eos_token_id)
        settings = copy.copy(generation_config)  # the library's own attributes go with it
        settings.guidance_scale = None
        if settings.min_new_tokens is not None:
            settings.min_length = None  # the library sets both
        if encoder_input_ids is not None:
            copies = max(settings.num_beams or 1, settings.num_return_sequences or 1)
            encoder_input_ids = encoder_input_ids.repeat_interleave(copies, dim=0)
            encoder_input_ids = words_of_text(encoder_input_ids, self.config, ends, attention_mask)
        processors = super()._get_logits_processor(
            settings, prompt_length, encoder_input_ids, *args, model_kwargs=model_kwargs, **kwargs
        )
        given = kwargs.get("logits_processor") or ()
        for processor in processors:
            # In an encoder-decoder model a forced first token comes before the tokens of the beginning too.
            is_own = not any(processor is other for other in given)
            if isinstance(processor, SuppressTokensAtBeginLogitsProcessor) and is_own:
                processor.set_begin_index(prompt_length + int(settings.forced_bos_token_id is not None))

        single_piece = model_kwargs.get("generation_position_ids") is not None
        before = list(model_kwargs.get("score_observers") or ())
        if generation_config.guidance_scale not in (None, 1):
            if single_piece:
                raise NotImplementedError(
                    "guidance_scale does not work with position_ids: leave position_ids out, and generate finds the blanks."
                )
            if model_kwargs.get("prompt_embeds") is not None or self._soft_prompt.number:
                raise NotImplementedError(
                    "guidance_scale does not work with virtual tokens, because it is not known what the model reads without "
                    "them: give input_ids, without a soft prompt."
                )
            before.append(
                GuidanceLogitsProcessor(
                    self,
                    float(generation_config.guidance_scale),
                    attention_mask,
                    model_kwargs.get("piece_limit"),
                    negative_prompt_ids,
                    negative_prompt_attention_mask,
                )
            )
        main = BlankLogitsProcessor(
            self.config,
            ends,
            bool(generation_config.do_sample or generation_config.num_beams > 1),
            processors,
            prompt_length,
            length - prompt_length,
            single_piece,
        )
        if single_piece:  # without processors the scores stay those of the model, up to the end of the table
            given = model_kwargs["generation_position_ids"]
            limit = model_kwargs.get("piece_limit")
            # Row 1 of the positions counts the tokens of the piece, from its start on.
            longest = given.shape[-1] + self._piece_limit(limit) + 1 - given[:, 1, -1]
            is_limited = self.config.block_position_embeddings or limit is not None
            at_the_end = [LastPositionLogitsProcessor(self.config, longest)] if is_limited else []
            return LogitsProcessorList([*before, *([main] if processors else []), *at_the_end])
        # The criteria are made after the processors, from the same config.
        stop_strings: list[StoppingCriteria] = []
        generation_config._stop_strings_of_pieces = stop_strings
        # The limit is last, so that nothing undoes it.
        limit = self._piece_limit(model_kwargs.get("piece_limit"))
        last = [
            StopStringLogitsProcessor(self.config, stop_strings),
            MaxPieceLengthLogitsProcessor(self.config, limit, ends),
        ]
        return LogitsProcessorList([*before, main, *last])

    def _get_stopping_criteria(
        self, generation_config: GenerationConfig, *args: Any, **kwargs: Any
    ) -> StoppingCriteriaList:
        criteria = super()._get_stopping_criteria(generation_config, *args, **kwargs)
        for criterion in criteria:
            if isinstance(criterion, MaxLengthCriteria):
                # It would warn of long outputs. But pieces take the positions of their blanks, so the table limits the text
                # and each piece, and not both together.
                criterion.max_position_embeddings = None
        of_pieces = getattr(generation_config, "_stop_strings_of_pieces", None)
        if of_pieces is None:
            return criteria
        of_pieces += [criterion for criterion in criteria if isinstance(criterion, StopStringCriteria)]
        return StoppingCriteriaList(
            [
                LastPieceCriteria(self.config, criterion) if isinstance(criterion, StopStringCriteria) else criterion
                for criterion in criteria
            ]
        )


def _check_continued(cache: Any, attention_mask: torch.Tensor, prompt: Prompt):
    """
    Raise a `ValueError` for a cache that does not hold the first tokens of the prompt.

    Args:
        cache: What the caller gave as `past_key_values`.
        attention_mask: (batch, seq) of the caller.
        prompt: The prompt, in which padding may have moved to the left.
    """
    if not isinstance(cache, Cache) or is_empty(cache):
        return
    held, length = int(cache.get_seq_length()), prompt.input_ids.shape[1]
    if held >= length:
        raise ValueError(
            f"past_key_values holds {held} tokens, but input_ids has {length}: give the whole rows, with at least one token "
            "that is not held yet."
        )
    if not torch.equal(prompt.attention_mask[:, : attention_mask.shape[1]] != 0, attention_mask != 0):
        raise ValueError(
            "past_key_values holds tokens, but the rows of attention_mask have padding behind the start of a piece, or some rows "
            "have no start of piece yet: give the rows that generate returned, and their mask."
        )


def _check_given(position_ids: Any, mask: Any, input_ids: torch.Tensor):
    """Raise a `ValueError` for positions and a mask of four dimensions that do not cover a prompt (batch, seq)."""
    batch, length = input_ids.shape
    require_values(input_ids, position_ids=position_ids, generation_attention_mask=mask)
    is_tensor = isinstance(position_ids, torch.Tensor) and position_ids.ndim == 3
    check_positions(position_ids, batch, max(length, position_ids.shape[-1]) if is_tensor else length)
    if mask is None:
        return
    is_fit = isinstance(mask, torch.Tensor) and mask.layout == torch.strided and not mask.is_complex()
    if is_fit and mask.ndim == 4:
        is_fit = mask.shape[0] in (1, batch) and mask.shape[1] == 1 and length <= mask.shape[2] == mask.shape[3]
    if not is_fit or mask.ndim != 4:
        raise ValueError(
            f"generation_attention_mask {describe(mask)}: expected bool or int64 (batch, 1, seq, seq) = ({batch}, 1, {length}, "
            f"{length}) or more columns, nonzero = may attend."
        )


def _padding_first(parts: Parts) -> torch.Tensor:
    """
    Order tokens so that new ones can follow the last real one directly: (batch, seq) indices.

    Padding behind the first start of a piece moves to the left. That of Part A stays where it is.

        ids     a - M - S x - y -   -> order    6 8 0 1 2 3 4 5 7
    """
    return (parts.real | (parts.piece == 0)).int().argsort(dim=-1, stable=True)


def _behind_the_end(input_ids: torch.Tensor, parts: Parts, piece_ends: Sequence[int]) -> torch.Tensor:
    """Mark what follows the first end in the running piece of every row: (batch, seq) bool."""
    ends = find_ends(input_ids, parts, piece_ends)
    return ends.cumsum(-1) > ends


def _continue_positions(position_ids: torch.Tensor, length: int, last_of_table: int) -> torch.Tensor:
    """
    Cut positions (batch, 2, given) to `length` tokens, or continue them within the last piece.

        row 0   0 1 2 1 1 -> 0 1 2 1 1 1 1
        row 1   0 0 0 1 2 -> 0 0 0 1 2 3 4

    What continues row 1 stops at `last_of_table`: rows that have ended are fed padding until the last row ends.
    """
    if (missing := length - position_ids.shape[-1]) > 0:
        row0, row1 = position_ids[..., -1:].unbind(1)
        step = torch.arange(1, missing + 1, device=position_ids.device)
        added = torch.stack((row0.expand(-1, missing), (row1 + step).clamp(max=last_of_table)), dim=1)
        position_ids = torch.cat((position_ids, added), dim=-1)
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
