"""
Checkpoints that survive crashes and full disks.

Each checkpoint gets a manifest once all processes have written their files. A save that fails deletes its half-written
folder and keeps the earlier ones. A run resumes from the newest checkpoint whose files fit the manifest, at the sample
where that stopped. Older checkpoints are deleted when the checksums of the new one are on the disk.

    training_arguments = TrainingArguments(output_dir, ignore_data_skip=True, ...)
    with hold_run(output_dir):
        start = resume_point(output_dir)
        trainer = SafeCheckpointTrainer(model, training_arguments, train_dataset=DatasetFrom(start.samples_seen), ...)
        trainer.train(resume_from_checkpoint=start.checkpoint)

Call `disconnect` at the end, outside of the function that holds the trainer. All machines of a run need a shared disk for
the folder.
"""

import contextlib
import gc
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from accelerate.utils.constants import FSDP_MODEL_NAME
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch.distributed.checkpoint import CheckpointException, load
from transformers import PreTrainedModel, Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import SAFE_WEIGHTS_NAME

from .flow import SaveAfterEvaluation, on_first_process
from .lock import hold_run
from .manifest import (
    MANIFEST,
    Manifest,
    ResumeError,
    add_checksums,
    checkpoints,
    delete_checkpoint,
    last_good_checkpoint,
    read_manifest,
    step_of,
    write_manifest,
)

# The errors of writers on a full disk: Python's files, safetensors, torch's archives, torch's sharded checkpoints.
SAVE_ERRORS = (OSError, SafetensorError, RuntimeError, CheckpointException)


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """
    The place where a run resumes.

    Attributes:
        checkpoint: Path of the checkpoint; None for a new run.
        samples_seen: Number of samples before it.
    """

    checkpoint: str | None = None
    samples_seen: int = 0


class SafeCheckpointTrainer(Trainer):
    """
    A `Trainer` whose checkpoints are whole or absent, and that counts the samples of a run.

    `train` takes the arguments of `Trainer.train`. `resume_from_checkpoint=True` resumes from the newest whole
    checkpoint, or starts a new run if there is none. For another trainer class, put this one in front of it:
    `class MyTrainer(SafeCheckpointTrainer, Seq2SeqTrainer)`.

    Raises:
        FolderInUseError: From `train`, if another run uses `output_dir`.
        ResumeError: From `train`, for a checkpoint without a manifest.
        RuntimeError: From `train`, on all processes, if a checkpoint cannot be written. What was written of it is deleted.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.add_callback(SaveAfterEvaluation())
        self._resumed: Manifest | None = None
        self._unread: str | None = None  # the checkpoint whose state is not restored in full yet

    def train(self, resume_from_checkpoint: str | os.PathLike | bool | None = None, *args, **kwargs):
        with hold_run(self._folder):
            if resume_from_checkpoint is True:
                resume_from_checkpoint = resume_point(self._folder).checkpoint
            checkpoint = str(resume_from_checkpoint) if resume_from_checkpoint else None
            self._resumed = read_manifest(Path(checkpoint)) if checkpoint else None
            self._unread = checkpoint
            return super().train(checkpoint, *args, **kwargs)

    def _run_epoch(self, *args, **kwargs):
        # Trainer would train a run that has ended for another step.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def get_batch_samples(self, *args, **kwargs):
        batches = super().get_batch_samples(*args, **kwargs)
        if self._unread:
            # Opening the data drew a random number. An uninterrupted run does not draw it at this step.
            # Without ignore_data_skip Trainer skips batches, and restores the random state itself afterwards.
            if self.args.ignore_data_skip:
                self._load_rng_state(self._unread)
            self._restore_losses()
            self._unread = None
        return batches

    def _finalize_training(self, *args, **kwargs):
        # Trainer would delete the last checkpoint if it is not the best one, and a finished run would train again.
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            return super()._finalize_training(*args, **kwargs)
        finally:
            self.args.save_total_limit = limit

    @property
    def _folder(self) -> Path:
        return Path(str(self.args.output_dir))

    def _restore_losses(self):
        """Restore the losses that are not in the log yet, so that its next entry is that of an uninterrupted run."""
        manifest = self._resumed
        if manifest is None or manifest.logged_step is None:
            return
        same = len(manifest.losses) == self.args.world_size
        loss = manifest.losses[self.args.process_index] if same else sum(manifest.losses) / len(manifest.losses)
        self._tr_loss.fill_(loss)
        self._total_loss_scalar -= loss  # the mean at the end is that of the steps since the start
        self._globalstep_last_logged = manifest.logged_step

    @property
    def samples_seen(self) -> int:
        """Number of samples that all processes have trained on, since the first start of the run."""
        first_step, first_sample = (self._resumed.step, self._resumed.samples_seen) if self._resumed else (0, 0)
        return first_sample + (self.state.global_step - first_step) * self.get_total_train_batch_size(self.args)

    def _save_checkpoint(self, model, trial):
        # A private method, because no public one covers a save from its first file to the deletion of old checkpoints.
        folder = self._folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if self.is_world_process_zero():
            delete_checkpoint(folder)  # from a run that this one does not resume
        losses = gather_object([self._tr_loss.item()])
        failure = None
        limit, self.args.save_total_limit = (
            self.args.save_total_limit,
            None,
        )  # delete nothing until the new one is whole
        try:
            super()._save_checkpoint(model, trial)
        except SAVE_ERRORS as error:
            failure = _describe_failure(error, folder)
            if not self._processes_fail_together():
                raise RuntimeError(_give_up(folder, failure)) from error
        finally:
            self.args.save_total_limit = limit
        self._give_up_if_any(failure, folder)
        if self.is_world_process_zero():
            try:
                self._finish(folder, losses)
            except SAVE_ERRORS as error:
                failure = _describe_failure(error, folder)
        self._give_up_if_any(failure, folder)
        if self.is_world_process_zero() and limit is not None and limit > 0:
            delete_old(folder, limit, self.state.best_model_checkpoint)

    def _processes_fail_together(self) -> bool:
        """Return whether the other processes finish their save if one fails, instead of waiting for it forever."""
        if self.is_fsdp_enabled:
            return "SHARDED_STATE_DICT" in str(self.accelerator.state.fsdp_plugin.state_dict_type)
        return not self.is_deepspeed_enabled and not self.state.best_global_step

    def _give_up_if_any(self, failure: str | None, folder: Path):
        """End the run on all processes if the save of one failed."""
        failures = [failure for failure in gather_object([failure]) if failure]
        if failures:
            message: list[Any] = [_give_up(folder, failures[0]) if self.is_world_process_zero() else None]
            broadcast_object_list(message)
            raise RuntimeError(message[0])

    def _finish(self, folder: Path, losses: Sequence[float]):
        """Write the manifest, which marks the checkpoint as whole, and wait until all of it is on the disk."""
        count = self.args.world_size
        if count > 1 and not self.args.save_only_model:
            states = [folder / f"rng_state_{index}.pth" for index in range(count)]
            if missing := [path.name for path in states if not path.exists()]:
                raise OSError(f"{', '.join(missing)} of other processes did not arrive: is the disk shared?")
        manifest = write_manifest(
            folder,
            self.state.global_step,
            self.samples_seen,
            count,
            logged_step=self._globalstep_last_logged,
            losses=losses,
        )
        add_checksums(folder, manifest)


def delete_old(newest: Path, limit: int, best: str | os.PathLike | None = None):
    """
    Delete old checkpoints of a run, and what is left of unfinished ones.

    Args:
        newest: The checkpoint that was written last. Newer ones, which this run did not resume from, stay.
        limit: Most checkpoints that remain, with the newest and the best. These two always remain.
        best: Path of the best checkpoint, if any.
    """
    older = [path for path in checkpoints(newest.parent) if step_of(path) < step_of(newest)]
    kept = [path for path in older if best is not None and path.resolve() == Path(best).resolve()]
    whole = [path for path in older if path not in kept and (path / MANIFEST).exists()]
    kept += whole[: max(0, limit - 1 - len(kept))]
    for path in older:
        if path not in kept:
            delete_checkpoint(path)


def resume_point(folder: str | os.PathLike) -> ResumePoint:
    """
    Find the place where the run in `folder` resumes, the same for all processes.

    The first process looks, and prints a line for every checkpoint that it skips. Make the `TrainingArguments` first,
    because they connect the processes.

    Raises:
        ResumeError: On all processes, if checkpoints were finished and all of them are damaged.
    """
    return on_first_process(lambda: _find_resume_point(folder))


def _find_resume_point(folder: str | os.PathLike) -> ResumePoint:
    found = last_good_checkpoint(folder)
    for problem in found.problems:
        print(f"Skipped a checkpoint: {problem}", flush=True)
    if found.path is None:
        return ResumePoint()
    manifest = read_manifest(found.path)
    if not manifest.has_checksums:
        with contextlib.suppress(OSError):  # it can be read, which is enough
            add_checksums(found.path, manifest)
    return ResumePoint(checkpoint=str(found.path), samples_seen=manifest.samples_seen)


def disconnect():
    """
    Close the connection between the processes of a run.

    Call it last, where nothing refers to the trainer. The wrapper of its model would otherwise close the connection, and
    can then wait for its own thread forever.
    """
    gc.collect()  # a trainer refers to itself
    PartialState().destroy_process_group()


def load_weights(model: PreTrainedModel, checkpoint: str | os.PathLike):
    """
    Load the weights of a checkpoint into a model in one process. FSDP checkpoints in shards are read, too.

    Raises:
        ResumeError: If the checkpoint has no weights.
    """
    checkpoint = Path(checkpoint)
    shards = checkpoint / f"{FSDP_MODEL_NAME}_0"
    if shards.is_dir():
        state = {"model": model.state_dict()}  # shares its memory with the model
        load(state, checkpoint_id=shards, no_dist=True)
    elif (checkpoint / SAFE_WEIGHTS_NAME).is_file():
        load_model(model, checkpoint / SAFE_WEIGHTS_NAME)
    else:
        raise ResumeError(
            f"{checkpoint} has neither {shards.name} nor {SAFE_WEIGHTS_NAME}: is it a checkpoint of this run?"
        )


def _describe_failure(error: BaseException, folder: Path) -> str:
    """Describe an error and the free space, which is measured before the half-written folder is deleted."""
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]  # of the first process that could not write its part
    text = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {text} ({free / 1e9:.3f} GB are free on this disk)"


def _give_up(folder: Path, failure: str) -> str:
    """Delete what was written of a checkpoint, and return a message that says how to resume."""
    delete_checkpoint(folder)
    try:
        last = last_good_checkpoint(folder.parent).path
    except ResumeError:
        last = None
    then = (
        f"resumes from {last}, the last good checkpoint"
        if last
        else "starts from the beginning: no checkpoint is good"
    )
    return (
        f"{folder} could not be written and was deleted: {failure}. Free some space or repair the disk. Then the same "
        f"command {then}."
    )
