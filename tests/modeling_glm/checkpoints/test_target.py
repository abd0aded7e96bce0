"""The target: files beside the weights, what it may replace, and full disks."""

import pytest
from transformers import GenerationConfig

from modeling_glm import (
    GLMForConditionalGeneration,
    convert_checkpoint,
)
from modeling_glm.checkpoints import target as conversion_target
from modeling_glm.checkpoints.files import CheckpointError
from tests.support.checkpoints import (
    assert_same,
    base_weights,
    save_module,
    weights_of,
)
from tests.support.models import TOKEN_IDS, make_model, tiny_config


def test_cards_and_settings_are_kept(tmp_path):
    """They are those of the source; a target that is overwritten keeps its card."""
    source = tmp_path / "tuned"
    make_model(GLMForConditionalGeneration).save_pretrained(source)
    GenerationConfig(num_beams=4, max_new_tokens=7).save_pretrained(source)
    (source / "README.md").write_text("---\nlicense: mit\n---\n\nMy own words.\n")
    convert_checkpoint(source, tmp_path / "glm")
    settings = GLMForConditionalGeneration.from_pretrained(tmp_path / "glm").generation_config
    assert (settings.num_beams, settings.max_new_tokens) == (4, 7)
    assert settings.eos_token_id == [TOKEN_IDS["eos_token_id"], TOKEN_IDS["eop_token_id"]]
    card = (tmp_path / "glm" / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n")
    assert "My own words." in card
    assert "AutoModelForSeq2SeqLM.from_pretrained" in card

    (tmp_path / "glm" / "README.md").write_text("Other words.\n")
    convert_checkpoint(source, tmp_path / "glm", overwrite=True)
    assert "Other words." in (tmp_path / "glm" / "README.md").read_text()
    assert "My own words." not in (tmp_path / "glm" / "README.md").read_text()
    (source / "README.md").write_text("---\n[broken\n---\n")
    with pytest.raises(CheckpointError, match=r"tuned/README.md cannot be completed. Correct it"):
        convert_checkpoint(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_target_that_exists(tmp_path, refuse):
    source = save_module(tmp_path / "a.pt", base_weights())
    (tmp_path / "glm").mkdir()
    (tmp_path / "glm" / "mine").write_text("kept")
    refuse(source, "glm exists already", error=FileExistsError)
    refuse(source, "glm is not the folder of a model", error=FileExistsError, overwrite=True)
    (tmp_path / "glm" / "config.json").write_text("{}")
    convert_checkpoint(source, tmp_path / "glm", config=tiny_config(), overwrite=True)
    assert not (tmp_path / "glm" / "mine").exists()
    assert_same(weights_of(tmp_path / "glm"), base_weights())


@pytest.mark.parametrize("target", [".", "source", "source/a.pt"])
def test_a_target_that_holds_the_source(tmp_path, refuse, target):
    save_module(tmp_path / "source" / "a.pt", base_weights())
    refuse(tmp_path / "source" / "a.pt", "holds the source", error=ValueError, target=target, overwrite=True)


def test_a_target_that_holds_what_else_is_read(tmp_path, refuse):
    source = save_module(tmp_path / "a.pt", base_weights())
    tiny_config().save_pretrained(tmp_path / "other")
    again = {"error": ValueError, "target": "other", "overwrite": True}
    refuse(source, "holds the source", config=tmp_path / "other" / "config.json", **again)
    refuse(source, "holds the source", vocabulary=tmp_path / "other", **again)
    (tmp_path / "linked").symlink_to(tmp_path / "other")
    save_module(tmp_path / "other" / "b.pt", base_weights())
    refuse(tmp_path / "linked" / "b.pt", "holds the source", **again)


def test_a_target_inside_the_source(tmp_path):
    save_module(tmp_path / "source" / "a.pt", base_weights())
    convert_checkpoint(tmp_path / "source" / "a.pt", tmp_path / "source" / "glm", config=tiny_config())
    assert sorted(path.name for path in (tmp_path / "source").iterdir()) == ["a.pt", "glm"]


def test_too_little_space(tmp_path, refuse, monkeypatch):
    source = save_module(tmp_path / "a.pt", base_weights())
    usage = conversion_target.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(conversion_target.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    refuse(source, r"The target takes 0.00 GB, but only 0.00 GB are free", error=OSError)


def tuned_folder(tmp_path, **files: str | bytes):
    """Save a model, with other contents of some files; the keys have _ for the dot."""
    make_model(GLMForConditionalGeneration).save_pretrained(tmp_path / "tuned")
    for name, content in files.items():
        path = tmp_path / "tuned" / name.replace("_json", ".json").replace("_md", ".md")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / "tuned"


@pytest.mark.parametrize(
    "content",
    [
        *("[" * 100_000, '{"a":' * 200 + "1" + "}" * 200, "[1]", "7", "{", b"\xff"),
        *('{"save_pretrained": 1}', '{"__class__": 1}', '{"temperature": [1]}'),
    ],
)
def test_hostile_settings_for_generation(tmp_path, refuse, content):
    folder = tuned_folder(tmp_path, generation_config_json=content)
    refuse(folder, r"generation_config.json does not hold settings for generation", config=None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("---\na: &a [*a]\n---\n", "the value of the anchor 'a' holds itself"),
        ("---\na: " + "[" * 100_000 + "\n---\n", "nested more than 100 deep"),
        (b"---\nlicense: \xff\n---\n", "'utf-8' codec can't decode"),
        ("---\n- a\n---\n", "expected a mapping"),
        ("---\nmodel-index: !!int ''\n---\n", "are not YAML"),
    ],
)
def test_hostile_cards(tmp_path, refuse, content, message):
    folder = tuned_folder(tmp_path, README_md=content)
    refuse(folder, rf"README.md cannot be completed. Correct it or remove it: .*{message}", config=None)


def test_a_card_that_is_a_folder_is_none(tmp_path):
    folder = tuned_folder(tmp_path)
    (folder / "README.md").mkdir()
    convert_checkpoint(folder, tmp_path / "glm")
    assert (tmp_path / "glm" / "README.md").is_file()


def test_config_json_may_not_be_nested(tmp_path, refuse):
    for content in ("[" * 100_000, '{"a":' * 200 + "1" + "}" * 200, "[1]", '{"from_dict": 1}'):
        folder = tuned_folder(tmp_path, config_json=content)
        refuse(folder, r"config.json is not the config of a model", config=None)
