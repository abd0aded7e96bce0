"""The order of the texts, and training."""

from itertools import islice

import pytest
import torch

from benchmarks.studies.ablation.training import draw_texts, train
from benchmarks.studies.ablation.variants import VARIANTS, build_model
from modeling_glm import DataCollatorForBlankInfilling
from tests.support.models import TEXTS


def test_texts_are_drawn_once_per_epoch():
    rows = list(islice(draw_texts([[1], [2], [3]], seed=0), 6))
    assert [row["sample_id"] for row in rows] == list(range(6))
    drawn = [row["input_ids"][0] for row in rows]
    assert sorted(drawn[:3]) == sorted(drawn[3:]) == [1, 2, 3]


@pytest.mark.parametrize("name", ["mixture", "causal"])
def test_the_loss_falls(name, tokenizer, capsys):
    torch.manual_seed(0)
    variant = VARIANTS[name]
    model = build_model(variant, tokenizer, hidden_size=32, num_hidden_layers=1, max_length=64)
    collate = DataCollatorForBlankInfilling(tokenizer, max_length=64, packed_length=128, **variant.collator)
    drawn = draw_texts(tokenizer(TEXTS)["input_ids"], seed=0)
    batches = iter(lambda: collate(list(islice(drawn, 6))), None)
    loss = train(model, variant, batches, steps=20, learning_rate=1e-2, bf16=False, name="a name")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"a name: step {step}" for step in range(2, 21, 2)]
    assert loss < 0.8 * float(lines[0].split()[-1])
