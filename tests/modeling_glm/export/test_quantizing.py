"""Quantization reaches all matrices, and nothing else."""

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import numpy_helper

pytest.importorskip("transformers.exporters")

from modeling_glm.export.quantizing import fold_transposes


@pytest.mark.slow
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


def test_a_table_that_is_looked_up_and_multiplied_has_a_copy_to_multiply():
    """Some versions of onnxscript write the projection to the vocabulary as one node with the table itself."""
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    table = onnx_ir.Value(name="table", const_value=onnx_ir.tensor(values, name="table"))
    ids = onnx_ir.Value(name="ids", shape=onnx_ir.Shape((2,)), type=onnx_ir.TensorType(onnx_ir.DataType.INT64))
    found = onnx_ir.node("Gather", [table, ids], attributes={"axis": 0})
    scores = onnx_ir.node("Gemm", [found.outputs[0], table], attributes={"transB": 1})
    plain = onnx_ir.node("Gemm", [scores.outputs[0], table], attributes={"transB": 0})
    computed = onnx_ir.node("Gemm", [plain.outputs[0], plain.outputs[0]], attributes={"transB": 1})
    graph = onnx_ir.Graph([ids], [computed.outputs[0]], nodes=[found, scores, plain, computed], initializers=[table])
    fold_transposes(graph)
    np.testing.assert_array_equal(scores.inputs[1].const_value.numpy(), values.T)
    assert scores.attributes["transB"].as_int() == 0
    assert found.inputs[0] is plain.inputs[1] is table
    np.testing.assert_array_equal(table.const_value.numpy(), values)
    assert computed.inputs[1] is plain.outputs[0]
    assert computed.attributes["transB"].as_int() == 1
