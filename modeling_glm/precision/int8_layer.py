"""A linear layer for inference on CPUs: int8 weights, and inputs that are rounded to int8 token by token."""

import warnings

import torch
from torch import nn

from .cpu import cpu_instructions

# Engines of torch that take inputs as floats and round them by a given scale. QNNPACK, that of ARM, does not, nor does oneDNN.
ENGINES = ("x86", "fbgemm")
# Added to the largest input of a token, so that a token of zeros can be divided by it. Smaller than any rounding.
TINY = 1e-30


def why_no_int8() -> str | None:
    """Return why int8 does not work on this machine, or None if it does."""
    engine = torch.backends.quantized.engine
    if engine not in ENGINES:
        return f"torch computes with the engine {engine!r} for int8 here: expected {' or '.join(ENGINES)}"
    if not hasattr(torch, "quantize_per_channel"):
        return f"torch {torch.__version__} has no quantize_per_channel any more"
    return None


def input_levels() -> int:
    """
    Return the number of steps between zero and the largest input.

    CPUs without dot products of 8 bits add two products in 16 bits. 7 bits leave room for that.
    """
    return 127 if {"VNNI", "AMX"}.intersection(cpu_instructions()) else 63


class Int8Linear(nn.Module):
    """
    Compute what a linear layer computes, with int8 weights and int8 inputs. It works on CPUs only and has no gradients.

    Every output has its own scale of the weights, and every token its own scale of the inputs. So the outputs of a token do
    not depend on the other tokens of a batch.

    Args:
        linear: The layer, on the CPU. It is not changed.
        levels: Steps between zero and the largest input of a token. The default is what the CPU is good at.
    """

    bias: torch.Tensor | None

    def __init__(self, linear: nn.Linear, levels: int | None = None):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.levels = input_levels() if levels is None else levels
        self.packed = pack(linear.weight.detach().float())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().float().clone())
        self.training = False

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """
        Multiply and add.

        Args:
            states: (..., in_features).

        Returns:
            (..., out_features) float32.

        Raises:
            ValueError: In train mode, and for inputs that need gradients.
        """
        if self.training or (states.requires_grad and torch.is_grad_enabled()):
            raise ValueError(
                "An int8 model cannot be trained, because rounded weights have no gradients: load it in fp32 to train it, or "
                "call model.eval()."
            )
        states = states.float()
        largest = states.abs().amax(-1, keepdim=True).add_(TINY)
        # Inputs are between -1 and 1 here. The operation rounds them to unsigned integers, whose middle is zero.
        multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
        outputs = multiply(states / largest, 1 / self.levels, self.levels + 1, self.packed)
        return outputs.mul_(largest) if self.bias is None else torch.addcmul(self.bias, outputs, largest)

    def dequantized_weight(self) -> torch.Tensor:
        """Return the rounded weights as floats, (out_features, in_features)."""
        return torch.ops.quantized.linear_unpack(self.packed)[0].dequantize()

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Refuse parameters: with its packed weights the layer would compute the same as before."""
        raise ValueError(f"An int8 layer takes no {name}: change the model in fp32, and make it int8 afterwards.")

    def __getattr__(self, name: str):
        if name == "weight":  # resizing the vocabulary and PEFT ask for it
            raise AttributeError("An int8 layer has no weight: change the model in fp32, and make it int8 afterwards.")
        return super().__getattr__(name)

    def extra_repr(self) -> str:
        """Describe the layer as `nn.Linear` does."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def _apply(self, fn, recurse=True):
        moved = fn(torch.empty(0))
        if moved.device.type != "cpu" or moved.dtype != torch.float32:
            raise ValueError(
                f"An int8 model computes in float32 on the CPU, and not as {moved.dtype} on {moved.device}: load it again in "
                "the precision that you need, such as fp16 for a GPU."
            )
        return super()._apply(fn, recurse)

    def __deepcopy__(self, memo):
        # The packed weights never change, so copies share them.
        copied = Int8Linear.__new__(Int8Linear)
        nn.Module.__init__(copied)
        memo[id(self)] = copied
        copied.in_features, copied.out_features, copied.levels = self.in_features, self.out_features, self.levels
        copied.packed = self.packed
        copied.register_buffer("bias", None if self.bias is None else self.bias.clone())
        copied.training = self.training
        return copied


def pack(weight: torch.Tensor) -> torch.ScriptObject:
    """
    Round weights to int8, with a scale for every output, and lay them out for the matmul of this CPU.

    Args:
        weight: (out_features, in_features) float32.
    """
    scales = (weight.abs().amax(1) / 127).clamp(min=TINY).double()
    with warnings.catch_warnings():
        # torch replaces tensors of this kind by its sister torchao, whose int8 is slower on CPUs than fp32.
        warnings.simplefilter("ignore")
        rounded = torch.quantize_per_channel(
            weight, scales, torch.zeros(len(scales), dtype=torch.int64), 0, torch.qint8
        )
        return torch.ops.quantized.linear_prepack(rounded, None)


__all__ = ["Int8Linear", "input_levels", "why_no_int8"]
