"""Push models and tokenizers to the hub, with code and card."""

import inspect
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import CommitInfo
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.dynamic_module_utils import custom_object_save

from ..configuration_glm import GLMConfig
from ..modeling_glm import AUTO_MAP, GLMModel, GLMPreTrainedModel
from ..tokenization.tokenization_glm import GLMTokenizer
from ..utils.files import save_through, staging_folder, write_whole
from .card import require_file
from .repository import CARD, Repository, stale_weights


def save_code(config: GLMConfig, folder: str | os.PathLike) -> None:
    """
    Copy the code of the models into a folder, and name it in `config`, which you save afterwards.

    The folder then loads with `trust_remote_code=True` without this package.
    """
    config.auto_map = dict(AUTO_MAP)
    with staging_folder(folder, inside=True) as staging:
        custom_object_save(GLMModel, staging)
        save_through(folder, staging)


def remove_code(folder: str | os.PathLike) -> None:
    """Delete the code that `save_pretrained` copied into a folder. The folder then loads with this package only."""
    for path in Path(folder).glob("*.py"):
        path.unlink()
    for path in Path(folder).glob("*config.json"):
        settings = json.loads(path.read_text(encoding="utf-8"))
        settings.pop("auto_map", None)
        write_whole(path, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def push_model(
    model: GLMPreTrainedModel,
    repo_id: str,
    *,
    save_directory: str | os.PathLike | None = None,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    tags: str | list[str] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    **details: Any,
) -> CommitInfo:
    """
    Upload a model, its code and its card in one commit: the implementation of `GLMPreTrainedModel.push_to_hub`.

    A card in the repository is kept and completed. Weights that the new ones replace are deleted, so that nobody loads
    a mixture of both.

    Args:
        model: The model to push.
        repo_id: Name of the repository: "name" or "organization/name". A missing one is created.
        save_directory: Where to keep the saved files, if you want them locally as well.
        commit_message: Title of the commit, by default "Upload model".
        commit_description: Text of the commit.
        private: Whether a new repository is private.
        token: Token for the hub, by default the stored one.
        revision: Branch to push to, created if it is missing.
        create_pr: Whether to open a pull request instead of committing.
        tags: Further tags for the card, beside those of `add_model_tags`.
        tokenizer: Tokenizer to upload in the same commit. The code in the card suits its vocabulary. By default the
            card suits the tokenizer in the repository.
        details: Arguments of `PreTrainedModel.save_pretrained` (`max_shard_size`, `variant`, ...), and of
            `modeling_glm.hub.card.create_model_card` (`license`, `language`, `datasets`, `base_model`, `eval_results`,
            `trainer`, `sections`).

    Returns:
        The answer of the hub about the commit.

    Raises:
        huggingface_hub.errors.HfHubHTTPError: If the hub refuses the push. A missing right shows before the model is
            saved.
        ValueError: If README.md in `save_directory` is a folder, or cannot be merged with the new card.
    """
    of_saving = inspect.signature(PreTrainedModel.save_pretrained).parameters
    saving = {name: details.pop(name) for name in list(details) if name in of_saving}
    target = None if save_directory is None else Path(save_directory)
    if target is not None:
        require_file(target / CARD)
    repository = Repository(repo_id, private=private, token=token, revision=revision, create_pr=create_pr)
    # Inside the target, the finished files can be moved instead of copied.
    folder = tempfile.TemporaryDirectory() if target is None else staging_folder(target, inside=True)
    with folder as name:
        staging = Path(name)
        model.save_pretrained(staging, **saving)
        if tokenizer is not None:
            tokenizer.save_pretrained(staging)
        files = [path for path in staging.iterdir() if path.is_file()]
        has_card = target is not None and (target / CARD).exists()
        if target is not None:
            files = _move(files, target)
        if target is not None and has_card:
            shutil.copyfile(target / CARD, staging / CARD)
        repository.write_card(staging, model, tokenizer, tags=_all_tags(model, tags), **details)
        # The folder keeps its own card if the repository has another one.
        if target is not None and not (has_card and CARD in repository.files):
            write_whole(target / CARD, (staging / CARD).read_bytes())
        return repository.commit([*files, staging / CARD], commit_message or "Upload model", commit_description)


def save_and_push_model(
    model: GLMPreTrainedModel,
    save_directory: str | os.PathLike,
    *,
    is_main_process: bool = True,
    repo_id: str | None = None,
    **details: Any,
) -> None:
    """
    Save a model to a folder and push it: the implementation of `GLMPreTrainedModel.save_pretrained(push_to_hub=True)`.

    Args:
        model: The model to save and push.
        save_directory: Folder for the files. Its other files are neither touched nor pushed.
        is_main_process: Whether this process may write and push.
        repo_id: Name of the repository, by default the name of the folder.
        details: Further arguments of `push_model`.
    """
    if is_main_process and _is_first_process():
        push_model(model, repo_id or Path(save_directory).absolute().name, save_directory=save_directory, **details)
        return
    # Saving gathers weights that the processes share, so that all of them must take part.
    of_saving = inspect.signature(PreTrainedModel.save_pretrained).parameters
    saving = {name: value for name, value in details.items() if name in of_saving}
    model.save_pretrained(save_directory, is_main_process=is_main_process, **saving)


def push_tokenizer(
    tokenizer: GLMTokenizer,
    repo_id: str,
    *,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    tags: str | list[str] | None = None,
    max_shard_size: int | str | None = None,
    **details: Any,
) -> CommitInfo:
    """
    Upload a tokenizer and its code in one commit: the implementation of `GLMTokenizer.push_to_hub`.

    If the repository has a GLM, the code in its card suits the vocabulary afterwards. Otherwise the tokenizer is
    pushed as Transformers does it.

    Args:
        tokenizer: The tokenizer to push.
        repo_id, commit_message, commit_description, private, token, revision, create_pr, tags, details: As in
            `push_model`.
        max_shard_size: Ignored. Transformers has this argument for all classes.

    Returns:
        The answer of the hub about the commit.
    """
    repository = Repository(repo_id, private=private, token=token, revision=revision, create_pr=create_pr)
    if (config := repository.read_config()) is None:
        return super(GLMTokenizer, tokenizer).push_to_hub(
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
        tokenizer.save_pretrained(folder)
        repository.write_card(folder, config, tokenizer=tokenizer, tags=tags, **details)
        files = [path for path in folder.iterdir() if path.is_file()]
        return repository.commit(files, commit_message or "Upload tokenizer", commit_description)


def _move(files: list[Path], folder: Path) -> list[Path]:
    """Move files into a folder, delete the weights there that they replace, and return the new paths."""
    moved = save_through(folder, files[0].parent, last="config.json")
    for name in stale_weights([path.name for path in folder.iterdir()], moved):
        (folder / name).unlink()
    return moved


def _all_tags(model: PreTrainedModel, tags: str | list[str] | None) -> list[str]:
    return [*(model.model_tags or ()), *([tags] if isinstance(tags, str) else tags or ())]


def _is_first_process() -> bool:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not distributed or torch.distributed.get_rank() == 0


__all__ = ["push_model", "push_tokenizer", "remove_code", "save_and_push_model", "save_code"]
