"""Checkpoints behind the evaluation of their step; what one process does for all."""

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from modeling_glm.runs.flow import SaveAfterEvaluation, on_first_process


@pytest.mark.parametrize(
    ("epoch", "stops", "strategy", "postponed"),
    [
        (1.0, False, "epoch", True),
        (3.0, False, "epoch", True),
        (0.5, True, "epoch", True),
        (0.5, False, "epoch", False),
        (1.0, False, "steps", False),
        (1.0, False, "no", False),
    ],
)
def test_a_checkpoint_at_the_end_of_an_epoch(tmp_path, epoch, stops, strategy, postponed):
    arguments = TrainingArguments(tmp_path, eval_strategy=strategy, eval_steps=1)
    callback, state = SaveAfterEvaluation(), TrainerState(epoch=epoch)
    control = callback.on_step_end(arguments, state, TrainerControl(should_save=True, should_training_stop=stops))
    assert control.should_save is not postponed
    control.should_save = False  # Trainer has saved it, or not
    assert callback.on_epoch_end(arguments, state, control).should_save is postponed
    control.should_save = False
    assert callback.on_epoch_end(arguments, state, control).should_save is False  # once


def test_no_checkpoint_stays_none(tmp_path):
    arguments = TrainingArguments(tmp_path, eval_strategy="epoch")
    callback, control = SaveAfterEvaluation(), TrainerControl()
    assert callback.on_step_end(arguments, TrainerState(epoch=1.0), control).should_save is False
    assert callback.on_epoch_end(arguments, TrainerState(epoch=1.0), control).should_save is False


def test_one_process_is_the_first():
    assert on_first_process(lambda: 5) == 5
    with pytest.raises(KeyError, match="wrong"):
        on_first_process(lambda: {}["wrong"])
