"""A branch of a repository on the hub, and one commit to it."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ..configuration_glm import GLMConfig
from .card import write_model_card

logger = logging.get_logger(__name__)

CARD = "README.md"
WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
# Auto classes load the base model of an adapter, and not the weights beside it.
ADAPTER = re.compile(r"adapter_(config\.json|model\.safetensors)")


class Repository:
    """
    Read a branch of a repository on the hub and add one commit to it.

    Args:
        repo_id: Name of the repository. A missing one is created.
        private: Whether a new repository is private.
        token: Token for the hub, by default the stored one.
        revision: Branch, created if it is missing, or "refs/pr/N" for a pull request.
        create_pr: Whether the commit opens a pull request.
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
        """
        Write the card into a folder, merged with the card of the repository, or else with the one in the folder.

        Args:
            folder: Where to write README.md.
            config_or_model: The model, or its config.
            tokenizer: Its tokenizer, by default the one in the repository.
            details: Further arguments of `create_model_card`.
        """
        if CARD in self.files:
            # The card in the cache may be older, and an edit made on the hub since then would be lost.
            card = hf_hub_download(self.repo_id, CARD, revision=self.revision, token=self.token, force_download=True)
            shutil.copyfile(card, folder / CARD)
        details["model_id"] = details.get("model_id") or self.repo_id
        if tokenizer is None:
            tokenizer = self.read_tokenizer()
        write_model_card(folder, config_or_model, tokenizer, **details)

    def read_config(self) -> GLMConfig | None:
        """Return the config of the model in the repository, or None if there is no GLM in it."""
        if "config.json" not in self.files:
            return None
        try:
            config = AutoConfig.from_pretrained(self.repo_id, **self._how_to_load())
        except (OSError, ValueError):  # the model is of a type that is not known here
            return None
        return config if isinstance(config, GLMConfig) else None

    def read_tokenizer(self) -> PreTrainedTokenizerBase | None:
        """Return the tokenizer in the repository, or None if there is none that loads."""
        if "tokenizer_config.json" not in self.files:
            return None
        try:
            return AutoTokenizer.from_pretrained(self.repo_id, **self._how_to_load())
        except (OSError, ValueError) as error:
            logger.warning(f"The model card leaves out the tokenizer of {self.repo_id}, which does not load: {error}")
            return None

    def commit(self, files: list[Path], message: str, description: str | None = None) -> CommitInfo:
        """Add these files in one commit, and delete the weights that they replace."""
        additions = [CommitOperationAdd(file.name, file) for file in sorted(files)]
        deletions = [CommitOperationDelete(name) for name in stale_weights(self.files, files)]
        return self.api.create_commit(
            self.repo_id,
            [*additions, *deletions],
            commit_message=message,
            commit_description=description,
            revision=self.revision,
            create_pr=self.create_pr,
        )

    def _how_to_load(self) -> dict[str, Any]:
        # The repository may hold code of another model: do not run it, and do not ask whether to run it.
        return {"revision": self.revision or "main", "token": self.token, "trust_remote_code": False}


def stale_weights(existing: Iterable[str], new: Iterable[Path]) -> list[str]:
    """
    List the weight files that new ones replace, so that nobody loads a mixture of both, or an adapter that was merged.

        existing: model.safetensors, README.md    new: model-00001-of-00002.safetensors, ...    -> model.safetensors
    """
    names = {file.name for file in new}
    if not any(WEIGHTS.fullmatch(name) for name in names):
        return []
    replaced = [name for name in existing if WEIGHTS.fullmatch(name) or ADAPTER.fullmatch(name)]
    return [name for name in replaced if name not in names]


__all__ = ["CARD", "Repository", "stale_weights"]
