"""A model and baselines on held-out blanks."""

import pytest
import torch

from examples.corpora.documents import Document
from examples.corpora.measuring import held_out
from examples.corpora.measuring.held_out import blank_loss, error_ratio, measure_held_out
from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from tests.support.paths import EXAMPLES

FACTS = [Document(family="numbers", key=f"n:{n}", text=f"The number {n} comes after {n - 1}.") for n in range(20, 40)]
PROSE = [Document(family="prose", key=f"p:{n}", text=f"Return the {n}th item of a list.") for n in range(8)]


@pytest.fixture(scope="module")
def model():
    return GLMForConditionalGeneration.from_pretrained(EXAMPLES / "glm-tiny", dtype="float32").eval()


@pytest.fixture(scope="module")
def tokenizer():
    return GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")


def test_rows_of_baselines_and_model(monkeypatch, model, tokenizer):
    monkeypatch.setattr(held_out, "build_splits", lambda: (FACTS[::2] + PROSE[::2], FACTS[1::2] + PROSE[1::2]))
    rows = measure_held_out(model, tokenizer, 12)
    assert rows[-1].name == "GLM"
    assert len(rows) > 2
    for row in rows:
        assert 0 <= row.all <= 1
        assert min(row.facts, row.prose) <= row.all <= max(row.facts, row.prose)
        assert row.loss > 0
    assert error_ratio(rows) == pytest.approx((1 - rows[-1].all) / (1 - max(row.all for row in rows[:-1])))


def test_loss_is_that_of_each_blank_alone(model, tokenizer):
    """The blanks have answers of different lengths, so a batch has padding."""
    blanks = held_out.make_blanks(FACTS + PROSE, count=9, seed=2)
    total, count = 0.0, 0
    for blank in blanks:
        before, after = blank.text.split("[MASK]")
        space = " " if before.endswith(" ") else ""
        inputs = tokenizer(f"{before}[MASK]{after}", return_tensors="pt")
        batch = tokenizer.build_inputs_for_generation(inputs, targets=[space + blank.answer])
        with torch.inference_mode():
            logits = model(**{name: batch[name] for name in batch if name != "labels"}).logits
        labels = batch["labels"][0]
        scores = logits[0].log_softmax(-1)
        total -= sum(float(scores[place, label]) for place, label in enumerate(labels) if label != -100)
        count += int((labels != -100).sum())
    assert blank_loss(model, tokenizer, blanks, batch_size=4) == pytest.approx(total / count, rel=1e-4)
