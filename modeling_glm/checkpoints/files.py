"""Read the files of a checkpoint one tensor at a time, without executing anything in them."""

import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from tqdm.auto import tqdm

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


class CheckpointError(ValueError):
    """Raised for a checkpoint that cannot be read, is not whole, or does not fit."""


class Ignored:
    """Stands for an object that is not needed. It takes its arguments and its state, and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __setstate__(self, state: Any):
        pass


# Objects that the originals' training left in its files beside tensors: states of random numbers, settings, loss
# scalers. Each becomes an `Ignored`; only its name is compared, and none of its code is called.
IGNORED_GLOBALS = (
    *("_codecs.encode", "argparse.Namespace", "numpy.ndarray", "numpy.dtype"),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *(
        f"{module}.{name}"
        for module in ("deepspeed.runtime.fp16.loss_scaler", "fp16.loss_scaler")
        for name in ("LossScaler", "DynamicLossScaler")
    ),
)


class TensorFile(ABC):
    """
    A file with named tensors, of which only a few are in memory at a time.

    Attributes:
        tensors: Shape and dtype of every tensor by its name, on the meta device.
        extras: What else the file holds, such as the number of the `iteration`.
        is_mapped: Whether the file can be read in parts.

    Raises:
        CheckpointError: if the file is damaged.
    """

    is_mapped = True

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
    Read a `.pt` or `.bin` file of `torch.save` with `weights_only=True`: tensors, and objects of `IGNORED_GLOBALS`.
    """

    def __init__(self, path: Path):
        super().__init__(path)
        # Files of torch before 1.6 are not archives. They cannot be mapped, and have no checksums.
        self.is_mapped = zipfile.is_zipfile(path)
        if self.is_mapped:
            _verify_checksums(path)
        content = self._load()
        self._content = _find_state_dict(content, path)
        self.extras = {key: value for key, value in content.items() if isinstance(value, int | float | str)}
        for name, tensor in self._content.items():
            self.tensors[name] = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")

    def _load(self) -> Any:
        ignored: list[Any] = [(Ignored, name) for name in IGNORED_GLOBALS]
        try:
            with torch.serialization.safe_globals(ignored):
                return torch.load(self.path, map_location="cpu", weights_only=True, mmap=self.is_mapped)
        except Exception as error:  # damaged and hostile files cause errors of any kind
            _refuse(self.path, error)

    def _open(self) -> dict[str, torch.Tensor]:
        return _find_state_dict(self._load(), self.path)

    def _get(self, name: str) -> torch.Tensor:
        return self._content[name].detach()


def open_tensors(path: Path) -> TensorFile:
    """Open a file of either kind."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: get it again.")
    return SafetensorsFile(path) if path.suffix == ".safetensors" else PickledFile(path)


def _find_state_dict(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """Find the state dict in what a training framework saved, from the outside inwards."""
    pending = [content]
    seen = set()  # a dict may hold itself
    for candidate in pending:
        if not isinstance(candidate, Mapping) or id(candidate) in seen:
            continue
        seen.add(id(candidate))
        tensors = {str(name): value for name, value in candidate.items() if isinstance(value, torch.Tensor)}
        if any(map(WEIGHT_NAME.search, tensors)):
            return tensors
        pending += candidate.values()
    raise CheckpointError(
        f"{path} holds no weights of a GLM: no tensor in it is named word_embeddings.weight or transformer.… Optimizer "
        "states and adapters cannot be converted alone."
    )


def _refuse(path: Path, error: Exception) -> NoReturn:
    """Raise a `CheckpointError` that says whether the file is hostile or damaged."""
    hostile = re.search(r"GLOBAL \S+|unrecognized function .*|Can only (?:create|build) .*", str(error))
    if hostile:
        raise CheckpointError(
            f"{path} holds more than tensors ({hostile[0].strip()}), and was not read, as such objects can run code "
            "when they are loaded. Convert a file of the state dict alone."
        ) from error
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    raise CheckpointError(f"{path} is not a whole file of torch.save ({reason}): get it again.") from error


def _verify_checksums(path: Path):
    """Compare every part of an archive with its checksum. torch does not do it."""
    try:
        with zipfile.ZipFile(path) as archive:
            # torch.serialization.set_crc32_options(False) writes parts without a checksum.
            parts = [part for part in archive.infolist() if part.CRC]
            total = sum(part.file_size for part in parts)
            with tqdm(total=total, desc=f"checking {path.name}", unit="B", unit_scale=True, disable=None) as bar:
                for part in parts:
                    with archive.open(part) as stream:
                        while chunk := stream.read(2**20):
                            bar.update(len(chunk))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): get the file again.") from error


__all__ = ["CheckpointError", "TensorFile", "open_tensors"]
