"""Configuration of GLM (Du et al., ACL 2022, "General Language Model Pretraining with Autoregressive Blank Infilling")."""

import json
import os
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.utils import cached_file

# Only the originals' config.json has these keys. Transformers' own GLM-4 shares the model type "glm", but not them.
ORIGINAL_KEYS = ("max_sequence_length", "block_position_encoding", "num_layers")

# Only the configs of ChatGLM (model type "chatglm", also of the first GLM-4) have these keys. It rotates the queries and
# keys instead of adding positions, but shares the other keys and the names of many tensors.
CHATGLM_KEYS = (
    "position_encoding_2d",
    "inner_hidden_size",
    "padded_vocab_size",
    "multi_query_attention",
    "original_rope",
    "rope_ratio",
)

# Options of the originals' training framework, which do not affect the weights.
IGNORED_ORIGINAL_KEYS = (
    "auto_map",
    "checkpoint_activations",
    "checkpoint_num_layers",
    "model_type",
    "output_predict",
    "parallel_output",
    "pool_token",
    "relative_encoding",
    "spell_func",
    "spell_length",
    "transformers_version",
)

# What a caller may say about a repository on the hub. It holds for config.json and the files beside it alike.
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")

CHOICE_LOSSES = ("cross_entropy", "hinge")

SPECIAL_TOKENS = {
    "sop_token_id": "<|startofpiece|>",
    "eop_token_id": "<|endofpiece|>",
    "mask_token_id": "[MASK]",
    "smask_token_id": "[sMASK]",
    "gmask_token_id": "[gMASK]",
    "cls_token_id": "[CLS]",
}

BERT_IDS = {
    "pad_token_id": 0,
    "eos_token_id": 0,
    "cls_token_id": 101,
    "mask_token_id": 103,
    "sop_token_id": 30522,
    "eop_token_id": 30523,
}
ROBERTA_IDS = {
    "pad_token_id": 2,
    "eos_token_id": 2,
    "cls_token_id": 0,
    "mask_token_id": 50264,
    "sop_token_id": 50265,
    "eop_token_id": 50266,
}
GPT2_IDS = {
    "pad_token_id": 50256,
    "eos_token_id": 50256,
    "cls_token_id": 50259,
    "mask_token_id": 50260,
    "gmask_token_id": 50263,
    "smask_token_id": 50264,
    "sop_token_id": 50257,
    "eop_token_id": 50258,
}
CHINESE_IDS = {
    "pad_token_id": 50000,
    "eos_token_id": 50000,
    "cls_token_id": 50002,
    "mask_token_id": 50003,
    "smask_token_id": 50008,
    "gmask_token_id": 50009,
    "sop_token_id": 50006,
    "eop_token_id": 50007,
}


def _shape(
    layers: int, hidden: int, heads: int, positions: int, vocabulary: int, ids: dict[str, int]
) -> dict[str, int]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "max_position_embeddings": positions,
        "vocab_size": vocabulary,
        **ids,
    }


# The published checkpoints by the name of their hub repository.
PRESETS: dict[str, dict[str, int]] = {
    "glm-base": _shape(12, 768, 12, 512, 30592, BERT_IDS),
    "glm-large": _shape(24, 1024, 16, 512, 30592, BERT_IDS),
    "glm-doc": _shape(24, 1024, 16, 512, 30592, BERT_IDS),
    "glm-410m": _shape(30, 1024, 16, 512, 30592, BERT_IDS),
    "glm-515m": _shape(30, 1152, 18, 512, 30592, BERT_IDS),
    "glm-roberta-large": _shape(24, 1024, 16, 512, 50304, ROBERTA_IDS),
    "glm-large-chinese": _shape(24, 1024, 16, 1024, 50048, CHINESE_IDS),
    "glm-2b": _shape(36, 2048, 32, 1024, 50304, GPT2_IDS),
    "glm-10b": _shape(48, 4096, 64, 1024, 50304, GPT2_IDS),
    "glm-10b-chinese": _shape(48, 4096, 64, 1024, 50048, CHINESE_IDS),
}


@strict
class GLMConfig(PreTrainedConfig):
    r"""
    Configuration of a `GLMModel`. The defaults are those of GLM-Large (335 million parameters), without the ids of a
    vocabulary. `GLMConfig.from_preset` gives the published sizes with their ids.

    The originals' names are accepted as well: `num_layers`, `max_sequence_length`, `embedding_dropout_prob`,
    `attention_dropout_prob`, `output_dropout_prob`, `block_position_encoding`.

    Args:
        vocab_size (`int`): Rows of the word embedding, padding rows included.
        hidden_size (`int`): Width of the hidden states; a multiple of `num_attention_heads`.
        num_hidden_layers (`int`): Number of layers.
        num_attention_heads (`int`): Attention heads of a layer.
        intermediate_size (`int`, *optional*): Width of the MLP. The default is 4 times the hidden size.
        max_position_embeddings (`int`): The highest position P in either row of the 2D positions (paper section 2.1.2).
            Both tables have P + 1 rows. Without block positions the one table has P rows.
        block_position_embeddings (`bool`): Whether the second row of positions (within a piece) has a table.
        hidden_act (`str`): Activation function of the MLP. The published weights were trained with the tanh form of
            GELU.
        embedding_dropout (`float`): Dropout on the sum of the embeddings.
        attention_dropout (`float`): Dropout on the attention weights.
        hidden_dropout (`float`): Dropout on the outputs of attention and MLP.
        classifier_dropout (`float`, *optional*): Dropout in the classification heads. The default is `hidden_dropout`.
        choice_loss (`str`): The loss of `GLMForMultipleChoice`: "cross_entropy" over the scores of the choices, or
            "hinge" with a margin of 1 nat to every wrong choice.
        choice_fill_weight (`float`): Weight of a second loss of `GLMForMultipleChoice`: that of filling the blank with
            the right choice.
        choice_length_penalty (`float`): The score of a choice is divided by its number of tokens to the power of this:
            0 for the log-probability, 1 for its mean over the tokens.
        initializer_range (`float`): Standard deviation of the initial weights. For the projections back into the
            residual stream it is divided by sqrt(2 * num_hidden_layers).
        layer_norm_eps (`float`): Epsilon of the layer norms.
        attention_scale (`float`): Kept from the originals and not used. There it guards fp16 scores against overflow
            without changing the softmax; the attention functions here need no such guard.
        use_cache (`bool`): Whether to return the keys and values of the layers.
        tie_word_embeddings (`bool`): Whether the projection to the vocabulary is the word embedding.
        pad_token_id, eos_token_id, cls_token_id (`int`, *optional*): Ids of the padding, of the end of text and of the
            token that opens every text.
        bos_token_id (`int`, *optional*): Not used by GLM. Some functions of the library look for it.
        mask_token_id, smask_token_id, gmask_token_id (`int`, *optional*): Ids of the three mask tokens: `[MASK]` (short
            span), `[sMASK]` (sentences), `[gMASK]` (long continuation). None where the vocabulary has no such token.
        sop_token_id, eop_token_id (`int`, *optional*): Ids that start and end the piece that fills a blank.

    Raises:
        ValueError: if the sizes do not fit together, or the dict is the config of another architecture, such as
            Transformers' GLM-4 or ChatGLM.

    Example:

    ```python
    >>> from modeling_glm import GLMConfig
    >>> GLMConfig.from_preset("glm-2b").num_hidden_layers
    36
    ```
    """

    model_type = "glm_infilling"
    tokenizer_class = "GLMTokenizer"  # for AutoTokenizer, where there is no tokenizer_config.json
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {
        "num_layers": "num_hidden_layers",
        "max_sequence_length": "max_position_embeddings",
        "block_position_encoding": "block_position_embeddings",
        "embedding_dropout_prob": "embedding_dropout",
        "attention_dropout_prob": "attention_dropout",
        "output_dropout_prob": "hidden_dropout",
    }
    # The fused projection is [q; k; v] by thirds. No style of the library shards it head by head, so it is gathered.
    base_model_tp_plan = {
        "word_embeddings": "embedding_rowwise",
        "transformer.layers.*.attention.query_key_value": "colwise_gather_output",
        "transformer.layers.*.attention.dense": "rowwise_split_input",
        "transformer.layers.*.mlp.dense_h_to_4h": "colwise",
        "transformer.layers.*.mlp.dense_4h_to_h": "rowwise",
    }
    base_model_fsdp_plan = {
        "word_embeddings": "free_full_weight",
        "transformer.layers.*": "free_full_weight",
        "transformer.final_layernorm": "keep_full_weight",
    }

    vocab_size: int = 30592
    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    intermediate_size: int | None = None
    max_position_embeddings: int = 512
    block_position_embeddings: bool = True
    hidden_act: str = "gelu_pytorch_tanh"
    embedding_dropout: float | int = 0.1
    attention_dropout: float | int = 0.1
    hidden_dropout: float | int = 0.1
    classifier_dropout: float | int | None = None
    choice_loss: str = "cross_entropy"
    choice_fill_weight: float | int = 0.0
    choice_length_penalty: float | int = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    attention_scale: float | int = 1.0
    use_cache: bool = True
    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    cls_token_id: int | None = None
    mask_token_id: int | None = None
    smask_token_id: int | None = None
    gmask_token_id: int | None = None
    sop_token_id: int | None = None
    eop_token_id: int | None = None

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.hidden_size % self.num_attention_heads != 0:
            raise ValueError(
                f"hidden_size={self.hidden_size} is not a multiple of num_attention_heads={self.num_attention_heads}: "
                "choose sizes so that every head has the same width."
            )
        for name in (
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "max_position_embeddings",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        if self.choice_loss not in CHOICE_LOSSES:
            raise ValueError(f"choice_loss={self.choice_loss!r}: expected one of {', '.join(CHOICE_LOSSES)}.")
        if self.choice_fill_weight < 0:
            raise ValueError(f"choice_fill_weight={self.choice_fill_weight} must not be negative.")
        if self.intermediate_size is None:
            self.intermediate_size = 4 * self.hidden_size

    @property
    def mask_token_ids(self) -> list[int]:
        """The ids of the mask tokens that the vocabulary has."""
        return [i for i in (self.mask_token_id, self.smask_token_id, self.gmask_token_id) if i is not None]

    @property
    def max_context_length(self) -> int:
        """The longest Part A in tokens: one for every row of the position table."""
        return self.max_position_embeddings + int(self.block_position_embeddings)

    @property
    def max_piece_length(self) -> int:
        """The longest piece of Part B in tokens, its start token included (row 1 counts from 1)."""
        return self.max_position_embeddings

    def require_token_ids(self, *names: str, purpose: str) -> None:
        """
        Raise a `ValueError` unless every id is set.

        Args:
            names: Fields of this config, such as "sop_token_id".
            purpose: What needs them, for the message.
        """
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise ValueError(
                f"{purpose} needs {', '.join(missing)} in the model's config, which has None. Set them from the "
                "tokenizer, e.g. `model.config.update(tokenizer.special_token_ids)`."
            )

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> "GLMConfig":
        """
        Make the configuration of a published checkpoint.

        Args:
            name: Name of the hub repository with or without "glm-", such as "glm-large", "2b" or "10b-chinese".
            overrides: Any fields to set differently.

        Raises:
            ValueError: if there is no such preset; the message lists them.
        """
        key = name.lower() if name.lower().startswith("glm-") else f"glm-{name.lower()}"
        if key not in PRESETS:
            raise ValueError(f"No preset {name!r}. There are: {', '.join(PRESETS)}.")
        return cls(**{**PRESETS[key], **overrides})

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path, **kwargs):
        """
        Read config.json as the library does. In an original folder, also read the ids of the special tokens from the
        vocabulary files beside it, because an original config.json does not have them.
        """
        hub_options = {name: kwargs[name] for name in HUB_OPTIONS if kwargs.get(name) is not None}
        config_dict, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if cls.is_original(config_dict):
            config_dict = cls.add_special_token_ids(config_dict, pretrained_model_name_or_path, **hub_options)
        return cls._convert_original(config_dict, pretrained_model_name_or_path), kwargs

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        """Make a config from a dict as the library does. The dict may be that of an original config.json."""
        return super().from_dict(cls._convert_original(config_dict, kwargs.get("name_or_path")), **kwargs)

    @staticmethod
    def is_original(config_dict: dict[str, Any]) -> bool:
        """Return whether this is the config of an original GLM folder, not that of Transformers' GLM-4 or our own."""
        return config_dict.get("model_type") == "glm" and any(key in config_dict for key in ORIGINAL_KEYS)

    @staticmethod
    def add_special_token_ids(
        config_dict: dict[str, Any], source: str | os.PathLike, **hub_options: Any
    ) -> dict[str, Any]:
        """
        Complete the config of an original folder with the ids of its special tokens.

        Args:
            config_dict: The content of config.json. Ids that it has stay.
            source: The folder, its config.json or the hub repository, where the vocabulary files are.
            hub_options: For a repository: `revision`, `token`, `cache_dir` and the like.

        Returns:
            A new dict.
        """
        found = _read_special_token_ids(source, hub_options)
        return {**config_dict, **{name: i for name, i in found.items() if config_dict.get(name) is None}}

    @classmethod
    def _convert_original(cls, config_dict: dict[str, Any], source: str | os.PathLike | None) -> dict[str, Any]:
        """Rename the keys of an original config. Ours are returned as they are; those of other models are refused."""
        cls._refuse_other_architectures(config_dict, source)
        if config_dict.get("model_type") != "glm":
            return config_dict
        kept = {key: value for key, value in config_dict.items() if key not in IGNORED_ORIGINAL_KEYS}
        return {
            **{cls.attribute_map.get(key, key): value for key, value in kept.items()},
            "model_type": cls.model_type,
        }

    @classmethod
    def _refuse_other_architectures(cls, config_dict: dict[str, Any], source: str | os.PathLike | None):
        model_type = config_dict.get("model_type", cls.model_type)
        architectures = config_dict.get("architectures") or ()
        if any("chatglm" in str(name).lower() for name in (model_type, *architectures)) or any(
            key in config_dict for key in CHATGLM_KEYS
        ):
            other = "a ChatGLM (or an early GLM-4), which has no tables of positions"
        elif model_type == "glm" and not cls.is_original(config_dict):
            other = "a GLM-4, which has no block positions"
        elif model_type not in (cls.model_type, "glm"):
            other = f"a model of type {model_type!r}"
        else:
            return
        found = ", ".join(
            f"{key} {config_dict[key]!r}" for key in ("model_type", "architectures") if key in config_dict
        )
        raise ValueError(
            f"The config{f' in {source}' if source else ''} ({found}) is not one of GLM (2022) with autoregressive blank "
            f"infilling, which the classes of modeling_glm read: it is {other}. Load it with "
            "transformers.AutoModelForCausalLM, or the class that its authors name."
        )


def _read_special_token_ids(source: str | os.PathLike, hub_options: dict[str, Any]) -> dict[str, int]:
    """Read the ids that the tokenizer files of an original folder give to the special tokens."""
    settings = _read_json(source, "tokenizer_config.json", hub_options)
    names = dict(SPECIAL_TOKENS)
    for key in ("pad_token", "eos_token", "cls_token", "mask_token"):
        token = settings.get(key)
        if token is not None:
            names[f"{key}_id"] = token["content"] if isinstance(token, dict) else token
    if "eos_token_id" not in names and "pad_token_id" in names:  # the BERT family ends a text with [PAD]
        names["eos_token_id"] = names["pad_token_id"]
    vocabulary = _read_vocabulary(source, hub_options)
    vocabulary.update(_read_json(source, "added_tokens.json", hub_options))
    return {name: vocabulary[token] for name, token in names.items() if token in vocabulary}


def _read_vocabulary(source: str | os.PathLike, hub_options: dict[str, Any]) -> dict[str, int]:
    if path := _find_file(source, "vocab.txt", hub_options):
        with open(path, encoding="utf-8") as file:
            return {line.rstrip("\n"): index for index, line in enumerate(file)}
    return _read_json(source, "vocab.json", hub_options)


def _read_json(source: str | os.PathLike, name: str, hub_options: dict[str, Any]) -> dict[str, Any]:
    if path := _find_file(source, name, hub_options):
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    return {}


def _find_file(source: str | os.PathLike, name: str, hub_options: dict[str, Any]) -> str | None:
    """Find a file of a folder or a repository; None if there is none."""
    if os.path.isfile(source):
        source = os.path.dirname(source) or "."
    return cached_file(
        source,
        name,
        **hub_options,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )


__all__ = ["GLMConfig"]
