"""Reads the files of a checkpoint, whoever wrote them: one tensor at a time, without running anything that is in them."""

import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm

# Pages of a mapped file count as memory until it is closed: it is opened anew after so many bytes.
REOPEN_AFTER = 64 * 2**20

# By the names that safetensors has for them. Everything else (integers, fp8) is no weight of a GLM.
DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}

# By these names a state dict of GLM is told from what else there is in a file.
WEIGHT_NAME = re.compile(r"(?:^|\.)(?:word_embeddings\.weight$|transformer\.)")


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, is not whole, or does not fit."""


class Ignored:
    """What becomes of an object that is of no use here: whatever it was, it is not made."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __setstate__(self, state: Any):
        pass


# What the originals' training left in its files beside tensors: states of random numbers, settings, loss scalers. The
# names are all that is known of them; none of their code is called.
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
    A file with named tensors, of which few are in memory at a time.

    Attributes:
        tensors: Name, shape and dtype of every tensor, as tensors on the meta device.
        extras: What else the file says, such as the number of the `iteration`.

    Raises:
        CheckpointError: if the file is damaged, or a tensor does not hold floating point numbers.
    """

    def __init__(self, path: Path):
        self.path = path
        self.tensors: dict[str, torch.Tensor] = {}
        self.extras: dict[str, Any] = {}
        self._content: Any = None
        self._bytes_read = 0

    def read(self, name: str) -> torch.Tensor:
        """The tensor. Its memory may be that of the file, so it must not be written to."""
        if self._content is None:
            self._content = self._open()
        self._bytes_read += self.tensors[name].nbytes
        return self._get(name)

    def release(self):
        """Gives memory back, if much was read: the file is opened anew when it is read again."""
        if self._bytes_read >= REOPEN_AFTER:
            self._content, self._bytes_read = None, 0

    def _add(self, name: str, shape: Any, dtype: Any):
        if dtype not in DTYPES.values():
            raise CheckpointError(
                f"{self.path}: {name} has the dtype {str(dtype).removeprefix('torch.')}, expected float16, bfloat16, "
                "float32 or float64. Weights that were quantised cannot be converted: take the original ones."
            )
        self.tensors[name] = torch.empty(tuple(shape), dtype=dtype, device="meta")

    @abstractmethod
    def _open(self) -> Any: ...

    @abstractmethod
    def _get(self, name: str) -> torch.Tensor: ...


class SafetensorsFile(TensorFile):
    """A `.safetensors` file."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._content = self._open()
        for name in self._content.keys():  # noqa: SIM118  it is no dict
            part = self._content.get_slice(name)
            self._add(name, part.get_shape(), DTYPES.get(part.get_dtype(), part.get_dtype()))

    def _open(self) -> Any:
        try:
            return safe_open(self.path, framework="pt")
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{self.path} is damaged ({error}): get the file anew.") from error

    def _get(self, name: str) -> torch.Tensor:
        return self._content.get_tensor(name)


class PickledFile(TensorFile):
    """
    A `.pt` or `.bin` file of `torch.save`, read with `weights_only=True`: tensors, and what `IGNORED_GLOBALS` names.
    """

    def __init__(self, path: Path):
        super().__init__(path)
        # Files of torch before 1.6 are no archives. They cannot be mapped, and have no checksums.
        self.is_archive = zipfile.is_zipfile(path)
        if self.is_archive:
            _verify_checksums(path)
        content = self._load()
        self._content = _find_state_dict(content, path)
        self.extras = {key: value for key, value in content.items() if isinstance(value, int | float | str)}
        for name, tensor in self._content.items():
            self._add(name, tensor.shape, tensor.dtype)

    def _load(self) -> Any:
        ignored: list[Any] = [(Ignored, name) for name in IGNORED_GLOBALS]
        try:
            with torch.serialization.safe_globals(ignored):
                return torch.load(self.path, map_location="cpu", weights_only=True, mmap=self.is_archive)
        except Exception as error:  # whatever a damaged or hostile file makes it stumble over
            _refuse(self.path, error)

    def _open(self) -> dict[str, torch.Tensor]:
        return _find_state_dict(self._load(), self.path)

    def _get(self, name: str) -> torch.Tensor:
        return self._content[name].detach()


def open_tensors(path: Path, scratch: Path) -> TensorFile:
    """
    Opens a file by what it holds, whatever its name.

    Args:
        path: The file.
        scratch: Folder for a copy of a file that cannot be mapped, so that it need not stay in memory.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: get it anew.")
    if path.suffix == ".safetensors":
        return SafetensorsFile(path)
    file = PickledFile(path)
    if file.is_archive:
        return file
    copy = scratch / f"{path.stem}-{abs(hash(path))}.safetensors"
    save_file({name: file.read(name).clone(memory_format=torch.contiguous_format) for name in file.tensors}, copy)
    mapped = SafetensorsFile(copy)
    mapped.extras = file.extras
    return mapped


def _find_state_dict(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """The state dict within what a training framework saved, from the outside inwards."""
    pending = [content]
    for candidate in pending:
        if not isinstance(candidate, Mapping):
            continue
        tensors = {str(name): value for name, value in candidate.items() if isinstance(value, torch.Tensor)}
        if any(map(WEIGHT_NAME.search, tensors)):
            return tensors
        pending += candidate.values()
    raise CheckpointError(
        f"{path} holds no weights of a GLM: no tensor in it is named word_embeddings.weight or transformer.… Optimizer "
        "states and adapters cannot be converted by themselves."
    )


def _refuse(path: Path, error: Exception) -> NoReturn:
    hostile = re.search(r"GLOBAL \S+|unrecognized function .*|Can only (?:create|build) .*", str(error))
    if hostile:
        raise CheckpointError(
            f"{path} holds more than tensors ({hostile[0].strip()}), and was not read, as such objects can run code "
            "when they are loaded. Convert a file of the state dict alone."
        ) from error
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    raise CheckpointError(f"{path} is no whole file of torch.save ({reason}): get it anew.") from error


def _verify_checksums(path: Path):
    """Every part of the archive has a checksum, which torch does not look at."""
    try:
        with zipfile.ZipFile(path) as archive:
            # Without a checksum, it was written with torch.serialization.set_crc32_options(False).
            parts = [part for part in archive.infolist() if part.CRC]
            total = sum(part.file_size for part in parts)
            with tqdm(total=total, desc=f"checking {path.name}", unit="B", unit_scale=True, disable=None) as bar:
                for part in parts:
                    with archive.open(part) as stream:
                        while chunk := stream.read(2**20):
                            bar.update(len(chunk))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): get the file anew.") from error


__all__ = ["CheckpointError", "TensorFile", "open_tensors"]
