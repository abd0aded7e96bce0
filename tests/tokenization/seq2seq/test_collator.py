"""The collator of sources and targets: batches, prompts, targets, settings and errors."""

import copy
import dataclasses
import json
import pickle

import datasets
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Trainer, TrainingArguments

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMForConditionalGeneration, fill_blanks
from modeling_glm.tokenization.seq2seq.layouts import OriginalLayout
from tests.support.models import make_text_model

ROWS = [
    {"source": "It rained all day.", "target": "Rain."},
    {"source": "The dog jumps", "target": "A lazy fox"},
    {"source": "Paris is the capital of France, and Rome", "target": "the capital of Italy"},
]
SEVERAL = [
    {"source": "The dog", "target": ["jumps", "the cat"]},
    {"source": "In the year 1987", "target": ["a fox", "x"]},
]
TWO_BLANKS = "{source} [MASK] and [sMASK]."
ORIGINAL = {"layout": "original", "max_source_length": 24, "max_target_length": 10}


@pytest.fixture(scope="module")
def collator(tokenizer):
    return DataCollatorForInfillingSeq2Seq(tokenizer)


def test_training_batch_of_the_default_pattern(tokenizer, collator):
    assert collator.pattern == "{source|shorten} [gMASK]"
    assert collator.fields == {"source"}
    batch = collator(ROWS)
    tensors = [batch[name].tolist() for name in ("input_ids", "attention_mask", "labels")]
    for row, ids, mask, labels in zip(ROWS, *tensors, strict=True):
        context = tokenizer(f"{row['source']} [gMASK]").input_ids
        answer = tokenizer(f" {row['target']}", add_special_tokens=False).input_ids
        used = [*context, tokenizer.sop_token_id, *answer]
        padding = len(ids) - len(used)
        assert ids == used + [tokenizer.pad_token_id] * padding
        assert mask == [1] * len(used) + [0] * padding
        assert labels == [-100] * len(context) + [*answer, tokenizer.eop_token_id] + [-100] * padding
    assert {values.dtype for values in batch.values()} == {torch.int64}


def test_the_default_pattern_uses_the_masks_of_the_vocabulary(of_family):
    assert DataCollatorForInfillingSeq2Seq(of_family("bert")).pattern == "{source|shorten} [MASK]"


@pytest.mark.parametrize("settings", [{}, {"pattern": TWO_BLANKS}, ORIGINAL], ids=str)
def test_nothing_of_a_prompt_depends_on_a_target(tokenizer, settings):
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, **settings)
    rows = SEVERAL if "pattern" in settings else ROWS
    others = [{**row, "target": ["dog " * (1 + number)] * 2} for number, row in enumerate(rows)]
    found, changed = collator.evaluation_batch(rows), collator.evaluation_batch(others)
    for name in ("prompt_ids", "prompt_attention_mask"):
        assert torch.equal(found[name], changed[name])
    assert not torch.equal(found["target_ids"], changed["target_ids"])
    without = collator.prompts([{"source": row["source"]} for row in rows])
    assert torch.equal(without["input_ids"], found["prompt_ids"])
    assert torch.equal(without["attention_mask"], found["prompt_attention_mask"])


@given(st.lists(st.sampled_from(ROWS), min_size=1, max_size=4))
def test_prompts_are_part_a_of_training(collator, rows):
    batch = collator.evaluation_batch(rows)
    gold = collator.targets(rows)
    assert torch.equal(batch["target_ids"], gold)
    assert torch.equal(batch["input_ids"], collator(rows)["input_ids"])
    for row in range(len(rows)):
        fed = batch["input_ids"][row][batch["attention_mask"][row] == 1]
        prompt = batch["prompt_ids"][row][batch["prompt_attention_mask"][row] == 1]
        target = gold[row][gold[row] != -100]
        # Part A and Part B without the last end are what training feeds.
        assert fed.tolist() == [*prompt.tolist(), *target.tolist()[:-1]]
        assert bool(batch["prompt_attention_mask"][row, -1])


def test_gold_is_decoded_like_predictions(tokenizer):
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, TWO_BLANKS)
    gold = collator.targets(SEVERAL)
    assert tokenizer.decode_blanks(gold) == [row["target"] for row in SEVERAL]
    padded = gold.masked_fill(gold == -100, tokenizer.pad_token_id)
    assert tokenizer.batch_decode(padded, skip_special_tokens=True) == ["jumps\nthe cat", "a fox\nx"]
    assert collator.references(SEVERAL) == [["jumps\nthe cat"], ["a fox\nx"]]


def test_generation_from_prompts_is_that_of_fill_blanks(tokenizer, collator):
    model = make_text_model(tokenizer)
    prompts = collator.prompts(ROWS)
    generated = model.generate(**prompts, max_new_tokens=6, do_sample=False)
    answers = tokenizer.decode_blanks(generated[:, prompts["input_ids"].shape[1] :])
    texts = [f"{row['source']} [gMASK]" for row in ROWS]
    filled = fill_blanks(model, tokenizer, texts, max_new_tokens_per_blank=6)
    assert answers == [[answer.text for answer in fillings[0].answers] for fillings in filled]


def test_references_train_one_sample_each_and_evaluate_once(tokenizer, collator):
    rows = [{"source": "The dog", "target": ["jumps", "is lazy", "x"]}, ROWS[0]]
    each = [{"source": "The dog", "target": target} for target in rows[0]["target"]]
    assert torch.equal(collator(rows)["input_ids"], collator([*each, ROWS[0]])["input_ids"])
    first = [each[0], ROWS[0]]
    found, expected = collator.evaluation_batch(rows), collator.evaluation_batch(first)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert collator.references(rows) == [["jumps", "is lazy", "x"], ["Rain."]]
    with pytest.raises(ValueError, match="The row has 3 references in 'target': call encode_references"):
        collator.encode(rows[0])


def test_columns_of_many_rows_are_no_row(collator):
    with pytest.raises(ValueError, match=r"datasets.map\(collator.encode\), without batched=True"):
        collator.encode({"source": ["a", "b"], "target": ["c", "d"]})


def test_lengths_of_rows_are_multiples(tokenizer):
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, pad_to_multiple_of=16)
    batch = collator.evaluation_batch(ROWS)
    assert batch["input_ids"].shape[1] % 16 == batch["prompt_ids"].shape[1] % 16 == 0


def test_packing(tokenizer, collator):
    packing = dataclasses.replace(collator, packing=64)
    batch = packing(ROWS * 2)
    assert batch["input_ids"].shape[1] <= 64
    assert len(batch["input_ids"]) < 6
    assert batch["position_ids"].shape == (len(batch["input_ids"]), 2, batch["input_ids"].shape[1])
    plain = collator(ROWS * 2)
    assert (
        batch["labels"].flatten().sort().values.tolist()[-50:]
        == plain["labels"].flatten().sort().values.tolist()[-50:]
    )
    assert torch.equal(packing.evaluation_batch(ROWS)["input_ids"], collator(ROWS)["input_ids"])
    whole = DataCollatorForInfillingSeq2Seq(tokenizer, max_source_length=30, max_target_length=20, packing=True)
    assert whole(ROWS)["input_ids"].shape[1] <= 50


def test_settings_are_saved(tokenizer, tmp_path):
    collator = DataCollatorForInfillingSeq2Seq(
        tokenizer,
        "{passage|shorten_start} [MASK]",
        target="summary",
        max_source_length=20,
        max_target_length=10,
        truncation="last",
        layout=OriginalLayout(ends=True),
    )
    path = collator.save_pretrained(tmp_path / "model")
    assert path.name == "seq2seq.json"
    assert json.loads(path.read_text()) == {
        "pattern": "{passage|shorten_start} [MASK]",
        "target": "summary",
        "max_source_length": 20,
        "max_target_length": 10,
        "truncation": "last",
        "layout": {"begins": True, "ends": True, "mask_padding": False, "block_positions": True},
    }
    assert DataCollatorForInfillingSeq2Seq.from_pretrained(tmp_path / "model", tokenizer) == collator
    loaded = DataCollatorForInfillingSeq2Seq.from_pretrained(tmp_path / "model", tokenizer, max_target_length=4)
    assert loaded == dataclasses.replace(collator, max_target_length=4)
    assert loaded.layout == OriginalLayout(ends=True)


def test_settings_that_cannot_be_read(tokenizer, tmp_path):
    with pytest.raises(OSError, match=r"seq2seq\.json"):
        DataCollatorForInfillingSeq2Seq.from_pretrained(tmp_path, tokenizer)
    (tmp_path / "seq2seq.json").write_text('{"pattern": "{source} [MASK]", "other": 1}')
    with pytest.raises(ValueError, match=r"unknown settings \['other'\]: expected \['pattern'"):
        DataCollatorForInfillingSeq2Seq.from_pretrained(tmp_path, tokenizer)
    (tmp_path / "seq2seq.json").write_text("[]")
    with pytest.raises(ValueError, match=r"seq2seq\.json"):
        DataCollatorForInfillingSeq2Seq.from_pretrained(tmp_path, tokenizer)


def test_copies_and_pickles(collator):
    for copied in (copy.deepcopy(collator), pickle.loads(pickle.dumps(collator))):
        assert torch.equal(copied(ROWS)["input_ids"], collator(ROWS)["input_ids"])


def test_rows_of_datasets(tokenizer, collator):
    dataset = datasets.Dataset.from_list(ROWS)
    encoded = dataset.map(collator.encode, remove_columns=["source", "target"])
    assert encoded.column_names == ["input_ids", "labels"]
    for name, values in collator.evaluation_batch(ROWS).items():
        assert torch.equal(collator.evaluation_batch(list(encoded))[name], values)


def test_trainer_removes_columns_and_the_message_says_so(tokenizer, collator, tmp_path):
    dataset = datasets.Dataset.from_list([{**row, "label": 1} for row in ROWS])
    arguments = {
        "output_dir": str(tmp_path),
        "max_steps": 1,
        "report_to": "none",
        "use_cpu": True,
        "save_strategy": "no",
    }
    model = make_text_model(tokenizer)
    with pytest.raises(ValueError, match=r"Example 0 of the batch .*remove_unused_columns=False"):
        Trainer(model, TrainingArguments(**arguments), train_dataset=dataset, data_collator=collator).train()
    kept = TrainingArguments(**arguments, remove_unused_columns=False)
    assert Trainer(model, kept, train_dataset=dataset, data_collator=collator).train().training_loss > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pattern": "{source}"}, r"'\{source\}' has no blank: write one of \[MASK\]"),
        ({"target": ""}, "expected the name of the column"),
        ({"target": "source"}, "reads the column 'source', which has the targets: the source would show the answer"),
        ({"pattern": "{text|shorten_around:target} [MASK]"}, "reads the column 'target', which has the targets"),
        ({"pattern": 5}, "pattern=5: expected a text"),
        ({"tokenizer": None}, "tokenizer is a NoneType: expected a GLMTokenizer"),
        ({"max_source_length": 0}, "max_source_length=0: expected a whole number of at least 1"),
        ({"max_target_length": True}, "max_target_length=True"),
        ({"truncation": "first"}, "truncation='first': expected 'longest' or 'last'"),
        ({"layout": "t5"}, r"layout='t5': expected 'glm', 'original', or an OriginalLayout \(begins, ends"),
        ({"layout": {"begin": True}}, "expected 'glm', 'original'"),
        ({"layout": {"begins": 1}}, "expected 'glm', 'original'"),
        ({"layout": "original"}, "give max_source_length and max_target_length"),
        ({**ORIGINAL, "packing": True}, "packing=True has no use"),
        ({"packing": True}, "give both"),
        ({"packing": 0}, "packing=0"),
    ],
)
def test_errors_of_settings(tokenizer, settings, message):
    with pytest.raises(ValueError, match=message):
        DataCollatorForInfillingSeq2Seq(**{"tokenizer": tokenizer, **settings})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "The batch has no rows"),
        ([ROWS[0], "text"], "Example 1 of the batch is a str: expected a dict of columns"),
        ([ROWS[0], {"source": "", "target": "x"}], "Example 1 of the batch .*The source is empty"),
        ([ROWS[0], {"source": "x", "target": " "}], "Example 1 of the batch .*Target 'target' is empty"),
        ([{"source": "x"}], r"Example 0 of the batch .*has no 'target', but \['source'\]"),
        ([{"text": "x", "target": "y"}], "asks for a field 'source'.*None of the fields is there"),
        ([{"source": "x", "target": None}], "Target 'target' is missing"),
    ],
)
def test_errors_of_rows(collator, rows, message):
    with pytest.raises(ValueError, match=message):
        collator(rows)


def test_more_blanks_than_targets(tokenizer):
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, TWO_BLANKS)
    with pytest.raises(ValueError, match="Target 'target' has one text, but the source has 2 blanks"):
        collator([{"source": "x", "target": "y"}])


def test_lengths_beyond_the_position_table(tokenizer):
    small = pickle.loads(pickle.dumps(tokenizer))
    small.model_max_length = 16
    for name in ("max_source_length", "max_target_length"):
        with pytest.raises(ValueError, match=f"{name}=17, but the position table ends at 16"):
            DataCollatorForInfillingSeq2Seq(small, **{name: 17})
    collator = DataCollatorForInfillingSeq2Seq(small)
    assert collator.prompts([{"source": "dog " * 40}])["input_ids"].shape == (1, 16)
    with pytest.raises(ValueError, match=r"Example 0 .*the position table ends at 16 .*set max_target_length"):
        collator([{"source": "x", "target": "dog " * 40}])
    assert DataCollatorForInfillingSeq2Seq(small, packing=True)(ROWS)["input_ids"].shape[1] <= 32


def test_a_long_batch_trains(tokenizer):
    """The longest rows that the default lets through fit the model."""
    small = pickle.loads(pickle.dumps(tokenizer))
    model = make_text_model(small)
    assert isinstance(model, GLMForConditionalGeneration)
    small.model_max_length = model.config.max_position_embeddings
    collator = DataCollatorForInfillingSeq2Seq(small, max_target_length=small.model_max_length)
    batch = collator([{"source": "dog " * 200, "target": "dog " * 200}])
    assert batch["input_ids"].shape == (1, 2 * small.model_max_length)
    with torch.inference_mode():
        assert torch.isfinite(model(**batch).loss)
