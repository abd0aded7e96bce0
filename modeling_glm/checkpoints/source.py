"""Find the files of a checkpoint: a file, a folder of the originals' training, a folder of the hub, or its repository."""

import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME

from ..configuration_glm import read_json
from ..tokenization.original_vocabularies import VOCABULARY_FILES
from .files import CheckpointError

SHARD_NAME = re.compile(r"mp_rank_([0-9]+)_model_states\.pt")
TRACKERS = ("latest_checkpointed_iteration.txt", "latest")
# In the order of preference.
WEIGHTS = (SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME)
TOKENIZER_FILES = ("tokenizer.json", *VOCABULARY_FILES.values(), "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True, kw_only=True)
class Source:
    """
    Where a checkpoint is.

    Attributes:
        files: The files of weights.
        weight_map: The file of every tensor, if there is an index.
        is_split: Whether the files are model-parallel shards, which hold pieces of the same tensors.
        folders: Where the config and the vocabulary may be.
        repository: The name of its repository on the hub.
    """

    files: tuple[Path, ...]
    weight_map: dict[str, Path] | None = None
    is_split: bool = False
    folders: tuple[Path, ...]
    repository: str | None = None

    def find(self, *names: str) -> Path | None:
        """Find a file of one of these names, the first in the first folder that has one."""
        paths = (folder / name for folder in self.folders for name in names)
        return next((path for path in paths if path.is_file()), None)

    @property
    def vocabulary(self) -> Path | None:
        """The folder of its vocabulary."""
        found = self.find("tokenizer.json", *(name for name in VOCABULARY_FILES.values() if "added" not in name))
        return found.parent if found else None


def find_source(source: str | os.PathLike, revision: str | None = None, token: str | bool | None = None) -> Source:
    """
    Find the weights.

    Args:
        source: A file of weights or its index, a folder, or the name of a repository. Of a repository only the files
            that are needed are downloaded.
        revision, token: For the hub.

    Raises:
        CheckpointError: if files are missing, or it is unclear which are meant.
        FileNotFoundError: if there is no file, folder or repository of this name.
        ValueError: for a revision of a local source.
    """
    path = Path(source)
    if path.exists() and revision is not None:
        raise ValueError(f"revision={revision!r} is for a repository on the hub, but {path} is a local path.")
    if path.is_dir():
        return _find_in_folder(path)
    if path.is_file():
        return _find_file(path)
    try:
        validate_repo_id(str(source))
    except HFValidationError:
        raise FileNotFoundError(
            f"There is no file or folder {source}, and no repository can have this name."
        ) from None
    return _download(str(source), revision, token)


def _find_file(path: Path) -> Source:
    if path.name.endswith(".index.json"):
        return _read_index(path)
    if SHARD_NAME.fullmatch(path.name) and len(shards := _list_shards(path.parent)) > 1:
        raise CheckpointError(
            f"{path} is one of {len(shards)} shards of a model: give the folder {path.parent} to convert them all."
        )
    return Source(files=(path,), folders=(path.parent,))


def _find_in_folder(folder: Path) -> Source:
    # Beside whole weights, Trainer leaves a folder and a tracker file of DeepSpeed. They do not count.
    whole = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if shards := _list_shards(folder) or ([] if whole else _find_shards(folder)):
        return Source(files=tuple(shards), is_split=True, folders=(folder, shards[0].parent))
    if whole:
        return _find_file(whole)
    names = sorted(path.name for path in folder.iterdir())
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{folder} holds an adapter of PEFT, not a model: merge it into its base model first, with "
            "PeftModel.merge_and_unload and save_pretrained."
        )
    raise CheckpointError(
        f"{folder} holds no weights: expected mp_rank_00_model_states.pt, a folder with it, or one of "
        f"{', '.join(WEIGHTS)}; found {', '.join(names[:8]) or 'nothing'}{', …' if len(names) > 8 else ''}."
    )


def _find_shards(folder: Path) -> list[Path]:
    """List the shards of the sub-folder that a tracker file names, or of the only sub-folder with shards."""
    for tracker in TRACKERS:
        if (folder / tracker).is_file():
            with open(folder / tracker, encoding="utf-8", errors="replace") as file:
                name = file.read(1000).split()[:1]  # more cannot be the name of a folder
            # The system has names of up to 255 bytes.
            if not name or Path(name[0]).name != name[0] or name[0] in (".", "..") or len(name[0].encode()) > 255:
                raise CheckpointError(f"{folder / tracker} names no folder beside it: {''.join(name)!r}.")
            if shards := _list_shards(folder / name[0]):
                return shards
            raise CheckpointError(
                f"{folder / tracker} names the folder {name[0]}, where there is no mp_rank_00_model_states.pt."
            )
    candidates = {
        path: shards for path in sorted(folder.iterdir()) if path.is_dir() and (shards := _list_shards(path))
    }
    if len(candidates) > 1:
        raise CheckpointError(
            f"{folder} holds several checkpoints ({', '.join(path.name for path in candidates)}): give the folder of one."
        )
    return next(iter(candidates.values()), [])


def _list_shards(folder: Path) -> list[Path]:
    """List the shards in a folder in their order. A gap in their numbers is an error."""
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.iterdir() if SHARD_NAME.fullmatch(path.name))
    found = {int(SHARD_NAME.fullmatch(path.name)[1]): path for path in paths}  # type: ignore[index]
    if len(found) < len(paths):
        raise CheckpointError(f"{folder} holds two files of one shard ({', '.join(path.name for path in paths)}).")
    last = max(found, default=-1)
    # A few of them, as the last number may be any.
    if missing := list(itertools.islice((rank for rank in range(last) if rank not in found), 8)):
        more = ", …" if last + 1 - len(found) > len(missing) else ""
        shown = sorted(found) if len(found) <= 8 else f"{min(found)} to {last}"
        raise CheckpointError(
            f"{folder} holds the shards {shown} of a model, but not {missing}{more}: get "
            f"{', '.join(f'mp_rank_{rank:02d}_model_states.pt' for rank in missing)}{more}."
        )
    return [found[rank] for rank in sorted(found)]


def _read_index(path: Path) -> Source:
    try:
        weight_map = read_json(path).get("weight_map")
    except ValueError as error:
        raise CheckpointError(f"{path} is not an index of weights ({error}): get the file again.") from error
    if not isinstance(weight_map, dict):
        found = type(weight_map).__name__
        raise CheckpointError(f"{path} is not an index of weights: weight_map is a {found}, expected a dict of files.")
    for name in weight_map.values():
        if not isinstance(name, str) or not name or name in (".", "..") or re.search(r"[/\\:\0]", name):
            raise CheckpointError(f"{path} names the file {name!r}, which is not in its folder: it was not opened.")
    names = sorted(set(weight_map.values()))
    if not names:
        raise CheckpointError(f"{path} names no files: get it again.")
    if missing := [name for name in names if not (path.parent / name).is_file()]:
        raise CheckpointError(f"{path} names files that are not there: {', '.join(missing)}. Get them again.")
    return Source(
        files=tuple(path.parent / name for name in names),
        weight_map={tensor: path.parent / name for tensor, name in weight_map.items()},
        folders=(path.parent,),
    )


def _download(repository: str, revision: str | None, token: str | bool | None) -> Source:
    try:
        files = HfApi(token=token).model_info(repository, revision=revision).siblings or ()
        names = {file.rfilename for file in files}
        weights = next((name for name in WEIGHTS if name in names), None)
        pattern = (
            "model*.safetensors*" if weights in (SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME) else "pytorch_model*"
        )
        wanted = [
            "config.json",
            "generation_config.json",
            "README.md",
            *TOKENIZER_FILES,
            *([pattern] if weights else []),
        ]
        folder = snapshot_download(repository, revision=revision, token=token, allow_patterns=wanted)
    except Exception as error:  # the classes of its HTTP client differ between versions of huggingface_hub
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of this machine, such as a full disk
        raise FileNotFoundError(
            f"There is no file or folder {repository} here, and the hub does not give a repository of this name: "
            f"{' '.join(str(error).split())}"
        ) from error
    if weights is None:
        raise CheckpointError(f"The repository {repository} has no weights: expected one of {', '.join(WEIGHTS)}.")
    found = _find_file(Path(folder) / weights)
    return Source(files=found.files, weight_map=found.weight_map, folders=found.folders, repository=repository)


__all__ = ["Source", "find_source"]
