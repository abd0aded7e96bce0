"""What several examples share: the data of a run, its checkpoints, answers for held-out blanks, plots."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.metrics import ConfusionMatrixDisplay
from torch.utils.data import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

matplotlib.use("Agg")
import matplotlib.pyplot as plt


class InfillingDataset(Dataset):
    """
    The texts of a whole run in the order in which it sees them: every epoch shuffled, texts of similar length side by
    side. Each item carries the number that its blanks are drawn from, so a resumed run goes on with the same batches.

    Args:
        input_ids: The tokenized texts, without special tokens.
        batch_size: Texts per batch; only whole batches are seen.
        num_batches: Length of the run.
        seed: For the order.
    """

    def __init__(self, input_ids: Sequence[Sequence[int]], batch_size: int, num_batches: int, seed: int):
        self.input_ids = input_ids
        lengths = np.array([len(ids) for ids in input_ids])
        per_epoch = len(lengths) // batch_size
        if per_epoch == 0:
            raise ValueError(f"{len(lengths)} texts do not fill a batch of {batch_size}.")
        generator = np.random.default_rng(seed)
        epochs = []
        for _ in range(-(-num_batches // per_epoch)):
            # Sorting with some noise keeps batches nearly free of padding and yet different in every epoch.
            order = np.argsort(lengths * generator.uniform(0.9, 1.1, len(lengths)))
            batches = order[: per_epoch * batch_size].reshape(per_epoch, batch_size)
            epochs.append(generator.permutation(batches))
        self.order = np.concatenate(epochs)[:num_batches].ravel()

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> dict:
        return {"input_ids": self.input_ids[self.order[index]], "sample_id": index}


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end."""
    steps = [int(path.parent.name.split("-")[-1]) for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(folder / f"checkpoint-{max(steps)}") if steps else None


def has_fast_bf16() -> bool:
    """Whether bf16 pays here: always on a GPU, on a CPU where it multiplies faster than fp32."""
    if torch.cuda.is_available():
        return True
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(1024, 256, dtype=dtype), torch.ones(256, 1024, dtype=dtype)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - start)
        seconds[dtype] = min(times)
    return seconds[torch.bfloat16] < 0.8 * seconds[torch.float32]


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


def plot_losses(log_history: list[dict], path: str | os.PathLike, title: str, per: str = "token"):
    """Draws the training loss, and the held-out loss where it was measured, as a PNG."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, label in (("loss", "training"), ("eval_loss", "held out")):
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
