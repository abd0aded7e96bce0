"""modeling-glm generate on the embedded checkpoint."""

import pytest
import torch
from transformers import AutoTokenizer

from modeling_glm.cli.generation import TerminalStreamer
from tests.support.command import objects

TINY = "examples/glm-tiny"


def test_generate_continues(run):
    (first, second) = objects(run("generate", TINY, "The number 12 is", "The hour of 19:20 is [MASK].", "-n", 2))
    assert first["text"] == "The number 12 is"
    assert all(entry["sequence"].startswith("The number 12 is ") for entry in first["fillings"])
    assert second["fillings"][0]["sequence"].startswith("The hour of 19:20 is ")
    assert len(first["fillings"]) == len(second["fillings"]) == 2


def test_generate_draws_the_same_for_any_batch(run):
    draws = ("--sample", "--top-p", "0.9", "--temperature", "1.5", "--seed", "3", "--max-new-tokens", "8")
    given = b"The number 12 is\nThe number 13 is\nThe number 14 is\n"
    told = objects(run("generate", TINY, *draws, given=given))
    alone = objects(run("generate", TINY, *draws, "--batch-size", 1, given=given))
    for one, together in zip(alone, told, strict=True):
        assert [filling["sequence"] for filling in one["fillings"]] == [f["sequence"] for f in together["fillings"]]
        assert one["fillings"][0]["log_prob"] == pytest.approx(together["fillings"][0]["log_prob"], abs=1e-3)
    other = objects(run("generate", TINY, *draws, "--seed", 4, given=given))
    assert other != told


def test_generate_writes_as_it_goes_on_a_terminal(run, monkeypatch):
    (whole,) = objects(run("generate", TINY, "The number 12 is", "--max-new-tokens", 8))
    monkeypatch.setattr("modeling_glm.cli.generation.is_terminal", lambda: True)
    result = run("generate", TINY, "The number 12 is", "--max-new-tokens", 8, "--format", "text")
    assert result.stdout.strip() == whole["fillings"][0]["sequence"]
    result = run("generate", TINY, "The [MASK] of 1987-03-12 is twelve.", "--format", "text")
    assert result.stdout.rstrip().endswith(" of 1987-03-12 is twelve.")
    texts = ("The number 12 is", "[MASK]" * 300, "The number 12 is")
    result = run("generate", TINY, *texts, "--max-new-tokens", 8, "--format", "text")
    assert result.returncode == 1
    assert result.stdout.split("\n")[:2] == [whole["fillings"][0]["sequence"]] * 2
    assert "text 2 has 302 tokens" in result.stderr
    assert "1 of 3 texts failed" in result.stderr


@pytest.mark.parametrize(
    ("prompt", "answer", "told"),
    [
        ("four hundred and thirty [gMASK]", "-six.", "four hundred and thirty-six.\n"),
        ("The number 12 is[gMASK] ", " twelve and more", "The number 12 is twelve and more \n"),
        ("The number [gMASK]", "", "The number\n"),
        ("The number [gMASK]", " 北京 é", "The number 北京 é\n"),
    ],
)
def test_the_words_on_a_terminal_make_the_filled_text(capsys, prompt, answer, told):
    """White space is what the tokens say, whatever the prompt ends with."""
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    streamer = TerminalStreamer(tokenizer, prompt)
    streamer.put(tokenizer(prompt, return_tensors="pt").input_ids)
    for token_id in [*tokenizer(answer, add_special_tokens=False).input_ids, tokenizer.eop_token_id]:
        streamer.put(torch.tensor([token_id]))
    streamer.end()
    assert capsys.readouterr().out == told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--sample", "--num-beams", "2"], "--sample and --num-beams 2: give one of them"),
        (["a", "--sample", "--top-p", "7"], "top_p"),
        (["[MASK]" * 300], "302 tokens, but the position table holds 257"),
    ],
    ids=str,
)
def test_what_the_user_can_fix_is_one_line(run, arguments, message):
    result = run("generate", TINY, *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
