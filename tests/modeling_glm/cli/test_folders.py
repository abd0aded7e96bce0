"""modeling-glm info and card on the embedded checkpoint."""

import shutil

from huggingface_hub import ModelCard

from tests.support.command import objects

TINY = "examples/glm-tiny"


def test_info_tells_what_a_model_is(run):
    (facts,) = objects(run("info", TINY))
    assert facts["parameters"] == 6967808
    assert facts["blanks"] == ["[MASK]", "[sMASK]", "[gMASK]"]
    assert facts["bytes"]["bfloat16"] == 2 * 6967808


def test_info_on_weights_without_a_vocabulary(run, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(f"{TINY}/{name}", tmp_path / name)
    (facts,) = objects(run("info", str(tmp_path)))
    assert facts["parameters"] == 6967808
    assert (facts["tokens"], facts["blanks"]) == (None, None)


def test_a_folder_without_a_model(run, tmp_path):
    """The library takes the defaults of a config where there is none."""
    for command in (("info", tmp_path), ("card", tmp_path), ("card", tmp_path, "--write")):
        result = run(*command)
        assert result.returncode == 1
        assert result.stderr == f"error: Cannot read a model from {tmp_path}: the folder has no config.json.\n"
    assert list(tmp_path.iterdir()) == []


def test_info_shows_a_table_to_people(run):
    lines = run("info", TINY, "--format", "text").stdout.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines if line.split()[0] in ("parameters", "bytes", "blanks"))
    assert facts["parameters"].strip() == "6,967,808"
    assert facts["bytes"].strip() == "float32 27.9 MB, bfloat16 13.9 MB, float16 13.9 MB"
    assert facts["blanks"].strip() == "[MASK], [sMASK], [gMASK]"


def test_card_is_printed_or_written(run, tmp_path):
    result = run("card", TINY, "--license", "mit", "--language", "en", "--dataset", "wikipedia", "--tag", "tiny")
    assert result.returncode == 0, result.stderr
    card = ModelCard(result.stdout)
    assert (card.data.license, card.data.language, card.data.datasets) == ("mit", ["en"], ["wikipedia"])
    assert "tiny" in card.data.tags
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Mine\n\nMy own words.\n", encoding="utf-8")
    result = run("card", folder, "--write", "--tag", "tiny")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(folder / "README.md")
    written = ModelCard.load(folder / "README.md")
    assert written.data.license == "apache-2.0"
    assert "My own words." in written.text
    assert "6,967,808 parameters" in written.text


def test_a_card_is_not_written_to_the_hub(run):
    result = run("card", "openai/nothing", "--write")
    assert result.returncode == 1
    assert "openai/nothing" in result.stderr
