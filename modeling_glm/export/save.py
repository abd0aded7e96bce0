"""Export a model into a folder, through the exporters of Transformers."""

import io
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.utils import logging as library_logging

from ..configuration_glm import GLMConfig
from ..modeling_glm import AUTO_CLASSES, GLMPreTrainedModel
from ..settings_glm import end_token_ids
from ..tokenization import GLMTokenizer
from ..tokenization.original_vocabularies import MissingVocabularyError
from ..utils.extras import from_extra
from ..utils.files import whole_folder
from . import ort_filler
from .graphs import build_graph, is_language_model

FORMATS = ("onnx", "torch")
QUANTIZATIONS = ("int8",)


@dataclass(frozen=True, kw_only=True)
class Export:
    """
    Describe an export.

    Attributes:
        target: The folder.
        model_class: The name of the exported class.
        num_bytes: The size of its files.
        has_tokenizer: Whether a tokenizer stands beside the model.
        fills: Whether `ORTFiller` fills, scores and chooses with it.
    """

    target: Path
    model_class: str
    num_bytes: int
    has_tokenizer: bool
    fills: bool


def export_model(
    model: PreTrainedModel | str | os.PathLike,
    target: str | os.PathLike,
    *,
    tokenizer: GLMTokenizer | None = None,
    format: str = "onnx",
    quantize: str | None = None,
    overwrite: bool = False,
    revision: str | None = None,
) -> Export:
    """
    Export a model for inputs of any batch size and length.

    The folder appears whole or not at all. Transformers loads it with `ExportedModel.from_pretrained`. That of a language
    model in ONNX holds all that `ORTFiller` needs, without torch and without this package.

    Args:
        model: A GLM, a folder, or the name of a repository on the hub.
        target: The folder to make.
        tokenizer: The tokenizer to put beside the model. Without it: that of the folder or repository, if there is one.
        format: "onnx", or "torch" for a program of `torch.export`.
        quantize: "int8" stores the matrices of all matmuls as int8 and rounds their inputs when it runs, by the quantizer
            of ONNX Runtime. The embeddings stay float32. None keeps float32.
        overwrite: Whether to replace a folder that exists.
        revision: Branch, tag or commit on the hub.

    Raises:
        OSError, ValueError: For files that cannot be read, those of the tokenizer among them.
        ValueError: For an unknown format or quantization, and for a class without an export.
        FileExistsError: If `target` exists and `overwrite` is False.
        ImportError: If a package is missing: `pip install 'modeling-glm[export]'`.
    """
    if format not in FORMATS:
        raise ValueError(f"format={format!r}: expected one of {', '.join(FORMATS)}.")
    if quantize is not None and quantize not in QUANTIZATIONS:
        raise ValueError(f"quantize={quantize!r}: expected one of {', '.join(QUANTIZATIONS)}, or None.")
    if quantize is not None and format != "onnx":
        raise ValueError(f"quantize={quantize!r} works with format='onnx', but the format is {format!r}.")
    exporter, settings = _find_exporter(format, quantize)
    with whole_folder(target, overwrite=overwrite) as building:  # before anything is loaded
        if isinstance(model, str | os.PathLike):
            if tokenizer is None:
                tokenizer = _find_tokenizer(model, revision)
            model = _load(model, revision)
        with _exportable(model), _quietly():
            graph = build_graph(model)
            exported = exporter.export(graph.module, graph.inputs, {**settings, "dynamic_shapes": graph.shapes})
            exported.config = model.config
            exported.generation_config = getattr(model, "generation_config", None)
            if format == "torch":
                exported.program.example_inputs = None  # loading would warn of the cache in them
            exported.save_pretrained(building)
        fills = format == "onnx" and is_language_model(model)
        if fills:
            _add_filler(building, model.config)  # type: ignore[arg-type]
        if tokenizer is not None:
            tokenizer.save_pretrained(building)
        num_bytes = sum(path.stat().st_size for path in building.rglob("*") if path.is_file())
    return Export(
        target=Path(target),
        model_class=type(model).__name__,
        num_bytes=num_bytes,
        has_tokenizer=tokenizer is not None,
        fills=fills and tokenizer is not None,
    )


def _find_exporter(format: str, quantize: str | None) -> tuple[Any, dict[str, Any]]:
    """Find the exporter of the library, and its settings."""
    if find_spec("transformers.exporters") is None:
        raise ImportError(
            "Exporting needs Transformers 5.23 or later, which has exporters: pip install -U transformers."
        )
    from transformers import exporters

    with _quietly():
        if format == "torch":
            return exporters.DynamoExporter(), {}
        with from_extra("export", "Exporting to ONNX"):
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401

            from .quantizing import make_quantizer
        return exporters.OnnxExporter(), {"quantizer": None if quantize is None else make_quantizer()}


def _load(name: str | os.PathLike, revision: str | None) -> PreTrainedModel:
    """Load a model with the class that its config names."""
    config = GLMConfig.from_pretrained(name, revision=revision or "main")
    architecture = (config.architectures or ["GLMForConditionalGeneration"])[0]
    classes: dict[str, type[GLMPreTrainedModel]] = {each.__name__: each for each in AUTO_CLASSES.values()}
    if architecture not in classes:
        raise ValueError(
            f"The config of {name} names the class {architecture}, which has no export: expected one of "
            f"{', '.join(classes)}."
        )
    return classes[architecture].from_pretrained(name, revision=revision, dtype=torch.float32).eval()


def _find_tokenizer(name: str | os.PathLike, revision: str | None) -> GLMTokenizer | None:
    """Load the tokenizer beside a model. A model without one is exported alone, one with a broken one is not."""
    try:
        return GLMTokenizer.from_pretrained(name, revision=revision)
    except MissingVocabularyError:
        return None


def _add_filler(folder: Path, config: GLMConfig) -> None:
    """Add what `ORTFiller` reads, and its code."""
    settings = {
        "start_token_id": config.sop_token_id,
        "end_token_ids": end_token_ids(config),
        "mask_token_ids": config.mask_token_ids,
        "vocab_size": config.vocab_size,
        "max_context_length": config.max_context_length,
        "max_piece_length": config.max_piece_length,
        "choice_length_penalty": config.choice_length_penalty,
        "num_attention_heads": config.num_attention_heads,
        "head_dim": config.hidden_size // config.num_attention_heads,
    }
    (folder / ort_filler.SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(ort_filler.__file__, folder / Path(ort_filler.__file__).name)


@contextmanager
def _exportable(model: PreTrainedModel) -> Iterator[None]:
    """Compute in float32 and eval mode for a while, with an attention that every runtime knows."""
    if getattr(model, "is_quantized", False):
        raise ValueError(
            'The model is quantized, but graphs are made of float weights: export it before, with quantize="int8" for a graph '
            "in int8."
        )
    attention = model.config._attn_implementation
    modes = {module: module.training for module in model.modules()}
    dtypes = {name: tensor.dtype for name, tensor in _named_tensors(model)}
    model.eval().float()
    model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.set_attn_implementation(attention)
        for name, tensor in _named_tensors(model):  # adapters in fp32 may stand in a model in bf16
            tensor.data = tensor.data.to(dtypes[name])
        for module, training in modes.items():
            module.training = training


def _named_tensors(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the progress of torch.onnx, and warnings of versions and packages that do not concern the caller."""
    verbosity, disabled = library_logging.get_verbosity(), logging.root.manager.disable
    library_logging.set_verbosity_error()
    logging.disable(logging.WARNING)  # the quantizer warns through the root logger
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        library_logging.set_verbosity(verbosity)


__all__ = ["FORMATS", "QUANTIZATIONS", "Export", "export_model"]
