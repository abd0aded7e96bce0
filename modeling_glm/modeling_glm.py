"""GLM: one Transformer that reads a text with blanks in both directions and fills them token by token."""

import math
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention_glm import GLMDropout, eager_attention_forward, is_recomputed, recomputed_attention_forward
from .choices_glm import choice_loss, class_scores, flatten_choices
from .configuration_glm import GLMConfig
from .generation_glm import GLMGenerationMixin
from .layout_glm import (
    check_ids,
    check_lengths,
    compute_position_ids,
    create_glm_mask,
    find_blanks,
    is_readable,
    piece_numbers,
    real_tokens,
)
from .mlp_glm import project_activated

# The mark of projections that `residual_projection` makes.
RESIDUAL = "_glm_residual"


def residual_projection(in_features: int, out_features: int) -> nn.Linear:
    """
    A projection back into the residual stream, which starts smaller the more of them there are. It is marked, not of a
    class of its own, so that what looks for plain linear layers (quantization is one) finds it.
    """
    projection = nn.Linear(in_features, out_features)
    setattr(projection, RESIDUAL, True)
    return projection


class GLMAttention(nn.Module):
    """Multi-head self-attention with a fused projection: all queries, then all keys, then all values."""

    def __init__(self, config: GLMConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.attention_dropout = config.attention_dropout
        self.is_causal = False  # the mask is always given, or not needed
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = residual_projection(config.hidden_size, config.hidden_size)
        self.output_dropout = GLMDropout(config.hidden_dropout)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        input_shape = hidden_states.shape[:-1]
        # (batch, seq, 3 * hidden) -> three of (batch, heads, seq, head_dim)
        query, key, value = (
            states.view(*input_shape, -1, self.head_dim).transpose(1, 2)
            for states in self.query_key_value(hidden_states).chunk(3, dim=-1)
        )
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)

        attention: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        dropout = self.attention_dropout if self.training else 0.0
        if self.config._attn_implementation == "sdpa" and is_recomputed(query, dropout):
            attention = recomputed_attention_forward
        attended, weights = attention(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=dropout,
            scaling=self.scaling,
            **kwargs,
        )
        return self.output_dropout(self.dense(attended.reshape(*input_shape, -1))), weights


class GLMMLP(nn.Module):
    def __init__(self, config: GLMConfig):
        super().__init__()
        assert config.intermediate_size is not None  # the config fills it in
        self.dense_h_to_4h = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.dense_4h_to_h = residual_projection(config.intermediate_size, config.hidden_size)
        self.output_dropout = GLMDropout(config.hidden_dropout)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = self.dense_h_to_4h(hidden_states)
        return self.output_dropout(project_activated(self.dense_4h_to_h, self.activation, hidden_states))


class GLMBlock(GradientCheckpointingLayer):
    def __init__(self, config: GLMConfig, layer_idx: int):
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = GLMAttention(config, layer_idx)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = GLMMLP(config)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        attended, _ = self.attention(
            self.input_layernorm(hidden_states),
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))


class GLMStack(nn.Module):
    """Everything between the word embeddings and the final hidden states: the originals' `transformer`."""

    def __init__(self, config: GLMConfig):
        super().__init__()
        rows = config.max_context_length
        self.position_embeddings = nn.Embedding(rows, config.hidden_size)
        self.block_position_embeddings = (
            nn.Embedding(rows, config.hidden_size) if config.block_position_embeddings else None
        )
        self.embedding_dropout = GLMDropout(config.embedding_dropout)
        self.layers = nn.ModuleList(GLMBlock(config, layer_idx) for layer_idx in range(config.num_hidden_layers))
        self.final_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        inputs_embeds: torch.Tensor,
        position_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        hidden_states = inputs_embeds + self.position_embeddings(position_ids[:, 0])
        if self.block_position_embeddings is not None:
            hidden_states = hidden_states + self.block_position_embeddings(position_ids[:, 1])
        hidden_states = self.embedding_dropout(hidden_states)
        for layer in self.layers:
            hidden_states = layer(
                hidden_states, attention_mask=attention_mask, past_key_values=past_key_values, **kwargs
            )
        return self.final_layernorm(hidden_states)


class GLMPreTrainedModel(PreTrainedModel):
    """Weights, loading and saving of all GLM models; parameter names are those of the published checkpoints."""

    config: GLMConfig
    config_class = GLMConfig
    base_model_prefix = "glm"
    supports_gradient_checkpointing = True
    _no_split_modules = ["GLMBlock"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_flash_attn = False  # its kernels cannot express a prefix that is seen in both directions
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": GLMBlock, "attentions": GLMAttention}
    _input_embed_layer = "word_embeddings"
    # Heads that some of the originals' checkpoints carry along, and that this class has not.
    _keys_to_ignore_on_load_unexpected = [r"^(glm\.)?prompt_spell\.", r"^dense\.", r"^out_proj\."]

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any):
        """
        As the library's, and the folder loads with `trust_remote_code=True` where this package is not installed: it
        holds the code, and its config.json names the class behind every Auto class.
        """
        self.config.auto_map = dict(AUTO_MAP)
        return super().save_pretrained(save_directory, *args, **kwargs)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        std = self.config.initializer_range
        if isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, mean=0.0, std=std)
        elif isinstance(module, nn.Linear):
            if hasattr(module, RESIDUAL):
                std /= math.sqrt(2 * self.config.num_hidden_layers)
            init.normal_(module.weight, mean=0.0, std=std)
            if module.bias is not None:
                init.zeros_(module.bias)

    def _predict(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(..., hidden) to (..., vocab_size), in the models that have a projection to the vocabulary."""
        logits = self.lm_head(hidden_states)
        if logits.shape[-1] != self.config.vocab_size:
            raise RuntimeError(
                f"The projection to the vocabulary gave {logits.shape[-1]} of {self.config.vocab_size} logits. Under tensor "
                "parallelism some versions of Transformers (5.10 is one) do not gather those of tied weights: update "
                "Transformers (it works with 5.23), or load the model without tp_plan."
            )
        return logits


class GLMModel(GLMPreTrainedModel):
    """
    The bare GLM: hidden states of a text with blanks and of the pieces that fill them.

    Example:

    ```python
    >>> outputs = model(**tokenizer("The [MASK] runs.", return_tensors="pt"))
    >>> outputs.last_hidden_state.shape  # (batch, seq, hidden)
    ```
    """

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.transformer = GLMStack(config)
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPast:
        """
        Args:
            input_ids: (batch, seq) int64. Part A, and behind it the pieces of Part B, each opened by the start of
                piece. Padding may stand anywhere, if `attention_mask` tells it.
            attention_mask: (batch, seq), 0 for padding; or a 4D mask (bool or 0/1, nonzero = may attend) that is used
                as given.
            position_ids: (batch, 2, seq) int64 in place of those computed from the ids (paper section 2.1.2). A row may
                then hold several texts one behind the other: each that starts anew in Part A is kept apart. Of shape
                (batch, seq) for models without block positions.
            past_key_values: Keys and values of the tokens before; the tokens given continue Part B.
            inputs_embeds: (batch, seq, hidden) in place of `input_ids`. Without ids to read, all is taken for Part A
                unless `position_ids` are given.
            use_cache: Whether to return `past_key_values`.

        Returns:
            `last_hidden_state` (batch, seq, hidden) behind the final layer norm, and the cache.

        Raises:
            ValueError: for ids outside the vocabulary, inputs longer than the position table, positions of another
                shape, or a cache without the positions that continue it. Values are checked on the CPU only, as a
                check elsewhere would wait for the device.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give either input_ids or inputs_embeds.")
        if input_ids is not None:
            check_ids(input_ids, self.config)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)

        packed = position_ids is not None
        if position_ids is None:
            position_ids = self._compute_position_ids(input_ids, inputs_embeds, attention_mask, past_key_values)
        else:
            position_ids = self._check_position_ids(position_ids, input_ids, inputs_embeds)
        check_lengths(position_ids, self.config)
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)

        mask = create_glm_mask(
            self.config,
            inputs_embeds,
            attention_mask,
            position_ids,
            past_key_values,
            packed=packed,
            branch=kwargs.pop("branch", None),
        )
        hidden_states = self.transformer(
            inputs_embeds, position_ids, attention_mask=mask, past_key_values=past_key_values, **kwargs
        )
        return BaseModelOutputWithPast(last_hidden_state=hidden_states, past_key_values=past_key_values)

    def _compute_position_ids(self, input_ids, inputs_embeds, attention_mask, past_key_values) -> torch.Tensor:
        if past_key_values is not None and past_key_values.get_seq_length() > 0:
            raise ValueError(
                f"past_key_values holds {int(past_key_values.get_seq_length())} tokens, whose blanks the new tokens "
                "cannot know: give position_ids of shape (batch, 2, seq) for the new tokens."
            )
        padding = attention_mask if attention_mask is not None and attention_mask.ndim == 2 else None
        if input_ids is None:
            batch_size, length = inputs_embeds.shape[:2]
            input_ids = torch.full((batch_size, length), -1, dtype=torch.long, device=inputs_embeds.device)
        return compute_position_ids(input_ids, self.config, padding)

    def _check_position_ids(self, position_ids, input_ids, inputs_embeds) -> torch.Tensor:
        batch_size, length = (input_ids if input_ids is not None else inputs_embeds).shape[:2]
        if position_ids.ndim == 2 and not self.config.block_position_embeddings:
            # Without block positions there is but one row; what is Part B shows in the ids.
            part_b = torch.zeros_like(position_ids) if input_ids is None else piece_numbers(input_ids, self.config)
            position_ids = torch.stack((position_ids, part_b.expand_as(position_ids)), dim=1)
        if position_ids.ndim != 3 or position_ids.shape[1] != 2 or position_ids.shape[2] != length:
            raise ValueError(
                f"position_ids has shape {tuple(position_ids.shape)}: expected (batch, 2, seq) = "
                f"({batch_size}, 2, {length}), row 0 for the place in the text, row 1 for the place in the piece."
            )
        return position_ids.expand(batch_size, -1, -1)


class GLMForConditionalGeneration(GLMPreTrainedModel, GLMGenerationMixin):
    """
    GLM with its language-modelling head: fills blanks of any length, one token at a time (paper section 2.1).

    Example:

    ```python
    >>> inputs = tokenizer("Paris is the [MASK] of France.", return_tensors="pt")
    >>> tokenizer.decode_blanks(model.generate(**inputs))
    [['capital']]
    ```
    """

    _tied_weights_keys = {"lm_head.weight": "glm.word_embeddings.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.glm = GLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        # By its class name the library would take the loss that shifts the labels; here they are aligned.
        self.loss_type = "ForMaskedLM"
        self.generation_config = self.default_generation_config()
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> CausalLMOutputWithPast:
        """
        Args:
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache: See
                [`GLMModel.forward`].
            labels: (batch, seq) int64, aligned with the inputs: the label of a token is what must follow it, -100 where
                nothing is to be learned. Nothing is shifted.
            logits_to_keep: An int keeps the logits of the last positions, 0 of all; a tensor picks positions. By
                default all, but in training with labels none: then only labelled positions go through the projection
                to the vocabulary, which neither changes the loss nor its gradients.

        Returns:
            `loss`, the mean cross entropy over the labelled tokens in fp32 (or their sum over `num_items_in_batch`),
            `logits` (batch, kept, vocabulary) and `past_key_values`.
        """
        if (aligned := kwargs.pop("shift_labels", None)) is not None:
            labels = aligned  # the library's name for labels that are aligned already, as ours always are
        if labels is not None and use_cache is None:
            use_cache = False
        outputs = self.glm(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        hidden_states = outputs.last_hidden_state

        loss = logits = None
        # How many tokens have labels is data; a compiled graph needs fixed shapes and projects them all.
        sparse = labels is not None and self.training and logits_to_keep is None and not torch.compiler.is_compiling()
        if sparse:
            labelled = labels != -100
            loss = self._loss(self._predict(hidden_states[labelled]), labels[labelled], **kwargs)
        elif labels is not None:
            logits = self._predict(hidden_states)
            loss = self._loss(logits, labels, **kwargs)
            logits = _keep(logits, logits_to_keep)
        else:
            logits = self._predict(_keep(hidden_states, logits_to_keep))

        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor, **kwargs) -> torch.Tensor:
        return self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)


class GLMForMultipleChoice(GLMPreTrainedModel):
    """
    Scores choices for a blank by their log-probability (cloze, paper section 2.3). The context is encoded once, and
    the choices are parallel branches behind it that do not see each other.

    Example:

    ```python
    >>> inputs = tokenizer(["Ice is [MASK]."], return_tensors="pt")
    >>> inputs = tokenizer.build_inputs_for_multiple_choice(inputs, [["cold", "hot", "very loud"]])
    >>> model(**inputs).logits.softmax(-1)  # (batch, choices)
    ```
    """

    _tied_weights_keys = {"lm_head.weight": "glm.word_embeddings.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    accepts_loss_kwargs = False  # the loss is a mean over examples, not over tokens

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.glm = GLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        choice_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MultipleChoiceModelOutput:
        """
        Args:
            input_ids: (batch, seq) int64 contexts with a blank; pieces that fill earlier blanks may follow, and the
                choices are for the next blank then. (batch, patterns, seq) asks every question in several ways, whose
                log-probabilities are averaged. Or (batch, choices, seq) without `choice_ids`, the layout of the library's
                multiple-choice collators: every row holds a context and, behind a start of piece, its choice.
            attention_mask: Of the shape of `input_ids`, 0 for padding; a row of zeros is an absent choice.
            position_ids: (batch, 2, seq), or (batch, patterns, 2, seq), for the context, in place of those computed from
                the ids.
            choice_ids: (batch, choices, length) int64, -100 behind the end of a choice and for absent choices. One
                dimension more, (batch, labels, words, length), gives several words for every label, which is as likely
                as they are together. With several patterns there is a dimension for them behind the first.
            labels: (batch,) int64, the number of the right choice or label.

        Returns:
            `logits` (batch, choices or labels) fp32, the summed log-probability of every choice (by the config's
            `choice_length_penalty` divided by a power of its length), -inf for an absent one; `loss`, which the config
            chooses: see `choice_loss` and `choice_fill_weight` of [`GLMConfig`].

        Raises:
            ValueError: for shapes that do not fit together, a row without any choice, a label that points to an absent
                choice, a context without a blank, choices longer than the position table, or ids of which the config
                knows nothing.
        """
        self.config.require_token_ids("sop_token_id", purpose="Scoring choices")
        if input_ids.ndim == 3 and (choice_ids is None or choice_ids.ndim == 3):
            counts, scores, outputs = self._score_rows(input_ids, attention_mask, position_ids, choice_ids, **kwargs)
        else:
            counts, scores, outputs = self._score_branches(
                input_ids, attention_mask, position_ids, choice_ids, **kwargs
            )
        logits = class_scores(counts, scores, self.config.choice_length_penalty)

        loss = None
        if labels is not None:
            known = (labels >= 0) & (labels < logits.shape[1])
            present = known.view(-1, 1) & (
                logits.gather(1, labels.clamp(0, logits.shape[1] - 1).view(-1, 1)) > -math.inf
            )
            _require(present, f"labels={labels.tolist()} names an absent choice." if is_readable(labels) else "")
            plain = logits if self.config.choice_length_penalty == 0 else class_scores(counts, scores, 0.0)
            loss = choice_loss(logits, plain, labels, self.config)
        return MultipleChoiceModelOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def _score_branches(self, input_ids, attention_mask, position_ids, choice_ids, **kwargs):
        """Token counts and log-probabilities of words, both (batch, patterns, classes, words)."""
        input_ids, attention_mask, position_ids, choice_ids, shape = flatten_choices(
            input_ids, attention_mask, position_ids, choice_ids
        )
        num_rows, num_choices, length = choice_ids.shape
        present = choice_ids != -100
        _require(present.flatten(1).any(-1), "choice_ids has a row without a single choice.")
        context_positions = (
            compute_position_ids(input_ids, self.config, attention_mask) if position_ids is None else position_ids
        )

        # A choice c1 ... cn is fed as <sop> c1 ... c(n-1) and must predict c1 ... cn. The start of piece is the same for
        # all of them, so it stands once behind the context, in branch 0, which every branch sees:
        #     [context] <sop> | c1 ... c(n-1) of choice 1 | c1 ... c(n-1) of choice 2 | ...
        start = choice_ids.new_full((num_rows, 1), self.config.sop_token_id)
        fed = torch.cat((start, choice_ids[..., :-1].clamp(min=0).flatten(1)), dim=1)
        row0 = self._next_blank(input_ids, context_positions).expand_as(fed)
        within = torch.arange(2, length + 1, device=fed.device).repeat(num_choices)
        row1 = torch.cat((start.new_ones(1), within)).expand_as(fed)
        number = torch.arange(1, num_choices + 1, device=fed.device).repeat_interleave(length - 1)
        branch = torch.cat((start.new_zeros(1), number)).expand_as(fed)
        real = torch.cat((torch.ones_like(start, dtype=torch.bool), present[..., 1:].flatten(1)), dim=1)

        outputs = self.glm(
            torch.cat((input_ids, fed), dim=1),
            attention_mask=torch.cat((real_tokens(input_ids, attention_mask), real), dim=1),
            position_ids=torch.cat((context_positions, torch.stack((row0, row1), dim=1)), dim=2),
            branch=torch.cat((torch.zeros_like(input_ids), branch), dim=1),
            use_cache=False,
            **kwargs,
        )
        hidden_states = outputs.last_hidden_state[:, input_ids.shape[1] :]
        # One distribution gives the first token of every choice, and all that choices of one token need.
        later = choice_ids[..., 1:].flatten(1)
        first, later = self._predict_together(hidden_states[:, 0], hidden_states[:, 1:], later)
        scores = first.gather(1, choice_ids[..., 0].clamp(min=0)).masked_fill(~present[..., 0], 0.0)
        scores = scores + later.view(num_rows, num_choices, length - 1).sum(-1)
        return present.sum(-1).view(shape), scores.view(shape), outputs

    def _score_rows(self, input_ids, attention_mask, position_ids, choice_ids, **kwargs):
        if choice_ids is not None:
            raise ValueError("input_ids of shape (batch, choices, seq) holds the choices itself: give no choice_ids.")
        batch_size, num_choices = input_ids.shape[:2]
        rows = input_ids.flatten(0, 1)
        real = real_tokens(rows, None if attention_mask is None else attention_mask.flatten(0, 1))
        absent = ~real.any(-1)
        outputs = self.glm(
            rows,
            attention_mask=real | absent[:, None],  # a query must see something
            position_ids=None if position_ids is None else position_ids.flatten(0, 1),
            use_cache=False,
            **kwargs,
        )
        # The next real token is the target: of a start of piece the first of the choice, of the last token none.
        piece = piece_numbers(rows, self.config, real)
        following = (piece[:, 1:] == piece[:, :-1]) & (piece[:, 1:] > 0) & real[:, 1:] & real[:, :-1]
        targets = torch.where(following, rows[:, 1:], -100)
        _require(
            following.any(-1) | absent,
            f"a row of input_ids (batch, choices, seq) holds no choice: each must be a context, the start of piece "
            f"(id {self.config.sop_token_id}) and the tokens of the choice. Or give the contexts as (batch, seq) and "
            "choice_ids.",
        )
        scores = self._token_scores(outputs.last_hidden_state[:, :-1], targets).sum(-1)
        shape = (batch_size, 1, num_choices, 1)
        return (targets != -100).sum(-1).view(shape), scores.view(shape), outputs

    def _next_blank(self, input_ids: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        """Position of the first blank that no piece fills yet: (batch, 1)."""
        blanks = find_blanks(input_ids, self.config)
        filled = piece_numbers(input_ids, self.config)[:, -1:]
        is_next = blanks & (blanks.cumsum(-1) == filled + 1)
        _require(
            is_next.any(-1),
            "a context has no blank left to score choices for: put one of the mask tokens "
            f"(ids {self.config.mask_token_ids}) into every text.",
        )
        return position_ids[:, 0].gather(1, is_next.int().argmax(-1, keepdim=True))

    def _predict_together(
        self, first: torch.Tensor, hidden_states: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        The log-probabilities of all words behind `first`, (rows, vocabulary), and those of the targets, 0 where they are
        -100, (rows, seq). The projection is read once for both: for few tokens that is what it costs.
        """
        if torch.compiler.is_compiling():
            return self._predict(first).float().log_softmax(-1), self._token_scores(hidden_states, targets)
        wanted = targets != -100
        logits = self._predict(torch.cat((first, hidden_states[wanted]))).float()
        scores = -nn.functional.cross_entropy(logits[len(first) :], targets[wanted], reduction="none")
        return logits[: len(first)].log_softmax(-1), scores.new_zeros(targets.shape).masked_scatter(wanted, scores)

    def _token_scores(self, hidden_states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Log-probability in fp32 of every target, 0 where it is -100: (batch, seq)."""
        if torch.compiler.is_compiling():
            logits = self._predict(hidden_states).float()
            return -nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-100, reduction="none")
        wanted = targets != -100
        logits = self._predict(hidden_states[wanted]).float()
        scores = -nn.functional.cross_entropy(logits, targets[wanted], reduction="none")
        return scores.new_zeros(targets.shape).masked_scatter(wanted, scores)


class GLMForSequenceClassification(GLMPreTrainedModel):
    """GLM with a classification head on the first token (`[CLS]`) of a text or a pair of texts."""

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.glm = GLMModel(config)
        self.dropout = nn.Dropout(_classifier_dropout(config))
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutput:
        """
        Args:
            input_ids, attention_mask, position_ids, inputs_embeds: See [`GLMModel.forward`].
            labels: (batch,) int64 classes, (batch,) float targets of a regression, or (batch, labels) float for several
                labels at once, as `config.problem_type` says.

        Returns:
            `logits` (batch, labels), and `loss` where there are labels.
        """
        kwargs["use_cache"] = False
        outputs = self.glm(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        hidden_states = outputs.last_hidden_state
        first = torch.zeros(hidden_states.shape[0], dtype=torch.long, device=hidden_states.device)
        if attention_mask is not None and attention_mask.ndim == 2:
            first = (attention_mask != 0).int().argmax(-1)  # behind padding on the left
        pooled = hidden_states[torch.arange(hidden_states.shape[0], device=hidden_states.device), first]
        logits = self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(pooled)))))

        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class GLMForTokenClassification(GLMPreTrainedModel):
    """GLM with a classification head on every token."""

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.glm = GLMModel(config)
        self.dropout = nn.Dropout(_classifier_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> TokenClassifierOutput:
        """
        Args:
            input_ids, attention_mask, position_ids, inputs_embeds: See [`GLMModel.forward`].
            labels: (batch, seq) int64 classes, -100 where there is none.

        Returns:
            `logits` (batch, seq, labels), and `loss` where there are labels.
        """
        kwargs["use_cache"] = False
        outputs = self.glm(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = self.loss_function(logits, labels, self.config, **kwargs) if labels is not None else None
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class GLMForQuestionAnswering(GLMPreTrainedModel):
    """GLM with a head that finds the span of the answer in the text."""

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.glm = GLMModel(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        start_positions: torch.Tensor | None = None,
        end_positions: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> QuestionAnsweringModelOutput:
        """
        Args:
            input_ids, attention_mask, position_ids, inputs_embeds: See [`GLMModel.forward`].
            start_positions, end_positions: (batch,) int64 index of the first and the last token of the answer.

        Returns:
            `start_logits` and `end_logits` (batch, seq), and `loss` where the answer is given.
        """
        kwargs["use_cache"] = False
        outputs = self.glm(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        start_logits, end_logits = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = self.loss_function(start_logits, end_logits, start_positions, end_positions, **kwargs)
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start_logits,
            end_logits=end_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def _classifier_dropout(config: GLMConfig) -> float:
    return config.hidden_dropout if config.classifier_dropout is None else config.classifier_dropout


def _keep(states: torch.Tensor, logits_to_keep: int | torch.Tensor | None) -> torch.Tensor:
    """The last positions of (batch, seq, width), all for 0 or None, or those that a 1D tensor names."""
    if logits_to_keep is None:
        return states
    return states[:, slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep]


def _require(condition: torch.Tensor, message: str):
    """Raises a ValueError unless `condition` holds everywhere, where it can be read without waiting for a device."""
    if is_readable(condition) and not condition.all():
        raise ValueError(message)


# The class behind every Auto class, named in the config.json of each saved model.
AUTO_CLASSES = {
    "AutoModel": GLMModel,
    "AutoModelForSeq2SeqLM": GLMForConditionalGeneration,
    "AutoModelForCausalLM": GLMForConditionalGeneration,
    "AutoModelForMultipleChoice": GLMForMultipleChoice,
    "AutoModelForSequenceClassification": GLMForSequenceClassification,
    "AutoModelForTokenClassification": GLMForTokenClassification,
    "AutoModelForQuestionAnswering": GLMForQuestionAnswering,
}
AUTO_MAP = {
    "AutoConfig": "configuration_glm.GLMConfig",
    **{name: f"modeling_glm.{model_class.__name__}" for name, model_class in AUTO_CLASSES.items()},
}


__all__ = [
    "GLMForConditionalGeneration",
    "GLMForMultipleChoice",
    "GLMForQuestionAnswering",
    "GLMForSequenceClassification",
    "GLMForTokenClassification",
    "GLMModel",
    "GLMPreTrainedModel",
]
