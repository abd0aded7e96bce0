"""The arguments: their groups, and the options that the collator shares with them."""

import dataclasses

import pytest

from modeling_glm import DataCollatorForBlankInfilling
from modeling_glm.pretraining.arguments import (
    COLLATOR_OPTIONS,
    GROUPS,
    PretrainingArguments,
    RunArguments,
    collator_options,
)
from tests.support.structure import read_graph


def test_every_argument_is_in_one_group_and_explained():
    names = [option.name for group in GROUPS for option in dataclasses.fields(group)]
    assert len(names) == len(set(names))
    assert set(names) | {"shares"} == {option.name for option in dataclasses.fields(RunArguments)}
    for group in GROUPS:
        for option in dataclasses.fields(group):
            assert option.metadata["help"].endswith("."), option.name


def test_collator_options_are_those_of_the_collator(tokenizer):
    known = {option.name for option in dataclasses.fields(DataCollatorForBlankInfilling)}
    # The command line leaves out the baselines of the ablation, and sets the others itself.
    assert known - set(COLLATOR_OPTIONS) == {
        "tokenizer", "objectives", "seed", "context_mask_range", "sentinels", "masked_lm", "evaluation",
    }  # fmt: skip
    collator = DataCollatorForBlankInfilling(tokenizer, **collator_options(RunArguments(mask_ratio=0.5)))
    assert collator.mask_ratio == 0.5


def test_a_run_needs_a_folder(tmp_path):
    training = PretrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert training.folder == tmp_path
    training.output_dir = None
    with pytest.raises(ValueError, match="output_dir is None"):
        training.folder  # noqa: B018


def test_importing_the_package_leaves_pretraining_out():
    """So `datasets`, `yaml` and `matplotlib` are needed for pretraining only."""
    graph, reached, waiting = read_graph(), set(), ["modeling_glm"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += graph[module]
    assert "modeling_glm.modeling_glm" in reached
    assert not [module for module in reached if module.startswith("modeling_glm.pretraining")]
