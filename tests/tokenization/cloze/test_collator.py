"""Batches of cloze tasks."""

import pickle

import datasets
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


@pytest.mark.parametrize("form", ["torch", "numpy", None])
def test_encoded_rows_of_any_format(tokenizer, form):
    collator = DataCollatorForCloze(tokenizer, NLI)
    data = datasets.Dataset.from_list([EXAMPLE, {**EXAMPLE, "premise": "The dog jumps and jumps"}])
    encoded = data.map(lambda row: NLI.encode(row, tokenizer)).with_format(form)
    expected, found = collator(list(data)), collator([encoded[0], encoded[1]])
    assert all(torch.equal(found[name], expected[name]) for name in expected)


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


SMOOTHED = {
    "one pattern": PatternVerbalizer("{a} [MASK]", choices="{options}"),
    "two patterns": PatternVerbalizer(["{a} [MASK]", "So {a}? [MASK]"], choices="{options}"),
}


@pytest.mark.parametrize("task", SMOOTHED.values(), ids=SMOOTHED)
@pytest.mark.parametrize("smoothing", [0.1, 0.9])
def test_label_smoothing_with_absent_choices(tokenizer, tmp_path, task, smoothing):
    """The smoothed loss of the present choices, and a constant for each absent one."""
    options = [["one", "the fox", "x"], ["Rome", "y"]]
    data = [{"a": "the dog", "options": row, "label": number} for number, row in enumerate(options)] * 2
    collator = DataCollatorForCloze(tokenizer, task)
    model = make_model(GLMForMultipleChoice, vocab_size=400, **tokenizer.special_token_ids)
    batch = collator(data)
    assert {"labels", "finite_logits"} < set(batch)
    with torch.no_grad():
        log_probs = model(**batch).logits.log_softmax(-1)
    assert (log_probs[1::2, 2] == -torch.inf).all()
    right = log_probs.gather(1, batch["labels"][:, None]).mean()
    every = log_probs.masked_fill(log_probs == -torch.inf, -20.0).mean()
    arguments = TrainingArguments(
        tmp_path,
        use_cpu=True,
        report_to="none",
        remove_unused_columns=False,
        disable_tqdm=True,
        max_steps=2,
        logging_steps=1,
        save_strategy="no",
        label_smoothing_factor=smoothing,
    )
    trainer = Trainer(model, arguments, data_collator=collator, train_dataset=data, eval_dataset=data)
    expected = pytest.approx(-((1 - smoothing) * right + smoothing * every).item(), rel=1e-5)
    assert trainer.evaluate()["eval_loss"] == expected
    trainer.train()
    first, second = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert first == expected
    assert 0 < second < first


def test_batches_without_labels_or_absent_choices_need_no_finite_logits(tokenizer):
    task = SMOOTHED["one pattern"]
    rows = [{"a": "dog", "options": ["one", "x"], "label": 0}, {"a": "cat", "options": ["Rome", "y"], "label": 1}]
    assert "finite_logits" not in DataCollatorForCloze(tokenizer, task)(rows)
    rows = [{"a": "dog", "options": ["one"]}, {"a": "cat", "options": ["Rome", "y"]}]
    assert "finite_logits" not in DataCollatorForCloze(tokenizer, task)(rows)
