"""What several examples share: checkpoints, answers for held-out blanks, plots."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import torch
from sklearn.metrics import ConfusionMatrixDisplay
from transformers import PreTrainedModel, PreTrainedTokenizerBase

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end."""
    steps = [int(path.parent.name.split("-")[-1]) for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(folder / f"checkpoint-{max(steps)}") if steps else None


def has_fast_bf16() -> bool:
    """Whether bf16 pays here: always on a GPU, on a CPU where it multiplies faster than fp32."""
    if torch.cuda.is_available():
        return True
    # In turn and often, so that what else runs on the machine does not decide.
    seconds: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    for _ in range(30):
        for dtype, times in seconds.items():
            left, right = torch.ones(512, 256, dtype=dtype), torch.ones(256, 512, dtype=dtype)
            start = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - start)
    return min(seconds[torch.bfloat16]) < 0.8 * min(seconds[torch.float32])


@torch.inference_mode()
def answer_blanks(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], batch_size: int = 64, **kwargs
) -> list[list[str]]:
    """The greedy answers for the blanks of every text, computed in batches of similar length."""
    model.eval()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    answers: list[list[str]] = [[] for _ in texts]
    for start in range(0, len(order), batch_size):
        chunk = order[start : start + batch_size]
        inputs = tokenizer([texts[index] for index in chunk], return_tensors="pt", padding=True).to(model.device)
        filled = tokenizer.decode_blanks(model.generate(**inputs, do_sample=False, **kwargs))
        for index, row in zip(chunk, filled, strict=True):
            answers[index] = row
    return answers


def plot_losses(
    log_history: list[dict],
    path: str | os.PathLike,
    title: str,
    per: str = "token",
    curves: Mapping[str, str] | None = None,
):
    """
    Draws losses of a Trainer as a PNG.

    Args:
        log_history: Of `trainer.state`.
        path: Of the file.
        title: Over the picture.
        per: What the loss is a mean over.
        curves: Names in the log and what they are called; by default the training loss, and the held-out loss.
    """
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, label in (curves or {"loss": "training", "eval_loss": "held out"}).items():
        points = [(entry["step"], entry[name]) for entry in log_history if name in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)
    axes.set(xlabel="step", ylabel=f"cross entropy per {per} (nats)", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_confusion(gold: Sequence[int], predicted: Sequence[int], labels: Sequence[str], path: Path, title: str):
    """Draws which class was taken for which, as a PNG: numbers of examples."""
    size = 3 + 0.6 * len(labels)
    figure, axes = plt.subplots(figsize=(size + 1, size), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        gold,
        predicted,
        labels=range(len(labels)),
        display_labels=labels,
        xticks_rotation=45 if len(labels) > 2 else 0,
        cmap="Blues",
        ax=axes,
    )
    axes.set_title(title)
    figure.savefig(path, dpi=120)
    plt.close(figure)
