"""Use a model without changing it."""

import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..modeling_glm import GLMForConditionalGeneration
from ..tokenization import GLMTokenizer
from ..tokenization.blanks import encode_text
from .rows import check_rows, read_rows, read_text

# The threads that keep a module in evaluation mode which was in training mode, and the lock for it. They belong to modules and
# not to models, because models share modules: a PEFT wrapper and the model inside it, or two heads with one base.
_HOLDERS: dict[torch.nn.Module, list[int]] = {}
_HOLDERS_LOCK = threading.Lock()


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """
    Turn dropout and gradients off for a while. Afterwards every module has its old mode again.

    Threads may do this at the same time: the first one turns dropout off, the last one on again. A module that is in
    evaluation mode is not touched.
    """
    thread = threading.get_ident()
    with _HOLDERS_LOCK:
        held = [module for module in model.modules() if module.training or module in _HOLDERS]
        for module in held:
            _HOLDERS.setdefault(module, []).append(thread)
            module.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        with _HOLDERS_LOCK:
            for module in held:
                _release(module, {thread})


def _release(module: torch.nn.Module, threads: Collection[int]) -> None:
    """Take one entry of each thread away from a module. Without holders it trains again."""
    for thread in threads:
        _HOLDERS[module].remove(thread)
    if not _HOLDERS[module]:
        del _HOLDERS[module]
        module.training = True


def _keep_own() -> None:
    """Release what other threads held before a process forked, because they do not run in the child."""
    global _HOLDERS_LOCK
    _HOLDERS_LOCK = threading.Lock()
    own = threading.get_ident()
    for module, threads in list(_HOLDERS.items()):
        _release(module, [thread for thread in threads if thread != own])


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_keep_own)


def is_a(model: torch.nn.Module, class_name: str) -> bool:
    """
    Return whether a model, or the model inside a PEFT wrapper, has or inherits from a class of this name.

    Names are compared because code that was loaded from the hub has classes of its own.
    """
    return class_name in {base.__name__ for base in type(unwrap(model)).__mro__}


def require_class(model: Any, *class_names: str) -> None:
    """Raise a `ValueError` for a model that has none of these classes. PEFT's wrappers and code from the hub are accepted."""
    if not isinstance(model, torch.nn.Module) or not any(is_a(model, name) for name in class_names):
        found = unwrap(model) if isinstance(model, torch.nn.Module) else model
        raise ValueError(
            f"The model is a {type(found).__name__}: expected a {' or a '.join(class_names)}. Load it with "
            f"{class_names[0]}.from_pretrained(folder)."
        )


def unwrap(model: torch.nn.Module) -> PreTrainedModel:
    """Return the model inside what `torch.compile` and PEFT wrap around it, or the model itself."""
    model = getattr(model, "_orig_mod", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator, return-value]


def fill_rows(model: torch.nn.Module, input_ids: torch.Tensor, **kwargs: Any) -> Any:
    """
    Call `generate` of a model or of a PEFT wrapper, so that its output begins with `input_ids`.

    Raises:
        ValueError: for a soft prompt that PEFT puts into the prompt, because then the output has more columns.
    """
    config = find_soft_prompt_config(model)
    if config is not None and config.task_type == "SEQ_2_SEQ_LM" and config.peft_type != "PREFIX_TUNING":
        raise ValueError(
            f"A soft prompt of PEFT ({config.peft_type.value}) with task_type='SEQ_2_SEQ_LM' fills with model.generate only: "
            "train it with task_type='CAUSAL_LM', or call tokenizer.decode_blanks(model.generate(**inputs))."
        )
    return model.generate(input_ids=input_ids, **kwargs)  # type: ignore[operator]


def find_soft_prompt_config(model: torch.nn.Module) -> Any:
    """
    Return PEFT's config of the virtual tokens in front of a text (prompt tuning, P-tuning, prefix tuning).

    It is None without them, and inside of `with model.disable_adapter()`, where PEFT calls the model's own forward.
    """
    config = getattr(model, "active_peft_config", None)
    is_disabled = getattr(model.forward, "__self__", model) is not model
    return None if config is None or is_disabled or not config.is_prompt_learning else config


def compute_hidden_states(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    position_ids: torch.Tensor,
    branch: torch.Tensor | None = None,
) -> torch.Tensor:
    """
    Compute the hidden states of the base model, behind the soft prompt if PEFT gives one.

    Args:
        model: A model with the base model `glm`, or a PEFT wrapper around it.
        input_ids, attention_mask, branch: (batch, seq). No branch means that Part B has no alternatives side by side.
        position_ids: (batch, 2, seq).

    Returns:
        (batch, seq, hidden).
    """
    glm, config = model.glm, find_soft_prompt_config(model)
    if config is None:
        inputs = {"attention_mask": attention_mask, "position_ids": position_ids, "branch": branch}
        return glm(input_ids, use_cache=False, **inputs).last_hidden_state
    count = config.num_virtual_tokens
    prompt = model.get_prompt(batch_size=len(input_ids))
    row0, row1 = position_ids.unbind(1)
    mask = F.pad(attention_mask, (count, 0), value=1)
    if not isinstance(prompt, torch.Tensor):  # keys and values
        behind = torch.stack((row0 + count, row1), dim=1)
        outputs = glm(input_ids, mask, None, prompt, use_cache=False, branch=branch, prepared_position_ids=behind)
        return outputs.last_hidden_state
    states = glm.word_embeddings(input_ids)
    virtual = torch.arange(count, device=row0.device).expand(len(row0), -1)
    outputs = glm(
        inputs_embeds=torch.cat((prompt[:, :count].to(states.dtype), states), dim=1),
        attention_mask=mask,
        position_ids=torch.stack((torch.cat((virtual, row0 + count), dim=1), F.pad(row1, (count, 0))), dim=1),
        branch=None if branch is None else F.pad(branch, (count, 0)),
        use_cache=False,
    )
    return outputs.last_hidden_state[:, count:]


def answer_blanks(
    model: GLMForConditionalGeneration,
    tokenizer: GLMTokenizer,
    texts: Any,
    batch_size: int = 64,
    **generate_kwargs: Any,
) -> list[list[str]]:
    """
    Fill the blanks of texts greedily and return only the answers.

    `fill_blanks` does the same with probabilities and offsets; this is the fast way for measurements.

    Args:
        model: The model that fills them.
        tokenizer: Its tokenizer.
        texts: Texts with one or more blanks each, in any form of rows.
        batch_size: Number of texts in a forward pass. Texts of similar length share a batch.
        generate_kwargs: Further arguments of `generate`.

    Returns:
        For every text the answer of each blank, without white space around it.
    """
    listed = check_rows(read_rows(texts), read_text, kind="Text").good
    order = sorted(range(len(listed)), key=lambda index: len(listed[index]))
    answers: list[list[str]] = [[] for _ in listed]
    with evaluation_mode(model):
        for start in range(0, len(order), batch_size):
            chunk = order[start : start + batch_size]
            ids = encode_text(tokenizer, [listed[index] for index in chunk])
            inputs = tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(model.device)
            filled = tokenizer.decode_blanks(model.generate(**inputs, do_sample=False, **generate_kwargs))
            for index, row in zip(chunk, filled, strict=True):
                answers[index] = row
    return answers


__all__ = [
    "answer_blanks",
    "compute_hidden_states",
    "evaluation_mode",
    "fill_rows",
    "find_soft_prompt_config",
    "is_a",
    "unwrap",
]
