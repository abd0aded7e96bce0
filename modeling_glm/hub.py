"""From a model to a repository on the hub: its code, its card, and what Trainer pushes while it trains."""

import contextlib
import os
import shutil
import tempfile
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError
from transformers import PreTrainedModel, TrainerCallback
from transformers.dynamic_module_utils import custom_object_save

from .configuration_glm import GLMConfig
from .modeling_glm import AUTO_MAP, GLMModel, GLMPreTrainedModel


def save_code(config: GLMConfig, folder: str | os.PathLike):
    """
    Makes `folder` loadable with `trust_remote_code=True` without this package: copies the code of the models there, and
    names it in `config`, which is still to be saved.
    """
    config.auto_map = dict(AUTO_MAP)
    custom_object_save(GLMModel, folder)


def push_to_hub(
    self: PreTrainedModel,
    repo_id: str,
    *,
    commit_message: str = "Upload model",
    commit_description: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    max_shard_size: int | str = "50GB",
    tags: list[str] | None = None,
    **card: Any,
):
    """
    Uploads the model, its code and its card in one commit. A card that the repository has already is kept, and
    completed.

    Args:
        repo_id: Name of the repository, created where there is none: "name" or "organization/name".
        commit_message, commit_description: What the commit says.
        private: Whether a new repository is private.
        token: For the hub; the stored one if not given.
        revision: Branch to push to, created where there is none.
        create_pr: Whether to open a pull request instead of committing.
        max_shard_size: Largest file of weights.
        tags: Further tags for the card.
        card: What else the card is to say, as for [`~modeling_glm.create_model_card`]: `license`, `language`, `datasets`,
            `base_model`, `eval_results`, `tokenizer`, `trainer`.

    Returns:
        The [`~huggingface_hub.CommitInfo`] of the commit.
    """
    api = HfApi(token=token)
    repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    with tempfile.TemporaryDirectory() as folder:
        self.save_pretrained(folder, max_shard_size=max_shard_size)
        with contextlib.suppress(EntryNotFoundError, RevisionNotFoundError):  # where there is no card yet
            card_path = hf_hub_download(repo_id, "README.md", revision=revision, token=token)
            shutil.copyfile(card_path, f"{folder}/README.md")
        from .model_card import write_model_card

        tokenizer = card.pop("tokenizer", None)
        write_model_card(folder, self, tokenizer, model_id=repo_id, tags=tags, **card)
        if revision is not None and not revision.startswith("refs/pr"):
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        return api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=commit_message,
            commit_description=commit_description,
            revision=revision,
            create_pr=create_pr,
        )


class HubCallback(TrainerCallback):
    """
    Puts the code and the card beside the weights that Trainer pushes while it trains (`hub_strategy="every_save"`), so
    that every commit loads. Trainer has it for every model; it acts on those of GLM alone.
    """

    def on_push_begin(self, args, state, control, model=None, processing_class=None, **kwargs):
        if isinstance(model, GLMPreTrainedModel) and args.should_save:
            from .model_card import write_model_card

            save_code(model.config, args.output_dir)
            write_model_card(args.output_dir, model, processing_class, model_id=args.hub_model_id)


__all__ = ["HubCallback", "push_to_hub", "save_code"]
