"""The text-generation pipeline of Transformers, for models that write into blanks."""

import itertools
from types import GeneratorType
from typing import Any

from transformers import TextGenerationPipeline
from transformers.pipelines.text_generation import ReturnType

from ..precision.choosing import set_precision
from ..tokenization import GLMTokenizer
from ..utils.rows import read_rows, read_text


class GLMTextGenerationPipeline(TextGenerationPipeline):
    """
    Continue texts that end in [gMASK], with all arguments of `pipeline("text-generation")`.

    The built-in class gives the same texts and messages. Name this class when you build the pipeline, so that
    `return_full_text=False` also has a line for a blank that the model did not reach.

    Example:

    ```python
    >>> from modeling_glm import GLMTextGenerationPipeline
    >>> from transformers import pipeline

    >>> writer = pipeline("text-generation", model=folder, pipeline_class=GLMTextGenerationPipeline)
    >>> writer("In Roman numerals, 1987 is [gMASK]", max_new_tokens=40)
    [{'generated_text': 'In Roman numerals, 1987 is MCMLXXXVII.'}]
    ```

    "generated_text" is the prompt with its blanks filled. With `return_full_text=False` it is only the answer; several
    blanks give one answer per line. For a list of messages it is the list with the model's message, as for other models:
    the tokenizer must have a chat template.

    Many prompts come in a list, generator, NumPy array, pandas Series or DataFrame, as a dict of columns or as a
    `datasets.Dataset`. The records come in the order of the rows.

    Raises:
        ValueError: For a prompt without a blank, and for messages without a chat template.
    """

    tokenizer: GLMTokenizer

    def __init__(self, *args: Any, precision: str | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if precision is not None:
            set_precision(self.model, precision)

    def __call__(self, text_inputs: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        # The library would take any other type for one prompt.
        if not isinstance(text_inputs, str | list | GeneratorType):
            rows = read_rows(text_inputs)
            prompts = (row if isinstance(row, list) else read_text(row) for row in rows)  # a list is a chat
            text_inputs = next(prompts) if rows.single else prompts if rows.lazy else list(prompts)
        # Some versions of the library read the first prompt of a list or generator without asking whether there is one.
        if isinstance(text_inputs, list | GeneratorType):
            remaining = iter(text_inputs)
            first = list(itertools.islice(remaining, 1))
            if not first:
                return []
            if isinstance(text_inputs, GeneratorType):
                text_inputs = (prompt for prompt in itertools.chain(first, remaining))
        return super().__call__(text_inputs, **kwargs)

    def postprocess(  # type: ignore[override]
        self, model_outputs: dict[str, Any], return_type: ReturnType = ReturnType.FULL_TEXT, **settings: Any
    ) -> list[dict[str, Any]]:
        records = super().postprocess(model_outputs, return_type, **settings)
        if return_type == ReturnType.NEW_TEXT and settings.get("skip_special_tokens") is not False:
            answers = self.tokenizer.decode_blanks(model_outputs["generated_sequence"][0])
            for record, row in zip(records, answers, strict=True):
                record["generated_text"] = "\n".join(row)
        return records


__all__ = ["GLMTextGenerationPipeline"]
