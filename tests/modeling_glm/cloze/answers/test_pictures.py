"""The picture of reliability: a whole PNG whose bars stand where the bins are."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from modeling_glm.cloze.answers.pictures import plot_reliability
from modeling_glm.cloze.answers.reliability import measure_reliability

PROBABILITIES = np.array([[0.95, 0.05], [0.1, 0.9], [0.65, 0.35], [0.3, 0.7], [0.6, 0.4], [0.4, 0.6]])
LABELS = [0, 0, 0, 1, 1, 1]


def test_picture(tmp_path, monkeypatch):
    drawn = []
    bar = Axes.bar

    def listen(axes, places, heights, **settings):
        drawn.append((list(places), list(heights), settings["width"]))
        return bar(axes, places, heights, **settings)

    monkeypatch.setattr(Axes, "bar", listen)
    plot_reliability(PROBABILITIES, LABELS, tmp_path / "reliability.png", "Fruit", bins=5)
    assert [path.name for path in tmp_path.iterdir()] == ["reliability.png"]
    picture = imread(tmp_path / "reliability.png")
    assert picture.shape[:2] == (600, 1200)
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 10
    found = measure_reliability(PROBABILITIES, LABELS, bins=5)
    assert drawn == [
        ([0.4, 0.6, 0.8], found.accuracy.tolist(), 0.2),
        ([0.4, 0.6, 0.8], found.counts.tolist(), 0.2),
    ]


def test_one_example(tmp_path):
    plot_reliability([[0.0, 1.0]], [0], tmp_path / "one.png", "One")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_written_for_wrong_input(tmp_path):
    with pytest.raises(ValueError, match="do not sum to 1"):
        plot_reliability([[2.0, 1.0]], [0], tmp_path / "x.png", "x")
    assert list(tmp_path.iterdir()) == []
