"""The base class of the pipelines."""

import pytest
import torch
from transformers import pipeline

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice
from modeling_glm.precision.quantizer import is_int8
from modeling_glm.utils.pipeline import GLMPipeline
from tests.support.models import make_model


class EchoPipeline(GLMPipeline):
    _model_class = "GLMForConditionalGeneration"

    def _sanitize_parameters(self, **settings):
        return {}, settings, {}

    def preprocess(self, inputs):
        return self.tokenizer(inputs, return_tensors="pt")

    def _forward(self, inputs, **settings):
        return {**inputs, "settings": settings}

    def postprocess(self, outputs):
        return {
            **outputs["settings"],
            "text": self.tokenizer.decode(outputs["input_ids"][0], skip_special_tokens=True),
        }


def build(tokenizer, model_class=GLMForConditionalGeneration, **overrides):
    model = make_model(model_class, **overrides)
    return pipeline("blank-infilling", model=model, tokenizer=tokenizer, pipeline_class=EchoPipeline, greeting="hi")


def test_it_has_its_tokenizer_and_settings(tokenizer):
    assert build(tokenizer)("the lazy dog") == {"greeting": "hi", "text": "the lazy dog"}


def test_models_that_the_pipeline_cannot_use(tokenizer):
    with pytest.raises(
        ValueError,
        match=r"The model is a GLMForMultipleChoice: expected a GLMForConditionalGeneration\. Load it with "
        r"GLMForConditionalGeneration\.from_pretrained\(folder\)",
    ):
        build(tokenizer, GLMForMultipleChoice)


def test_a_tokenizer_is_needed(tokenizer):
    with pytest.raises(ValueError, match="needs a tokenizer"):
        EchoPipeline(model=make_model(GLMForConditionalGeneration), tokenizer=None)


def test_the_precision_is_set(tokenizer):
    found = {}
    for precision in (None, "int8", "bf16"):
        model = make_model(GLMForConditionalGeneration)
        given = {} if precision is None else {"precision": precision}
        made = pipeline("blank-infilling", model=model, tokenizer=tokenizer, pipeline_class=EchoPipeline, **given)
        assert made.model is model
        found[precision] = (model.dtype, is_int8(model))
    expected = {None: (torch.float32, False), "int8": (torch.float32, True), "bf16": (torch.bfloat16, False)}
    assert found == expected
