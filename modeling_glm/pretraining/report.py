"""The results of a run: the finished model, its loss curve, its settings and its card."""

import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from ..hub.card import write_model_card
from ..hub.push import remove_code
from ..modeling_glm import GLMForConditionalGeneration
from ..tokenization import GLMTokenizer
from ..utils.files import whole_folder, write_whole
from ..utils.plots import plot_losses
from .arguments import PretrainingArguments, RunArguments
from .data import EmbeddedCorpora
from .settings import SUMMARY, measured_losses, read_corpora
from .tasks import TaskSet
from .trainer import PretrainingTrainer

# Settings of Trainer that go into the summary of a run.
TRAINER_SETTINGS = (
    "max_steps",
    "learning_rate",
    "warmup_steps",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "seed",
)


class Stopwatch(TrainerCallback):
    """
    Add up the seconds of a run over its restarts, in a file that is written with every checkpoint.

    Args:
        path: The file. An unreadable one counts as 0 seconds.
    """

    def __init__(self, path: Path):
        self.path = path
        self._started: float | None = None
        try:
            self._before = float(path.read_text())
        except (OSError, ValueError):
            self._before = 0.0

    @property
    def total(self) -> float:
        """Seconds of training so far."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def on_train_begin(self, *args, **kwargs):
        self._started = time.monotonic()

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            with contextlib.suppress(OSError):  # the checkpoint reports a full disk
                write_whole(self.path, str(self.total))

    def on_train_end(self, args, state, control, **kwargs):
        self.on_save(args, state, control)
        self._before, self._started = self.total, None


def export(
    args: RunArguments,
    training: PretrainingArguments,
    trainer: PretrainingTrainer,
    tokenizer: GLMTokenizer,
    data: Mapping[str, int],
    seconds: float,
    embedded: EmbeddedCorpora | None = None,
):
    """
    Write the finished model, its loss curve, summary and card into `args.export`. All processes must call this.

    Args:
        args, training: The settings of the run.
        trainer: The trainer of the run, after training.
        tokenizer: The vocabulary of the run.
        data: The result of `PretrainingData.describe`.
        seconds: Duration of the training over all starts.
        embedded: The corpora that the program brought along, if any.

    Raises:
        RuntimeError: If the weights of the trainer do not fit the model.
    """
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    if args.export is None:
        raise ValueError("export is None: call complete on the arguments first.")
    model = GLMForConditionalGeneration(trainer.model.config)
    # torch.compile puts models into a wrapper, which adds a prefix to all names.
    weights = {name.replace("_orig_mod.", ""): tensor for name, tensor in weights.items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"The weights do not fit the model: missing {missing}, unexpected {unexpected}.")
    model.tie_weights()
    model.config.use_cache = True  # Trainer turns it off
    history = trainer.state.log_history
    summary = summarize(args, training, history, model.num_parameters(), data, seconds)
    with whole_folder(args.export) as folder:
        model.to(getattr(torch, args.export_dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if not args.export_code:
            remove_code(folder)
        curves = {"loss": "training, all objectives"}
        curves.update({f"eval_{name}_loss": f"validation, {name}" for name in measured_losses(args)})
        plot_losses(history, folder / "loss.png", "Blank infilling", curves=curves)
        (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        corpora, _ = read_corpora(args, args.corpus)
        only_embedded = embedded if embedded is not None and embedded.holds(corpora) else None
        sources = [corpus.source for corpus in corpora]
        described = None if only_embedded is None else only_embedded.describe(sources)
        sections = {"training": training_section(args, training, summary, described)}
        if only_embedded is not None:
            sections |= only_embedded.measure(model.float(), tokenizer, args)
        write_model_card(
            folder,
            model,
            tokenizer,
            model_id=os.path.relpath(args.export),
            sections=sections,
            **(only_embedded.card if only_embedded else {}),
        )
    print(f"written to {args.export}")


def summarize(
    args: RunArguments,
    training: PretrainingArguments,
    history: Sequence[Mapping[str, Any]],
    parameters: int,
    data: Mapping[str, int],
    seconds: float,
) -> dict[str, Any]:
    """Return the contents of `training.json`: settings, data, speed and validation losses."""
    settings = {name: value for name, value in asdict(args).items() if name not in ("export", "cache_dir")}
    settings["objectives"] = settings.pop("shares")
    return {
        "arguments": settings | {name: getattr(training, name) for name in TRAINER_SETTINGS},
        "parameters": parameters,
        **data,
        "minutes": round(seconds / 60, 1),
        "device": _describe_device(training),
        "precision": "bf16 autocast" if training.bf16 else "fp16 autocast" if training.fp16 else "fp32",
        "speed": _mean_speed(history),
        "validation_loss": {name: _curve(history, f"eval_{name}_loss") for name in measured_losses(args)},
    }


def training_section(
    args: RunArguments,
    training: PretrainingArguments,
    summary: Mapping[str, Any],
    described: str | None = None,
) -> str:
    """Return the section of the model card about the data, the command, the settings and the losses."""
    start = f"It was trained further from `{args.model}`.\n\n" if args.model else ""
    shares = ", ".join(f"{share:.0%} {name}" for name, share in args.shares.items())
    mixed = ""
    if args.multi_task:
        names = (
            entry.partition("=")[0] if isinstance(entry, str) else entry.get("name") or entry["task"]
            for entry in args.multi_task
        )
        mixed = f"{args.multi_task_ratio:.0%} of the {args.multi_task_unit}s were of tasks: {', '.join(names)}.\n"
    speed = summary["speed"]
    command = shlex.join(["python", "examples/03_pretrain.py", *sys.argv[1:]])
    return f"""## Training

{_describe_corpora(args) if described is None else described}

{start}{summary["train_texts"]:,} texts with {summary["train_tokens"]:,} tokens to train on, {summary["validation_texts"]:,} to validate on.
`{command}` took {summary["minutes"]:.0f} minutes on {summary["device"]} ({speed["tokens_per_second"]:,.0f} tokens per second,
{speed["mfu"]:.0%} of the peak of its matmuls): {training.max_steps} steps of {args.global_batch_size} texts with the objectives {shares}
({args.mask_ratio:.0%} of a text in short spans{" of whole words" if args.whole_words else ""}), {_describe_optimizer(args, training)} and {args.decay} decay to
{args.min_lr_ratio:.0%} of it, {summary["precision"]}. `training.json` has all settings.
{mixed}
{_loss_table(summary["validation_loss"])}
![loss curve](loss.png)"""


def _describe_optimizer(args: RunArguments, training: PretrainingArguments) -> str:
    adamw = f"AdamW with a peak learning rate of {training.learning_rate:g}"
    if args.muon_learning_rate is None:
        return adamw
    return f"Muon with {args.muon_learning_rate:g} for the matrices of the layers, otherwise {adamw},"


def describe_tasks(args: RunArguments, tasks: TaskSet) -> str:
    """Return a line about the tasks of a run, for the log."""
    drawn = ", ".join(
        f"{name} {task['weight']:.1%} ({task['samples']:,} samples)" for name, task in tasks.describe().items()
    )
    return f"{args.multi_task_ratio:.1%} of the {args.multi_task_unit}s are of tasks: {drawn}"


def _describe_corpora(args: RunArguments) -> str:
    names = ", ".join(f"`{Path(source).name}`" for source in args.corpus)
    if args.validation is None:
        return f"Corpora: {names}; {args.held_out:.0%} of each is held out, by documents."
    return f"Corpora: {names}; validated on {', '.join(f'`{Path(source).name}`' for source in args.validation)}."


def _loss_table(curves: Mapping[str, Mapping[int, float]]) -> str:
    """First and last validation loss of every objective; nothing where none was measured."""
    rows = [
        f"| {name} | {step} | {curve[step]:.2f} | {list(curve.values())[-1]:.2f} |\n"
        for name, curve in curves.items()
        for step in list(curve)[:1]
    ]
    head = "| objective | step | loss on validation texts (nats per token) | at the end |\n|---|---|---|---|\n"
    return head + "".join(rows) if rows else ""


def _curve(history: Sequence[Mapping[str, Any]], name: str) -> dict[int, float]:
    return {entry["step"]: round(entry[name], 4) for entry in history if name in entry}


def _mean_speed(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over the log; zeros where nothing was logged."""
    entries = [entry for entry in history if "mfu" in entry]
    return {
        name: sum(entry[name] for entry in entries) / max(1, len(entries))
        for name in ("tokens_per_second", "mfu", "padding")
    }


def _describe_device(training: PretrainingArguments) -> str:
    processes = "" if training.world_size == 1 else f"{training.world_size} processes with "
    if training.device.type == "cuda":
        return f"{processes}{torch.cuda.get_device_name()}"
    return f"{processes}{torch.get_num_threads()} CPU thread{'s' * (torch.get_num_threads() > 1)}"
