"""Pictures of training."""

import io
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .extras import from_extra
from .files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = {"loss": "training", "eval_loss": "held out"}


def plot_losses(
    log_history: Sequence[Mapping[str, Any]],
    path: str | os.PathLike,
    title: str,
    per: str = "token",
    curves: Mapping[str, str] = CURVES,
):
    """
    Draw the losses of a Trainer into a PNG file.

    Args:
        log_history: The entries of `trainer.state.log_history`.
        path: The file to write.
        title: The title of the picture.
        per: The unit that the loss is a mean over, "token" or "example".
        curves: The keys of the log to draw, each with its name in the legend. By default the training loss and the
            held-out loss. A key without entries is left out.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    with from_extra("plots", "A picture"):
        from matplotlib.figure import Figure  # without pyplot, so the backend of the caller stays

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for key, label in curves.items():
        points = [(entry["step"], entry[key]) for entry in log_history if key in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)
    axes.set(xlabel="step", ylabel=f"cross entropy per {per} (nats)", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path)


def save_figure(figure: "Figure", path: str | os.PathLike, format: str = "png", **options: Any):
    """
    Write a figure to a file, whole or not at all.

    Args:
        figure: The figure.
        path: The file.
        format: The format of the file. Its name does not matter.
        options: Further arguments of `Figure.savefig`. The default is `dpi=120`.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format=format, **{"dpi": 120, **options})
    write_whole(path, drawn.getvalue())
