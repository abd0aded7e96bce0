"""Configuration of GLM (Du et al., ACL 2022, "General Language Model Pretraining with Autoregressive Blank Infilling")."""

import functools
import inspect
import json
import math
import os
import re
import reprlib
from typing import Any, TypeVar

import torch
from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN
from transformers.utils import cached_file

Config = TypeVar("Config", bound=type[PreTrainedConfig])

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

ONE_OF = {
    "choice_loss": ("cross_entropy", "hinge"),
    "hidden_act": tuple(sorted(ACT2FN)),
    "problem_type": ("regression", "single_label_classification", "multi_label_classification"),
}
PROBABILITIES = ("embedding_dropout", "attention_dropout", "hidden_dropout", "classifier_dropout")
NOT_NEGATIVE = ("initializer_range", "layer_norm_eps", "choice_fill_weight")
FINITE = ("choice_length_penalty", "attention_scale")

# No GLM is nearly as large. Building a larger one, or naming its labels, would take all memory before anything fails.
LARGEST_SIZES = {
    "vocab_size": 2**24,
    "hidden_size": 2**16,
    "num_hidden_layers": 2**12,
    "num_attention_heads": 2**16,
    "intermediate_size": 2**20,
    "max_position_embeddings": 2**24,
    "num_labels": 2**18,
}
MOST_PARAMETERS = 10**13
DEEPEST_NESTING = 100  # of JSON; deeper values cannot be copied or compared, as Python does that by recursion

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


def read_json(path: str | os.PathLike, expected: type = dict) -> Any:
    """
    Read a JSON file.

    Args:
        path: The file, in UTF-8.
        expected: The type of its content.

    Raises:
        ValueError: if it is not JSON of this type, or is nested more than 100 deep. The message names the file.
        OSError: if it cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply: expected at most {DEEPEST_NESTING} levels.") from None
    except ValueError as error:  # of JSON or of UTF-8
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, expected):
        raise ValueError(f"{path} holds a {type(content).__name__}: expected a JSON {expected.__name__}.")
    require_shallow(content, str(path))
    return content


def require_shallow(content: Any, name: str) -> None:
    """Raise a `ValueError` that begins with `name` if dicts and lists are nested more than 100 deep."""
    level = [content]
    for _ in range(DEEPEST_NESTING):
        children = (value.values() if isinstance(value, dict) else value for value in level)
        level = [value for values in children for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise ValueError(f"{name} is nested too deeply: expected at most {DEEPEST_NESTING} levels.")


def _explain_types(config_class: Config) -> Config:
    """
    Check every value that is set, by any of its names, and raise a `ValueError` with name, found and expected.

    `strict` checks the types alone, not by the originals' names, and raises errors of its own.
    """
    check_and_set, initialize = config_class.__setattr__, config_class.__init__

    @functools.wraps(check_and_set)
    def set_attribute(self: PreTrainedConfig, name: str, value: Any) -> None:
        name = config_class.attribute_map.get(name, name)
        if value is not None:
            _check_value(name, value)
        try:
            check_and_set(self, name, value)
        except StrictDataclassError as error:
            expected = config_class.__dataclass_fields__[name].type
            shown = expected.__name__ if isinstance(expected, type) else expected
            raise ValueError(
                f"{name}={reprlib.repr(value)} is of type {type(value).__name__}: expected {shown}."
            ) from error

    @functools.wraps(initialize)
    def initialize_and_explain(self: PreTrainedConfig, *args: Any, **kwargs: Any) -> None:
        try:
            initialize(self, *args, **kwargs)
        except StrictDataclassError as error:
            raise ValueError(str(error)) from error

    config_class.__setattr__ = set_attribute  # type: ignore[method-assign]
    config_class.__init__ = initialize_and_explain  # type: ignore[method-assign]
    return config_class


@_explain_types
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
        max_position_embeddings (`int`): The highest position P in either row of the 2D positions (paper section 2.2.1).
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
        ValueError: if a setting is of another type or out of range, the sizes do not fit together, or the dict is the
            config of another architecture, such as Transformers' GLM-4 or ChatGLM. `LARGEST_SIZES` has the upper limits.

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
        _check_settings(self, kwargs)
        try:
            super().__post_init__(**kwargs)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"The settings {', '.join(sorted(kwargs))} cannot be read: {error!r}") from error
        self._check_sizes()
        if self.intermediate_size is None:
            self.intermediate_size = 4 * self.hidden_size

    def _check_sizes(self) -> None:
        if self.hidden_size % self.num_attention_heads != 0:
            raise ValueError(
                f"hidden_size={self.hidden_size} is not a multiple of num_attention_heads={self.num_attention_heads}: "
                "choose sizes so that every head has the same width."
            )
        width, rows = self.hidden_size, self.vocab_size + 2 * self.max_position_embeddings
        inner = self.intermediate_size or 4 * width
        if (count := width * (rows + self.num_hidden_layers * (4 * width + 2 * inner))) > MOST_PARAMETERS:
            raise ValueError(
                f"These sizes make a model of {count:.1e} parameters, expected at most {MOST_PARAMETERS:.0e}: "
                f"vocab_size={self.vocab_size}, hidden_size={width}, num_hidden_layers={self.num_hidden_layers}, "
                f"intermediate_size={inner}, max_position_embeddings={self.max_position_embeddings}."
            )

    @property
    def num_labels(self) -> int | None:
        """The number of labels of a classifier."""
        return None if self.id2label is None else len(self.id2label)

    @num_labels.setter
    def num_labels(self, number: int) -> None:
        _require_size("num_labels", number)
        PreTrainedConfig.num_labels.fset(self, number)  # type: ignore[attr-defined]

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
        try:
            config_dict, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        except (RecursionError, TypeError, AttributeError, LookupError) as error:
            raise ValueError(
                f"The config in {pretrained_model_name_or_path} is not a JSON dict, or is nested more than "
                f"{DEEPEST_NESTING} deep, or names other files wrongly: {error!r}"
            ) from error
        if not isinstance(config_dict, dict):
            found = type(config_dict).__name__
            raise ValueError(f"The config in {pretrained_model_name_or_path} holds a {found}: expected a JSON dict.")
        require_shallow(config_dict, f"The config in {pretrained_model_name_or_path}")
        if cls.is_original(config_dict):
            config_dict = cls.add_special_token_ids(config_dict, pretrained_model_name_or_path, **hub_options)
        return cls._convert_original(config_dict, pretrained_model_name_or_path), kwargs

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        """Make a config from a dict as the library does. The dict may be that of an original config.json."""
        made = super().from_dict(cls._convert_original(config_dict, kwargs.get("name_or_path")), **kwargs)
        config = made[0] if isinstance(made, tuple) else made
        config._check_sizes()  # the library sets what is in kwargs one by one, after it has made the config
        return made

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
        named = config_dict.get("architectures")
        architectures = named if isinstance(named, list) else ()
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


def _check_value(name: str, value: Any) -> None:
    """
    Check a setting on its own, before it is set. `GLMConfig._check_sizes` checks those that must fit together.

    Numbers and names of another type are left to the check of types.
    """
    if name in LARGEST_SIZES:
        _require_size(name, value)
    elif isinstance(value, str) and name in ONE_OF and value not in ONE_OF[name]:
        raise ValueError(f"{name}={reprlib.repr(value)}: expected one of {', '.join(ONE_OF[name])}.")
    elif not isinstance(value, int | float):
        return
    elif name in PROBABILITIES and not 0 <= value <= 1:
        raise ValueError(f"{name}={value}: expected a probability from 0 to 1.")
    elif name in NOT_NEGATIVE and not 0 <= value < math.inf:
        raise ValueError(f"{name}={value}: expected a finite number that is not negative.")
    elif name in FINITE and not math.isfinite(value):
        raise ValueError(f"{name}={value}: expected a finite number.")


def _require_size(name: str, size: Any) -> None:
    if type(size) is not int:
        raise ValueError(f"{name}={reprlib.repr(size)} is of type {type(size).__name__}: expected int.")
    if not 1 <= size <= LARGEST_SIZES[name]:
        bound = "at least 1" if size < 1 else f"at most {LARGEST_SIZES[name]:,}"
        raise ValueError(f"{name}={reprlib.repr(size)} must be {bound}.")


# The settings of the library that it takes as they are, with the types that it works with.
LIBRARY_TYPES: dict[str, tuple[type, ...]] = {
    "architectures": (list,),
    "id2label": (dict,),
    "label2id": (dict,),
    "attn_implementation": (str, dict),
    "output_attentions": (bool,),
    "output_hidden_states": (bool,),
    "return_dict": (bool,),
}


def _check_settings(config: GLMConfig, others: dict[str, Any]) -> None:
    """Check what the library would set or convert without looking."""
    for name, types in LIBRARY_TYPES.items():
        value = others.get(name, getattr(config, name, None))
        if value is not None and not isinstance(value, types):
            expected = " or ".join(each.__name__ for each in types)
            raise ValueError(f"{name}={reprlib.repr(value)} is of type {type(value).__name__}: expected {expected}.")
    if wrong := [name for name in config.architectures or () if not isinstance(name, str)]:
        raise ValueError(f"architectures holds {reprlib.repr(wrong[0])}: expected the names of classes.")
    for name, value in (("dtype", config.dtype), ("torch_dtype", others.get("torch_dtype"))):
        dtype = vars(torch).get(value) if isinstance(value, str) else value
        if value is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise ValueError(
                f"{name}={reprlib.repr(value)}: expected a dtype of weights, such as float32 or bfloat16."
            )
    for name in ("id2label", "label2id"):
        if (count := len(getattr(config, name) or ())) > LARGEST_SIZES["num_labels"]:
            raise ValueError(f"{name} has {count:,} labels, expected at most {LARGEST_SIZES['num_labels']:,}.")
    for key in config.id2label or ():
        if not re.fullmatch("-?[0-9]{1,9}", str(key)):
            raise ValueError(f"id2label has the key {reprlib.repr(key)}: expected the number of a label.")
    quantization = others.get("quantization_config")
    if quantization is not None and not isinstance(quantization, dict) and not hasattr(quantization, "to_dict"):
        raise ValueError(f"quantization_config={reprlib.repr(quantization)}: expected a dict.")
    if others.get("per_layer_config") is not None:
        raise ValueError("per_layer_config is given: expected none, as all layers of a GLM are alike.")
    for name in others:
        found = inspect.getattr_static(GLMConfig, name, None)
        if isinstance(found, property):
            if found.fset is None:
                raise ValueError(f"{name} is computed from other settings of the model: remove it.")
        elif name == "attribute_map" or name.startswith("__") or inspect.isroutine(found):
            raise ValueError(f"{name} is a part of the class GLMConfig, not a setting of a model: remove it.")


def _read_special_token_ids(source: str | os.PathLike, hub_options: dict[str, Any]) -> dict[str, int]:
    """Read the ids that the tokenizer files of an original folder give to the special tokens."""
    settings = _read_json(source, "tokenizer_config.json", hub_options)
    names = dict(SPECIAL_TOKENS)
    for key in ("pad_token", "eos_token", "cls_token", "mask_token"):
        token = settings.get(key)
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            names[f"{key}_id"] = token
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
    path = _find_file(source, name, hub_options)
    return read_json(path) if path else {}


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


__all__ = ["GLMConfig", "read_json", "require_shallow"]
