"""A run resumes only if it is the same one."""

import shutil

import pytest

from modeling_glm.pretraining.identity import check_run
from tests.support.pretraining_runs import pretrain, write_texts

RUN = {"texts": [10], "model": {"hidden_size": 16}, "seed": 0}


def test_a_new_run_is_noted_and_the_same_one_resumes(tmp_path):
    check_run(tmp_path / "run", RUN, resumes=False)
    check_run(tmp_path / "run", RUN, resumes=True)
    check_run(tmp_path / "run", {**RUN, "seed": 5}, resumes=False)  # no checkpoint: the folder gets another run


def test_another_run_is_refused(tmp_path):
    check_run(tmp_path, RUN, resumes=False)
    with pytest.raises(SystemExit, match=r"holds another run: texts was \[10\] and is \[11\]; seed was 0 and is 5"):
        check_run(tmp_path, {**RUN, "texts": [11], "seed": 5}, resumes=True)


def test_a_run_from_before_optimizers_could_be_set_is_one_of_adamw(tmp_path):
    check_run(tmp_path, RUN, resumes=False)
    check_run(tmp_path, {**RUN, "optimizer": "adamw"}, resumes=True)
    with pytest.raises(SystemExit, match="optimizer was adamw and is muon"):
        check_run(tmp_path, {**RUN, "optimizer": "muon"}, resumes=True)


def test_a_run_from_before_whole_words_has_spans_of_tokens(tmp_path):
    check_run(tmp_path, {**RUN, "collator": {"mask_ratio": 0.2}}, resumes=False)
    check_run(tmp_path, {**RUN, "collator": {"mask_ratio": 0.2, "whole_words": False}}, resumes=True)
    with pytest.raises(SystemExit, match="whole_words"):
        check_run(tmp_path, {**RUN, "collator": {"mask_ratio": 0.2, "whole_words": True}}, resumes=True)


def test_a_run_from_before_rates_were_noted_has_those_of_now(tmp_path):
    now = {**RUN, "optimizer_settings": {"learning_rate": 0.1}, "dropout": None}
    check_run(tmp_path, RUN, resumes=False)
    check_run(tmp_path, now, resumes=True)
    check_run(tmp_path, now, resumes=False)
    with pytest.raises(SystemExit, match="dropout was None and is"):
        check_run(tmp_path, {**now, "dropout": 0.1}, resumes=True)


def test_checkpoints_without_a_description_are_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"has checkpoints, but no run\.json"):
        check_run(tmp_path, RUN, resumes=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two steps, which the tests copy."""
    folder = tmp_path_factory.mktemp("finished")
    write_texts(folder / "texts.txt")
    write_texts(folder / "other.txt", 150)
    pretrain(folder, max_steps=2, eval_strategy="no")
    return folder


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidden_size": 32}, "model was .* and is"),
        ({"seed": 5}, "seed was 0 and is 5"),
        ({"learning_rate": 0.5}, "optimizer_settings was .*'learning_rate': 0.5"),
        ({"weight_decay": 0.5}, "optimizer_settings was .*'weight_decay': 0.5"),
        ({"global_batch_size": 4}, "global_batch_size was 8 and is 4"),
        ({"corpus": "other.txt"}, "corpora was"),
        ({"mask_ratio": 0.5}, "collator was"),
    ],
    ids=str,
)
def test_another_run_leaves_the_folder_as_it_is(finished, tmp_path, monkeypatch, changed, message):
    monkeypatch.chdir(finished)
    shutil.copytree(finished / "run", tmp_path / "run")
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    with pytest.raises(SystemExit, match=f"holds another run: .*{message}"):
        pretrain(finished, output_dir=tmp_path / "run", max_steps=4, **changed)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before
