"""Assign every operator of a profile to one category that a reader knows."""

import math
from collections.abc import Sequence

MATMULS = "matmuls of the blocks"
VOCABULARY = "matmuls with the vocabulary"
ATTENTION = "attention"
NORM = "layer norm"
ACTIVATION = "GELU"
DROPOUT = "dropout, random numbers"
SUMS = "additions, sums"
COPIES = "copies"
EMBEDDINGS = "embeddings, positions, masks"
LOSS = "softmax, loss, next token"
OPTIMIZER = "optimizer"
PYTHON = "Python, views, dispatch"
OTHER = "other"
# In the order of the tables and of the picture.
CATEGORIES = (
    MATMULS,
    VOCABULARY,
    ATTENTION,
    NORM,
    ACTIVATION,
    DROPOUT,
    SUMS,
    COPIES,
    EMBEDDINGS,
    LOSS,
    OPTIMIZER,
    PYTHON,
    OTHER,
)

LARGEST_IDS = 2**14  # elements

# What an operator is by its own name, wherever it runs. Names of aten are without "aten::".
OWN = {
    MATMULS: "mm addmm linear_dynamic linear_with_input_q_dq_qweight_dq_output_fp32 mkldnn_linear _linear_pointwise",
    ATTENTION: (
        "bmm baddbmm _softmax _softmax_backward_data scaled_dot_product_attention "
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention_for_cpu_backward "
        "RecomputedAttention RecomputedAttentionBackward KeptAttention KeptAttentionBackward"
    ),
    NORM: "native_layer_norm native_layer_norm_backward",
    ACTIVATION: "gelu gelu_backward sigmoid sigmoid_backward tanh tanh_backward GELUWithSlope GELUWithSlopeBackward",
    DROPOUT: "random_ bernoulli bernoulli_ native_dropout native_dropout_backward MulBackward0",
    COPIES: "copy_ clone cat stack index index_put_ _index_put_impl_ constant_pad_nd repeat",
    LOSS: (
        "_log_softmax _log_softmax_backward_data nll_loss_forward nll_loss_backward argmax topk sort multinomial "
        "logsumexp amax exp exp_ log log_"
    ),
    EMBEDDINGS: (
        "index_select embedding_dense_backward cumsum eq ne lt gt le bitwise_and bitwise_or bitwise_xor bitwise_not "
        "bitwise_and_ bitwise_or_ logical_and logical_or logical_not where any all nonzero isin aminmax max min "
        "minimum maximum clamp clamp_ scatter scatter_ gather arange masked_fill masked_fill_ _local_scalar_dense "
        "repeat_interleave tril triu cummax masked_scatter masked_scatter_ masked_select "
        "unique_consecutive _unique2 remainder fmod floor_divide"
    ),
}
# What an operator is if nothing around it has a category.
ALONE = {
    SUMS: "add add_ _foreach_add_ sum mean div div_ sub sub_ rsub neg mul_ abs pow sqrt rsqrt addcmul linalg_vector_norm",
    EMBEDDINGS: "fill_ zero_ full ones zeros ones_like zeros_like full_like scalar_tensor",
}
# Operators that only call others, or look at the same memory in another way.
VIEWS = (
    "view _reshape_alias reshape transpose t permute as_strided expand expand_as slice select narrow split chunk unbind "
    "unsqueeze squeeze flatten unflatten detach detach_ alias _unsafe_view linear matmul layer_norm softmax log_softmax "
    "dropout embedding embedding_backward cross_entropy_loss nll_loss nll_loss_nd empty empty_like empty_strided "
    "new_empty new_zeros new_full new_ones resize_ to _to_copy contiguous resolve_conj resolve_neg lift_fresh "
    "result_type is_nonzero item set_ numpy_T __and__ __or__ __xor__ __iand__ __ior__ view_as movedim argsort pad"
)


def _invert(names: dict[str, str]) -> dict[str, str]:
    return {name: category for category, several in names.items() for name in several.split()}


OWN_CATEGORY, ALONE_CATEGORY = _invert({**OWN, PYTHON: VIEWS}), _invert(ALONE)
Shapes = Sequence[Sequence[int]]


def categorize(names: Sequence[str], shapes: Shapes, vocabulary: int) -> str:
    """
    Return the category of the time that an operator itself takes, without the operators that it calls.

    What belongs to the optimizer does so with everything in it. Else the operator's own name decides, then the operators
    around it, from the inside out. So a copy within attention is a copy, and a multiplication within it is attention.

    Args:
        names: The name of the operator, and those of the operators and scopes around it, from the inside out.
        shapes: The sizes of its inputs.
        vocabulary: Size of the vocabulary. A matmul with this size is the projection to the vocabulary.

    Returns:
        One of `CATEGORIES`.
    """
    if any(name.startswith("Optimizer.") for name in names):
        return OPTIMIZER
    name = short(names[0])
    if name == "ge":
        return DROPOUT if _is_large(shapes) else EMBEDDINGS  # dropout compares random words
    if (own := OWN_CATEGORY.get(name)) is not None:
        return VOCABULARY if own == MATMULS and any(vocabulary in shape for shape in shapes) else own
    if not is_operator(names[0]):
        return PYTHON
    if (around := _category_around(names)) is not None:
        return around
    if name == "mul":
        return (
            DROPOUT if _is_large(shapes) else EMBEDDINGS
        )  # nothing else multiplies hidden states outside of attention
    return ALONE_CATEGORY.get(name, OTHER)


def _category_around(names: Sequence[str]) -> str | None:
    around = (OWN_CATEGORY.get(short(name)) for name in names[1:])
    return next((category for category in around if category not in (None, PYTHON)), None)


def _is_large(shapes: Shapes) -> bool:
    """Return whether the first input is as large as hidden states. Ids, positions and their masks are smaller."""
    return bool(shapes) and math.prod(shapes[0]) > LARGEST_IDS


def short(name: str) -> str:
    """`aten::mm` -> "mm", `quantized::linear_dynamic` -> "linear_dynamic"."""
    return name.rpartition("::")[2]


def is_operator(name: str) -> bool:
    """Return whether a name is that of an operator. Others are scopes: autograd, or the program around it."""
    return "::" in name and not name.startswith(("autograd::", "torch::autograd"))
