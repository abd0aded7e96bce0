"""The checkpoint that comes with the package: where it is in a clone and in an installed wheel."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_glm import (
    GLMConfig,
    GLMForConditionalGeneration,
    GLMTokenizer,
    choose,
    embedded_checkpoint,
    fill_blanks,
)
from modeling_glm.checkpoints import embedded
from modeling_glm.checkpoints.embedded import EMBEDDED_SAMPLES, GENERAL_SAMPLES, is_embedded, sample_texts
from tests.support.paths import EXAMPLES


def test_in_a_clone_it_is_among_the_examples():
    folder = embedded_checkpoint()
    assert isinstance(folder, str)  # as `pipeline` wants it
    assert Path(folder) == (EXAMPLES / "glm-tiny").resolve()
    assert GLMConfig.from_pretrained(folder).vocab_size >= len(GLMTokenizer.from_pretrained(folder))


def test_package_data_comes_first(monkeypatch, tmp_path):
    installed, examples = tmp_path / "modeling_glm" / "glm_tiny", tmp_path / "examples" / "glm-tiny"
    monkeypatch.setattr(embedded, "_PLACES", (installed, examples))
    for folder in (examples, installed):  # the second hides the first
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        assert embedded_checkpoint() == str(folder)


def test_an_installation_without_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded, "_PLACES", (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(FileNotFoundError, match=r"a and .*b: install modeling-glm again, or name another GLM"):
        embedded_checkpoint()
    assert embedded.embedded_folder() == str(tmp_path / "a")  # where it should be: importing the package does not fail


def test_it_is_known_by_every_spelling_of_its_path(monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    for name in (embedded_checkpoint(), "glm-tiny", "./glm-tiny/", "../examples/glm-tiny"):
        assert is_embedded(name), name
    for name in ("glm", "THUDM/glm-tiny", ".", ""):
        assert not is_embedded(name), name


@pytest.mark.slow
def test_two_lines_fill_a_blank_anywhere(tmp_path):
    """As on the page "Getting started", in a process of its own without network and outside the repository."""
    lines = """
import modeling_glm, transformers
print(transformers.pipeline("blank-infilling", modeling_glm.embedded_checkpoint())("It is [MASK].")[0]["text"])
"""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    ran = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, env=offline, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("It is ")


def test_texts_that_show_it_are_answered_as_a_reader_expects():
    model = GLMForConditionalGeneration.from_pretrained(embedded_checkpoint(), dtype="float32").eval()
    tokenizer = GLMTokenizer.from_pretrained(embedded_checkpoint())
    filled = fill_blanks(model, tokenizer, EMBEDDED_SAMPLES.fill, max_new_tokens_per_blank=12)
    assert [[answer.text.rstrip(".") for answer in fillings[0].answers] for fillings in filled] == [
        ["hot"],
        ["bird"],
        ["sister"],
        ["eight", "thirty-six"],
        ["19", "20"],
        ["twelve dollars and forty cents"],
    ]
    chosen = choose(model, tokenizer, list(EMBEDDED_SAMPLES.choose), list(EMBEDDED_SAMPLES.choose.values()))
    assert [choices[0].text for choices in chosen] == ["dog", "evening", "client error"]
    starts = [f"{start} [gMASK]" for start in EMBEDDED_SAMPLES.start]
    written = [found[0].text for found in fill_blanks(model, tokenizer, starts, max_new_tokens_per_blank=40)]
    assert written[0].startswith("The number 4836 is written four thousand eight hundred and thirty-six.")
    assert written[1].startswith("The price $12.40 is read as twelve dollars and forty cents.")


def test_other_models_get_other_texts(tmp_path):
    assert sample_texts(embedded_checkpoint()) is EMBEDDED_SAMPLES
    assert sample_texts(str(tmp_path)) is GENERAL_SAMPLES


def test_a_clone_has_no_copy_of_the_code_beside_the_weights():
    assert not list(Path(embedded_checkpoint()).glob("*.py"))
    for name in ("config.json", "tokenizer_config.json"):
        assert "auto_map" not in json.loads((Path(embedded_checkpoint()) / name).read_text(encoding="utf-8"))
