"""The pretraining script: help, a run that is killed, and the embedded corpus."""

import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from examples.corpora import build_splits
from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer
from tests.support.paths import EXAMPLES
from tests.support.pretraining_runs import one_thread, options, read_losses, start_script, write_texts
from tests.support.scripts import run_script


def test_help_has_a_section_for_each_group(capsys):
    with pytest.raises(SystemExit):
        run_script("03_pretrain.py", "--help")
    printed = capsys.readouterr().out
    for title in ("texts:", "model and vocabulary:", "objectives and blanks:", "recipe and schedule:", "results:"):
        assert f"\n{title}\n" in printed
    assert "Run the same command again to resume" in printed
    assert "(default: 0.02)" in printed


@pytest.mark.slow
@one_thread()
def test_a_killed_run_resumes_bit_for_bit(tmp_path, monkeypatch, capsys):
    """kill -9 in the middle of a step: the rest of the loss curve, and the weights, are those of an undisturbed run."""
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path / "texts.txt")
    settings = {"max_steps": 40, "save_steps": 5, "eval_steps": 20, "dropout": 0.1, "hidden_size": 64}
    killed_run = {**settings, "output_dir": tmp_path / "killed", "export": tmp_path / "resumed"}
    with start_script(tmp_path, **killed_run) as killed:
        deadline = time.monotonic() + 240
        while not (tmp_path / "killed" / "checkpoint-10" / "manifest.json").exists():
            assert killed.process.is_alive(), killed.output
            assert time.monotonic() < deadline
            time.sleep(0.002)
        killed.process.kill()  # SIGKILL
        assert killed.wait().killed
    assert not (tmp_path / "resumed").exists()
    run_script("03_pretrain.py", *options(tmp_path, **killed_run))
    assert "resuming from" in capsys.readouterr().out
    whole = {**settings, "output_dir": tmp_path / "whole", "export": tmp_path / "undisturbed"}
    run_script("03_pretrain.py", *options(tmp_path, **whole))
    assert read_losses(tmp_path / "killed") == read_losses(tmp_path / "whole")
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("undisturbed", "resumed"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_packing_leaves_nearly_no_padding_on_the_embedded_corpus():
    tokenizer = GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")
    texts = [document.text for document in build_splits()[0][::25]]
    features = [
        {"input_ids": ids, "sample_id": number}
        for number, ids in enumerate(tokenizer(texts, add_special_tokens=True)["input_ids"])
    ]
    collator = DataCollatorForBlankInfilling(
        tokenizer,
        objectives={"token": 0.75, "sentence": 0.1, "document": 0.15},
        mask_ratio=0.25,
        max_length=256,
        packed_length=512,
        pad_to_multiple_of=8,
    )
    generator = np.random.default_rng(0)
    features = [features[index] for index in generator.permutation(len(features))]
    masks = [collator(features[start : start + 48])["attention_mask"] for start in range(0, len(features) - 47, 48)]
    padding = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
    assert len(masks) > 15
    assert padding < 0.03
