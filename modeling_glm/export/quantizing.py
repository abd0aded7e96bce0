"""Quantize an exported model with the quantizer of ONNX Runtime."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir
from onnxruntime.quantization import QuantType
from transformers.exporters import OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer


class WeightQuantizer(OnnxRuntimeQuantizer):
    """
    Store the matrices of all matmuls as int8, with a scale for each output. Their inputs are rounded when they run.

    ONNX Runtime quantizes matrices that stand in the file as they are multiplied. The projection to the vocabulary is the
    transposed table of the embeddings, so it becomes a matrix of its own first. The table stays float32: it is only
    looked up. Without a matrix of its own, ONNX Runtime transposes a table in its place, and then looks up columns of it.
    """

    def quantize(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        fold_transposes(model.graph)
        return super().quantize(model, *args, **kwargs)


def make_quantizer() -> WeightQuantizer:
    """Make the quantizer for `OnnxConfig(quantizer=...)`."""
    settings = {"weight_type": QuantType.QInt8, "per_channel": True, "op_types_to_quantize": ["MatMul"]}
    return WeightQuantizer(OnnxRuntimeDynamicConfig(**settings))


def fold_transposes(graph: onnx_ir.Graph) -> None:
    """Store weights as they are multiplied, in place of transposing them in every run. Weights with other uses stay, too."""
    for node in list(graph):
        if node.op_type == "Transpose":
            order = node.attributes["perm"].as_ints() if "perm" in node.attributes else None
            folded = _add_transposed(graph, node.inputs[0], order, node)
            if folded is not None:
                node.outputs[0].replace_all_uses_with(folded)
                graph.remove(node, safe=True)
        elif node.op_type == "Gemm" and "transB" in node.attributes and node.attributes["transB"].as_int():
            folded = _add_transposed(graph, node.inputs[1], None, node)
            if folded is not None:
                node.replace_input_with(1, folded)
                node.attributes["transB"] = onnx_ir.AttrInt64("transB", 0)


def _add_transposed(
    graph: onnx_ir.Graph, weight: onnx_ir.Value | None, order: Sequence[int] | None, node: onnx_ir.Node
) -> onnx_ir.Value | None:
    """Store a transposed copy of a weight for a node. Returns None for what is computed."""
    if weight is None or not weight.is_initializer() or weight.const_value is None:
        return None
    values = np.ascontiguousarray(weight.const_value.numpy().transpose(order))
    name = f"{weight.name}.transposed.{node.outputs[0].name}"
    folded = onnx_ir.Value(
        name=name, shape=onnx_ir.Shape(values.shape), type=weight.type, const_value=onnx_ir.tensor(values, name=name)
    )
    graph.register_initializer(folded)
    return folded


__all__ = ["WeightQuantizer", "fold_transposes", "make_quantizer"]
