"""Quantize an exported model with the quantizer of ONNX Runtime."""

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
    looked up.
    """

    def quantize(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        fold_transposes(model.graph)
        return super().quantize(model, *args, **kwargs)


def make_quantizer() -> WeightQuantizer:
    """Make the quantizer for `OnnxConfig(quantizer=...)`."""
    settings = {"weight_type": QuantType.QInt8, "per_channel": True, "op_types_to_quantize": ["MatMul"]}
    return WeightQuantizer(OnnxRuntimeDynamicConfig(**settings))


def fold_transposes(graph: onnx_ir.Graph) -> None:
    """Store weights as they are multiplied, in place of transposing them in every run."""
    for node in [node for node in graph if node.op_type == "Transpose"]:
        weight, result = node.inputs[0], node.outputs[0]
        if weight is None or not weight.is_initializer() or weight.const_value is None:
            continue
        order = node.attributes["perm"].as_ints() if "perm" in node.attributes else None
        values = np.ascontiguousarray(weight.const_value.numpy().transpose(order))
        name = f"{weight.name}.transposed.{result.name}"
        folded = onnx_ir.Value(
            name=name,
            shape=onnx_ir.Shape(values.shape),
            type=weight.type,
            const_value=onnx_ir.tensor(values, name=name),
        )
        graph.register_initializer(folded)
        result.replace_all_uses_with(folded)
        graph.remove(node, safe=True)


__all__ = ["WeightQuantizer", "fold_transposes", "make_quantizer"]
