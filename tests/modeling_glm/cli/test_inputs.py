"""Models of the commands: folders, devices and data types."""

import pytest

from tests.support.command import objects

TINY = "examples/glm-tiny"


@pytest.mark.parametrize("command", ["fill", "choose", "generate", "card", "info", "demo"])
def test_a_model_that_is_not_there_is_named(run, command):
    texts = {"fill": ["a [MASK]"], "choose": ["a [MASK]", "b"], "generate": ["a"]}.get(command, [])
    result = run(command, "nowhere/at-all", *texts)
    assert result.returncode == 1
    assert "nowhere/at-all" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["fill", "info"])
@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("shards/1000/mp_rank_00_model_states.pt", "modeling-glm convert"),
        ("shards/mp_rank_00_model_states.pt", "modeling-glm convert"),
        ("glm-large.tar.bz2", "unpack it, and then convert"),
        ("model.pt", "modeling-glm convert"),
    ],
)
def test_checkpoints_of_the_originals_are_to_be_converted(run, tmp_path, command, path, told):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    result = run(command, str(tmp_path / path.split("/")[0]), *(["a [MASK]"] if command == "fill" else []))
    assert result.returncode == 1
    assert told in result.stderr


def test_a_device_that_does_not_exist_is_named(run):
    result = run("fill", TINY, "a [MASK]", "--device", "nonsense")
    assert result.returncode == 1
    assert "--device nonsense" in result.stderr


def test_weights_have_the_dtype_that_was_chosen(run):
    (exact,) = objects(run("fill", TINY, "The number 12 is [MASK]."))
    (coarse,) = objects(run("fill", TINY, "The number 12 is [MASK].", "--dtype", "bfloat16"))
    assert exact["fillings"][0]["log_prob"] != coarse["fillings"][0]["log_prob"]
    assert exact["fillings"][0]["log_prob"] == pytest.approx(coarse["fillings"][0]["log_prob"], abs=0.2)
