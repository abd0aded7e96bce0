"""Every operator has one category."""

from collections import Counter

import pytest

from benchmarks.profiling.categories import (
    ALONE,
    ATTENTION,
    CATEGORIES,
    COPIES,
    DROPOUT,
    EMBEDDINGS,
    LOSS,
    MATMULS,
    NORM,
    OPTIMIZER,
    OTHER,
    OWN,
    PYTHON,
    SUMS,
    VIEWS,
    VOCABULARY,
    categorize,
    is_operator,
    short,
)


def test_no_operator_is_listed_twice():
    listed = Counter(name for several in (*OWN.values(), *ALONE.values(), VIEWS) for name in several.split())
    assert [name for name, count in listed.items() if count > 1] == []
    assert {*OWN, *ALONE} <= set(CATEGORIES)


@pytest.mark.parametrize(
    ("names", "shapes", "category"),
    [
        (["aten::addmm", "aten::linear"], [[768], [8, 768], [768, 768]], MATMULS),
        (["aten::mm", "aten::linear"], [[8, 768], [768, 1000]], VOCABULARY),
        (["quantized::linear_dynamic"], [[8, 768]], MATMULS),
        (["aten::bmm", "RecomputedAttention"], [], ATTENTION),
        (["aten::mul_", "RecomputedAttention", "step"], [], ATTENTION),
        (["aten::copy_", "RecomputedAttention"], [], COPIES),
        (["aten::random_", "RecomputedAttention"], [[64]], DROPOUT),
        (["aten::ge", "RecomputedAttention"], [[98304]], DROPOUT),
        (["aten::ge"], [[2, 64]], EMBEDDINGS),
        (["aten::mul"], [[2, 64, 768]], DROPOUT),
        (["aten::mul"], [[16, 2, 128]], EMBEDDINGS),
        (["aten::mul"], [], EMBEDDINGS),
        (["aten::mul", "MulBackward0", "autograd::engine::evaluate_function: MulBackward0"], [[2, 64, 768]], DROPOUT),
        (["aten::mul", "RecomputedAttentionBackward"], [[2, 64, 768]], ATTENTION),
        (["aten::fill_", "aten::zero_", "aten::embedding_dense_backward"], [], EMBEDDINGS),
        (["aten::fill_", "aten::zero_", "aten::native_layer_norm_backward"], [], NORM),
        (["aten::fill_", "aten::full"], [], EMBEDDINGS),
        (["aten::sum", "aten::exp"], [], LOSS),
        (["aten::add", "step"], [], SUMS),
        (["aten::copy_", "aten::to", "Optimizer.step#AdamW.step"], [], OPTIMIZER),
        (["aten::view"], [], PYTHON),
        (["autograd::engine::evaluate_function: AddmmBackward0"], [], PYTHON),
        (["AddmmBackward0"], [], PYTHON),
        (["the whole work"], [], PYTHON),
        (["aten::an_operator_of_tomorrow", "step"], [], OTHER),
    ],
)
def test_category(names, shapes, category):
    assert categorize(names, shapes, vocabulary=1000) == category


def test_names_are_shortened():
    assert [short(name) for name in ("aten::mm", "quantized::linear", "GeluBackward0")] == [
        "mm",
        "linear",
        "GeluBackward0",
    ]
    assert is_operator("aten::mm")
    assert not is_operator("torch::autograd::AccumulateGrad")
