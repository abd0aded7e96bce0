"""Say how to search for answers, and find the model in the output folder of a run."""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedModel
from transformers.utils import cached_file

from ..utils.inference import unwrap


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """
    Say how to search for answers.

    Args:
        num_beams: Beams; 1 is greedy.
        length_penalty: With beams, sums of log-probabilities are divided by this power of the length.
        no_repeat_ngram_size: No n-gram of this size occurs twice in the answers of a row; 0 allows all.
        min_new_tokens, max_new_tokens: Length of the answers of a row in tokens. None means no least length, and
            `max_target_length` of the collator.
        original_search: Search as the authors' code does; see `search_as_originals`.
    """

    num_beams: int = 1
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    min_new_tokens: int | None = None
    max_new_tokens: int | None = None
    original_search: bool = False

    @classmethod
    def for_model(cls, model: PreTrainedModel, **given: Any) -> "SearchSettings":
        """
        Complete settings with those of the saved model, in its `generation_config.json`.

        Args:
            model: The model.
            given: Settings; those that are None are taken from the model.
        """
        saved = unwrap(model).generation_config
        found = {name: getattr(saved, name, None) for name in (field.name for field in fields(cls))}
        found.update({name: value for name, value in given.items() if value is not None})
        return cls(**{name: value for name, value in found.items() if value is not None})

    def as_arguments(self) -> dict[str, Any]:
        """Return the settings as arguments of `predict_targets`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def write_to(self, model: PreTrainedModel):
        """Store the settings in the model. Validations use them, and so does the saved model."""
        config: Any = unwrap(model).generation_config
        config.num_beams = self.num_beams
        # The library saves no penalty without beams.
        config.length_penalty = self.length_penalty if self.num_beams > 1 else 1.0
        config.original_search = self.original_search
        config.no_repeat_ngram_size = self.no_repeat_ngram_size
        config.min_new_tokens = self.min_new_tokens
        config.max_new_tokens = self.max_new_tokens


def save_settings(model: PreTrainedModel, folder: Path):
    """Write the settings of the search beside an adapter, which PEFT does not do."""
    base = unwrap(model)
    if base is not model:
        base.generation_config.save_pretrained(folder)


def load_settings(model: PreTrainedModel, name: str, revision: str | None = None):
    """Give a model with an adapter the settings of the search that stand beside the adapter."""
    find = partial(cached_file, name, revision=revision or "main", _raise_exceptions_for_missing_entries=False)
    if find("adapter_config.json") is not None and find("generation_config.json") is not None:
        unwrap(model).generation_config = GenerationConfig.from_pretrained(name, revision=revision or "main")


def find_model(model: str) -> str:
    """
    Return the folder of the finished model, if `model` is the output folder of a run. Another name stays as it is.

    A run that is pushed to the hub has the weights of its last checkpoint in that folder, too.
    """
    path = Path(model)
    is_run = (path / "run.json").is_file()
    has_weights = not is_run and any((path / name).is_file() for name in ("config.json", "adapter_config.json"))
    return str(path / "model") if path.is_dir() and not has_weights and (path / "model").is_dir() else model


__all__ = ["SearchSettings", "find_model", "load_settings", "save_settings"]
