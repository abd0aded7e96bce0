"""int8 as a quantization method of Transformers: `from_pretrained(folder, quantization_config=GLMInt8Config())`."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers import HfQuantizer
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from .int8_layer import Int8Linear, why_no_int8

INT8 = "glm_int8"


def is_int8(model: PreTrainedModel) -> bool:
    """Return whether a model is in int8."""
    return getattr(model, "quantization_method", None) == INT8


def has_adapters(model: torch.nn.Module) -> bool:
    """Return whether layers of PEFT are in a model."""
    return any(hasattr(module, "base_layer") for module in model.modules())


@register_quantization_config(INT8)
class GLMInt8Config(QuantizationConfigMixin):
    """
    Load a model in int8, for inference on a CPU.

    Example:

    ```python
    >>> model = AutoModelForSeq2SeqLM.from_pretrained(folder, quantization_config=GLMInt8Config())
    >>> filler = pipeline("blank-infilling", folder, model_kwargs={"quantization_config": GLMInt8Config()})
    ```
    """

    def __init__(self, **kwargs: Any):
        self.quant_method = INT8  # type: ignore[assignment]


@register_quantizer(INT8)
class GLMInt8Quantizer(HfQuantizer):
    """Load the weights in float32, and round them layer by layer."""

    def validate_environment(self, *args: Any, device_map: Any = None, **kwargs: Any) -> None:
        """
        Check that int8 works here.

        Raises:
            ValueError: For a machine without it, and for a device other than the CPU.
        """
        if reason := why_no_int8():
            raise ValueError(f"int8 does not work on this machine: {reason}. Use bf16 or fp32.")
        places = device_map.values() if isinstance(device_map, dict) else [device_map or "cpu"]
        for place in map(str, places):
            if place != "cpu":
                raise ValueError(
                    f"The device is {place}, but int8 works on CPUs only: expected cpu, or fp16 on a GPU."
                )

    def update_dtype(self, dtype: torch.dtype | None) -> torch.dtype:
        """Return float32: all but the linear layers computes in it."""
        return torch.float32

    def convert(self, model: PreTrainedModel) -> None:
        """
        Round the linear layers of a model in memory.

        Raises:
            ValueError: If int8 does not work here, or if the model has adapters.
        """
        self.validate_environment(device_map=str(model.device))
        if has_adapters(model):
            raise ValueError(
                "The model has adapters, which int8 would not reach: merge them first (merge_and_unload)."
            )
        marked: Any = model.float()
        marked.hf_quantizer = self
        marked.is_quantized = True
        marked.quantization_method = self.quantization_config.quant_method
        self.postprocess_model(model)

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **kwargs: Any) -> PreTrainedModel:
        model.eval().requires_grad_(False)
        for parent in [model, *model.base_model.modules()]:
            for name, child in list(parent.named_children()):
                # Small heads, as of classes, stay: their scores decide, and they take no time.
                is_inside = parent is not model or child is model.get_output_embeddings() or model is model.base_model
                if type(child) is nn.Linear and is_inside:
                    setattr(parent, name, Int8Linear(child))
        return model

    def is_serializable(self) -> bool:
        """
        Refuse to save.

        Raises:
            ValueError: Always. The message says what to save.
        """
        raise ValueError(
            "An int8 model cannot be saved, because its weights are laid out for this CPU: save the model before it becomes "
            "int8. Loading makes it int8 again in seconds."
        )

    @property
    def is_trainable(self) -> bool:
        """Whether Trainer may train the model: no."""
        return False


__all__ = ["GLMInt8Config", "GLMInt8Quantizer", "has_adapters", "is_int8"]
