"""Configuration of GLM (Du et al., ACL 2022, "General Language Model Pretraining with Autoregressive Blank Infilling")."""

import json
import os
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.utils import cached_file

# Keys that only the originals' config.json has: by them it is told from the config of Transformers' own GLM-4,
# which shares the model type "glm".
ORIGINAL_KEYS = ("max_sequence_length", "block_position_encoding", "num_layers")

# Options of the originals' training framework: no meaning for the weights.
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
    Configuration of a [`GLMModel`]. The defaults are those of GLM-Large (335 million parameters), without the ids of
    a vocabulary; [`GLMConfig.from_preset`] gives the published sizes complete.

    The names of the originals (`num_layers`, `max_sequence_length`, `embedding_dropout_prob`,
    `attention_dropout_prob`, `output_dropout_prob`, `block_position_encoding`) are accepted as well.

    Args:
        vocab_size (`int`): Rows of the word embedding, padding rows included.
        hidden_size (`int`): Width of the hidden states; a multiple of `num_attention_heads`.
        num_hidden_layers (`int`): Number of blocks.
        num_attention_heads (`int`): Attention heads per block.
        intermediate_size (`int`, *optional*): Width of the MLP; 4 times the hidden size if not given.
        max_position_embeddings (`int`): The highest position P in either row of the 2D positions (paper section 2.1.2).
            Both tables have P + 1 rows; without block positions the one table has P.
        block_position_embeddings (`bool`): Whether the second row of positions (within a piece) has a table.
        hidden_act (`str`): Activation of the MLP. The published weights were trained with the tanh form of GELU.
        embedding_dropout (`float`): Dropout on the sum of the embeddings.
        attention_dropout (`float`): Dropout on the attention probabilities.
        hidden_dropout (`float`): Dropout on the outputs of attention and MLP.
        classifier_dropout (`float`, *optional*): Dropout in the classification heads; `hidden_dropout` if not given.
        choice_loss (`str`): What trains [`GLMForMultipleChoice`]: "cross_entropy" over the scores of the choices, or
            "hinge", which asks for a margin of 1 nat to every wrong one.
        choice_fill_weight (`float`): Weight of a second loss of it, that of filling the blank with the right choice.
        choice_length_penalty (`float`): The power of its length in tokens that the score of a choice is divided by: 0
            for the log-probability, 1 for its mean over the tokens.
        initializer_range (`float`): Standard deviation of the initial weights. The projections back into the residual
            stream take this divided by sqrt(2 * num_hidden_layers).
        layer_norm_eps (`float`): Epsilon of the layer norms.
        attention_scale (`float`): Kept from the originals, where it guards fp16 scores against overflow without
            changing the softmax. The attention functions here need no such guard and do not read it.
        use_cache (`bool`): Whether to return the keys and values of the blocks.
        tie_word_embeddings (`bool`): Whether the output projection is the word embedding.
        pad_token_id, eos_token_id, cls_token_id (`int`, *optional*): Ids of the padding, the end of text and the
            token that opens every text.
        bos_token_id (`int`, *optional*): Not used by GLM; some functions of the library look for it.
        mask_token_id, smask_token_id, gmask_token_id (`int`, *optional*): Ids of the three blanks: `[MASK]` (short
            span), `[sMASK]` (sentences), `[gMASK]` (long continuation). None where the vocabulary has no such token.
        sop_token_id, eop_token_id (`int`, *optional*): Ids that start and end the piece that fills a blank.

    Raises:
        ValueError: where the sizes do not fit together, or on reading the config of Transformers' GLM-4.

    Example:

    ```python
    >>> from modeling_glm import GLMConfig
    >>> GLMConfig.from_preset("glm-2b").num_hidden_layers
    36
    ```
    """

    model_type = "glm_infilling"
    tokenizer_class = "GLMTokenizer"  # what AutoTokenizer takes where no tokenizer_config.json says it
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {
        "num_layers": "num_hidden_layers",
        "max_sequence_length": "max_position_embeddings",
        "block_position_encoding": "block_position_embeddings",
        "embedding_dropout_prob": "embedding_dropout",
        "attention_dropout_prob": "attention_dropout",
        "output_dropout_prob": "hidden_dropout",
    }
    # The fused projection is [q; k; v] by thirds, which no style shards head by head: its output is gathered.
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
        """Ids of the blanks that the vocabulary has."""
        return [i for i in (self.mask_token_id, self.smask_token_id, self.gmask_token_id) if i is not None]

    @property
    def max_context_length(self) -> int:
        """Longest Part A in tokens: one for every row of the position table."""
        return self.max_position_embeddings + int(self.block_position_embeddings)

    @property
    def max_piece_length(self) -> int:
        """Longest piece of Part B in tokens, its start token included (row 1 counts from 1)."""
        return self.max_position_embeddings

    def require_token_ids(self, *names: str, purpose: str) -> None:
        """
        Raises a `ValueError` that names the missing ones unless every id in `names` is set.
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
        Configuration of a published checkpoint.

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
        config_dict, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        return cls._convert_original(config_dict, pretrained_model_name_or_path), kwargs

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        return super().from_dict(cls._convert_original(config_dict, kwargs.get("name_or_path")), **kwargs)

    @staticmethod
    def is_original(config_dict: dict[str, Any]) -> bool:
        """Whether this is the config of an original GLM folder, rather than Transformers' GLM-4 or our own."""
        return config_dict.get("model_type") == "glm" and any(key in config_dict for key in ORIGINAL_KEYS)

    @classmethod
    def _convert_original(cls, config_dict: dict[str, Any], source: str | os.PathLike | None) -> dict[str, Any]:
        if config_dict.get("model_type") != "glm":
            return config_dict
        if not cls.is_original(config_dict):
            raise ValueError(
                f"The config{f' in {source}' if source else ''} has model_type 'glm' but no block positions: it is a "
                "GLM-4, another architecture. Load it with transformers.AutoModelForCausalLM; the classes of "
                "modeling_glm read GLM (2022) with autoregressive blank infilling."
            )
        converted = {key: value for key, value in config_dict.items() if key not in IGNORED_ORIGINAL_KEYS}
        converted = {cls.attribute_map.get(key, key): value for key, value in converted.items()}
        converted["model_type"] = cls.model_type
        found = _read_special_token_ids(source) if source is not None else {}
        return {**{key: value for key, value in found.items() if converted.get(key) is None}, **converted}


def _read_special_token_ids(source: str | os.PathLike) -> dict[str, int]:
    """The ids that the tokenizer files beside an original config.json give to the special tokens."""
    settings = _read_json(source, "tokenizer_config.json")
    names = dict(SPECIAL_TOKENS)
    for key in ("pad_token", "eos_token", "cls_token", "mask_token"):
        token = settings.get(key)
        if token is not None:
            names[f"{key}_id"] = token["content"] if isinstance(token, dict) else token
    if "eos_token_id" not in names and "pad_token_id" in names:  # the BERT family ends a text with [PAD]
        names["eos_token_id"] = names["pad_token_id"]
    vocabulary = {**_read_vocabulary(source), **_read_json(source, "added_tokens.json")}
    return {name: vocabulary[token] for name, token in names.items() if token in vocabulary}


def _read_vocabulary(source: str | os.PathLike) -> dict[str, int]:
    if path := _find_file(source, "vocab.txt"):
        with open(path, encoding="utf-8") as file:
            return {line.rstrip("\n"): index for index, line in enumerate(file)}
    return _read_json(source, "vocab.json")


def _read_json(source: str | os.PathLike, name: str) -> dict[str, Any]:
    if path := _find_file(source, name):
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    return {}


def _find_file(source: str | os.PathLike, name: str) -> str | None:
    if os.path.isfile(source):
        source = os.path.dirname(source) or "."
    return cached_file(
        source,
        name,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )


__all__ = ["GLMConfig"]
