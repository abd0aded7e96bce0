"""The data suite."""

import numpy as np
import pytest
import torch

from benchmarks.harness.embedded import load_tokenizer
from benchmarks.harness.results import Speed, Value
from benchmarks.suites import data
from modeling_glm import DataCollatorForBlankInfilling


def test_naive_batch_is_the_collators():
    tokenizer = load_tokenizer()
    collator, cls, eos = DataCollatorForBlankInfilling(tokenizer), tokenizer.cls_token_id, tokenizer.eos_token_id
    generator = np.random.default_rng(0)
    features = [
        {"input_ids": [cls, *generator.integers(300, 2000, length).tolist(), eos], "sample_id": number}
        for number, length in enumerate((40, 25, 60))
    ]
    ours, naive = collator(features), data.naive_batch(features, collator)
    assert ours.keys() == naive.keys()
    for name, values in naive.items():
        assert torch.equal(ours[name], values), name


@pytest.mark.slow  # builds the embedded corpus
def test_suite_runs(quick):
    results = data.run(quick)
    assert [type(result) for result in results] == [Speed, Value, Speed, Value, Speed, Value, Value, Value, Value]
    unpacked, in_128, in_512 = (result.value for result in results[-3:])
    assert 1 > unpacked > in_128 > in_512 > 0
