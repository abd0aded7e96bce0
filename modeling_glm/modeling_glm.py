"""GLM: one Transformer that reads a text with blanks in both directions and fills them token by token."""

import math
import os
import re
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

import torch
from huggingface_hub import CommitInfo
from torch import nn
from transformers import DynamicCache, PreTrainedModel
from transformers import initialization as init
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
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, find_adapter_config_file
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention_glm import GLMAttention
from .choices_glm import (
    ChoiceInputs,
    WordScores,
    choice_loss,
    class_scores,
    finite_scores,
    lay_out_branches,
    lay_out_rows,
    read_choices,
    score_first_and_later,
    score_tokens,
)
from .configuration_glm import HUB_OPTIONS, GLMConfig, read_json
from .embeddings_glm import (
    align_labels,
    begins_text,
    find_special_ids,
    find_virtual_keys,
    mark_as_text,
    require_known_tokens,
    self_attention_cache,
)
from .generation_glm import GLMGenerationMixin
from .inputs_glm import (
    check_attention_mask,
    check_branch,
    check_cache,
    check_ids,
    check_lengths,
    check_logits_to_keep,
    require_embeddings,
    require_ids,
    require_integers,
    require_values,
)
from .labels_glm import (
    READ_AS_CAUSAL,
    can_read_labels,
    check_answer_positions,
    check_choice_labels,
    check_piece_labels,
    check_text_labels,
    check_token_labels,
    find_text_alone,
)
from .layout_glm import complete_position_ids, create_glm_mask, own_padding_mask, real_tokens
from .mlp_glm import EXCHANGEABLE_FUNCTIONS, GLMMLP, RESIDUAL, GLMDropout

FILL_MASK_REFUSED = (
    'pipeline("fill-mask") reads a single token at the mask itself, but GLM writes an answer of any length behind the text: '
    'use pipeline("blank-infilling"), or fill_blanks.'
)

# The two layers of the classification head have other names in the hub's code and in our first version (`dense`,
# `out_proj`), and in the authors' training code. They are read under all of these names.
CLASSIFIER_NAMES = {
    "dense.": "classifier.dense.",
    "out_proj.": "classifier.out_proj.",
    "pool_layer.": "classifier.dense.",
    "multichoice_head.": "classifier.out_proj.",
}

# What encoder-decoder models take beside the inputs of their encoder.
DECODER_INPUTS = ("decoder_input_ids", "decoder_inputs_embeds", "decoder_attention_mask", "encoder_outputs")


class GLMBlock(GradientCheckpointingLayer):
    """One layer: attention and MLP, each behind a layer norm and added to the residual stream."""

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
    """The position embeddings, the layers and the final layer norm: the originals' `transformer`."""

    def __init__(self, config: GLMConfig):
        super().__init__()
        self.config = config
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
        # The library lowers the number in the config to draft tokens with the first layers.
        for layer in self.layers[: self.config.num_hidden_layers]:
            hidden_states = layer(
                hidden_states, attention_mask=attention_mask, past_key_values=past_key_values, **kwargs
            )
        return self.final_layernorm(hidden_states)


class GLMPreTrainedModel(PreTrainedModel):
    """Base of all GLM models: initial weights, loading and saving. Parameters have the names of the published checkpoints."""

    config: GLMConfig
    config_class = GLMConfig
    base_model_prefix = "glm"
    supports_gradient_checkpointing = True
    _no_split_modules = ["GLMBlock"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_flash_attn = False  # its kernels cannot express a prefix that is read in both directions
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": GLMBlock, "attentions": GLMAttention}
    _input_embed_layer = "word_embeddings"
    # Heads that some of the originals' checkpoints hold, and that the loaded class may not have.
    _keys_to_ignore_on_load_unexpected = [r"^(glm\.)?prompt_spell\.", r"^dense\.", r"^out_proj\."]
    # The folder or repository of the adapter that `load_adapter` loaded last.
    adapter_source: str | None = None
    # Beginnings of tensors' names that are read, by those of this class.
    _other_names: ClassVar[dict[str, str]] = {}

    # The installed package sets this to its module `modeling_glm.hub.push`, which writes a model card with every push.
    # Code that was loaded from the hub has no publisher and pushes as Transformers does.
    publisher: ClassVar[ModuleType | None] = None

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        is_main_process: bool = True,
        state_dict: dict[str, torch.Tensor] | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """
        Save the model to a folder that also loads with `trust_remote_code=True`, without this package.

        The folder holds the code, and its config.json names the class behind every Auto class.

        Args:
            save_directory: Folder for the files. A missing one is created.
            is_main_process, state_dict: As in `PreTrainedModel.save_pretrained`.
            push_to_hub: Whether to push the saved files to the hub as well, as `push_to_hub` does.
            kwargs: Further arguments of `PreTrainedModel.save_pretrained`. With `push_to_hub=True` also those of
                `push_to_hub`; `repo_id` is the name of the folder by default.
        """
        self.config.auto_map = dict(AUTO_MAP)
        kwargs |= {"is_main_process": is_main_process, "state_dict": state_dict}
        # Transformers assembles distributed checkpoints while it pushes them.
        if push_to_hub and self.publisher is not None and not kwargs.get("distributed_checkpoint"):
            return self.publisher.save_and_push_model(self, save_directory, **kwargs)
        return super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> CommitInfo:
        """
        Upload the model and its code in one commit, with a model card if modeling-glm is installed.

        Args:
            repo_id: Name of the repository: "name" or "organization/name". A missing one is created.
            kwargs: The arguments of `PreTrainedModel.push_to_hub` (`commit_message`, `private`, `token`, `revision`,
                `create_pr`, `max_shard_size`, `tags`, ...). If modeling-glm is installed, also `tokenizer` and the details of
                the card (`license`, `language`, `datasets`, ...): see `modeling_glm.hub.push.push_model`.

        Returns:
            The answer of the hub about the commit.
        """
        if self.publisher is not None:
            return self.publisher.push_model(self, repo_id, **kwargs)
        return super().push_to_hub(repo_id, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike | None, *args: Any, **kwargs: Any):
        """
        Load a model as `PreTrainedModel.from_pretrained` does. Heads are read under the names of the originals, too.

        Args:
            pretrained_model_name_or_path, args, kwargs: As in `PreTrainedModel.from_pretrained`.

        Raises:
            ValueError: for weights that lack tensors of the base model, which the library would draw at random. New
                heads are allowed.
        """
        key_mapping = {f"^{re.escape(theirs)}": ours for theirs, ours in cls._other_names.items()}
        kwargs["key_mapping"] = {**(kwargs.get("key_mapping") or {}), **key_mapping}
        wants_info = kwargs.pop("output_loading_info", False)
        loaded: Any = super().from_pretrained(pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs)
        model, info = loaded
        model._require_base(info["missing_keys"], pretrained_model_name_or_path)
        return (model, info) if wants_info else model

    def load_adapter(
        self, peft_model_id: str | None = None, adapter_name: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """
        Load a PEFT adapter as `PreTrainedModel.load_adapter` does, and keep its name as `adapter_source`.

        Pipelines of Transformers read the tokenizer of the base model: with the name they find the one beside the adapter.
        Where the adapter trained tokens that the base model lacks, such as those of a prompt, the vocabulary grows.

        Raises:
            ValueError: for tensors of the adapter that got no values, which the library would draw at random.
        """
        if peft_model_id is not None and kwargs.get("peft_config") is None:
            self._add_rows_for(peft_model_id, kwargs.get("adapter_kwargs") or {})
        loaded = super().load_adapter(peft_model_id, adapter_name, *args, **kwargs)
        # The library also lists the tensors of other adapters, and a tied tensor under its second name, which
        # `named_parameters` leaves out.
        own = {name for name in loaded.missing_keys if (adapter_name or "default") in name.split(".")}
        if lacking := [name for name, _ in self.named_parameters() if name in own]:
            raise ValueError(
                f"{len(lacking)} tensors of the adapter {peft_model_id or ''} got no values, such as {lacking[0]}. "
                "Its file lacks them, or this version of Transformers cannot read them (version 5.10 reads no trained "
                "tokens beside LoRA). Update Transformers, or load the base model, then PeftModel.from_pretrained(model, "
                "adapter)."
            )
        self.adapter_source = peft_model_id
        return loaded

    def _add_rows_for(self, adapter: str, options: dict[str, Any]) -> None:
        """Add embeddings for the tokens that an adapter trained. It has their values."""
        path = find_adapter_config_file(adapter, **{name: options[name] for name in HUB_OPTIONS if name in options})
        config = read_json(path) if path else {}
        indices = config.get("trainable_token_indices") or config.get("token_indices") or ()
        lists = indices.values() if isinstance(indices, dict) else (indices,)
        rows = 1 + max((index for each in lists for index in each), default=-1)
        if rows > self.config.vocab_size:
            self.resize_token_embeddings(rows, mean_resizing=False)

    def _require_base(self, missing: set[str], source: str | os.PathLike | None):
        base = self.base_model.state_dict().keys()
        if lacking := sorted(name for name in missing if name.removeprefix(f"{self.base_model_prefix}.") in base):
            raise ValueError(
                f"The weights in {source} lack {len(lacking)} of the {len(base)} tensors of a GLM, such as {lacking[0]}, "
                "which would be drawn at random. They are incomplete, or of another architecture (a ChatGLM has no "
                "position tables). Load the weights with the class that their config.json names."
            )

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
        branch: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPast:
        """
        Compute the hidden states of a batch.

        Args:
            input_ids: (batch, seq) int64. Part A, and behind it the pieces of Part B, each of which begins with the
                start of piece. Padding may stand anywhere if `attention_mask` marks it.
            attention_mask: (batch, seq), 0 for padding; or a 4D mask (bool or 0/1, nonzero = may attend) that is used
                as given.
            position_ids: (batch, 2, seq) int64, in place of the positions computed from the ids (paper section 2.2.1).
                With them a row may hold several texts, one after the other. A token of Part A that does not stand one
                position behind its predecessor begins a new text, and texts do not see each other. Models without
                block positions also take (batch, seq).
            past_key_values: Keys and values of earlier tokens. The tokens given must continue Part B. Or the keys and values
                of virtual tokens in front of a whole text, as prefix tuning of PEFT gives them.
            inputs_embeds: (batch, seq, hidden) in place of `input_ids`. Masks and starts of pieces are found in them by
                equality with their rows of the word embeddings. All else may be virtual tokens of a soft prompt.
            use_cache: Whether to return `past_key_values`.
            branch: (batch, seq) int64, to score several continuations of one text in one row. A token of branch k > 0
                attends to branch 0 and to its own branch. Give `position_ids` with it: branches repeat positions.

        Returns:
            `last_hidden_state` (batch, seq, hidden) behind the final layer norm, and the cache.

        Raises:
            ValueError: for inputs of another type or shape, none at all, ids outside the vocabulary, inputs longer than the
                position table, a cache of other rows or of another model, a cache without the positions that continue it,
                branches behind a cache, embeddings in which nothing is found, or labels. Values are checked on the CPU
                only, because elsewhere a check would wait for the device.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give either input_ids or inputs_embeds.")
        if kwargs.get("labels") is not None:
            raise ValueError(
                "labels is given, but GLMModel has no head and computes no loss: use GLMForConditionalGeneration or another "
                "model with a head."
            )
        require_values(
            self.word_embeddings.weight,
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            branch=branch,
        )
        if input_ids is not None:
            input_ids = require_ids(input_ids)
            check_ids(input_ids, self.config)
        else:
            require_embeddings(inputs_embeds, self.config, self.transformer.position_embeddings.weight.dtype)
        if position_ids is not None:
            position_ids = require_integers(position_ids, "position_ids", "(batch, 2, seq)")
        batch, length = (inputs_embeds if input_ids is None else input_ids).shape[:2]
        past_key_values = self_attention_cache(past_key_values)
        check_cache(past_key_values, self.config, batch, length)
        check_branch(branch, batch, length)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)

        prepared = kwargs.pop("prepared_position_ids", None)
        virtual, attention_mask, position_ids = find_virtual_keys(
            past_key_values,
            attention_mask,
            position_ids if prepared is None else prepared,
            length,
            is_prepared=prepared is not None,
        )
        check_attention_mask(attention_mask, self.config, batch, length, past_key_values)
        packed = position_ids is not None
        text_mask = own_padding_mask(attention_mask, length) if virtual else attention_mask
        ids = input_ids
        if position_ids is None or position_ids.ndim == 2:
            ids = self.find_ids(input_ids, inputs_embeds, text_mask)
        is_whole = bool(virtual) and (packed or begins_text(ids, self.config, text_mask))
        position_ids = complete_position_ids(
            position_ids, self.config, ids, inputs_embeds, text_mask, None if is_whole else past_key_values
        )
        if virtual and not packed:
            position_ids = torch.stack((position_ids[:, 0] + virtual, position_ids[:, 1]), dim=1)
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
            branch=branch,
            virtual_keys=virtual,
        )
        hidden_states = self.transformer(
            inputs_embeds, position_ids, attention_mask=mask, past_key_values=past_key_values, **kwargs
        )
        mark_as_text(past_key_values)
        return BaseModelOutputWithPast(
            last_hidden_state=hidden_states, past_key_values=past_key_values if use_cache else None
        )

    def find_ids(
        self,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        Return the ids given, or find the special tokens in embeddings.

        Args:
            input_ids: (batch, seq), or None.
            inputs_embeds: (batch, seq, hidden), where there are no ids.
            attention_mask: (batch, seq), 0 for padding. Masks of another shape are not read.

        Returns:
            (batch, seq) int64, -1 for embeddings of no special token.

        Raises:
            ValueError: for embeddings in which nothing is found. It is not checked while a graph is traced.
        """
        if input_ids is not None:
            return input_ids
        assert inputs_embeds is not None
        ids = find_special_ids(inputs_embeds, self.word_embeddings, self.config)
        if not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
            real = real_tokens(ids, own_padding_mask(attention_mask, ids.shape[1]))
            require_known_tokens(ids, inputs_embeds, self.word_embeddings, self.config, real)
        return ids


class GLMWithLMHead(GLMPreTrainedModel):
    """Base of the models with a projection to the vocabulary, whose weight is that of the word embeddings."""

    _tied_weights_keys = {"lm_head.weight": "glm.word_embeddings.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.glm = GLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def vocabulary_logits(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """
        Project hidden states to the vocabulary.

        Args:
            hidden_states: (..., hidden) behind the final layer norm, as `GLMModel` returns them.

        Returns:
            (..., vocab_size) logits.

        Raises:
            RuntimeError: if tensor parallelism returned only a part of the logits.
        """
        logits = EXCHANGEABLE_FUNCTIONS["project"](self.lm_head, hidden_states)
        if logits.shape[-1] != self.config.vocab_size:
            raise RuntimeError(
                f"The projection to the vocabulary gave {logits.shape[-1]} of {self.config.vocab_size} logits. Under tensor "
                "parallelism some versions of Transformers (5.10 is one) do not gather those of tied weights: update "
                "Transformers (it works with 5.23), or load the model without tp_plan."
            )
        return logits


@dataclass
class BlankLMOutput(CausalLMOutputWithPast):
    """Hold what `GLMForConditionalGeneration` returns, and refuse the fill-mask pipeline."""

    def __setitem__(self, key: str, value: Any):
        # Of all pipelines only fill-mask writes the ids into the output, to read the token at the mask.
        if key == "input_ids":
            raise ValueError(FILL_MASK_REFUSED)
        super().__setitem__(key, value)


class GLMForConditionalGeneration(GLMWithLMHead, GLMGenerationMixin):
    """
    GLM with its language-modelling head: fills blanks of any length, one token at a time (paper section 2.1).

    Example:

    ```python
    >>> inputs = tokenizer("Paris is the [MASK] of France.", return_tensors="pt")
    >>> tokenizer.decode_blanks(model.generate(**inputs))
    [['capital']]
    ```
    """

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        # By the class name the library would choose the loss that shifts labels. Ours are aligned already.
        self.loss_type = "ForMaskedLM"
        self._warned_of_causal_reading = False
        self.generation_config = self.default_generation_config()

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
    ) -> BlankLMOutput:
        """
        Predict the next token at every position, and compute the loss where there are labels.

        Args:
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache: See `GLMModel.forward`.
            labels: (batch, seq) int64, aligned with the inputs: the label of a token is what must follow it, -100 where
                nothing is learned. Nothing is shifted. Labels stand on tokens of Part B; a row without Part B may have
                some on its masks.
            logits_to_keep: An int keeps the logits of the last positions, 0 those of all; a 1D tensor names positions.
                The default keeps all, but none in training with labels. In training, and where it is given, only
                labelled and kept positions go through the projection to the vocabulary, which changes neither the loss
                nor its gradients.
            kwargs: Further arguments of the library. `shift_labels`, its name for labels that are aligned already,
                replaces `labels`; `branch` goes to `GLMModel.forward`. `label_smoothing` (0 to 1) gives this share of
                every label to all tokens of the vocabulary alike, as in `torch.nn.functional.cross_entropy`.

        Returns:
            `loss`, the mean cross entropy over the labelled tokens in fp32 (or their sum over `num_items_in_batch`),
            `logits` (batch, kept, vocabulary) and `past_key_values`.

        Raises:
            ValueError: as `GLMModel.forward`, and for labels that are not those of pieces: of another shape, outside the
                vocabulary, on Part A, on padding, or equal to the inputs.

        Warns:
            UserWarning: once, for a text that has neither a blank nor a piece, given without labels and positions. Its
                logits are read as those of a causal model, which they are not: Part A is read in both directions.
        """
        # No parameter of its own: Trainer takes each one with "label" in its name for a column of labels.
        if (aligned := kwargs.pop("shift_labels", None)) is not None:
            labels = aligned
        label_smoothing: Any = kwargs.pop("label_smoothing", 0.0)
        for name in DECODER_INPUTS:
            # PEFT looks for ids of a decoder in what `generate` prepares, and finds those of the model there.
            if (value := kwargs.pop(name, None)) is not None and value is not input_ids:
                raise ValueError(
                    f"{name} is given, but GLM has no decoder beside its encoder: the pieces stand behind the text, in the "
                    "same input_ids. tokenizer.build_inputs_for_generation(inputs, targets=[...]) makes such inputs; in "
                    "PEFT use task_type='CAUSAL_LM'."
                )
        if labels is not None and use_cache is None:
            use_cache = False
        outputs = self.glm(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            return_dict=True,
            **kwargs,
        )
        # What knows its positions knows the layout: `generate`, a continued cache, packed rows, shuffled pieces.
        if labels is None and position_ids is None and kwargs.get("prepared_position_ids") is None:
            self._warn_of_causal_reading(input_ids, inputs_embeds, attention_mask)
        hidden_states = outputs.last_hidden_state
        logits_to_keep = check_logits_to_keep(logits_to_keep, hidden_states.shape[1])
        if labels is not None:
            ids = input_ids
            if inputs_embeds is not None and position_ids is None:
                ids = self.glm.find_ids(None, inputs_embeds, attention_mask)
                labels = align_labels(labels, ids, self.config, attention_mask)
            labels = check_piece_labels(labels, self.config, ids, inputs_embeds, attention_mask, position_ids)

        loss = logits = None
        # The number of labelled tokens depends on the data. A compiled graph needs fixed shapes and projects all tokens.
        some = (
            self.training if logits_to_keep is None else isinstance(logits_to_keep, torch.Tensor) or logits_to_keep > 0
        )
        if labels is not None and some and not torch.compiler.is_compiling():
            labelled = labels != -100
            logits = self.vocabulary_logits(hidden_states[labelled])
            loss = self._loss(logits, labels[labelled], label_smoothing, **kwargs)
            logits = None if logits_to_keep is None else self.vocabulary_logits(_keep(hidden_states, logits_to_keep))
        elif labels is not None:
            logits = self.vocabulary_logits(hidden_states)
            loss = self._loss(logits, labels, label_smoothing, **kwargs)
            logits = _keep(logits, logits_to_keep)
        else:
            logits = self.vocabulary_logits(_keep(hidden_states, logits_to_keep))

        return BlankLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _warn_of_causal_reading(
        self,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
    ) -> None:
        """Warn once if a row has neither a blank nor a piece, because then nothing but its text could be predicted."""
        tokens = input_ids if input_ids is not None else inputs_embeds
        if tokens is None or not can_read_labels(tokens) or self._warned_of_causal_reading:
            return
        ids = self.glm.find_ids(input_ids, inputs_embeds, attention_mask)
        if (row := find_text_alone(ids, self.config, attention_mask)) is not None:
            self._warned_of_causal_reading = True
            warnings.warn(READ_AS_CAUSAL.format(row=row), stacklevel=3)

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float, **kwargs: Any) -> torch.Tensor:
        if not label_smoothing:
            return self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        count = kwargs.get("num_items_in_batch")
        logits, labels = logits.float().view(-1, self.config.vocab_size), labels.view(-1).to(logits.device)
        reduction = "mean" if count is None else "sum"
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction=reduction)
        return loss if count is None else loss / torch.as_tensor(count, device=loss.device)


class GLMForMultipleChoice(GLMWithLMHead):
    """
    Scores choices for a blank by their log-probability (cloze, paper section 2.3). The context is encoded once. The
    choices are branches behind it that do not see each other.

    Example:

    ```python
    >>> inputs = tokenizer(["Ice is [MASK]."], return_tensors="pt")
    >>> inputs = tokenizer.build_inputs_for_multiple_choice(inputs, [["cold", "hot", "very loud"]])
    >>> model(**inputs).logits.softmax(-1)  # (batch, choices)
    ```
    """

    accepts_loss_kwargs = False  # the loss is a mean over examples, not over tokens

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        choice_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        finite_logits: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MultipleChoiceModelOutput:
        """
        Score the choices, and compute the loss where there are labels.

        Args:
            input_ids: (batch, seq) int64 contexts with a blank. Pieces that fill earlier blanks may follow; the choices
                are then for the next blank. (batch, patterns, seq) asks every question in several ways, and their
                log-probabilities are averaged. Or (batch, choices, seq) without `choice_ids`, the layout of the
                library's multiple-choice collators: every row holds a context, a start of piece and one choice.
            attention_mask: The shape of `input_ids`, 0 for padding. A row of zeros is an absent choice.
            position_ids: (batch, 2, seq), or (batch, patterns, 2, seq), of the contexts, in place of those computed
                from the ids.
            choice_ids: (batch, choices, length) int64, -100 behind the end of a choice and for absent choices. With
                (batch, labels, words, length) every label has several words, and its probability is the sum of theirs.
                With several patterns there is one more dimension, for the patterns, behind the first.
            labels: (batch,) int64, the number of the right choice or label, -100 for none.
            finite_logits: Any tensor, to say that a loss is computed outside of the model, as Trainer does for label
                smoothing. Without labels the logits of absent choices are finite then: see `finite_scores`. In train mode
                they always are.

        Returns:
            `logits` (batch, choices or labels) fp32, the summed log-probability of every choice, divided by a power of
            its length where the config sets `choice_length_penalty`; -inf for an absent choice. `loss` is the one that
            the config sets: see `choice_loss` and `choice_fill_weight` of `GLMConfig`.

        Raises:
            ValueError: for shapes that do not fit together, a row without any choice, a label of an absent choice, a
                context without a blank, choices longer than the position table, or a config without `sop_token_id`.
        """
        self.config.require_token_ids("sop_token_id", purpose="Scoring choices")
        require_values(
            self.get_input_embeddings().weight,
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            choice_ids=choice_ids,
        )
        choices = read_choices(input_ids, attention_mask, position_ids, choice_ids)
        score_words = self._score_rows if choices.choice_ids is None else self._score_branches
        words, outputs = score_words(choices, **kwargs)
        logits = class_scores(words, self.config.choice_length_penalty)

        loss = None
        if labels is not None:
            labels = check_choice_labels(labels, logits)
            plain = logits if self.config.choice_length_penalty == 0 else class_scores(words, 0.0)
            loss = choice_loss(logits, plain, labels, self.config)
        elif self.training or finite_logits is not None:
            logits = finite_scores(logits)
        return MultipleChoiceModelOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def _score_branches(self, choices: ChoiceInputs, **kwargs) -> tuple[WordScores, BaseModelOutputWithPast]:
        """Score choices side by side behind their contexts."""
        kwargs["use_cache"] = False
        outputs = self.glm(**lay_out_branches(choices, self.config)._asdict(), return_dict=True, **kwargs)
        # (rows, 1 + choices * (length - 1), hidden): the start of piece, then the fed tokens of all choices
        hidden_states = outputs.last_hidden_state[:, choices.input_ids.shape[1] :]
        choice_ids = choices.choice_ids
        present = choice_ids != -100
        # The distribution at the start of piece scores the first token of every choice.
        targets = choice_ids[..., 1:].flatten(1)
        first, later = score_first_and_later(self.vocabulary_logits, hidden_states, targets)
        scores = first.gather(1, choice_ids[..., 0].clamp(min=0)).masked_fill(~present[..., 0], 0.0)
        scores = scores + later.view_as(choice_ids[..., 1:]).sum(-1)
        return WordScores(present.sum(-1).view(choices.shape), scores.view(choices.shape)), outputs

    def _score_rows(self, choices: ChoiceInputs, **kwargs) -> tuple[WordScores, BaseModelOutputWithPast]:
        """Score rows that hold a context and its choice."""
        kwargs["use_cache"] = False
        rows = lay_out_rows(choices, self.config)
        outputs = self.glm(choices.input_ids, rows.attention_mask, choices.position_ids, return_dict=True, **kwargs)
        scores = score_tokens(self.vocabulary_logits, outputs.last_hidden_state[:, :-1], rows.targets).sum(-1)
        counts = (rows.targets != -100).sum(-1)
        return WordScores(counts.view(choices.shape), scores.view(choices.shape)), outputs


class GLMClassificationHead(nn.Module):
    """Two layers from the state of a text to the scores of its labels. PEFT trains and saves what is named `classifier`."""

    def __init__(self, config: GLMConfig):
        super().__init__()
        self.dropout = nn.Dropout(_classifier_dropout(config))
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = torch.tanh(self.dense(self.dropout(hidden_states)))
        return self.out_proj(self.dropout(hidden_states))


class GLMForSequenceClassification(GLMPreTrainedModel):
    """GLM with a classification head on the first token (`[CLS]`) of a text or a pair of texts."""

    _other_names = CLASSIFIER_NAMES

    def __init__(self, config: GLMConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.glm = GLMModel(config)
        self.classifier = GLMClassificationHead(config)
        self.post_init()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any):
        # `load_state_dict` reads the head under its other names, as `from_pretrained` does.
        for theirs, ours in CLASSIFIER_NAMES.items():
            for name in [name for name in state_dict if name.startswith(prefix + theirs)]:
                state_dict[prefix + ours + name.removeprefix(prefix + theirs)] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutput:
        """
        Classify every text, and compute the loss where there are labels.

        Args:
            input_ids, attention_mask, position_ids, inputs_embeds, past_key_values: See `GLMModel.forward`.
            labels: (batch,) int64 classes, (batch,) float targets of a regression, or (batch, labels) float for several
                labels at once, as `config.problem_type` says. -100 stands for no class.

        Returns:
            `logits` (batch, labels), and `loss` where there are labels.

        Raises:
            ValueError: as `GLMModel.forward`, and for labels of another shape or type, or outside the classes.
        """
        kwargs["use_cache"] = False
        outputs = self.glm(
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, return_dict=True, **kwargs
        )
        hidden_states = outputs.last_hidden_state
        first = self._first_tokens(inputs_embeds, attention_mask, hidden_states)
        pooled = hidden_states[torch.arange(hidden_states.shape[0], device=hidden_states.device), first]
        logits = self.classifier(pooled)

        loss = None
        if labels is not None:
            labels = check_text_labels(labels, logits, self.config)
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config, **kwargs)
            count = kwargs.get("num_items_in_batch")
            if labels.is_floating_point() and count is not None:  # the library counts items for classes alone
                loss = loss * labels.numel() / torch.as_tensor(count, device=loss.device)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def _first_tokens(
        self, inputs_embeds: torch.Tensor | None, attention_mask: torch.Tensor | None, hidden_states: torch.Tensor
    ) -> torch.Tensor:
        """Find the first token of every text, behind padding on the left and virtual tokens: (batch,) indices."""
        batch, length = hidden_states.shape[:2]
        mask = own_padding_mask(attention_mask, length)
        real = torch.ones(batch, length, dtype=torch.bool, device=hidden_states.device) if mask is None else mask != 0
        first = real.int().argmax(-1)
        if inputs_embeds is None or self.config.cls_token_id is None:
            return first
        ids = find_special_ids(inputs_embeds, self.glm.word_embeddings, self.config)
        opens = real & (ids == self.config.cls_token_id).to(real.device)
        return torch.where(opens.any(-1), opens.int().argmax(-1), first)


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
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> TokenClassifierOutput:
        """
        Classify every token, and compute the loss where there are labels.

        Args:
            input_ids, attention_mask, position_ids, inputs_embeds, past_key_values: See `GLMModel.forward`.
            labels: (batch, seq) int64 classes, -100 where there is none.

        Returns:
            `logits` (batch, seq, labels), and `loss` where there are labels.

        Raises:
            ValueError: as `GLMModel.forward`, and for labels of another shape or type, outside the classes, or on padding.
        """
        kwargs["use_cache"] = False
        outputs = self.glm(
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, return_dict=True, **kwargs
        )
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None
        if labels is not None:
            if inputs_embeds is not None:
                ids = find_special_ids(inputs_embeds, self.glm.word_embeddings, self.config)
                labels = align_labels(labels, ids, self.config, attention_mask)
            labels = check_token_labels(labels, logits, attention_mask)
            loss = self.loss_function(logits, labels, self.config, **kwargs)
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
        past_key_values: Cache | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> QuestionAnsweringModelOutput:
        """
        Score every token as the start and as the end of the answer, and compute the loss where the answer is given.

        Args:
            input_ids, attention_mask, position_ids, inputs_embeds, past_key_values: See `GLMModel.forward`.
            start_positions, end_positions: (batch,) int64 index of the first and the last token of the answer, -100 where
                there is none to learn.

        Returns:
            `start_logits` and `end_logits` (batch, seq), the lowest number of their dtype on padding, and `loss` where the
            answer is given.

        Raises:
            ValueError: as `GLMModel.forward`, and for positions of another shape or type, outside the row, or on padding.
        """
        kwargs["use_cache"] = False
        outputs = self.glm(
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, return_dict=True, **kwargs
        )
        logits = self.qa_outputs(outputs.last_hidden_state)
        mask = own_padding_mask(attention_mask, logits.shape[1])
        if mask is not None:  # an answer is not in the padding, so it takes no part in the softmax
            logits = logits.masked_fill((mask == 0).unsqueeze(-1), torch.finfo(logits.dtype).min)
        start_logits, end_logits = logits.unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            starts = check_answer_positions(start_positions, "start_positions", start_logits, attention_mask)
            ends = check_answer_positions(end_positions, "end_positions", end_logits, attention_mask)
            loss = self.loss_function(start_logits, end_logits, starts, ends, **kwargs)
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
    """Keep the last positions of (batch, seq, width), all for 0 or None, or those that a 1D tensor names."""
    if logits_to_keep is None:
        return states
    return states[:, slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep]


# The class behind every Auto class, named in the config.json of each saved model.
AUTO_CLASSES: dict[str, type[GLMPreTrainedModel]] = {
    "AutoModel": GLMModel,
    "AutoModelForSeq2SeqLM": GLMForConditionalGeneration,
    "AutoModelForCausalLM": GLMForConditionalGeneration,
    "AutoModelForMultipleChoice": GLMForMultipleChoice,
    "AutoModelForSequenceClassification": GLMForSequenceClassification,
    "AutoModelForTokenClassification": GLMForTokenClassification,
    "AutoModelForQuestionAnswering": GLMForQuestionAnswering,
}
if find_spec("transformers.decision") is not None:  # from Transformers 5.23 on
    from .decision_glm import GLMDecisionMixin

    class GLMForDecision(GLMDecisionMixin, GLMForConditionalGeneration):
        """
        Answers typed questions about a state with a probability for every option: see `GLMDecisionConfig`.

        It has the weights of `GLMForConditionalGeneration` and does all that it does.

        Example:

        ```python
        >>> model = AutoModelForDecision.from_pretrained(folder)
        >>> decide = pipeline("decision", model=model, tokenizer=tokenizer)
        >>> question = {"type": "choice", "instructions": "The letter is", "criteria": {"a complaint": None, "praise": None}}
        >>> decide({"state": "I was charged twice.", "questions": {"kind": question}})["kind"]["choice"]
        'a complaint'
        ```
        """

        _auto_class = None  # else saving would name this class behind the Auto class of the one above

    AUTO_CLASSES["AutoModelForDecision"] = GLMForDecision

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
