"""The order of what Trainer does after a step, and what one process does for all."""

from collections.abc import Callable
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

Result = TypeVar("Result")


class SaveAfterEvaluation(TrainerCallback):
    """
    Save a checkpoint of the last step of an epoch behind the evaluation that ends the epoch.

    Trainer saves it before. A run that resumes from it would not evaluate, and its log and its random draws would differ
    from those of a run without an interruption.
    """

    def __init__(self) -> None:
        self._postponed = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        self._postponed = False
        ends = control.should_training_stop or control.should_epoch_stop or float(state.epoch or 0).is_integer()
        if control.should_save and ends and args.eval_strategy == IntervalStrategy.EPOCH:
            self._postponed, control.should_save = True, False
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        control.should_save = control.should_save or self._postponed
        self._postponed = False
        return control


def on_first_process(function: Callable[[], Result]) -> Result:
    """
    Call a function in the first process of a run, and return its result in all.

    Raises:
        Exception: What the function raises, on all processes.
    """
    answer: list[Any] = [None, None]
    if PartialState().is_main_process:
        try:
            answer[0] = function()
        except Exception as error:
            answer[1] = error
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


__all__ = ["SaveAfterEvaluation", "on_first_process"]
