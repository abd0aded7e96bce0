"""Which model a checkpoint is: its config, whether `[gMASK]` ends a piece as well, and its tokenizer."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ..configuration_glm import GLMConfig, read_json
from ..tokenization.tokenization_glm import GLMTokenizer
from .files import CheckpointError
from .fit import detect_config, shares_gmask
from .source import TOKENIZER_FILES, Source
from .weights import Weights

# Vocabularies are told apart by these ids. That of padding differs between the authors' code and the hub's.
DISTINCTIVE_IDS = ("cls_token_id", "mask_token_id", "smask_token_id", "gmask_token_id", "sop_token_id", "eop_token_id")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """
    A config and where its ids come from.

    Attributes:
        config: The config. Its ids still change with the tokenizer.
        has_preset_ids: Whether the ids are those of a published size, rather than of a config that was read.
    """

    config: GLMConfig
    has_preset_ids: bool


def choose_config(
    source: Source, weights: Weights, config: str | os.PathLike | GLMConfig | None, preset: str | None
) -> Identity:
    """
    Choose the config: that of the preset, the one given, the source's own, or the one that the shapes of the tensors
    tell, in this order.

    Raises:
        CheckpointError: if a file is not a config, or no config follows from the shapes.
        FileNotFoundError: if there is no config at the path given.
        ValueError: if there is no such preset.
    """
    has_preset_ids = False
    if preset is not None:
        chosen, has_preset_ids = GLMConfig.from_preset(preset), True
    elif isinstance(config, GLMConfig):
        chosen = copy.deepcopy(config)
    elif config is not None:
        chosen = _read_config(Path(config))
    elif path := source.find("config.json"):
        chosen = _read_config(path)
    else:
        chosen, has_preset_ids = detect_config(weights.tensors), True
    if hasattr(chosen, "quantization_config"):
        del chosen.quantization_config  # these weights are not quantized
    pair = [weights.tensors.get(name) for name in ("lm_head.weight", "word_embeddings.weight")]
    if pair[0] is not None:
        # Compared only where their shapes can be equal, as reading them may take long.
        alike = pair[1] is not None and (pair[0].shape, pair[0].dtype) == (pair[1].shape, pair[1].dtype)
        chosen.tie_word_embeddings = alike and torch.equal(
            weights.read("lm_head.weight"), weights.read("word_embeddings.weight")
        )
    return Identity(config=chosen, has_preset_ids=has_preset_ids)


def _read_config(path: Path) -> GLMConfig:
    if not path.exists():
        raise FileNotFoundError(f"There is no config {path}.")
    what = f"{path} is not the config of a model: "
    try:
        if path.is_file():
            read_json(path)  # its errors name the file; the library's do not know all kinds
        return GLMConfig.from_pretrained(path)
    except Exception as error:  # the library checks little of what it takes over
        raise CheckpointError(f"{'' if str(error).startswith('The config in') else what}{error}") from error


def settle_gmask(identity: Identity, weights: Weights, shared: bool | None) -> bool:
    """
    Decide whether `[gMASK]` is the end of a piece as well, as in GLM-10B-Chinese when it was trained. The
    `gmask_token_id` of the config follows.

    Args:
        identity: The config, which is changed.
        weights: They show it at the size of GLM-10B-Chinese.
        shared: The answer, if the caller knows it.

    Returns:
        Whether it is.
    """
    config = identity.config
    known, end = config.gmask_token_id, config.eop_token_id
    if shared is None:
        shared = known is not None and known == end
        if identity.has_preset_ids or known is None:
            shared = shared or shares_gmask(config, weights.read)
    if shared:
        config.gmask_token_id = end
    elif known is not None and known == end:
        config.gmask_token_id = None  # the tokenizer has the right one
    return shared


def load_tokenizer(
    source: Source, vocabulary: str | os.PathLike | None, identity: Identity, shared_gmask: bool
) -> GLMTokenizer | None:
    """
    Load the tokenizer of the given vocabulary, or the source's own. The config takes over its ids.

    Args:
        source: The checkpoint.
        vocabulary: Folder of a vocabulary, if it is not the source's own.
        identity: The config, which is changed.
        shared_gmask: Whether `[gMASK]` is the end of a piece as well.

    Returns:
        The tokenizer, or None if there is no vocabulary.

    Raises:
        CheckpointError: if the vocabulary cannot be read, or belongs to another model.
        FileNotFoundError: if the vocabulary given is not a folder.
    """
    config = identity.config
    folder = source.vocabulary if vocabulary is None else Path(vocabulary)
    if folder is None:
        return None
    if not folder.is_dir():
        raise FileNotFoundError(
            f"The vocabulary {folder} is not a folder: expected one with {', '.join(TOKENIZER_FILES)}."
        )
    try:
        tokenizer = GLMTokenizer.from_pretrained(folder, shared_gmask=shared_gmask)
    except Exception as error:  # tokenizers raises plain Exceptions for damaged files
        raise CheckpointError(f"The vocabulary in {folder} cannot be read: {error}") from error
    if len(tokenizer) > config.vocab_size:
        raise CheckpointError(
            f"The vocabulary in {folder} has {len(tokenizer)} tokens, but word_embeddings.weight has "
            f"{config.vocab_size} rows: it belongs to another model."
        )
    ids = tokenizer.special_token_ids
    if identity.has_preset_ids or vocabulary is not None:  # otherwise the config has its ids from the same files
        owner = "the published checkpoint of this size" if identity.has_preset_ids else "the config"
        for name in DISTINCTIVE_IDS:
            if (known := getattr(config, name)) is not None and known != ids.get(name):
                raise CheckpointError(
                    f"The vocabulary in {folder} has the {name} {ids.get(name)}, but {owner} has {known}: it belongs to "
                    "another model. If it is the right one, give a config that says so."
                )
    config.update(ids)
    return tokenizer


__all__ = ["Identity", "choose_config", "load_tokenizer", "settle_gmask"]
