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


@pytest.mark.slow
def test_the_package_imports_no_library_that_few_need():
    """Drawing, and `Trainer` with what it imports: that would take a program that only fills half a second longer."""
    unwanted = {"matplotlib", "datasets", "peft", "transformers.trainer", "outlines_core"}
    code = f"import sys, modeling_glm.utils.plots; sys.exit(', '.join({unwanted} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
