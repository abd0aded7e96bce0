"""The base class of the pipelines."""

import os
from typing import Any

from transformers import Pipeline

from ..precision.choosing import set_precision
from ..tokenization import GLMTokenizer
from .inference import require_class


class GLMPipeline(Pipeline):
    """
    A pipeline that needs a model of the class `_model_class`, which subclasses name, and a `GLMTokenizer`.

    `pipeline(..., precision="int8")` sets the precision of the model, as `set_precision` does. Without it the model keeps its own.
    """

    tokenizer: GLMTokenizer
    _model_class: str
    _load_tokenizer = True  # type: ignore[assignment]
    _load_processor = _load_feature_extractor = False  # type: ignore[assignment]
    _load_image_processor = _load_video_processor = False  # type: ignore[assignment]

    def __init__(self, *args: Any, precision: str | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        require_class(self.model, self._model_class)
        if self.tokenizer is None:
            raise ValueError("The pipeline needs a tokenizer: pass tokenizer=GLMTokenizer.from_pretrained(folder).")
        if precision is not None:
            set_precision(self.model, precision)

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> None:
        """
        Save model and tokenizer.

        The library would also save the code of the pipeline, and loading the folder would then need `trust_remote_code`.
        """
        self.model.save_pretrained(save_directory, **kwargs)
        self._tokenizer_to_save().save_pretrained(save_directory, **kwargs)

    def _tokenizer_to_save(self) -> GLMTokenizer:
        return self.tokenizer


__all__ = ["GLMPipeline"]
