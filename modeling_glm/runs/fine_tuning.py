"""Prepare a fine-tuning: suggest a learning rate and epochs, add adapters of PEFT, and recognise a run to resume."""

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedModel

from ..utils.extras import from_extra
from ..utils.files import write_whole
from .flow import on_first_process

# Small data repeats until there are about this many steps.
LEAST_STEPS = 300
# Parameters in the layers of GLM-Large.
LARGE_PARAMETERS = 302_000_000
# Differences that a message names.
MOST_VALUES = 5
ADAPTED_LAYERS = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]


def suggest_learning_rate(model: PreTrainedModel) -> float:
    """
    Suggest a learning rate for fine-tuning a model.

    It is 1e-5 for GLM-Large (paper, appendix), and follows a power of the number of parameters. It gives 3e-4 for the
    embedded model, and 5e-4 for one of three million parameters, with which it was measured. LoRA matrices and prompt
    tokens need ten times as much.
    """
    layers = sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if "embeddings" not in name and "lora_" not in name
    )
    rate = 1e-5 * (LARGE_PARAMETERS / layers) ** 0.83
    partly = getattr(model, "peft_config", None) is not None
    return float(f"{min(max(rate, 5e-6), 5e-4) * (10 if partly else 1):.0e}")


def suggest_epochs(examples: int, batch_size: int) -> int:
    """Suggest a number of epochs: 10, or as many as make 300 steps of this batch size, but at most 60."""
    return min(60, max(10, math.ceil(LEAST_STEPS / math.ceil(examples / batch_size))))


def add_adapter(
    model: PreTrainedModel, base: str, lora_rank: int, token_ids: Sequence[int] = (), task_type: str | None = None
) -> PreTrainedModel:
    """
    Add LoRA matrices to a model, trainable tokens, or both. Needs PEFT.

    Args:
        model: The model.
        base: Folder or hub id of the model. The adapter loads its base model from there.
        lora_rank: Rank of the LoRA matrices; 0 trains the tokens alone.
        token_ids: Ids of the tokens whose embeddings are trained.
        task_type: PEFT's name of the kind of model, such as "SEQ_2_SEQ_LM".

    Returns:
        PEFT's wrapper, which is used as the model.
    """
    with from_extra("train", "An adapter"):
        from peft import LoraConfig, TrainableTokensConfig, get_peft_model

    adapter: LoraConfig | TrainableTokensConfig
    if lora_rank:
        adapter = LoraConfig(
            task_type=task_type,
            r=lora_rank,
            lora_alpha=2 * lora_rank,
            target_modules=ADAPTED_LAYERS,
            trainable_token_indices={"word_embeddings": list(token_ids)} if token_ids else None,
        )
    else:
        adapter = TrainableTokensConfig(token_indices=list(token_ids), target_modules=["word_embeddings"])
    # The adapter may be loaded from another working directory.
    adapter.base_model_name_or_path = str(Path(base).absolute()) if Path(base).is_dir() else base
    return cast(PreTrainedModel, get_peft_model(model, adapter))


def merge_adapter(model: PreTrainedModel) -> PreTrainedModel:
    """Merge what PEFT trained into the weights of the model, and return it. A model without PEFT is returned as it is."""
    if getattr(model, "peft_config", None) is None:
        return model
    return cast(PreTrainedModel, cast(Any, model).merge_and_unload())


def require_same_description(path: Path, run: Mapping[str, Any]):
    """
    Describe a run in a file, or compare it with the description there. The first of several processes does it.

    Args:
        path: The file in the folder of the run.
        run: What the weights depend on, by the names that messages use. Values that JSON lacks are written as texts.

    Raises:
        ValueError: If the file describes another run, whose checkpoints must not be resumed from, or cannot be read. All
            processes raise it.
    """
    on_first_process(partial(_compare_or_write, path, json.loads(json.dumps(run, default=str))))


def _compare_or_write(path: Path, run: dict[str, Any]):
    if not path.exists():
        write_whole(path, json.dumps(run, indent=2) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        different = sorted(name for name in run if before.get(name) != run[name])
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} does not describe a run ({error}): choose another output_dir, or delete it with its checkpoints."
        ) from error
    if different:
        raise ValueError(
            f"{path.parent} holds a run with other {' and '.join(different)}: choose another output_dir, or delete it."
            + _tell_values(before, run, different)
        )


def _tell_values(before: Mapping[str, Any], run: Mapping[str, Any], different: Sequence[str]) -> str:
    """Say which values differ: " learning_rate is 0.001, was 0.0005." Of rows and texts only their names are shown."""
    told = []
    for group in different:
        then, now = before.get(group), run[group]
        if isinstance(then, dict) and isinstance(now, dict):
            names = [name for name in {**now, **then} if then.get(name) != now.get(name)]
            told += [f"{name} is {reprlib.repr(now.get(name))}, was {reprlib.repr(then.get(name))}" for name in names]
    shown = told[:MOST_VALUES] + [f"{len(told) - MOST_VALUES} more"] * (len(told) > MOST_VALUES)
    return f" {'; '.join(shown)}." if shown else ""


__all__ = [
    "ADAPTED_LAYERS",
    "LEAST_STEPS",
    "add_adapter",
    "merge_adapter",
    "require_same_description",
    "suggest_epochs",
    "suggest_learning_rate",
]
