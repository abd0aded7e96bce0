"""
Checkpoints that a long run can rely on. Each gets a manifest with the size and checksum of every file, written when
all processes have written theirs; a save that fails takes its half-written folder with it and leaves the earlier ones;
a run goes on from the newest checkpoint whose files fit their manifest, at the sample that it had come to.

    training_arguments = TrainingArguments(output_dir, ignore_data_skip=True, ...)
    start = resume_point(output_dir)
    trainer = SafeCheckpointTrainer(model, training_arguments, train_dataset=DatasetFrom(start.samples_seen), ...)
    trainer.train(resume_from_checkpoint=start.checkpoint)

and, after the function that holds the trainer, [`disconnect`]. The folder has to be on storage that all machines of the run see.
"""

import gc
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from accelerate.utils.constants import FSDP_MODEL_NAME
from pretrain_manifest import (
    CheckpointError,
    checkpoints,
    last_good_checkpoint,
    read_manifest,
    step_of,
    write_manifest,
)
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch.distributed.checkpoint import CheckpointException, load
from transformers import PreTrainedModel, Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import SAFE_WEIGHTS_NAME

# What the writers raise when a disk is full: Python's files, safetensors, torch's archives, torch's sharded checkpoints.
SAVE_ERRORS = (OSError, SafetensorError, RuntimeError, CheckpointException)


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """Where a run goes on: nowhere yet without a checkpoint."""

    checkpoint: str | None = None
    samples_seen: int = 0


class SafeCheckpointTrainer(Trainer):
    """
    A `Trainer` whose checkpoints are whole or absent, and know how many samples were seen.

    Raises, from `train`:
        CheckpointError: for a checkpoint to resume from that has no manifest.
        RuntimeError: when a checkpoint cannot be written, on all processes; what was written of it is deleted.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._first_step = self._first_sample = 0
        self._rng_checkpoint: str | None = None

    def train(self, resume_from_checkpoint: str | os.PathLike | bool | None = None, *args, **kwargs):
        """As `Trainer.train`; `True` stands for the newest whole checkpoint, and for a new run where there is none."""
        if resume_from_checkpoint is True:
            resume_from_checkpoint = resume_point(self.args.output_dir).checkpoint
        self._first_step = self._first_sample = 0
        if resume_from_checkpoint:
            manifest = read_manifest(Path(resume_from_checkpoint))
            self._first_step, self._first_sample = manifest.step, manifest.samples_seen
        # Where Trainer skips batches it restores the random state after them by itself.
        self._rng_checkpoint = resume_from_checkpoint if self.args.ignore_data_skip else None
        return super().train(resume_from_checkpoint or None, *args, **kwargs)

    def get_batch_samples(self, *args, **kwargs):
        batches = super().get_batch_samples(*args, **kwargs)
        if self._rng_checkpoint:
            # Opening the data drew a random number that a run without interruption does not draw.
            self._load_rng_state(self._rng_checkpoint)
            self._rng_checkpoint = None
        return batches

    @property
    def samples_seen(self) -> int:
        """Samples that all processes together have trained on, from the first start of the run on."""
        steps = self.state.global_step - self._first_step
        return self._first_sample + steps * self.get_total_train_batch_size(self.args)

    def _save_checkpoint(self, model, trial):
        # Not public, but the one place where a save can be guarded from its first file to the rotation of the old ones.
        folder = Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if self.is_world_process_zero():
            shutil.rmtree(folder, ignore_errors=True)  # left over from a run that this one does not continue
        self.accelerator.wait_for_everyone()
        failure = None
        limit, self.args.save_total_limit = self.args.save_total_limit, None  # until the new one is whole
        try:
            super()._save_checkpoint(model, trial)
        except SAVE_ERRORS as error:
            failure = _describe(error, folder)
            if not self._processes_fail_together():
                raise RuntimeError(_give_up(folder, failure)) from error
        finally:
            self.args.save_total_limit = limit
        self._give_up_if_any(failure, folder)
        if self.is_world_process_zero():
            try:
                self._finish(folder)
            except SAVE_ERRORS as error:
                failure = _describe(error, folder)
        self._give_up_if_any(failure, folder)
        if self.is_world_process_zero() and limit is not None and limit > 0:
            self._rotate(folder, limit)

    def _processes_fail_together(self) -> bool:
        """Whether a process whose save failed finds the others at the end of theirs, rather than waiting inside."""
        if self.is_fsdp_enabled:
            return "SHARDED_STATE_DICT" in str(self.accelerator.state.fsdp_plugin.state_dict_type)
        return not self.is_deepspeed_enabled and not self.state.best_global_step

    def _give_up_if_any(self, failure: str | None, folder: Path):
        """Ends the run on all processes if the save of one failed."""
        failures = [failure for failure in gather_object([failure]) if failure]
        if failures:
            answer = [_give_up(folder, failures[0]) if self.is_world_process_zero() else None]
            broadcast_object_list(answer)
            raise RuntimeError(answer[0])

    def _finish(self, folder: Path):
        """Writes the manifest, the sign that a checkpoint is whole."""
        count = self.args.world_size
        if count > 1 and not self.args.save_only_model:
            states = [folder / f"rng_state_{index}.pth" for index in range(count)]
            if missing := [path.name for path in states if not path.exists()]:
                raise OSError(f"{', '.join(missing)} of other processes did not arrive: is this storage shared?")
        write_manifest(folder, self.state.global_step, self.samples_seen, count)

    def _rotate(self, newest: Path, limit: int):
        older = [path for path in checkpoints(newest.parent) if step_of(path) < step_of(newest)]
        for path in older[limit - 1 :]:
            if str(path) != str(self.state.best_model_checkpoint):
                shutil.rmtree(path, ignore_errors=True)


def resume_point(folder: str | os.PathLike) -> ResumePoint:
    """
    Where the run in `folder` goes on, the same for all processes: the first one looks, and prints a line for every
    checkpoint that it had to pass over. To be called after `TrainingArguments` are made, which connect the processes.

    Raises:
        CheckpointError: as [`last_good_checkpoint`], on all processes.
    """
    answer: list = [None]
    if PartialState().is_main_process:
        try:
            path, problems = last_good_checkpoint(folder)
            for problem in problems:
                print(f"Passed over: {problem}", flush=True)
            samples = read_manifest(path).samples_seen if path else 0
            answer = [ResumePoint(checkpoint=str(path) if path else None, samples_seen=samples)]
        except CheckpointError as error:
            answer = [error]
    broadcast_object_list(answer)
    if isinstance(answer[0], CheckpointError):
        raise answer[0]
    return answer[0]


def disconnect():
    """
    Ends the connection between the processes of a run. To be called last, where nothing holds the trainer any more: what
    wraps its model would otherwise take the connection down with it, and can wait for its own thread forever then.
    """
    gc.collect()  # a trainer refers to itself
    PartialState().destroy_process_group()


def load_weights(model: PreTrainedModel, checkpoint: str | os.PathLike):
    """Fills a model in one process with the weights of a checkpoint: of a whole model, or of one that was split by FSDP."""
    checkpoint = Path(checkpoint)
    shards = checkpoint / f"{FSDP_MODEL_NAME}_0"
    if shards.is_dir():
        state = {"model": model.state_dict()}  # shares its memory with the model
        load(state, checkpoint_id=shards, no_dist=True)
    elif (checkpoint / SAFE_WEIGHTS_NAME).is_file():
        load_model(model, checkpoint / SAFE_WEIGHTS_NAME)
    else:
        raise CheckpointError(
            f"{checkpoint} holds neither {shards.name} nor {SAFE_WEIGHTS_NAME}: is it a checkpoint of this run?"
        )


def _describe(error: BaseException, folder: Path) -> str:
    """What went wrong, and how much room there is before the half-written folder goes."""
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]  # of the first process that could not write its part
    text = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {text} ({free / 1e9:.3f} GB are left on this disk)"


def _give_up(folder: Path, failure: str) -> str:
    """Deletes what was written of a checkpoint, and says how to go on."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        last, _ = last_good_checkpoint(folder.parent)
    except CheckpointError:
        last = None
    then = f"goes on from {last}, the last good checkpoint" if last else "starts anew, as there is no good checkpoint"
    return (
        f"{folder} could not be written and was deleted: {failure}. Make room or repair the disk: then the same "
        f"command {then}."
    )
