"""Fill blanks with a pipeline of Transformers: `pipeline("blank-infilling", model=folder)`."""

import itertools
from collections.abc import Iterator, Mapping, Sized
from typing import Any

from tqdm.auto import tqdm

from ..utils.numbers import check_batch_size
from ..utils.pipeline import GLMPipeline
from ..utils.rows import InputRows, RowError, check_on_error, in_batches, read_rows
from .arguments import OF_ROWS
from .fill import Filler
from .jobs import FillingSettings, OfTexts, is_for_all
from .results import BlankAnswer, Filling

INFILLING_TASK = "blank-infilling"
# What `fill_blanks` takes beside its settings.
OF_TEXTS = ("constraints", "on_error", "progress")


class BlankInfillingPipeline(GLMPipeline):
    """
    Fill all blanks of a text and tell how likely every answer is.

    Example:

    ```python
    >>> import modeling_glm
    >>> from transformers import pipeline

    >>> filler = pipeline("blank-infilling", model=folder)
    >>> filler("The capital of [MASK] is [MASK].", num_answers=2)
    [{'text': 'The capital of France is Paris.', 'probability': 0.41, 'log_prob': -0.89, ...,
      'answers': [{'text': 'France', 'start': 15, 'end': 21, 'probability': 0.44, 'log_prob': -0.82, ...}, ...]}, ...]
    ```

    You can give the settings to `pipeline` or to a call. Those of a call win.

    Raises:
        ValueError: If the model is not a `GLMForConditionalGeneration`, or if there is no tokenizer.
    """

    _model_class = "GLMForConditionalGeneration"

    def __call__(  # type: ignore[override]
        self, inputs: Any, *, batch_size: int | None = None, num_workers: int | None = None, **settings: Any
    ) -> Any:
        """
        Fill the blanks of texts.

        Args:
            inputs: A text with blanks; many of them in a list, NumPy array, pandas Series or DataFrame, or as a dict of
                columns; or a generator or `datasets.Dataset`, which is read as you take the answers. The answers come in
                the order of the rows. A row may be a dict with the text as "text".
            batch_size: The number of texts in a forward pass, by default 32.
            num_workers: Not used: texts need no preparation in other processes.
            settings: The settings of `fill_blanks`: `num_answers`, `constraints`, `order`, `do_sample`, `progress`, ...
                With `on_error="record"` a text that cannot be used gets `{"row": number, "error": reason}` in the place
                of its fillings, and the other texts get theirs. The default, "raise", raises a `RowError` with its number.

        Returns:
            For every text its fillings, best first, as dicts. "text" is the filled text, "probability" the joint
            probability of the answers, "log_prob" its natural logarithm and "mean_log_prob" that per token. "answers" has
            the same for every blank, and "start" and "end" in the filled text. Transformers' names stand beside them:
            "sequence" is the filled text and "score" the probability. For a generator or dataset it is an iterator.

        Raises:
            ValueError: As `fill_blanks`.
        """
        settings = {**self._forward_params, **settings}
        given = (batch_size, settings.get("batch_size"), self._batch_size)
        settings["batch_size"] = check_batch_size("batch_size", next((size for size in given if size is not None), 32))
        check_on_error(settings.get("on_error", "raise"))
        rows = read_rows(inputs)
        asked = {name: settings.pop(name) for name in OF_TEXTS if name in settings}
        filler = Filler(self.model, self.tokenizer, FillingSettings.read(settings))
        if rows.lazy:
            return self._fill_stream(filler, rows, asked)
        found = self._fill(filler, rows, asked)
        return found[0] if rows.single else found

    def _fill(self, filler: Filler, rows: Any, asked: Mapping[str, Any]) -> list[Any]:
        with self.device_placement():
            found = filler.fill(rows, **asked)
        if isinstance(rows, InputRows) and rows.single:
            found = [found]
        return [row.as_dict() if isinstance(row, RowError) else [as_dict(filling) for filling in row] for row in found]

    def _fill_stream(self, filler: Filler, rows: InputRows, asked: dict[str, Any]) -> Iterator[Any]:
        constraints = asked.pop("constraints", None)
        of_texts = None if is_for_all(constraints) else iter(constraints)
        for name in OF_ROWS:
            if filler.settings.generate_kwargs.get(name) is not None:
                raise ValueError(f"{name} has a row for each text: give the texts as a list.")
        number = 0
        total = len(rows.source) if isinstance(rows.source, Sized) else None
        start = filler.settings.first_number
        with tqdm(total=total, disable=not asked.pop("progress", False), desc="filling") as bar:
            for first, batch in in_batches(rows, filler.settings.batch_size):
                of_batch = constraints if of_texts is None else OfTexts(itertools.islice(of_texts, len(batch)))
                number = first + len(batch)
                if of_texts is not None and len(of_batch) < len(batch):
                    raise ValueError(f"constraints has {first + len(of_batch)} entries, but there are more texts.")
                part = {**asked, "constraints": of_batch, "first_number": start + first}
                for answer in self._fill(filler, batch, part):
                    bar.update()
                    yield answer
        if of_texts is not None and isinstance(constraints, Sized) and len(constraints) > number:
            raise ValueError(f"constraints has {len(constraints)} entries, but there are {number} texts.")

    def _sanitize_parameters(self, **settings: Any):
        return {}, settings, {}  # the library keeps those of __init__ as self._forward_params

    # The steps of the library's pipelines, for callers that use them one by one.
    def preprocess(self, inputs: str, **_: Any) -> dict[str, Any]:  # type: ignore[override]
        return {"text": inputs}

    def _forward(self, inputs: dict[str, Any], **settings: Any) -> dict[str, Any]:  # type: ignore[override]
        return {"fillings": self([inputs["text"]], **settings)[0]}

    def postprocess(self, outputs: dict[str, Any], **_: Any) -> list[dict]:  # type: ignore[override]
        return outputs["fillings"]


def as_dict(filling: Filling) -> dict[str, Any]:
    """Turn a filling into plain values, as JSON and the pipeline need them."""
    return {
        "text": filling.text,
        "sequence": filling.text,
        **_numbers(filling),
        "answers": [
            {
                "text": str(answer.text),
                "start": answer.start,
                "end": answer.end,
                **_numbers(answer),
                "given": answer.given,
            }
            for answer in filling.answers
        ],
    }


def _numbers(scored: Filling | BlankAnswer) -> dict[str, float]:
    return {
        "probability": scored.probability,
        "score": scored.score,
        "log_prob": scored.log_prob,
        "mean_log_prob": scored.mean_log_prob,
    }


__all__ = ["BlankInfillingPipeline"]
