"""What Trainer pushes to the hub while it trains and at the end: the code and the card of a GLM beside its weights."""

import functools
import inspect
import shutil
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from transformers import (
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.modelcard import TrainingSummary

from ..modeling_glm import GLMPreTrainedModel
from .card import TASKS, write_model_card
from .push import CARD, save_code


class HubCallback(TrainerCallback):
    """
    Puts the code and the card beside the weights that Trainer pushes while it trains (`hub_strategy="every_save"`), so
    that every commit loads. A card that the repository has already is fetched, so that none is overwritten. Trainer has
    this callback for every model; it acts on those of GLM alone.
    """

    def __init__(self) -> None:
        self.repo_id: str | None = None

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Where it will push, it does so before training: what is wrong with the card then shows in time."""
        if args.push_to_hub and isinstance(model, GLMPreTrainedModel) and state.is_world_process_zero:
            self._write(args, model, kwargs.get("processing_class"))

    def on_push_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        if isinstance(model, GLMPreTrainedModel) and state.is_world_process_zero:
            self._write(args, model, kwargs.get("processing_class"))

    def _write(self, args: TrainingArguments, model: GLMPreTrainedModel, tokenizer: Any) -> None:
        folder = Path(str(args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        if self.repo_id is None:
            self.repo_id = _find_repository(args)
            _fetch_card(args, self.repo_id, folder)
        save_code(model.config, folder)
        write_model_card(folder, model, tokenizer, model_id=self.repo_id)


def _find_repository(args: TrainingArguments) -> str:
    """Where Trainer pushes to. A name alone must not be looked up: on the hub it may be another's."""
    name = args.hub_model_id or Path(str(args.output_dir)).absolute().name
    return name if "/" in name else f"{HfApi(token=args.hub_token).whoami()['name']}/{name}"


def _fetch_card(args: TrainingArguments, repo_id: str, folder: Path) -> None:
    revision = args.hub_revision
    if (folder / CARD).exists() or not HfApi(token=args.hub_token).file_exists(repo_id, CARD, revision=revision):
        return
    card = hf_hub_download(repo_id, CARD, revision=revision, token=args.hub_token, force_download=True)
    shutil.copyfile(card, folder / CARD)


_create_model_card = Trainer.create_model_card


@functools.wraps(_create_model_card)
def create_model_card(self: Trainer, *args: Any, **kwargs: Any) -> None:
    model = self.accelerator.unwrap_model(self.model)
    if not isinstance(model, GLMPreTrainedModel):
        return _create_model_card(self, *args, **kwargs)
    if not self.is_world_process_zero():
        return
    told = dict(inspect.signature(_create_model_card).bind(self, *args, **kwargs).arguments)
    del told["self"]
    # Trainer looks the task up by names of the library's own classes.
    told["tasks"] = told.get("tasks") or TASKS.get(type(model))
    summary = TrainingSummary.from_trainer(self, **told)
    repo_id = self.hub_model_id or self.args.hub_model_id or summary.model_name
    if summary.finetuned_from == repo_id:  # trained on from its own repository: no model is its own base
        summary.finetuned_from = None
    write_model_card(
        str(self.args.output_dir),
        model,
        self.processing_class if isinstance(self.processing_class, PreTrainedTokenizerBase) else None,
        model_id=repo_id,
        model_name=summary.model_name,
        trainer=summary,
    )


__all__ = ["HubCallback", "create_model_card"]
