"""The collator of sources and targets: batches, prompts, gold targets, settings and errors."""

import pytest

from modeling_glm import DataCollatorForInfillingSeq2Seq

ROWS = [{"source": "It rained all day.", "target": "Rain."}, {"source": "The dog jumps", "target": "A lazy fox"}]


def test_training_batch_of_the_default_pattern(tokenizer):
    batch = DataCollatorForInfillingSeq2Seq(tokenizer)(ROWS)
    tensors = [batch[name].tolist() for name in ("input_ids", "attention_mask", "labels")]
    for row, ids, mask, labels in zip(ROWS, *tensors, strict=True):
        context = tokenizer(f"{row['source']} [gMASK]").input_ids
        answer = tokenizer(f" {row['target']}", add_special_tokens=False).input_ids
        used = [*context, tokenizer.sop_token_id, *answer]
        padding = len(ids) - len(used)
        assert ids == used + [tokenizer.pad_token_id] * padding
        assert mask == [1] * len(used) + [0] * padding
        assert labels == [-100] * len(context) + [*answer, tokenizer.eop_token_id] + [-100] * padding


def test_a_pattern_without_a_blank(tokenizer):
    with pytest.raises(ValueError, match=r"'\{source\}' has no blank: write one of \[MASK\]"):
        DataCollatorForInfillingSeq2Seq(tokenizer, "{source}")
