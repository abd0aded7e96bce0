"""Let `Trainer` push the code and the card of a GLM with its weights."""

import inspect
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.modelcard import TrainingSummary

from ..modeling_glm import GLMPreTrainedModel
from ..utils.files import make_folder, write_whole
from .card import PIPELINE_TAGS, write_model_card
from .push import save_code
from .repository import CARD


class HubCallback(TrainerCallback):
    """
    Add the code and the card of a GLM to everything that `Trainer` pushes, so that every commit loads.

    A card in the repository is fetched first and completed. Models other than GLM are left alone.

    Transformers calls the callback at the start of a push. The commits during training hold our card. `push_to_hub` at
    the end then replaces README.md with the card of Transformers: use `GLMTrainer`, or `HubTrainerMixin` with your own
    trainer, if this commit should have our card as well. Both bring the callback with them.

    Example:

    ```python
    >>> trainer = Trainer(model, arguments, train_dataset=data, callbacks=[HubCallback()])
    ```
    """

    def __init__(self) -> None:
        self.repo_id: str | None = None

    def on_init_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the card before training starts, if the run will push: a card that cannot be merged shows in time."""
        if args.push_to_hub:
            self.on_push_begin(args, state, control, model, **kwargs)

    def on_push_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write code and card into the output folder, which `Trainer` uploads next."""
        if not isinstance(model, GLMPreTrainedModel) or not state.is_world_process_zero:
            return
        folder = Path(str(args.output_dir))
        make_folder(folder)
        if self.repo_id is None:
            self.repo_id = _find_repository(args)
            _fetch_card(args, self.repo_id, folder)
        save_code(model.config, folder)
        write_model_card(folder, model, _as_tokenizer(processing_class), model_id=self.repo_id)


class HubTrainerMixin:
    """
    Make all pushes of a trainer class hold the code and the card of a GLM.

    Put it in front of the class: `class MyTrainer(HubTrainerMixin, Seq2SeqTrainer)`. The arguments are those of the
    trainer class. `HubCallback` is added to its callbacks.
    """

    def __init__(self, *args: Any, callbacks: list[TrainerCallback] | None = None, **kwargs: Any):
        callbacks = list(callbacks or ())
        if not any(isinstance(callback, HubCallback) for callback in callbacks):
            callbacks.append(HubCallback())
        super().__init__(*args, callbacks=callbacks, **kwargs)  # type: ignore[call-arg]

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """
        Write our card, with a summary of the training, to README.md in the output folder.

        The arguments are those of `Trainer.create_model_card`. A model other than GLM gets the card of Transformers.
        """
        assert isinstance(self, Trainer)
        model = self.accelerator.unwrap_model(self.model)
        if not isinstance(model, GLMPreTrainedModel):
            return super().create_model_card(*args, **kwargs)  # type: ignore[misc]
        if not self.is_world_process_zero():
            return None
        details = dict(inspect.signature(Trainer.create_model_card).bind(self, *args, **kwargs).arguments)
        del details["self"]
        # Transformers finds a task by the names of its own classes only.
        details["tasks"] = details.get("tasks") or PIPELINE_TAGS.get(type(model))
        summary = TrainingSummary.from_trainer(self, **details)
        repo_id = self.hub_model_id or self.args.hub_model_id or summary.model_name
        if summary.finetuned_from == repo_id:  # a resumed run loads its own repository, which is not its base model
            summary.finetuned_from = None
        write_model_card(
            str(self.args.output_dir),
            model,
            _as_tokenizer(self.processing_class),
            model_id=repo_id,
            model_name=summary.model_name,
            trainer=summary,
        )
        return None


class GLMTrainer(HubTrainerMixin, Trainer):
    """
    Train as `Trainer` does, and push the code and the card of a GLM with its weights.

    The arguments are those of `Trainer`. The card at the end of the run has its settings and results.

    Example:

    ```python
    >>> trainer = GLMTrainer(model, arguments, train_dataset=data, processing_class=tokenizer)
    >>> trainer.train()
    >>> trainer.push_to_hub(dataset="Facts", language="en")
    ```
    """


def _as_tokenizer(processing_class: Any) -> PreTrainedTokenizerBase | None:
    return processing_class if isinstance(processing_class, PreTrainedTokenizerBase) else None


def _find_repository(args: TrainingArguments) -> str:
    """Return the full name of the repository that `Trainer` pushes to."""
    name = args.hub_model_id or Path(str(args.output_dir)).absolute().name
    # Do not look up a name without a user: the hub may have one of somebody else.
    return name if "/" in name else f"{HfApi(token=args.hub_token).whoami()['name']}/{name}"


def _fetch_card(args: TrainingArguments, repo_id: str, folder: Path) -> None:
    """Copy the card of the repository into the folder, if there is one and the folder has none."""
    revision = args.hub_revision
    if (folder / CARD).exists() or not HfApi(token=args.hub_token).file_exists(repo_id, CARD, revision=revision):
        return
    card = hf_hub_download(repo_id, CARD, revision=revision, token=args.hub_token, force_download=True)
    write_whole(folder / CARD, Path(card).read_bytes())


__all__ = ["GLMTrainer", "HubCallback", "HubTrainerMixin"]
