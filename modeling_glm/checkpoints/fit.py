"""Tell from the tensors of a checkpoint which model they are: config, class, and whether everything fits."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from ..configuration_glm import LARGEST_SIZES, PRESETS, GLMConfig
from ..modeling_glm import (
    CLASSIFIER_NAMES,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMPreTrainedModel,
)
from .files import DTYPES, CheckpointError

Tensors = Mapping[str, torch.Tensor]

CLASSES: dict[str, type[GLMPreTrainedModel]] = {
    model_class.__name__: model_class
    for model_class in (
        GLMForConditionalGeneration,
        GLMForMultipleChoice,
        GLMForSequenceClassification,
        GLMForTokenClassification,
        GLMForQuestionAnswering,
    )
}
HEADS = {"blank-infilling": GLMForConditionalGeneration, "classification": GLMForSequenceClassification}
PUBLISHED_HEAD_WIDTH = 64  # in all published checkpoints
LAYER_NAME = re.compile(r"transformer\.layers\.([0-9]{1,9})\.")
MOST_LABELS = LARGEST_SIZES["num_labels"]
LABELS = {  # the tensor with a row for each label
    GLMForSequenceClassification: "classifier.out_proj.weight",
    GLMForTokenClassification: "classifier.weight",
}


def detect_config(tensors: Tensors) -> GLMConfig:
    """
    Tell the config from the shapes: that of the published checkpoint of these shapes, or one with heads of width 64 and
    without the ids of a vocabulary.

    Raises:
        CheckpointError: if tensors that tell the shape are missing, or the width does not tell the heads.
    """
    names = ("word_embeddings.weight", "transformer.position_embeddings.weight")
    if missing := [name for name in names if name not in tensors]:
        raise CheckpointError(f"There is no tensor {missing[0]}: this is not a whole checkpoint of a GLM.")
    for name in names:
        if tensors[name].ndim != 2:
            raise CheckpointError(f"{name} has the shape {tuple(tensors[name].shape)}, expected two dimensions.")
    vocab_size, hidden_size = tensors[names[0]].shape
    has_blocks = "transformer.block_position_embeddings.weight" in tensors
    intermediate = tensors.get("transformer.layers.0.mlp.dense_h_to_4h.bias")
    layers = {int(match[1]) for name in tensors if (match := LAYER_NAME.match(name))}
    if layers and (missing_layer := next(number for number in range(len(layers) + 1) if number not in layers)) < max(
        layers
    ):
        raise CheckpointError(
            f"There are tensors of transformer.layers.{max(layers)}, but none of transformer.layers.{missing_layer}: "
            "expected those of all layers."
        )
    shape: dict[str, Any] = {
        "num_hidden_layers": max(layers, default=-1) + 1,
        "hidden_size": hidden_size,
        "max_position_embeddings": tensors[names[1]].shape[0] - int(has_blocks),
        "vocab_size": vocab_size,
    }
    for name, preset in PRESETS.items():
        if has_blocks and shape.items() <= preset.items():
            return GLMConfig.from_preset(name)
    if not layers:
        raise CheckpointError("There is no tensor transformer.layers.0.…: this is not a whole checkpoint of a GLM.")
    if hidden_size % PUBLISHED_HEAD_WIDTH:
        raise CheckpointError(
            f"The number of attention heads does not show in the shapes, and word_embeddings.weight has the width "
            f"{hidden_size}, which is not a multiple of {PUBLISHED_HEAD_WIDTH}: give a config (or a preset)."
        )
    return GLMConfig(
        **shape,
        num_attention_heads=hidden_size // PUBLISHED_HEAD_WIDTH,
        intermediate_size=None if intermediate is None else intermediate.shape[0],
        block_position_embeddings=has_blocks,
    )


def shares_gmask(config: GLMConfig, read: Callable[[str], torch.Tensor]) -> bool:
    """
    Tell whether one token is both `[gMASK]` and the end of a piece, as in GLM-10B-Chinese when it was trained.

    The hub's weights of this size have a copy of that row for `[gMASK]`. The weights of other sizes do not show it.
    """
    preset = PRESETS["glm-10b-chinese"]
    if any(getattr(config, name) != value for name, value in preset.items() if not name.endswith("_token_id")):
        return False
    rows = read("word_embeddings.weight")
    return not torch.equal(rows[preset["gmask_token_id"]], rows[preset["eop_token_id"]])


def choose_class(config: GLMConfig, tensors: Tensors, head: str | None) -> type[GLMPreTrainedModel]:
    """
    Choose the class of the weights: that of `head` if it is given, otherwise the one that the config names, if the
    tensors of its head are there.

    Raises:
        ValueError: if there is no such head.
        CheckpointError: if the tensors of the head are missing.
    """
    present = {rename_head(name) for name in tensors}
    if head is not None:
        if head not in HEADS:
            raise ValueError(f"head={head!r}: expected one of {', '.join(HEADS)}.")
        if missing := sorted(_head_tensors(config, HEADS[head]) - present):
            raise CheckpointError(f"The source has no head for {head}: there is no tensor {missing[0]}.")
        return HEADS[head]
    named = CLASSES.get((config.architectures or [""])[0], GLMForConditionalGeneration)
    return named if _head_tensors(config, named) <= present else GLMForConditionalGeneration


def check_fit(
    tensors: Tensors, config: GLMConfig, model_class: type[GLMPreTrainedModel], is_split: bool
) -> dict[str, str]:
    """
    Compare the tensors of the source with those that the model needs.

    Args:
        tensors: The tensors of the source.
        config: The config of the model. Its number of labels follows the tensors.
        model_class: The class of the model.
        is_split: Whether the tensors were merged from shards, for the message.

    Returns:
        For every tensor of the model, by its name in the base model or in the head, its name in the source.

    Raises:
        CheckpointError: for the first tensor that is missing, superfluous or of another shape.
    """
    sources = {rename_head(name): name for name in tensors}
    if model_class in LABELS:
        _take_labels(config, tensors[sources[LABELS[model_class]]], sources[LABELS[model_class]])
    hint = " Are all shards of the model there?" if is_split else ""
    size = (
        f"{config.num_hidden_layers} layers, width {config.hidden_size}, {config.num_attention_heads} heads, "
        f"{config.max_position_embeddings} positions and a vocabulary of {config.vocab_size} rows"
    )
    expected = {}
    for name, shape in _expected_shapes(config, model_class):  # lazily, as the config may ask for any number of layers
        expected[name] = sources.get(name)
        if name not in sources:
            raise CheckpointError(f"There is no tensor {name}: a GLM with {size} has one of shape {shape}.{hint}")
        if (dtype := tensors[sources[name]].dtype) not in DTYPES.values():
            raise CheckpointError(
                f"{sources[name]} has the dtype {str(dtype).removeprefix('torch.')}, expected float16, bfloat16, float32 or "
                "float64. Quantized weights cannot be converted: take the original ones."
            )
        if (found := tuple(tensors[sources[name]].shape)) != shape:
            raise CheckpointError(f"{sources[name]} has the shape {found}, expected {shape} for {size}.{hint}")
    for name in sources.keys() - expected.keys():
        dtype = tensors[sources[name]].dtype  # integers are buffers, such as position_ids
        if not is_of_head(name) and dtype in DTYPES.values():
            shape = tuple(tensors[sources[name]].shape)
            raise CheckpointError(f"{name} of shape {shape} has no place in a GLM with {size}: expected none.")
    return {name: sources[name] for name in expected}


def _take_labels(config: GLMConfig, tensor: torch.Tensor, name: str) -> None:
    """Set the number of labels of the config to the number of rows of a tensor."""
    if tensor.ndim != 2 or tensor.shape[1] != config.hidden_size or not 1 <= tensor.shape[0] <= MOST_LABELS:
        raise CheckpointError(
            f"{name} has the shape {tuple(tensor.shape)}, expected a row of width {config.hidden_size} for each of at "
            f"least 1 and at most {MOST_LABELS:,} labels."
        )
    if config.num_labels != tensor.shape[0]:
        config.num_labels = tensor.shape[0]


def rename_head(name: str) -> str:
    """Give a layer of the originals' classifiers the name that it has here."""
    for theirs, ours in CLASSIFIER_NAMES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def add_prefix(name: str, has_head: bool) -> str:
    """Name a tensor as in a file: of a base model alone as the originals do, beside a head as `save_pretrained` does."""
    return f"glm.{name}" if has_head and not is_of_head(name) else name


def is_of_head(name: str) -> bool:
    """Return whether a tensor of this name belongs to a head, not to the base model."""
    return not name.startswith(("transformer.", "word_embeddings."))


def _head_tensors(config: GLMConfig, model_class: type[GLMPreTrainedModel]) -> set[str]:
    single = copy.deepcopy(config)
    single.num_hidden_layers = 1
    return {name for name, _ in _expected_shapes(single, model_class) if is_of_head(name)}


def _expected_shapes(
    config: GLMConfig, model_class: type[GLMPreTrainedModel]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every tensor of a model, in their order. A model of one layer shows those of all layers."""
    single = copy.deepcopy(config)
    single.num_hidden_layers = 1
    with torch.device("meta"):
        state = model_class(single).state_dict()
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    shapes = {name.removeprefix("glm."): tuple(tensor.shape) for name, tensor in state.items()}
    first = {name: shape for name, shape in shapes.items() if LAYER_NAME.match(name)}
    for name, shape in shapes.items():
        if name not in first:
            yield name, shape
        elif name == next(iter(first)):
            for layer in range(config.num_hidden_layers):
                for each, its_shape in first.items():
                    yield LAYER_NAME.sub(f"transformer.layers.{layer}.", each), its_shape


__all__ = ["add_prefix", "check_fit", "choose_class", "detect_config", "is_of_head", "shares_gmask"]
