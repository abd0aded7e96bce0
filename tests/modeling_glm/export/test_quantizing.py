"""Quantization reaches all matrices, and nothing else."""

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import numpy_helper

pytest.importorskip("transformers.exporters")

from modeling_glm.export.quantizing import fold_transposes


def test_all_matrices_are_int8_and_the_table_is_not(exported, text_model):
    model = onnx.load(exported["int8"].target / "model.onnx")
    onnx.checker.check_model(exported["int8"].target / "model.onnx")
    weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    matrices = [value for value in weights.values() if value.dtype == np.int8 and value.ndim == 2]
    # four matrices in each of two layers, and the projection to the vocabulary
    assert len(matrices) == 4 * 2 + 1
    config = text_model.config
    assert (config.hidden_size, config.vocab_size) in [value.shape for value in matrices]
    tables = [value for value in weights.values() if value.dtype == np.float32 and value.ndim == 2]
    assert (config.vocab_size, config.hidden_size) in [value.shape for value in tables]
    assert sum(node.op_type == "MatMulInteger" for node in model.graph.node) == len(matrices)


def test_transposed_weights_are_stored_as_they_are_multiplied():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    weight = onnx_ir.Value(name="w", const_value=onnx_ir.tensor(values, name="w"))
    given = onnx_ir.Value(name="x", shape=onnx_ir.Shape((3, 2)), type=onnx_ir.TensorType(onnx_ir.DataType.FLOAT))
    of_weight = onnx_ir.node("Transpose", [weight], attributes={"perm": [1, 0]})
    of_input = onnx_ir.node("Transpose", [given], attributes={"perm": [1, 0]})
    product = onnx_ir.node("MatMul", [given, of_input.outputs[0]])
    both = onnx_ir.node("MatMul", [product.outputs[0], of_weight.outputs[0]])
    graph = onnx_ir.Graph(
        [given], [both.outputs[0]], nodes=[of_weight, of_input, product, both], initializers=[weight]
    )
    fold_transposes(graph)
    assert [node.op_type for node in graph] == ["Transpose", "MatMul", "MatMul"]  # that of the input stays
    np.testing.assert_array_equal(both.inputs[1].const_value.numpy(), values.T)
