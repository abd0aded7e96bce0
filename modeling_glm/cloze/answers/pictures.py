"""Draw how far the probabilities of a classifier can be trusted. Needs matplotlib."""

import os

import numpy as np
from numpy.typing import ArrayLike

from ...utils.extras import from_extra
from ...utils.plots import save_figure
from .reliability import measure_reliability, selective_accuracy


def plot_reliability(probabilities: ArrayLike, labels: ArrayLike, path: str | os.PathLike, title: str, bins: int = 15):
    """
    Draw two curves that show how far probabilities can be trusted, into one PNG file.

    Left is the reliability diagram: the accuracy of the examples in every bin of confidence, which lies on the diagonal
    if the probabilities are calibrated, and below it how many examples a bin has. Right is the selective accuracy: the
    accuracy of the most confident predictions, for every share of the examples that is answered.

    Args:
        probabilities: (examples, classes), 0 for absent classes.
        labels: (examples,) right classes.
        path: The file to write.
        title: The title of the picture.
        bins: Number of bins between 0 and 1.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: For all that `measure_reliability` refuses.
    """
    found, curve = measure_reliability(probabilities, labels, bins), selective_accuracy(probabilities, labels)

    with from_extra("plots", "A picture"):
        from matplotlib.figure import Figure  # without pyplot, so the backend of the caller stays

    figure = Figure(figsize=(10, 5), layout="constrained")
    panels = figure.subplot_mosaic([["reliability", "selective"], ["counts", "selective"]], height_ratios=[3, 1])
    edges = found.numbers / bins  # a bin is the interval (edge, edge + 1 / bins]

    above = panels["reliability"]
    above.bar(edges, found.accuracy, width=1 / bins, align="edge", edgecolor="white", label="accuracy")
    above.plot([0, 1], [0, 1], "k--", linewidth=1, label="calibrated")
    above.plot(found.confidence, found.accuracy, "o", color="black", markersize=3)
    above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    above.set_title(f"expected calibration error {found.error:.3f}", fontsize="medium")
    above.legend(loc="upper left")

    below = panels["counts"]
    below.bar(edges, found.counts, width=1 / bins, align="edge", edgecolor="white", color="gray")
    below.set(xlim=(0, 1), xlabel="probability of the predicted label", ylabel="examples")

    right = panels["selective"]
    right.plot(curve.answered, curve.accuracy, drawstyle="steps-pre")
    right.set(xlim=(0, 1), ylim=(min(0.5, float(np.min(curve.accuracy))), 1.02))
    right.set(xlabel="share of the examples that is answered", ylabel="accuracy of the answers")
    right.set_title(f"accuracy of all {int(found.counts.sum())} examples {curve.accuracy[-1]:.3f}", fontsize="medium")
    right.grid(alpha=0.3)

    figure.suptitle(title)
    save_figure(figure, path)


__all__ = ["plot_reliability"]
