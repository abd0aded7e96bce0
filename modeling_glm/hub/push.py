"""From a model or a tokenizer to a repository on the hub, with code and card."""

import functools
import inspect
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.dynamic_module_utils import custom_object_save
from transformers.utils import logging

from ..configuration_glm import GLMConfig
from ..modeling_glm import AUTO_MAP, GLMModel, GLMPreTrainedModel
from .card import write_model_card

logger = logging.get_logger(__name__)

CARD = "README.md"
WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")


def save_code(config: GLMConfig, folder: str | os.PathLike) -> None:
    """
    Makes `folder` loadable with `trust_remote_code=True` without this package: copies the code of the models there, and
    names it in `config`, which is still to be saved.
    """
    config.auto_map = dict(AUTO_MAP)
    custom_object_save(GLMModel, folder)


def push_to_hub(
    self: GLMPreTrainedModel,
    repo_id: str,
    *,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    max_shard_size: int | str = "50GB",
    tags: str | list[str] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    **card: Any,
) -> CommitInfo:
    """
    Uploads the model, its code and its card in one commit. A card that the repository has already is kept, and
    completed. Weights that the new ones replace are taken out, so that no mixture of both can be loaded.

    Args:
        repo_id: Name of the repository, created where there is none: "name" or "organization/name".
        commit_message, commit_description: What the commit says; "Upload model" if nothing is said.
        private: Whether a new repository is private.
        token: For the hub; the stored one if not given.
        revision: Branch to push to, created where there is none.
        create_pr: Whether to open a pull request instead of committing.
        max_shard_size: Largest file of weights.
        tags: Further tags for the card, beside those of `add_model_tags`.
        tokenizer: Uploaded in the same commit. The code in the card suits its vocabulary, or else that of the tokenizer
            that the repository has.
        card: What else the card is to say, as for [`~modeling_glm.hub.card.create_model_card`]: `license`,
            `language`, `datasets`, `base_model`, `eval_results`, `trainer`, `sections`.

    Returns:
        What the hub says of the commit.
    """
    repository = Repository(repo_id, private=private, token=token, revision=revision, create_pr=create_pr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        self.save_pretrained(folder, max_shard_size=max_shard_size)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        repository.write_card(folder, self, tokenizer, tags=_all_tags(self, tags), **card)
        return repository.commit(_files(folder), commit_message or "Upload model", commit_description)


_save_pretrained = GLMPreTrainedModel.save_pretrained


@functools.wraps(_save_pretrained)
def save_pretrained(
    self: GLMPreTrainedModel,
    save_directory: str | os.PathLike,
    is_main_process: bool = True,
    state_dict: dict[str, torch.Tensor] | None = None,
    push_to_hub: bool = False,
    **kwargs: Any,
) -> None:
    # The library writes distributed checkpoints and pushes them itself, from files it puts together on the way.
    if not push_to_hub or kwargs.get("distributed_checkpoint"):
        kwargs["push_to_hub"] = push_to_hub
        return _save_pretrained(self, save_directory, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
    of_saving = inspect.signature(PreTrainedModel.save_pretrained).parameters
    of_pushing = {name: kwargs.pop(name) for name in list(kwargs) if name not in of_saving}
    repo_id = of_pushing.pop("repo_id", None) or Path(save_directory).absolute().name
    message, description, tags, tokenizer = (
        of_pushing.pop(name, None) for name in ("commit_message", "commit_description", "tags", "tokenizer")
    )
    of_repository = {name: of_pushing.pop(name) for name in ("private", "revision", "create_pr") if name in of_pushing}

    folder = Path(save_directory)
    pushes = is_main_process and _is_first_process()
    if pushes:  # the repository first: who may not write there is told before anything is saved
        repository = Repository(repo_id, token=kwargs.get("token"), **of_repository)
        before = _times(folder)
    _save_pretrained(self, save_directory, is_main_process=is_main_process, state_dict=state_dict, **kwargs)
    if pushes:
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        saved = [file for file, time in _times(folder).items() if before.get(file) != time and file.name != CARD]
        with tempfile.TemporaryDirectory() as staging:
            card = Path(staging) / CARD
            if (folder / CARD).exists():
                shutil.copyfile(folder / CARD, card)
            repository.write_card(Path(staging), self, tokenizer, tags=_all_tags(self, tags), **of_pushing)
            if CARD not in repository.files or not (folder / CARD).exists():
                shutil.copyfile(card, folder / CARD)
            repository.commit([*saved, card], message or "Upload model", description)


_push_tokenizer_to_hub = PreTrainedTokenizerBase.push_to_hub


def push_tokenizer_to_hub(
    self: PreTrainedTokenizerBase,
    repo_id: str,
    *,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    tags: str | list[str] | None = None,
    **card: Any,
) -> CommitInfo:
    """
    Uploads the tokenizer and its code in one commit. Where the repository has a GLM, the code in its card then suits the
    vocabulary; elsewhere it is the library's own method. The arguments are those of the models' [`push_to_hub`].
    """
    card.pop("max_shard_size", None)  # an argument that the library has for all classes, but only models use
    repository = Repository(repo_id, private=private, token=token, revision=revision, create_pr=create_pr)
    if (config := repository.read_config()) is None:
        return _push_tokenizer_to_hub(  # type: ignore[return-value]  # it says str, and returns what the hub says
            self,
            repository.repo_id,
            commit_message=commit_message,
            commit_description=commit_description,
            token=token,
            revision=revision,
            create_pr=create_pr,
            tags=[tags] if isinstance(tags, str) else tags,
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        self.save_pretrained(folder)
        repository.write_card(folder, config, tokenizer=self, tags=tags, **card)
        return repository.commit(_files(folder), commit_message or "Upload tokenizer", commit_description)


class Repository:
    """
    A branch of a repository on the hub, to which one commit is to be added.

    Args:
        repo_id: Its name; created where there is none.
        private: Whether a new one is private.
        token: For the hub; the stored one if not given.
        revision: The branch, created where there is none, or "refs/pr/N" for a pull request.
        create_pr: Whether the commit is to open a pull request.
    """

    def __init__(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: bool | str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ):
        self.api = HfApi(token=token)
        self.token = token
        self.revision = revision
        self.create_pr = create_pr
        self.repo_id = self.api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None and not revision.startswith("refs/pr") and not create_pr:
            self.api.create_branch(self.repo_id, branch=revision, exist_ok=True)
        self.files = self.api.list_repo_files(self.repo_id, revision=revision)

    def write_card(
        self,
        folder: Path,
        config_or_model: GLMConfig | PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        **details: Any,
    ) -> None:
        """Writes the card into the folder, merged with that of the repository, or else with the one in the folder."""
        if CARD in self.files:
            # Not one from the cache: it may be older, and what was written since would be lost.
            card = hf_hub_download(self.repo_id, CARD, revision=self.revision, token=self.token, force_download=True)
            shutil.copyfile(card, folder / CARD)
        details["model_id"] = details.get("model_id") or self.repo_id
        if tokenizer is None:
            tokenizer = self.read_tokenizer()
        write_model_card(folder, config_or_model, tokenizer, **details)

    def read_config(self) -> GLMConfig | None:
        """The config of the model in the repository, None if there is no GLM."""
        if "config.json" not in self.files:
            return None
        try:
            config = AutoConfig.from_pretrained(self.repo_id, **self._how_to_load())
        except (OSError, ValueError):  # of no model that is known here
            return None
        return config if isinstance(config, GLMConfig) else None

    def read_tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The tokenizer in the repository, None if there is none that loads."""
        if "tokenizer_config.json" not in self.files:
            return None
        try:
            return AutoTokenizer.from_pretrained(self.repo_id, **self._how_to_load())
        except (OSError, ValueError) as error:
            logger.warning(
                f"The tokenizer of {self.repo_id} is left out of the model card, as it does not load: {error}"
            )
            return None

    def commit(self, files: list[Path], message: str, description: str | None) -> CommitInfo:
        """One commit with these files, and without weights in the repository that they replace."""
        additions = [CommitOperationAdd(file.name, file) for file in sorted(files)]
        deletions = []
        names = {file.name for file in files}
        if any(WEIGHTS.fullmatch(name) for name in names):
            stale = [name for name in self.files if WEIGHTS.fullmatch(name) and name not in names]
            deletions = [CommitOperationDelete(name) for name in stale]
        return self.api.create_commit(
            self.repo_id,
            [*additions, *deletions],
            commit_message=message,
            commit_description=description,
            revision=self.revision,
            create_pr=self.create_pr,
        )

    def _how_to_load(self) -> dict[str, Any]:
        # Code of another model that may be there is neither run nor asked about.
        return {"revision": self.revision or "main", "token": self.token, "trust_remote_code": False}


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _times(folder: Path) -> dict[Path, int]:
    """When each file of the folder was written, in nanoseconds."""
    return {file: file.stat().st_mtime_ns for file in _files(folder)}


def _all_tags(model: PreTrainedModel, tags: str | list[str] | None) -> list[str]:
    return [*(model.model_tags or ()), *([tags] if isinstance(tags, str) else tags or ())]


def _is_first_process() -> bool:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not distributed or torch.distributed.get_rank() == 0


__all__ = ["Repository", "push_to_hub", "push_tokenizer_to_hub", "save_code", "save_pretrained"]
