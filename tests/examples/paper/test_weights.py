"""Weights that are missing, or those of another model, are refused before anything is read."""

import pytest

from examples.paper.weights import check_weights
from modeling_glm import GLMConfig


@pytest.fixture
def large(tmp_path):
    """A folder as that of GLM-Large, with an empty file for its weights."""
    GLMConfig.from_preset("glm-large").save_pretrained(tmp_path / "large")
    (tmp_path / "large" / "model.safetensors").touch()
    return tmp_path / "large"


@pytest.mark.parametrize("model", ["glm-large", "glm-doc", "own"])
def test_right_sizes(large, model):
    """GLM-Large and GLM-Doc have the same sizes, and "own" may have any."""
    check_weights(model, str(large))


def test_wrong_size(large):
    with pytest.raises(ValueError, match="is not glm-10b: it has layers 24, width 1024") as error:
        check_weights("glm-10b", str(large))
    assert "but glm-10b has layers 48, width 4096, heads 64, positions 1024, vocabulary 50304" in str(error.value)
    assert "Give --model glm-large or glm-doc or own" in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"), [("config.json", "has no config.json"), ("model.safetensors", "no weights")]
)
def test_missing_files(large, name, message):
    (large / name).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        check_weights("glm-large", str(large))


@pytest.mark.parametrize("weights", ["nothing", "./a/b", "/a/b/c"])
def test_no_such_folder(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=f"--weights {weights} is neither a folder nor the name of a repository"
    ):
        check_weights("glm-large", weights)
