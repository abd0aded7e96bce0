"""The speed in the log of a run, against a count by hand."""

import pytest
import torch

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMForConditionalGeneration
from modeling_glm.inspection.sizing import training_flops
from modeling_glm.pretraining import trainer as trainer_module
from modeling_glm.pretraining.arguments import PretrainingArguments
from modeling_glm.pretraining.trainer import PretrainingTrainer

PEAK = 1e9


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A clock that the test sets."""
    now = [100.0]
    monkeypatch.setattr(trainer_module.time, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
def trainer(tokenizer, tmp_path) -> PretrainingTrainer:
    settings = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "max_position_embeddings": 64}
    config = GLMConfig(vocab_size=len(tokenizer), **settings, **tokenizer.special_token_ids)
    training = PretrainingArguments(str(tmp_path), use_cpu=True, eval_strategy="no", remove_unused_columns=False)
    collator = DataCollatorForBlankInfilling(tokenizer, max_length=40)
    return PretrainingTrainer(GLMForConditionalGeneration(config), training, peak=PEAK, data_collator=collator)


def test_speed_by_hand(trainer, clock, monkeypatch):
    texts = [{"input_ids": list(range(20, 20 + size)), "sample_id": size} for size in (5, 30)]
    batch = trainer.data_collator(texts)
    tokens, labelled = int(batch["attention_mask"].sum()), int((batch["labels"] != -100).sum())
    rows, length = batch["attention_mask"].shape
    monkeypatch.setattr(trainer_module.SafeCheckpointTrainer, "training_step", lambda *_: torch.tensor(1.0))
    trainer.training_step(trainer.model, batch)
    clock[0] += 2.5

    def evaluate(*args, **kwargs):
        clock[0] += 10.0  # does not count
        return {}

    monkeypatch.setattr(trainer_module.SafeCheckpointTrainer, "evaluate", evaluate)
    trainer.evaluate()
    trainer.log({"loss": 1.0})
    entry = trainer.state.log_history[-1]
    assert entry["tokens_per_second"] == round(tokens / 2.5, 1)
    assert entry["padding"] == round(1 - tokens / (rows * length), 4)
    assert entry["tokens_seen"] == tokens
    flops = training_flops(trainer.model.config, tokens=tokens, labelled_tokens=labelled, row_length=length)
    assert entry["mfu"] == pytest.approx(flops / 2.5 / PEAK, abs=1e-4)
    trainer.log({"loss": 1.0})  # nothing was trained since
    assert "mfu" not in trainer.state.log_history[-1]
    trainer.log({"eval_loss": 1.0})
    assert "tokens_per_second" not in trainer.state.log_history[-1]
