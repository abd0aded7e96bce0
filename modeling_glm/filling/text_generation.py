"""The text-generation pipeline of Transformers, for models that write into blanks."""

from typing import Any

from transformers import TextGenerationPipeline
from transformers.pipelines.text_generation import ReturnType

from ..utils.inference import is_a


class GLMTextGenerationPipeline(TextGenerationPipeline):
    """
    Continues texts that end in [gMASK], through everything that `pipeline("text-generation")` takes.

    Example:

    ```python
    >>> import modeling_glm
    >>> from transformers import pipeline

    >>> writer = pipeline("text-generation", model=folder)
    >>> writer("In Roman numerals, 1987 is [gMASK]", max_new_tokens=40)
    [{'generated_text': 'In Roman numerals, 1987 is MCMLXXXVII.'}]
    ```

    "generated_text" is the prompt with what was written in the place of its blanks; with `return_full_text=False` what was
    written alone, for several blanks with one answer on each line.

    Raises:
        ValueError: for a prompt without a blank.
    """

    tokenizer: Any

    def postprocess(  # type: ignore[override]
        self, model_outputs: dict[str, Any], return_type: ReturnType = ReturnType.FULL_TEXT, **settings: Any
    ) -> list[dict[str, Any]]:
        records = super().postprocess(model_outputs, return_type, **settings)
        spelt_out = settings.get("skip_special_tokens") is False
        if return_type == ReturnType.TENSORS or spelt_out:
            return records
        answers = self.tokenizer.decode_blanks(model_outputs["generated_sequence"][0])
        for record, row in zip(records, answers, strict=True):
            if return_type == ReturnType.FULL_TEXT:
                record["generated_text"] = self.tokenizer.fill(model_outputs["prompt_text"], row)
            else:
                record["generated_text"] = "\n".join(row)
        return records


class SharedTextGenerationPipeline(TextGenerationPipeline):
    """What `pipeline("text-generation")` builds: for a GLM its own pipeline, for all other models the built-in one."""

    def __new__(cls, *args: Any, **kwargs: Any) -> TextGenerationPipeline:  # type: ignore[misc]
        model = args[0] if args else kwargs.get("model")
        pipeline_class = GLMTextGenerationPipeline if is_a(model, "GLMPreTrainedModel") else TextGenerationPipeline
        return pipeline_class(*args, **kwargs)


__all__ = ["GLMTextGenerationPipeline"]
