"""Batches of cloze tasks."""

import pickle

import pytest
import torch
from transformers import Trainer, TrainingArguments

from modeling_glm import DataCollatorForCloze, GLMForMultipleChoice, PatternVerbalizer
from tests.support.missing import MISSING
from tests.support.models import make_model

NLI = PatternVerbalizer(
    "{premise|shorten}? [MASK], {hypothesis|bare|shorten}", {"yes": "true", "no": ["false", "not true"]}
)
EXAMPLE = {"premise": "The dog jumps", "hypothesis": "The fox is lazy!", "label": "no"}


@pytest.mark.parametrize("side", ["left", "right"])
def test_batch(tokenizer, side):
    tokenizer = pickle.loads(pickle.dumps(tokenizer))
    tokenizer.padding_side = side
    examples = [EXAMPLE, {"premise": "Rome", "hypothesis": "Paris", "label": "yes"}]
    batch = DataCollatorForCloze(tokenizer, NLI, pad_to_multiple_of=8)(examples)
    assert batch["input_ids"].shape[1] % 8 == 0
    assert batch["labels"].tolist() == [1, 0]
    for row, example in enumerate(examples):
        encoded = NLI.encode(example, tokenizer)
        real = batch["attention_mask"][row] == 1
        assert batch["input_ids"][row][real].tolist() == encoded["input_ids"][0]
        assert real[-1 if side == "left" else 0]
        words = [[ids[ids != -100].tolist() for ids in label] for label in batch["choice_ids"][row]]
        assert [[ids for ids in label if ids] for label in words] == encoded["choice_ids"][0]


def test_ragged_choices_and_several_patterns(tokenizer):
    task = PatternVerbalizer(["{a} [MASK]", "So {a}? [MASK]"], choices="{options}")
    examples = [{"a": "dog", "options": ["one", "the fox", "x"]}, {"a": "the lazy dog", "options": ["Rome", "y"]}]
    batch = DataCollatorForCloze(tokenizer, task)(examples)
    assert "labels" not in batch
    assert batch["input_ids"].shape[:2] == batch["attention_mask"].shape[:2] == (2, 2)
    assert batch["choice_ids"].shape[:3] == (2, 2, 3)
    assert (batch["choice_ids"][1, :, 2] == -100).all()
    encoded = [task.encode(example, tokenizer) for example in examples]
    again = DataCollatorForCloze(tokenizer, task)(encoded)
    assert all(torch.equal(batch[name], again[name]) for name in batch)


@pytest.mark.parametrize("missing", MISSING)
def test_refuses_a_mixture_of_labels(tokenizer, missing):
    with pytest.raises(
        ValueError, match=r"1 of 2 examples have a label .* Example 1 of the batch \({'prem.* has none"
    ):
        DataCollatorForCloze(tokenizer, NLI)([EXAMPLE, {**EXAMPLE, "label": missing}])


@pytest.mark.parametrize("missing", MISSING)
def test_missing_labels_are_no_labels(tokenizer, missing):
    unlabelled = [{**EXAMPLE, "label": missing}] * 2
    assert "labels" not in DataCollatorForCloze(tokenizer, NLI)(unlabelled)
    encoded = [{**NLI.encode(example, tokenizer), "labels": missing} for example in unlabelled]
    assert "labels" not in DataCollatorForCloze(tokenizer, NLI)(encoded)


def test_names_the_example(tokenizer):
    message = (
        r"Example 1 of the batch \({'hypothesis': 'x'}\): The pattern asks for a field 'premise'.*\['hypothesis'\]\.$"
    )
    with pytest.raises(ValueError, match=message):
        DataCollatorForCloze(tokenizer, NLI)([EXAMPLE, {"hypothesis": "x"}])
    with pytest.raises(ValueError, match=r"Example 0 .*\.\.\.\): Field 'premise' is missing \(nan\)"):
        DataCollatorForCloze(tokenizer, NLI)([{**EXAMPLE, "premise": float("nan"), "more": "x" * 300}])


@pytest.mark.parametrize("left", [{}, {"label": "yes"}])
def test_columns_that_trainer_removed(tokenizer, left):
    with pytest.raises(ValueError, match=r"asks for a field 'premise'.*remove_unused_columns=False"):
        DataCollatorForCloze(tokenizer, NLI)([left])


def test_a_trainer_that_removes_columns_says_so(tokenizer, tmp_path):
    model = make_model(GLMForMultipleChoice, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    arguments = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True, max_steps=1)
    trainer = Trainer(model, arguments, DataCollatorForCloze(tokenizer, NLI), train_dataset=[EXAMPLE] * 2)
    with pytest.raises(ValueError, match="remove_unused_columns=False"):
        trainer.train()


def test_takes_the_limit_of_the_tokenizer(tokenizer):
    tokenizer = pickle.loads(pickle.dumps(tokenizer))
    tokenizer.model_max_length = 20
    long = {**EXAMPLE, "premise": "The dog jumps " * 20}
    batch = DataCollatorForCloze(tokenizer, NLI)([long])
    assert batch["input_ids"].shape[1] + batch["choice_ids"].shape[-1] == 20


def test_collators_of_one_tokenizer_do_not_disturb_each_other(tokenizer, tmp_path):
    """A collator changes nothing in its tokenizer: neither the task that it carries nor what it saves."""
    other = PatternVerbalizer("{a} [MASK]", {"x": "x", "y": "y"})
    carrier = other.attach(tokenizer)
    for shared in (tokenizer, carrier):
        before = pickle.dumps(vars(shared).get("cloze"))
        first, second = DataCollatorForCloze(shared, NLI), DataCollatorForCloze(shared, other)
        expected = first([EXAMPLE])
        second([{"a": "dog", "label": "x"}])
        assert all(torch.equal(tensor, expected[name]) for name, tensor in first([EXAMPLE]).items())
        assert pickle.dumps(vars(shared).get("cloze")) == before
    assert tokenizer.cloze is None
    assert carrier.cloze == other.to_dict()
    tokenizer.save_pretrained(tmp_path)
    assert not (tmp_path / "cloze.json").exists()
