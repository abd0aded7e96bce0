"""The cloze suite."""

import pytest
import torch

from benchmarks.harness.embedded import load_tokenizer
from benchmarks.harness.results import Speed, Value
from benchmarks.suites import cloze
from modeling_glm import DataCollatorForCloze, GLMForMultipleChoice
from tests.support.models import make_model

EXAMPLES = [
    {"text": "The lazy dog", "words": ["runs", "sleeps all day long", "is", "no more"], "right": 1},
    {"text": "Ice", "words": ["melts", "burns", "is very", "sings"], "right": 0},
    {"text": "It was the best of times, it was the worst of", "words": ["times", "all", "it", "them all"], "right": 3},
]


def test_losses_and_gradients_are_those_of_one_row_a_choice():
    """Side by side, in rows of their own, and each example alone without padding: at 1e-5."""
    tokenizer = load_tokenizer()
    model = make_model(GLMForMultipleChoice, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    collator = DataCollatorForCloze(tokenizer, cloze.TASK)

    def rows(batch):
        return cloze.one_row_a_choice(batch, tokenizer.sop_token_id, tokenizer.pad_token_id)

    ways = {
        "side by side": [collator(EXAMPLES)],
        "rows": [rows(collator(EXAMPLES))],
        "alone": [rows(collator([example])) for example in EXAMPLES],
    }
    assert ways["rows"][0]["input_ids"].shape[:2] == (3, 4)
    found = {}
    for name, batches in ways.items():
        model.zero_grad()
        losses = [model(**batch).loss / len(batches) for batch in batches]
        sum(losses).backward()
        gradients = {key: value.grad.clone() for key, value in model.named_parameters() if value.grad is not None}
        found[name] = {"loss": sum(losses).detach(), **gradients}
    assert len(found["alone"]) > 10
    torch.testing.assert_close(found["side by side"], found["alone"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["rows"], found["alone"], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_suite_runs(quick):
    results = cloze.run(quick)
    assert [type(result) for result in results] == [Speed, Speed, Value, Value, Value]
    random, grouped = results[3:]
    assert 0 <= grouped.value < random.value < 1
