"""Read the files of a checkpoint one tensor at a time, without executing anything in them."""

import re
import zipfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open

from .archives import read_saved_file
from .pickles import StoredTensor, UnsafePickleError, UnusualTensor, find_fault

# Pages of a mapped file count as memory until it is closed. So it is closed and opened again after this many bytes.
REOPEN_AFTER = 64 * 2**20

# The dtypes that weights of a GLM may have, by their names in safetensors, and those that other tensors may have.
DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
OTHER_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}

# The state dict of a GLM is found by a name of this form.
WEIGHT_NAME = re.compile(r"(?:^|\.)(?:word_embeddings\.weight$|transformer\.)")


LONGEST_MESSAGE = 2000


class CheckpointError(ValueError):
    """
    Raised for a checkpoint that cannot be read, is not whole, or does not fit.

    Its message may quote a file. So signs that cannot be shown are escaped, and the middle of a long one is left out.
    """

    def __init__(self, message: str):
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[: LONGEST_MESSAGE // 2]} … {message[-LONGEST_MESSAGE // 2 :]}"
        super().__init__(
            "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in message)
        )


class TensorFile(ABC):
    """
    A file with named tensors, of which only a few are in memory at a time.

    Attributes:
        tensors: Shape and dtype of every tensor by its name, on the meta device.
        extras: What else the file holds, such as the number of the `iteration`.

    Raises:
        CheckpointError: if the file is damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        self.tensors: dict[str, torch.Tensor] = {}
        self.extras: dict[str, Any] = {}
        self._content: Any = None
        self._bytes_read = 0

    def read(self, name: str) -> torch.Tensor:
        """Read a tensor. Its memory may be that of the file, so do not write to it."""
        if self._content is None:
            self._content = self._open()
        self._bytes_read += self.tensors[name].nbytes
        return self._get(name)

    def release(self):
        """Close the file if much was read from it, which frees memory. Reading opens it again."""
        if self._bytes_read >= REOPEN_AFTER:
            self._content, self._bytes_read = None, 0

    @abstractmethod
    def _open(self) -> Any:
        """Open the file. The result is kept in `_content`."""

    @abstractmethod
    def _get(self, name: str) -> torch.Tensor:
        """Read a tensor from `_content`."""


class SafetensorsFile(TensorFile):
    """Read a `.safetensors` file."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._content = self._open()
        for name in self._content.keys():  # noqa: SIM118  it is not a dict
            part = self._content.get_slice(name)
            dtype = {**DTYPES, **OTHER_DTYPES}.get(part.get_dtype())
            if dtype is None:
                raise CheckpointError(f"{path}: {name} has the dtype {part.get_dtype()}, which is unknown.")
            self.tensors[name] = torch.empty(part.get_shape(), dtype=dtype, device="meta")

    def _open(self) -> Any:
        try:
            return safe_open(self.path, framework="pt")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{self.path} is damaged ({error}): get the file again.") from error

    def _get(self, name: str) -> torch.Tensor:
        return self._content.get_tensor(name)


class PickledFile(TensorFile):
    """
    Read a `.pt` or `.bin` file of `torch.save`, of any version since 0.4: tensors, beside objects that are not needed.

    `PickleReader` says why this is not `torch.load`.
    """

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self._saved = read_saved_file(path)
        except Exception as error:  # damaged and hostile files cause errors of any kind
            _refuse(path, error)
        content = self._saved.content
        self._stored: dict[str, StoredTensor] = {}
        self._verified: set[str] = set()
        for name, tensor in _find_state_dict(content, path).items():
            if isinstance(tensor, UnusualTensor):
                raise CheckpointError(f"{path}: {name} is {tensor.kind}; expected a plain tensor. Save it as one.")
            if tensor.storage.key not in self._saved.regions:
                raise CheckpointError(f"{path} is damaged (the elements of {name} are missing): get the file again.")
            if fault := find_fault(tensor, self._saved.regions[tensor.storage.key].length):
                raise CheckpointError(f"{path}: {name} {fault}.")
            self._stored[name] = tensor
            self.tensors[name] = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        self.extras = {
            key: value
            for key, value in content.items()
            if isinstance(key, str) and isinstance(value, int | float | str)
        }

    def _open(self) -> Any:
        return torch.UntypedStorage.from_file(str(self.path), False, self.path.stat().st_size)

    def _get(self, name: str) -> torch.Tensor:
        tensor = self._stored[name]
        self._verify(tensor.storage.key)
        first, width = self._saved.regions[tensor.storage.key].start, tensor.dtype.itemsize
        first += tensor.storage.start * tensor.storage.dtype.itemsize + tensor.offset * width
        part = self._content[first : first + tensor.extent * width]
        # The storages of old files stand anywhere.
        if first % width or self._saved.is_big_endian:
            part = part.clone()
        if self._saved.is_big_endian:
            part.byteswap(tensor.dtype)
        return torch.empty(0, dtype=tensor.dtype).set_(part, 0, tensor.shape, tensor.strides)

    def _verify(self, key: str) -> None:
        """Compare a storage with its checksum, which torch does not do: once, just before its bytes are needed."""
        start, length, checksum = self._saved.regions[key]
        if checksum and key not in self._verified:
            content = torch.empty(0, dtype=torch.uint8).set_(self._content, start, (length,), (1,))
            if zlib.crc32(content.numpy().data) != checksum:
                raise CheckpointError(
                    f"{self.path} is damaged (the storage {key} does not have the checksum that the file gives): get the "
                    "file again."
                )
            self._verified.add(key)


def open_tensors(path: Path) -> TensorFile:
    """Open a file of either kind."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: get it again.")
    return SafetensorsFile(path) if path.suffix == ".safetensors" else PickledFile(path)


def _find_state_dict(content: Any, path: Path) -> dict[str, StoredTensor | UnusualTensor]:
    """Find the state dict in what a training framework saved, from the outside inwards."""
    pending = [content]
    seen = set()  # a dict may hold itself
    for candidate in pending:
        if not isinstance(candidate, dict) or id(candidate) in seen:
            continue
        seen.add(id(candidate))
        tensors = {
            name: value
            for name, value in candidate.items()
            if isinstance(name, str) and isinstance(value, StoredTensor | UnusualTensor)
        }
        if any(map(WEIGHT_NAME.search, tensors)):
            return tensors
        pending += candidate.values()
    raise CheckpointError(
        f"{path} holds no weights of a GLM: no tensor in it is named word_embeddings.weight or transformer.… Optimizer "
        "states and adapters cannot be converted alone."
    )


def _refuse(path: Path, error: Exception) -> NoReturn:
    """Raise a `CheckpointError` that says whether the file is hostile or damaged."""
    if isinstance(error, UnsafePickleError):
        raise CheckpointError(
            f"{path} holds more than tensors ({error}), and was not read, as such objects can run code when they are "
            "loaded. Convert a file of the state dict alone."
        ) from error
    if isinstance(error, zipfile.BadZipFile | NotImplementedError | RuntimeError | EOFError):
        raise CheckpointError(f"{path} is damaged ({error}): get the file again.") from error
    if isinstance(error, OSError):
        raise CheckpointError(
            f"{path} is damaged, or cannot be read ({error.strerror}): get the file again."
        ) from error
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    raise CheckpointError(f"{path} is not a whole file of torch.save ({reason}): get it again.") from error


__all__ = ["CheckpointError", "TensorFile", "open_tensors"]
