"""
Predict floating point operations and memory of training, and measure the matmul peak of a device.

    config = GLMConfig.from_preset("glm-base")
    training_flops(config, tokens=16 * 560, labelled_tokens=16 * 101, row_length=560) / measure_matmul_peak("cuda")
    training_memory(config, batch_tokens=16 * 560, row_length=560).total / 2**30
"""

import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from ..configuration_glm import GLMConfig

if TYPE_CHECKING:
    import torch

FP32_BYTES = 4
MASK_BYTES = 1  # per element of a dropout mask
COMPUTE_BYTES = {"fp32": 4, "bf16-mixed": 2}
OPTIMIZER_BYTES = {"adamw": 8, "sgd": 0}  # per parameter: two moments in fp32, or nothing
ATTENTIONS = ("eager", "sdpa")
LABELLED_SHARE = 0.18  # share of labelled tokens in a row, if short spans hide 15% of its text


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """
    Hold the bytes in use on one device when a backward pass starts and gradients are accumulated.

    Attributes:
        weights: The parameters in fp32, as the optimizer updates them.
        gradients: The gradients, of the same size.
        optimizer: The state of the optimizer.
        copies: Copies of weights: in bf16 for autocast, or gathered from shards.
        activations: Tensors that the forward pass keeps for the backward pass, and the logits of the loss. In fp32 on
            CPUs the outputs of the MLPs' activation functions are recomputed, so it is less. In bf16 on CPUs
            without dropout, attention weights of up to 512 keys are kept in bf16 only.
    """

    weights: int
    gradients: int
    optimizer: int
    copies: int
    activations: int

    @property
    def total(self) -> int:
        """The sum in bytes."""
        return sum(getattr(self, field.name) for field in fields(self))


def training_flops(config: GLMConfig, *, tokens: int, labelled_tokens: int, row_length: int) -> float:
    """
    Count the floating point operations of the matmuls in one forward and backward pass.

    A multiplication and an addition count as two operations.

    With L layers of width h and inner width f, rows of s tokens and a vocabulary of V, the forward pass takes

        tokens * L * (2 * 4h² + 2 * 2hf + 2 * 2sh) + labelled_tokens * 2hV

    operations. These are the projections of the attention (3h² into queries, keys and values, h² out) and of the MLP.
    Then there are the matmuls with keys and values over all s tokens of a row, and the projection to the vocabulary. GLM's
    mask hides some keys, but the matmuls compute them. The model projects only tokens with a label to the vocabulary.

    The backward pass takes twice as much: one matmul for the gradient of the input and one for that of the weight.
    Layer norms, softmax, GELU, dropout and the optimizer do not count, as in the model FLOPs of Narayanan et al. (2021),
    and neither does the forward pass that gradient checkpointing repeats.

    Args:
        config: The config of the model.
        tokens: The tokens of the batch with padding: rows times `row_length`.
        labelled_tokens: The number of tokens with a label.
        row_length: The tokens of a row, Part A and Part B together.

    Raises:
        ValueError: If a number is negative, or if there are more labels than tokens.
    """
    _require_counts(tokens, labelled_tokens, row_length)
    hidden, inner = config.hidden_size, _inner_size(config)
    per_token = config.num_hidden_layers * (8 * hidden**2 + 4 * hidden * inner + 4 * row_length * hidden)
    return 3.0 * (tokens * per_token + labelled_tokens * 2 * hidden * config.vocab_size)


def training_memory(
    config: GLMConfig,
    *,
    batch_tokens: int,
    row_length: int,
    labelled_tokens: int | None = None,
    optimizer: Literal["adamw", "sgd"] = "adamw",
    precision: Literal["bf16-mixed", "fp32"] = "bf16-mixed",
    gradient_checkpointing: bool = False,
    shards: int = 1,
    attention: Literal["eager", "sdpa"] = "sdpa",
) -> TrainingMemory:
    """
    Predict the peak memory of training on one device, in bytes.

    The prediction leaves out the framework, fragmentation and the temporary copies of an optimizer step (on a GPU up to
    one more copy of the weights, when the activations are gone).

    Weights, gradients and AdamW's moments take 4 + 4 + 8 bytes per parameter, divided by `shards` (Rajbhandari et al.
    2020, section 3.1, with weights in fp32). Autocast to bf16 keeps a copy of the matrices with 2 bytes per element. With
    shards (FSDP, ZeRO 3) a device instead holds the whole weights of two units, the current and the next one, and the
    whole gradient of one. A unit is a block or the embeddings.

    Activations follow Korthikanti et al. (2022), section 4.1. With e bytes per element of the compute dtype, m bytes per
    element of a dropout mask, a heads and the rest as in `training_flops`, a layer keeps for every token

    ```text
        2 * 4h + 6eh + 2ef + 2mh + 16   residual stream (fp32) before both layer norms, with their statistics; inputs
                                        of the projections, queries, keys and values; both sides of GELU; two masks
        (4 + m + e) * as                eager attention: softmax in fp32, its mask, and what comes of it
        4a                              SDPA instead: one number per query and head
    ```

    With e = 2, m = 1, f = 4h and a residual stream of 2 bytes this is their (34 + 5as/h)h, except for the fp32 softmax.
    Outside the layers, memory holds the masks of the embeddings, the last layer norm, and for every labelled token its
    hidden state and 12V bytes: log-softmax and the gradients on both sides of it, in fp32. With gradient checkpointing a
    layer keeps only its input, 4h, and one layer at a time keeps the rest (their section 4.1.3).

    Args:
        config: The config of the model. Dropout probabilities above 0 mean that there are masks.
        batch_tokens: The tokens of one forward pass on this device, with padding.
        row_length: The tokens of a row, Part A and Part B together.
        labelled_tokens: The number of `batch_tokens` with a label. The default is 18%, as when 15% of a text is masked.
        optimizer: "adamw", or "sgd" without momentum.
        precision: "bf16-mixed" is autocast over fp32 weights, as in Trainer; "fp32" throughout.
        gradient_checkpointing: Whether the blocks recompute their activations in the backward pass.
        shards: The number of devices that share weights, gradients and optimizer.
        attention: "eager" keeps the scores of all heads. "sdpa", with the fused kernels of GPUs, does not.

    Raises:
        ValueError: If a number is out of range, or if a name is unknown.
    """
    labelled = round(LABELLED_SHARE * batch_tokens) if labelled_tokens is None else labelled_tokens
    _require_counts(batch_tokens, labelled, row_length)
    if shards < 1:
        raise ValueError(f"shards={shards} must be at least 1.")
    _require_one_of("optimizer", optimizer, OPTIMIZER_BYTES)
    _require_one_of("precision", precision, COMPUTE_BYTES)
    _require_one_of("attention", attention, ATTENTIONS)

    compute = COMPUTE_BYTES[precision]
    block, embeddings = _block_parameters(config), _embedding_parameters(config)
    parameters = config.num_hidden_layers * block + embeddings + 2 * config.hidden_size
    if shards > 1:
        units = sorted((block, block, embeddings))
        copies = compute * (units[-1] + units[-2]) + compute * units[-1]
    elif compute < FP32_BYTES:
        copies = compute * (config.num_hidden_layers * block + config.vocab_size * config.hidden_size)
    else:
        copies = 0

    layer = batch_tokens * _layer_bytes(config, row_length, compute, attention)
    if gradient_checkpointing:
        layers = config.num_hidden_layers * batch_tokens * FP32_BYTES * config.hidden_size + layer
    else:
        layers = config.num_hidden_layers * layer
    return TrainingMemory(
        weights=-(-FP32_BYTES * parameters // shards),
        gradients=-(-FP32_BYTES * parameters // shards),
        optimizer=-(-OPTIMIZER_BYTES[optimizer] * parameters // shards),
        copies=copies,
        activations=layers + _outer_bytes(config, batch_tokens, labelled, compute),
    )


def measure_matmul_peak(
    device: "torch.device | str" = "cpu",
    dtype: "torch.dtype | None" = None,
    *,
    size: int | tuple[int, int, int] | None = None,
    seconds: float = 1.0,
) -> float:
    """
    Measure the matmul peak of a device: the best of several matmuls, in floating point operations per second.

    Args:
        device: "cpu" (with the threads of torch), "cuda" or another device of torch.
        dtype: The data type of the matrices. The default is fp32.
        size: Size of square matrices, or rows, inner size and columns of the matmul. The default is 1024 on a CPU and
            8192 elsewhere.
        seconds: How long to measure, after a first matmul that is not counted. There are at least three.

    Raises:
        ValueError: If a size is below 1.
    """
    import torch

    device = torch.device(device)
    size = size or (1024 if device.type == "cpu" else 8192)
    rows, inner, columns = (size, size, size) if isinstance(size, int) else size
    if min(rows, inner, columns) < 1:
        raise ValueError(f"size={size} must be at least 1.")
    dtype = dtype or torch.float32
    left = torch.randn(rows, inner, device=device, dtype=dtype)
    right = torch.randn(inner, columns, device=device, dtype=dtype)
    product = left @ right  # the first matmul loads the library
    durations: list[float] = []
    _wait_for(device)
    begin = time.perf_counter()
    while len(durations) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        torch.matmul(left, right, out=product)
        _wait_for(device)
        durations.append(time.perf_counter() - start)
    return 2.0 * rows * inner * columns / min(durations)


def _wait_for(device: "torch.device"):
    import torch

    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _inner_size(config: GLMConfig) -> int:
    assert config.intermediate_size is not None  # the config sets a default
    return config.intermediate_size


def _block_parameters(config: GLMConfig) -> int:
    hidden, inner = config.hidden_size, _inner_size(config)
    matrices = 4 * hidden**2 + 2 * hidden * inner
    return matrices + 4 * hidden + inner + hidden + 4 * hidden  # biases of attention and MLP, two layer norms


def _embedding_parameters(config: GLMConfig) -> int:
    tables = 1 + int(config.block_position_embeddings)
    rows = config.vocab_size + tables * config.max_context_length
    untied = 0 if config.tie_word_embeddings else config.vocab_size
    return (rows + untied) * config.hidden_size


def _layer_bytes(config: GLMConfig, row_length: int, compute: int, attention: str) -> int:
    """Count the bytes that one layer keeps for every token."""
    hidden, heads = config.hidden_size, config.num_attention_heads
    kept = 2 * FP32_BYTES * hidden + 6 * compute * hidden + 2 * compute * _inner_size(config) + 4 * FP32_BYTES
    if config.hidden_dropout > 0:
        kept += 2 * MASK_BYTES * hidden
    if attention == "sdpa":
        return kept + FP32_BYTES * heads
    scores = FP32_BYTES
    if config.attention_dropout > 0:
        scores += MASK_BYTES + compute
    elif compute < FP32_BYTES:
        scores += compute  # without dropout, fp32 keeps the softmax itself and bf16 a copy of it
    return kept + scores * heads * row_length


def _outer_bytes(config: GLMConfig, tokens: int, labelled: int, compute: int) -> int:
    """Count the bytes that are kept before the first layer and after the last one."""
    hidden = config.hidden_size
    embedding_mask = 0 if config.embedding_dropout == 0 else MASK_BYTES * hidden
    last_norm = FP32_BYTES * (2 * hidden + 2)  # input and output, mean and deviation
    loss = (compute * hidden + 3 * FP32_BYTES * config.vocab_size) * labelled
    return tokens * (embedding_mask + last_norm) + loss


def _require_counts(tokens: int, labelled_tokens: int, row_length: int):
    if min(tokens, labelled_tokens, row_length) < 0 or labelled_tokens > tokens:
        raise ValueError(
            f"{tokens} tokens, {labelled_tokens} of them labelled, in rows of {row_length}: numbers must not "
            "be negative, and there cannot be more labels than tokens."
        )


def _require_one_of(name: str, value: str, allowed: "dict[str, int] | tuple[str, ...]"):
    if value not in allowed:
        raise ValueError(f"{name}={value!r}: expected one of {', '.join(allowed)}.")
