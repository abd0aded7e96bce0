"""Fill blanks with a pipeline of Transformers: `pipeline("blank-infilling", model=folder)`."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

from ..utils.inference import is_a, unwrap
from ..utils.pipeline import GLMPipeline
from .fill import fill_blanks
from .results import Filling

INFILLING_TASK = "blank-infilling"
GENERATES = "GLMForConditionalGeneration"


class BlankInfillingPipeline(GLMPipeline):
    """
    Fill all blanks of a text and tell how likely every answer is.

    Example:

    ```python
    >>> import modeling_glm
    >>> from transformers import pipeline

    >>> filler = pipeline("blank-infilling", model=folder)
    >>> filler("The capital of [MASK] is [MASK].", num_answers=2)
    [{'sequence': 'The capital of France is Paris.', 'score': 0.41, 'log_prob': -0.89,
      'answers': [{'text': 'France', 'start': 15, 'end': 21, 'score': 0.44, 'log_prob': -0.82}, ...]}, ...]
    ```

    You can give the settings to `pipeline` or to a call. Those of a call win.

    Raises:
        ValueError: If the model is not a `GLMForConditionalGeneration`, or if there is no tokenizer.
    """

    def _check_model(self):
        if not is_a(self.model, GENERATES):
            raise ValueError(
                f"The model is a {type(unwrap(self.model)).__name__}: expected a {GENERATES}, whose from_pretrained(folder) loads "
                "the folders of all heads."
            )

    def __call__(self, inputs: Any, *, batch_size: int | None = None, **settings: Any) -> Any:  # type: ignore[override]
        """
        Fill the blanks of texts.

        Args:
            inputs: A text with blanks; a list of them; or a generator or `datasets.Dataset` of texts, which is read as
                you take the answers.
            batch_size: The number of texts in a forward pass, by default 32.
            settings: The settings of `fill_blanks`: `num_answers`, `constraints`, `order`, `do_sample`, ...

        Returns:
            For every text its fillings, best first, as dicts. "sequence" is the filled text, "score" the joint
            probability of the answers, and "log_prob" its natural logarithm. "answers" has for every blank its "text",
            its "start" and "end" in the sequence, "score" and "log_prob". For a generator or dataset it is an iterator.

        Raises:
            ValueError: As `fill_blanks`.
        """
        settings = {**self._forward_params, **settings}
        settings["batch_size"] = batch_size or settings.get("batch_size") or 32
        if isinstance(inputs, str):
            return self._fill([inputs], settings)[0]
        if isinstance(inputs, list | tuple):
            return self._fill(inputs, settings)
        if isinstance(inputs, Sized) and hasattr(inputs, "__getitem__"):  # a dataset
            return self._fill_stream((inputs[index] for index in range(len(inputs))), settings)
        if isinstance(inputs, Iterable):
            return self._fill_stream(iter(inputs), settings)
        raise ValueError(f"The input is a {type(inputs).__name__}: expected a text, or many of them.")

    def _fill(self, texts: Sequence[str], settings: dict[str, Any], first_number: int = 0) -> list[list[dict]]:
        if wrong := [text for text in texts if not isinstance(text, str)]:
            raise ValueError(f"The input has a {type(wrong[0]).__name__}, {wrong[0]!r}: expected texts.")
        with self.device_placement():
            found = fill_blanks(self.model, self.tokenizer, list(texts), first_number=first_number, **settings)
        return [[as_dict(filling) for filling in fillings] for fillings in found]

    def _fill_stream(self, texts: Iterator[str], settings: dict[str, Any]) -> Iterator[list[dict]]:
        number = 0
        while chunk := list(itertools.islice(texts, settings["batch_size"])):
            yield from self._fill(chunk, settings, number)
            number += len(chunk)

    def _sanitize_parameters(self, **settings: Any):
        return {}, settings, {}  # the library keeps those of __init__ as self._forward_params

    # The steps of the library's pipelines, for callers that use them one by one.
    def preprocess(self, inputs: str, **_: Any) -> dict[str, Any]:  # type: ignore[override]
        return {"text": inputs}

    def _forward(self, inputs: dict[str, Any], **settings: Any) -> dict[str, Any]:  # type: ignore[override]
        return {"fillings": self._fill([inputs["text"]], {**self._forward_params, **settings})[0]}

    def postprocess(self, outputs: dict[str, Any], **_: Any) -> list[dict]:  # type: ignore[override]
        return outputs["fillings"]


def as_dict(filling: Filling) -> dict[str, Any]:
    """Turn a filling into plain values, as JSON and the pipeline need them."""
    return {
        "sequence": filling.text,
        "score": math.exp(filling.log_prob),
        "log_prob": filling.log_prob,
        "answers": [
            {
                "text": answer.text,
                "start": answer.start,
                "end": answer.end,
                "score": math.exp(answer.log_prob),
                "log_prob": answer.log_prob,
                "given": answer.given,
            }
            for answer in filling.answers
        ],
    }


__all__ = ["BlankInfillingPipeline"]
