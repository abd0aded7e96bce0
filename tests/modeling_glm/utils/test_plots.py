"""Pictures of training."""

import subprocess
import sys

import pytest

from modeling_glm.utils.plots import plot_losses

LOG = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "eval_loss": 2.5}]


@pytest.mark.parametrize(
    "curves", [{"loss": "training", "eval_loss": "held out"}, {"loss_token": "absent", "loss": "all"}]
)
def test_picture_is_written(tmp_path, curves):
    plot_losses(LOG, tmp_path / "loss.png", "Losses", curves=curves)
    from matplotlib.image import imread

    picture = imread(tmp_path / "loss.png")
    assert picture.shape == (480, 840, 4)
    assert picture[..., :3].std() > 0.01  # not a blank sheet


def test_package_needs_no_matplotlib():
    code = "import sys, modeling_glm.utils.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
