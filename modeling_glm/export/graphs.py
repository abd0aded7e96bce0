"""
Say what exporters trace: the module, an example of its inputs, and which of their sizes are dynamic.

The sizes of an example differ from each other and from 1, because an exporter takes equal sizes for one, and 1 for a
constant.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel

from ..configuration_glm import GLMConfig
from ..embeddings_glm import mark_as_text
from ..utils.inference import is_a

ROWS, LENGTH, HELD, PLACES, CHOICES = 2, 5, 3, 4, 3


class Graph(NamedTuple):
    """
    Hold what an exporter needs.

    Attributes:
        module: The module in eval mode.
        inputs: An example of its inputs, by name.
        shapes: For every input the dynamic dimensions, as `torch.export` takes them; None where all are fixed.
    """

    module: nn.Module
    inputs: dict[str, Any]
    shapes: dict[str, Any]


class BlankGraph(nn.Module):
    """
    Read tokens behind a cache, and score what may follow some of them. One graph serves for all that a language model does:

    - prefill: a text and a start of piece behind an empty cache, all of Part A visible to all;
    - decoding: one token for each row behind what is held;
    - scoring: a text with many answers side by side, which the mask keeps apart.

    So an exported model has its weights once, on the disk and in memory.

    Args:
        model: A model with a projection to the vocabulary.
    """

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        places: torch.Tensor,
        past_key_values: DynamicCache,
    ) -> dict[str, Any]:
        """
        Score what may follow.

        Args:
            input_ids: (batch, seq) int64.
            attention_mask: (batch, 1, seq, held + seq) bool, True = may attend.
            position_ids: (batch, 2, seq) int64.
            places: (wanted,) int64, row * seq + column of the tokens whose successors are scored.
            past_key_values: What is held.

        Returns:
            `log_probs` (wanted, vocabulary) fp32 natural logarithms, and `past_key_values` with the new tokens.
        """
        outputs = self.model.glm(  # type: ignore[operator]
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=True,
        )
        states = outputs.last_hidden_state.flatten(0, 1).index_select(0, places)
        log_probs = self.model.vocabulary_logits(states).float().log_softmax(-1)  # type: ignore[operator]
        return {"log_probs": log_probs, "past_key_values": outputs.past_key_values}


def build_graph(model: PreTrainedModel) -> Graph:
    """
    Build the graph of a model.

    Args:
        model: A GLM in eval mode.

    Raises:
        ValueError: For a class without an export, and for a language model that does not know its special tokens.
    """
    for name, build in BUILDERS.items():
        if is_a(model, name):
            return build(model)
    raise ValueError(
        f"{type(model).__name__} has no export: expected one of {', '.join(BUILDERS)}, or a class that inherits from one."
    )


def is_language_model(model: PreTrainedModel) -> bool:
    """Return whether the export of a model fills, scores and chooses."""
    return is_a(model, "GLMForConditionalGeneration")


def _blank_graph(model: PreTrainedModel) -> Graph:
    config: GLMConfig = model.config  # type: ignore[assignment]
    config.require_token_ids("sop_token_id", "eop_token_id", purpose="Exporting a language model")
    cache = DynamicCache(config=config)
    width = config.hidden_size // config.num_attention_heads
    for layer in range(config.num_hidden_layers):
        held = torch.zeros(ROWS, config.num_attention_heads, HELD, width)
        cache.update(held, held.clone(), layer)
    mark_as_text(cache)
    inputs = {
        "input_ids": torch.ones(ROWS, LENGTH, dtype=torch.long),
        "attention_mask": torch.ones(ROWS, 1, LENGTH, HELD + LENGTH, dtype=torch.bool),
        "position_ids": torch.ones(ROWS, 2, LENGTH, dtype=torch.long),
        "places": torch.arange(PLACES),
        "past_key_values": cache,
    }
    shapes: dict[str, Any] = {
        "input_ids": _dynamic(0, 1),
        "attention_mask": _dynamic(0, 2, 3),
        "position_ids": _dynamic(0, 2),
        "places": _dynamic(0),
        "past_key_values": [_dynamic(0, 2)] * (2 * config.num_hidden_layers),
    }
    return Graph(BlankGraph(model).eval(), inputs, shapes)


def _text_graph(model: PreTrainedModel) -> Graph:
    ids = torch.ones(ROWS, LENGTH, dtype=torch.long)
    # An exporter takes `use_cache` for a setting of the model, not for an input.
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
    return Graph(model, inputs, {"input_ids": _dynamic(0, 1), "attention_mask": _dynamic(0, 1)})


def _choice_graph(model: PreTrainedModel) -> Graph:
    graph = _text_graph(model)
    choice_ids = torch.ones(ROWS, CHOICES, PLACES, dtype=torch.long)
    return Graph(model, {**graph.inputs, "choice_ids": choice_ids}, {**graph.shapes, "choice_ids": _dynamic(0, 1, 2)})


def _dynamic(*dimensions: int) -> dict[int, Any]:
    return dict.fromkeys(dimensions, torch.export.Dim.AUTO)


# The model without a head is last, because its class name is that of no other.
BUILDERS: dict[str, Callable[[PreTrainedModel], Graph]] = {
    "GLMForConditionalGeneration": _blank_graph,
    "GLMForMultipleChoice": _choice_graph,
    "GLMForSequenceClassification": _text_graph,
    "GLMForTokenClassification": _text_graph,
    "GLMForQuestionAnswering": _text_graph,
    "GLMModel": _text_graph,
}


__all__ = ["BUILDERS", "BlankGraph", "Graph", "build_graph", "is_language_model"]
