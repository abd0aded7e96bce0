"""From the originals' files to their samples: texts, records and ids of every task and vocabulary."""

import pytest

from modeling_glm.tokenization.seq2seq.collator import DataCollatorForInfillingSeq2Seq
from tests.support.seq2seq_features import (
    CASES,
    FEATURES,
    collator_settings,
    name_of,
    read_case,
    write_files,
)

# With task masks the originals find no blank in "blank", and learn nothing. We do not copy that.
READ = [case for case in CASES if "error" not in case and "--task-mask" not in case["flags"]]
REFUSED = [case for case in CASES if "error" in case]
FITTING = [case for case in READ if not any("error" in sample for sample in case["samples"])]
TRAINING = [case for case in FITTING if "target" in case["samples"][0]]
EVALUATION = [case for case in FITTING if "target" not in case["samples"][0]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {task: write_files(task, tmp_path_factory.mktemp(task)) for task in FEATURES["files"]}


@pytest.fixture
def tokenizer(case, original_tokenizer):
    return original_tokenizer(case["tokenizer"])


@pytest.fixture
def rows(case, folders, tokenizer):
    """The rows of the samples that the case has, in their order."""
    by_name = {row["original"]["uid"]: row for row in read_case(case, folders[case["task"]], tokenizer)}
    return [by_name[sample["uid"]] for sample in case["samples"]]


@pytest.fixture
def collator(case, tokenizer):
    return DataCollatorForInfillingSeq2Seq(tokenizer, **collator_settings(case, tokenizer))


@pytest.mark.parametrize("case", READ, ids=name_of)
def test_records_are_those_of_the_originals(case, rows):
    names = ("uid", "text_a", "text_b", "meta", "idx")
    recorded = [{name: sample[name] for name in names if name in sample} for sample in case["samples"]]
    assert [row["original"] for row in rows] == recorded


@pytest.mark.parametrize("case", [case for case in READ if len(case["samples"]) > 2], ids=name_of)
def test_no_example_is_added(case, folders, tokenizer):
    found = [row["original"]["uid"] for row in read_case(case, folders[case["task"]], tokenizer)]
    assert found == [sample["uid"] for sample in case["samples"]]


@pytest.mark.parametrize("case", TRAINING, ids=name_of)
def test_training_samples_are_those_of_the_originals(case, rows, collator):
    for row, sample in zip(rows, case["samples"], strict=True):
        encoded = collator.encode(row)
        assert encoded["input_ids"] == sample["text"]
        assert encoded["position_ids"] == sample["position_id"]
        learned = zip(sample["target"], sample["loss_mask"], strict=True)
        assert encoded["labels"] == [target if counts else -100 for target, counts in learned]


@pytest.mark.parametrize("case", EVALUATION, ids=name_of)
def test_prompts_are_those_of_the_originals(case, rows, collator, tokenizer):
    hidden = collator.layout.mask_padding
    for row, sample in zip(rows, case["samples"], strict=True):
        prompt = collator.prompts([row])["input_ids"][0].tolist()
        *context, start = sample["text"]
        assert start == tokenizer.sop_token_id
        # Padding that is hidden is left away.
        visible = sample["attention_mask_rows"][-1][:-1] if hidden else "1" * len(context)
        assert prompt == [token for token, seen in zip(context, visible, strict=True) if seen == "1"]


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_what_the_originals_cannot_read_is_refused(case, folders, tokenizer):
    with pytest.raises(ValueError, match=r"The originals read '\w+' with BERT's .*: leave faults=True out"):
        read_case(case, folders[case["task"]], tokenizer)


@pytest.mark.parametrize("case", [case for case in READ if case not in FITTING], ids=name_of)
def test_what_the_originals_cannot_encode_is_refused(case, rows, collator):
    for row in rows:
        with pytest.raises(ValueError, match=r"An example does not fit: .* Raise max_source_length"):
            collator.encode(row)
