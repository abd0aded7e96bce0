"""
Fine-tuning learns what only the order of two fields tells, and learns nothing where there is nothing: the same pair of
letters in the other order has the other answer, so no bag of words can do it, and pairs in the test are in no training
example, in either order.
"""

import random
from itertools import product

import pytest
from transformers import Trainer, TrainingArguments, set_seed

from modeling_glm import ClozeClassifier, DataCollatorForCloze, GLMConfig, GLMForMultipleChoice, PatternVerbalizer

LETTERS = "abcdefghijklmnopqrstuvwx"
TASK = PatternVerbalizer("{first} and then {second}: [MASK]", {"up": "the fox", "down": "not"})


def make_examples(seed: int, shuffled: bool) -> tuple[list[dict], list[dict]]:
    """Letters are of two kinds, which nothing tells but the labels: is the first of the pair of the one kind?"""
    generator = random.Random(seed)
    letters = generator.sample(LETTERS, len(LETTERS))
    pairs = list(product(letters[:12], letters[12:]))
    generator.shuffle(pairs)
    examples = [
        [{"first": one, "second": other, "label": "up"}, {"first": other, "second": one, "label": "down"}]
        for one, other in pairs
    ]
    train, test = ([row for both in part for row in both] for part in (examples[:-60], examples[-60:]))
    if shuffled:
        labels = generator.sample([row["label"] for row in train], len(train))
        train = [{**row, "label": label} for row, label in zip(train, labels, strict=True)]
    return train, test


@pytest.mark.parametrize("shuffled", [False, True], ids=["true labels", "shuffled labels"])
def test_order_of_two_fields(tokenizer, tmp_path, shuffled):
    train, test = make_examples(seed=0, shuffled=shuffled)
    config = GLMConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        embedding_dropout=0.0,
        attn_implementation="eager",
        **tokenizer.special_token_ids,
    )
    set_seed(0)
    model = GLMForMultipleChoice(config)
    arguments = TrainingArguments(
        str(tmp_path),
        max_steps=150,
        per_device_train_batch_size=64,
        learning_rate=2e-3,
        warmup_steps=15,
        use_cpu=True,
        save_strategy="no",
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    Trainer(model, arguments, train_dataset=train, data_collator=DataCollatorForCloze(tokenizer, TASK)).train()
    accuracy = ClozeClassifier(model, tokenizer, TASK).score(test)
    if shuffled:
        assert 0.35 < accuracy < 0.65  # 120 examples: chance is 0.5 with a standard error of 0.046
    else:
        assert accuracy > 0.95
