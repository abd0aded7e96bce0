"""What the variants change, and their losses."""

import pytest
import torch

from benchmarks.studies.ablation.variants import (
    VARIANTS,
    build_model,
    compute_loss,
    compute_token_losses,
    is_causal,
    label_part_a,
)
from modeling_glm import DataCollatorForBlankInfilling
from tests.support.models import TEXTS, randomise

MIXED = {"token": 0.4, "sentence": 0.3, "document": 0.3}


@pytest.fixture(scope="module")
def features(tokenizer):
    return [{"input_ids": ids, "sample_id": number} for number, ids in enumerate(tokenizer(TEXTS[:6])["input_ids"])]


def build(name, tokenizer):
    return randomise(build_model(VARIANTS[name], tokenizer, hidden_size=32, num_hidden_layers=2, max_length=64))


@pytest.mark.parametrize("name", ["mixture", "no-block-positions", "token-only", "causal-pieces"])
def test_token_losses_add_up_to_the_loss_of_training(name, tokenizer, features):
    """Training packs several texts into a row; measuring gives each its own. For GPT-2 the inputs are made in two ways."""
    variant, model = VARIANTS[name], build(name, tokenizer)
    options = {"objectives": MIXED, **variant.collator, "max_length": 64}
    packed = DataCollatorForBlankInfilling(tokenizer, packed_length=128, **options)(features)
    alone = DataCollatorForBlankInfilling(tokenizer, **options)(features)
    losses = compute_token_losses(model, alone)
    assert len(packed["labels"]) < len(features)
    assert losses.shape == alone["labels"].shape
    assert (losses[alone["labels"] == -100] == 0).all()
    labelled = alone["labels"] != -100
    torch.testing.assert_close(losses[labelled].mean(), compute_loss(model, packed, variant), rtol=1e-4, atol=1e-4)


def test_positions_follow_from_the_ids(tokenizer):
    model = build("mixture", tokenizer)
    inputs = tokenizer(["The [MASK] fox and the [MASK] cat.", "A [MASK]."], return_tensors="pt", padding=True)
    batch = dict(tokenizer.build_inputs_for_generation(inputs, targets=[[" quick", " lazy"], [" fox"]]))
    losses = compute_token_losses(model, batch)
    labelled = batch["labels"] != -100
    torch.testing.assert_close(losses[labelled].mean(), model(**batch).loss, rtol=1e-4, atol=1e-4)


def test_labels_of_part_a_are_the_next_tokens():
    # [CLS] a M <eos> S x, one place of padding; the piece "x" ends with E.
    batch = {
        "input_ids": torch.tensor([[1, 10, 3, 2, 4, 11, 0]]),
        "labels": torch.tensor([[-100, -100, -100, -100, 11, 5, -100]]),
        "position_ids": torch.tensor([[[0, 1, 2, 3, 2, 2, 0], [0, 0, 0, 0, 1, 2, 0]]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1, 0]]),
    }
    assert label_part_a(batch).tolist() == [[10, 3, 2, 4, 11, 5, -100]]


def test_block_positions_have_a_table(tokenizer):
    with_table, without, causal = (build(name, tokenizer) for name in ("mixture", "no-block-positions", "causal"))
    # Block positions have 65 rows, and the table of positions has 65 instead of 64.
    assert with_table.num_parameters() - without.num_parameters() == 66 * 32
    assert [is_causal(model) for model in (with_table, without, causal)] == [False, False, True]


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_variant_collates(name, tokenizer, features):
    options = {"objectives": MIXED, **VARIANTS[name].collator}
    assert DataCollatorForBlankInfilling(tokenizer, **options)(features)["labels"].max() > 0
    assert VARIANTS[name].claim
