"""What 03_pretrain.py leaves behind: the model, its loss curve, its settings and its card."""

import contextlib
import json
import os
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from held_out import Row, error_ratio, measure_held_out
from pretrain_arguments import EMBEDDED_CORPUS, Arguments, PretrainingArguments
from pretrain_settings import SUMMARY
from pretrain_trainer import PretrainingTrainer
from transformers import TrainerCallback

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.hub.card import write_model_card
from modeling_glm.utils.files import whole_folder, write_whole
from modeling_glm.utils.plots import plot_losses

# Settings of Trainer that belong into the summary of a run.
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
    """Adds up the seconds of a run over its restarts, in a file that is written with every checkpoint."""

    def __init__(self, path: Path):
        self.path = path
        self._started: float | None = None
        try:
            self._before = float(path.read_text())
        except (OSError, ValueError):
            self._before = 0.0

    @property
    def total(self) -> float:
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def on_train_begin(self, *args, **kwargs):
        self._started = time.monotonic()

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            with contextlib.suppress(OSError):  # a full disk is told of by the checkpoint
                write_whole(self.path, str(self.total))

    def on_train_end(self, args, state, control, **kwargs):
        self.on_save(args, state, control)
        self._before, self._started = self.total, None


def export(
    args: Arguments,
    training: PretrainingArguments,
    trainer: PretrainingTrainer,
    tokenizer: GLMTokenizer,
    data: dict[str, int],
    seconds: float,
):
    """Writes the finished model with everything that explains it; all processes must call this."""
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    model = GLMForConditionalGeneration(trainer.model.config)
    # torch.compile wraps a model under a name of its own.
    weights = {name.replace("_orig_mod.", ""): tensor for name, tensor in weights.items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"The weights do not fit the model: {missing} are missing, {unexpected} unknown.")
    model.tie_weights()
    model.config.use_cache = True  # Trainer turns it off
    history = trainer.state.log_history
    summary = {
        "arguments": {
            **{name: value for name, value in asdict(args).items() if name not in ("export", "cache_dir")},
            **{name: getattr(training, name) for name in TRAINER_SETTINGS},
        },
        "parameters": model.num_parameters(),
        **data,
        "minutes": round(seconds / 60, 1),
        "device": _device(training),
        "precision": "bf16 autocast" if training.bf16 else "fp16 autocast" if training.fp16 else "fp32",
        "speed": _speed(history),
        "validation_loss": {name: _curve(history, f"eval_{name}_loss") for name in args.objectives},
    }
    with whole_folder(args.export) as folder:
        model.to(getattr(torch, args.export_dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        curves = {"loss": "training, all objectives"}
        curves.update({f"eval_{name}_loss": f"validation, {name}" for name in args.objectives})
        plot_losses(history, folder / "loss.png", "Blank infilling", curves=curves)
        (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        embedded = args.corpus == [EMBEDDED_CORPUS]
        rows = measure_held_out(model.float(), tokenizer, args.blanks) if embedded else []
        write_model_card(
            folder,
            model,
            tokenizer,
            model_id=os.path.relpath(args.export),
            sections=card_sections(args, training, summary, rows),
            **({"license": "apache-2.0", "language": "en"} if embedded else {}),
        )
    print(f"written to {args.export}")


def card_sections(args: Arguments, training: PretrainingArguments, summary: dict, rows: list[Row]) -> dict[str, str]:
    """What the model was trained on and how, and how well it fills blanks: the sections of its card that only this run knows."""
    if args.corpus == [EMBEDDED_CORPUS]:
        corpus = (
            "English sentences that state facts of Python's standard library (numbers in words, dates, Unicode names, "
            "HTTP status codes, time zones and the like) and prose of its documentation, made by `examples/corpus.py`. "
            "One fact in twenty is held out by a hash of what it is about, so that no training text states it."
        )
    else:
        names = ", ".join(f"`{Path(source).name}`" for source in args.corpus)
        held_out = f"{args.held_out:.0%} of each is held out, by documents"
        if args.validation is not None:
            held_out = "validated on " + ", ".join(f"`{Path(source).name}`" for source in args.validation)
        corpus = f"Corpora: {names}; {held_out}."
    start = f"It went on from `{args.model}`.\n\n" if args.model else ""
    shares = ", ".join(f"{share:.0%} {name}" for name, share in args.objectives.items())
    speed = summary["speed"]
    losses = "".join(
        f"| {name} | {step} | {curve[step]:.2f} | {list(curve.values())[-1]:.2f} |\n"
        for name, curve in summary["validation_loss"].items()
        for step in list(curve)[:1]
    )
    if losses:
        losses = (
            "| objective | step | loss on validation texts (nats per token) | at the end |\n|---|---|---|---|\n"
            + losses
        )
    command = shlex.join(["python", "examples/03_pretrain.py", *sys.argv[1:]])
    training_section = f"""## Training

{corpus}

{start}{summary["train_texts"]:,} texts with {summary["train_tokens"]:,} tokens to train on, {summary["validation_texts"]:,} to validate on.
`{command}` took {summary["minutes"]:.0f} minutes on {summary["device"]} ({speed["tokens_per_second"]:,.0f} tokens per second,
{speed["mfu"]:.0%} of what its matrix products reach): {training.max_steps} steps of {args.global_batch_size} texts with the objectives {shares}
({args.mask_ratio:.0%} of a text in short spans), AdamW with a peak learning rate of {training.learning_rate:g} and {args.decay} decay to
{args.min_lr_ratio:.0%} of it, {summary["precision"]}. `training.json` has all settings.

{losses}
![loss curve](loss.png)"""
    sections = {"training": training_section}
    if rows:
        table = "".join(
            f"| {row.name} | {row.all:.1%} | {row.facts:.1%} | {row.prose:.1%} | {row.loss:.2f} |\n" for row in rows
        )
        sections["figures"] = f"""## Figures

On {args.blanks} held-out blanks of one to three words (`make demo` measures the same on fewer):

| | exact match | in facts | in prose | nats per token |
|---|---|---|---|---|
{table}
The model makes {error_ratio(rows):.0%} of the errors of the best baseline. The baselines are told how many words are missing; the model has to find out. Its loss includes the end of the answer, theirs does not."""
        sections["limits"] = f"""## Limits

It is a toy for trying the code of modeling-glm: it knows its corpus and nothing of the world. Texts may have up to {args.max_length}
tokens. Prose is beyond a model of this size. Answers it does not know come out as something of the same kind: other digits,
another name. Do not use it for anything but trying things out."""
    return sections


def _curve(history: list[dict], name: str) -> dict[int, float]:
    return {entry["step"]: round(entry[name], 4) for entry in history if name in entry}


def _speed(history: list[dict]) -> dict[str, float]:
    """Means over the log; zeros where nothing was logged."""
    entries = [entry for entry in history if "mfu" in entry]
    return {
        name: sum(entry[name] for entry in entries) / max(1, len(entries))
        for name in ("tokens_per_second", "mfu", "padding")
    }


def _device(training: PretrainingArguments) -> str:
    processes = "" if training.world_size == 1 else f"{training.world_size} processes with "
    if training.device.type == "cuda":
        return f"{processes}{torch.cuda.get_device_name()}"
    return f"{processes}{torch.get_num_threads()} CPU thread{'s' * (torch.get_num_threads() > 1)}"
