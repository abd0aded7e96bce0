"""
Number the texts of a batch, because the number of a text decides its random draws.

A text of the caller may bring its number, `sample_id`. For other texts `SampleNumbers` finds one:

- In training it is new at every use of the text: it depends on the epoch, the batch and the place in the batch.
- In evaluation it depends on the text alone, so the draws are the same every time.

Trainer gives training and evaluation the same collator, and does not say which of them asks. Data workers hold copies of
the collator, and do not say which epoch it is. But the call stack shows who asks, and the loader of accelerate, which
Trainer uses, holds the epoch. Nothing is counted that a resumed run, or another number of workers, would count otherwise.
"""

import inspect
import os
from hashlib import blake2b
from multiprocessing.context import get_spawning_popen
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from .draws import DrawFamily


class SampleNumber(NamedTuple):
    """
    The number of a text.

    Attributes:
        number: A non-negative integer below 2**63.
        family: The numbers of one family are apart from those of the others.
    """

    number: int
    family: DrawFamily


class LoaderPass(NamedTuple):
    """
    One pass over the data by a loader of accelerate.

    Attributes:
        epoch: Number of the pass.
        skipped: Batches that a resumed run leaves out at the start.
        batches: Batches of the pass without those, None if that is unknown.
    """

    epoch: int
    skipped: int
    batches: int | None


class Reader(NamedTuple):
    """
    Hold who reads batches.

    Attributes:
        evaluates: Whether it is an evaluation.
        running: The pass of the loader of accelerate that reads in training, or None.
        loader: That loader, or None. Data workers do not get it.
    """

    evaluates: bool
    running: LoaderPass | None = None
    loader: Any = None


def find_reader() -> Reader:
    """
    Find out who reads batches.

    An evaluation is the evaluation loop of Trainer, or any loop without gradients. A forked worker still has the frames of
    the process that started it.
    """
    evaluates, loader = not torch.is_grad_enabled(), None
    frame = inspect.currentframe()
    while frame is not None and not evaluates:
        name = frame.f_code.co_name
        evaluates = name == "evaluation_loop"
        if loader is None and name == "__iter__" and frame.f_globals.get("__name__") == "accelerate.data_loader":
            found = frame.f_locals["self"]
            loader = found if hasattr(found, "iteration") else None  # samplers and loaders without epochs have none
        frame = frame.f_back
    if evaluates or loader is None:
        return Reader(evaluates)
    return Reader(evaluates, _running_pass(loader), loader)


def _running_pass(loader: Any) -> LoaderPass:
    is_stream = isinstance(loader.dataset, IterableDataset)
    return LoaderPass(
        epoch=loader.iteration,
        skipped=getattr(loader.batch_sampler, "skip_batches", 0),
        batches=None if is_stream else len(loader.base_dataloader),
    )


class SampleNumbers:
    """Number texts that bring no number."""

    def __init__(self):
        self._texts = 0  # counted where nothing else is known
        self._batches: WeakKeyDictionary[Any, tuple[int, int]] = (
            WeakKeyDictionary()
        )  # by loader: (epoch, batches read)
        self._worker: tuple[int, Reader] | None = None  # with its process, because workers copy this object
        self._worker_batches = 0
        self._sent: Reader | None = None  # from the process that starts a worker

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is not forked has no frames of the process that starts it, but gets this object from there.
        starts_worker = get_spawning_popen() is not None
        return {"_texts": self._texts, "_sent": find_reader()._replace(loader=None) if starts_worker else None}

    def __setstate__(self, state: dict[str, Any]):
        self.__init__()  # type: ignore[misc]
        vars(self).update(state)

    def open_batch(self, evaluation: bool | None = None) -> "BatchNumbers":
        """
        Begin a batch, and return the numbers of its texts.

        Args:
            evaluation: Whether the texts are for evaluation. None finds out.
        """
        worker = get_worker_info()
        reader = find_reader() if worker is None else self._find_reader_of_worker()
        if reader.evaluates if evaluation is None else evaluation:
            return BatchNumbers(self, DrawFamily.EVALUATION)
        if worker is None:
            return BatchNumbers(self, DrawFamily.TRAINING, self._place(reader))
        return BatchNumbers(self, DrawFamily.TRAINING, self._place_in_worker(reader.running, worker))

    def _find_reader_of_worker(self) -> Reader:
        """Return who started this worker. The loader is left out because its copy does not follow the original."""
        if self._worker is None or self._worker[0] != os.getpid():
            self._worker = os.getpid(), self._sent or find_reader()._replace(loader=None)
            self._worker_batches = 0
        return self._worker[1]

    def _place(self, reader: Reader) -> tuple[int, int] | None:
        """Return epoch and number of the batch, None where no loader of accelerate reads."""
        if reader.running is None:
            return None
        epoch, skipped, batches = reader.running
        seen_epoch, seen = self._batches.get(reader.loader, (epoch, 0))
        seen = seen if seen_epoch == epoch else 0
        self._batches[reader.loader] = epoch, seen + 1
        return epoch, skipped + seen % (
            batches or seen + 1
        )  # some callers read a whole pass in advance, to count tokens

    def _place_in_worker(self, running: LoaderPass | None, worker: Any) -> tuple[int, int]:
        """Return epoch and number of the batch: the same as without workers, for a loader of accelerate."""
        seen, self._worker_batches = self._worker_batches, self._worker_batches + 1
        if running is None:
            return worker.seed, seen  # the seed is new in every epoch, unless the worker persists and counts further
        epoch, skipped, batches = running
        if batches is not None:
            # Batches go round the workers: of 5 batches, the second of 2 workers reads the numbers 1 and 3 of every epoch.
            share = max(1, -(-(batches - worker.id) // worker.num_workers))
            epoch, seen = epoch + seen // share, seen % share
        return epoch, skipped + seen * worker.num_workers + worker.id

    def count(self) -> int:
        """Return how many texts were counted before this one."""
        self._texts += 1
        return self._texts - 1


class BatchNumbers:
    """
    Hold the numbers of the texts of one batch.

    Args:
        numbers: Counts the texts of a batch without a place.
        family: The family of the numbers.
        place: Two numbers that are new at every batch of training. Evaluation does not use them.
    """

    def __init__(self, numbers: SampleNumbers, family: DrawFamily, place: tuple[int, int] | None = None):
        self._numbers = numbers
        self._family = family
        self._place = place

    def number(self, row: int, ids: np.ndarray) -> SampleNumber:
        """
        Number a text.

        Args:
            row: Its place in the batch.
            ids: (length,) int64.
        """
        if self._family == DrawFamily.EVALUATION:
            return SampleNumber(_digest(ids), self._family)
        if self._place is not None:
            return SampleNumber(_digest(ids, *self._place, row), self._family)
        counted = self._numbers.count()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return SampleNumber(_digest(ids, counted), self._family)  # all processes count alike, and have other texts
        return SampleNumber(counted, DrawFamily.NUMBERED)


def _digest(ids: np.ndarray, *place: int) -> int:
    """Reduce a text and its place to 63 bits."""
    digest = blake2b(ids.tobytes(), digest_size=8)
    digest.update(np.array(place, dtype=np.uint64).tobytes())
    return int.from_bytes(digest.digest(), "little") >> 1
