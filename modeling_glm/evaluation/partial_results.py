"""
Evaluate many items in batches of similar length, and keep their results on disk, so that an interrupted run resumes.

A file of partial results has one JSON object a line. The first line says what was evaluated and how; each other line has
the number of an item and its result. A run that is killed may leave half a line at the end, which the next run drops.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

import torch
from tqdm.auto import tqdm

from ..utils.files import explain_write_errors, make_folder
from ..utils.inference import evaluation_mode
from ..utils.numbers import check_batch_size
from ..utils.rows import in_batches

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

Item = TypeVar("Item")
# Values of each parameter that the digest of a model reads.
SAMPLED_VALUES = 64


class PartialResults:
    """
    Keep the results of items in a file while a run computes them. Use it as a context.

    Args:
        path: The file. What another run left in it is read.
        identity: What is evaluated and how, as plain values.

    Raises:
        ValueError: If the file is of another evaluation or cannot be read, or if another run is writing it.
    """

    def __init__(self, path: str | os.PathLike, identity: Mapping[str, Any]):
        self.path = Path(path)
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))  # as it is read again
        self.done: dict[int, Any] = {}
        self._stream: BinaryIO | None = None

    def __enter__(self) -> "PartialResults":
        with explain_write_errors(self.path):
            make_folder(self.path.parent)
            stream = open(self.path, "a+b")
        try:
            self._lock(stream)
            self._read(stream)
        except BaseException:
            stream.close()
            raise
        self._stream = stream
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def add(self, results: Mapping[int, Any]) -> None:
        """Add the results of items, by their numbers. They are on disk when this returns."""
        assert self._stream is not None
        lines = [json.dumps({"item": number, "result": result}) + "\n" for number, result in results.items()]
        with explain_write_errors(self.path):
            self._stream.write("".join(lines).encode())
            self._stream.flush()

    def delete(self) -> None:
        """Delete the file, once the report is written."""
        self.path.unlink(missing_ok=True)

    def _lock(self, stream: BinaryIO) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another run is writing {self.path}: wait for it, or write the result to another file."
            ) from None
        except OSError:  # a disk without locks
            return

    def _read(self, stream: BinaryIO) -> None:
        """Read what is there, drop half a line at the end, and write the first line of a new file."""
        stream.seek(0)
        content = stream.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            stream.truncate(whole)
        lines = content[:whole].splitlines()
        if not lines:
            stream.write(json.dumps(self.identity).encode() + b"\n")
            stream.flush()
            return
        try:
            header, *entries = map(json.loads, lines)
            self.done = {entry["item"]: entry["result"] for entry in entries}
        except (ValueError, TypeError, KeyError):
            header = None
        if not isinstance(header, dict):
            raise ValueError(f"{self.path} does not hold partial results: delete it, or choose another file.")
        for name in sorted({*header, *self.identity}):
            found, expected = header.get(name), self.identity.get(name)
            if found != expected:
                raise ValueError(
                    f"{self.path} holds partial results with {name}={found!r}, but this run has {name}={expected!r}: run "
                    "the same command to resume, or delete the file to start again."
                )


def keep_results(
    path: str | os.PathLike | None,
    measure: str,
    *,
    model: torch.nn.Module,
    texts: Iterable[str],
    settings: Mapping[str, Any],
) -> PartialResults | None:
    """
    Keep the results of a measurement in a file, if there is one. Digests are computed only then.

    Args:
        path: The file, or None.
        measure: What is measured, such as "perplexity".
        model: The model.
        texts: What it is measured on, in order.
        settings: The settings that decide the results.
    """
    if path is None:
        return None
    identity = {"measure": measure, **settings, "texts": digest_texts(texts), "model": digest_model(model)}
    return PartialResults(path, identity)


def evaluate_items(
    model: torch.nn.Module,
    items: Sequence[Item],
    compute: Callable[[list[Item]], Iterable[Any]],
    *,
    length: Callable[[Item], int],
    batch_size: int,
    title: str,
    progress: bool = False,
    partial: PartialResults | None = None,
) -> list[Any]:
    """
    Compute a result for every item, items of similar length together.

    Args:
        model: The model. It is in eval mode during the call.
        items: What is evaluated.
        compute: Returns the results of a batch of items, as plain values.
        length: Returns the number of tokens of an item.
        batch_size: The number of items in a batch.
        title: What the progress bar says.
        progress: Whether to show a progress bar.
        partial: Keeps the results so far. Items that have a result there are not computed again.

    Returns:
        The results in the order of the items.
    """
    batch_size = check_batch_size("batch_size", batch_size)
    with evaluation_mode(model), partial or nullcontext() as kept:
        results: dict[int, Any] = {} if kept is None else dict(kept.done)
        left = [number for number in range(len(items)) if number not in results]
        left.sort(key=lambda number: length(items[number]))
        with tqdm(total=len(items), initial=len(items) - len(left), disable=not progress, desc=title) as bar:
            for _, numbers in in_batches(left, batch_size):
                found = dict(zip(numbers, compute([items[number] for number in numbers]), strict=True))
                results |= found
                if kept is not None:
                    kept.add(found)
                bar.update(len(numbers))
    return [results[number] for number in range(len(items))]


def digest_texts(texts: Iterable[str]) -> str:
    """Compute a digest of texts in their order."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def digest_model(model: torch.nn.Module) -> str:
    """Compute a digest of a model from some values of every parameter, to tell one checkpoint from another."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.state_dict().items()):
        if not isinstance(parameter, torch.Tensor):  # quantized layers keep their state in other forms
            continue
        flat = parameter.detach().flatten()
        sample = flat[:: max(1, len(flat) // SAMPLED_VALUES)].to("cpu", torch.float32)
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode() + sample.numpy().tobytes())
    return digest.hexdigest()


__all__ = ["PartialResults", "digest_model", "digest_texts", "evaluate_items", "keep_results"]
