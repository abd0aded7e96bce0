"""A small model learns to reverse sequences with the trainer, and learns nothing from shuffled targets."""

import random

import pytest
from transformers import EvalPrediction, set_seed

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.seq2seq.predictions import predict_targets
from modeling_glm.seq2seq.trainer import GLMSeq2SeqTrainer
from tests.support.pretraining_runs import one_thread
from tests.support.seq2seq_runs import make_arguments, make_config

LETTERS = "abcdefghij"
TRAINED, TESTED = 2000, 200


@pytest.fixture(scope="module")
def letters() -> GLMTokenizer:
    return GLMTokenizer.train_from_iterator([" ".join(f"a{LETTERS}")] * 5, 400)


def make_sequences() -> list[dict[str, str]]:
    """Draw different sequences of two to four letters, with their reverse as targets."""
    generator = random.Random(0)
    drawn: dict[str, None] = {}
    while len(drawn) < TRAINED + TESTED:
        drawn[" ".join(generator.choices(LETTERS, k=generator.randint(2, 4)))] = None
    return [{"source": source, "target": source[::-1]} for source in drawn]


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True], ids=["reversed", "shuffled targets"])
@one_thread()
def test_reverse_of_sequences(letters, tmp_path, shuffled):
    rows = make_sequences()
    trained, tested = rows[:TRAINED], rows[TRAINED:]
    if shuffled:
        targets = [row["target"] for row in trained]
        random.Random(1).shuffle(targets)
        trained = [{**row, "target": target} for row, target in zip(trained, targets, strict=True)]

    def measure(prediction: EvalPrediction) -> dict[str, float]:
        predicted, gold = (letters.decode_blanks(ids) for ids in (prediction.predictions, prediction.label_ids))
        return {"exact_match": 100 * sum(map(list.__eq__, predicted, gold)) / len(gold)}

    set_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 32}
    model = GLMForConditionalGeneration(make_config(letters, **sizes))
    arguments = make_arguments(
        tmp_path,
        max_steps=400,
        learning_rate=3e-3,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=100,
        warmup_steps=50,
        generation_max_length=8,
        logging_steps=400,
    )
    collator = DataCollatorForInfillingSeq2Seq(letters, "{source} [MASK]")
    trainer = GLMSeq2SeqTrainer(
        model, arguments, collator, train_dataset=trained, eval_dataset=tested, compute_metrics=measure
    )
    assert trainer.evaluate()["eval_exact_match"] < 5
    trainer.train()
    exact = trainer.evaluate()["eval_exact_match"]
    if shuffled:
        assert exact < 5
        return
    assert exact > 95
    predictions = predict_targets(model, collator, tested, batch_size=100)
    assert 100 * sum(one.text == row["target"] for one, row in zip(predictions, tested, strict=True)) / 200 == exact
