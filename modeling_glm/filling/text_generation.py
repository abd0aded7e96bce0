"""The text-generation pipeline of Transformers, for models that write into blanks."""

from typing import Any

from transformers import TextGenerationPipeline
from transformers.pipelines.text_generation import ReturnType

from ..tokenization import GLMTokenizer


class GLMTextGenerationPipeline(TextGenerationPipeline):
    """
    Continue texts that end in [gMASK], with all arguments of `pipeline("text-generation")`.

    Name the class when you build the pipeline. The built-in class works as well, but its "generated_text" repeats the
    prompt with its mask token and appends the answer.

    Example:

    ```python
    >>> from modeling_glm import GLMTextGenerationPipeline
    >>> from transformers import pipeline

    >>> writer = pipeline("text-generation", model=folder, pipeline_class=GLMTextGenerationPipeline)
    >>> writer("In Roman numerals, 1987 is [gMASK]", max_new_tokens=40)
    [{'generated_text': 'In Roman numerals, 1987 is MCMLXXXVII.'}]
    ```

    "generated_text" is the prompt with its blanks filled. With `return_full_text=False` it is only the answer; several
    blanks give one answer per line.

    Raises:
        ValueError: For a prompt without a blank.
    """

    tokenizer: GLMTokenizer

    def postprocess(  # type: ignore[override]
        self, model_outputs: dict[str, Any], return_type: ReturnType = ReturnType.FULL_TEXT, **settings: Any
    ) -> list[dict[str, Any]]:
        records = super().postprocess(model_outputs, return_type, **settings)
        if return_type == ReturnType.TENSORS or settings.get("skip_special_tokens") is False:
            return records
        answers = self.tokenizer.decode_blanks(model_outputs["generated_sequence"][0])
        for record, row in zip(records, answers, strict=True):
            if return_type == ReturnType.FULL_TEXT:
                record["generated_text"] = self.tokenizer.fill(model_outputs["prompt_text"], row)
            else:
                record["generated_text"] = "\n".join(row)
        return records


__all__ = ["GLMTextGenerationPipeline"]
