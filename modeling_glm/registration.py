"""Registration with the Auto classes of Transformers."""

from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    GlmConfig,
)

from .configuration_glm import GLMConfig
from .modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from .tokenization.tokenization_glm import GLMTokenizer


class SharedGlmConfig(GlmConfig):
    """
    What AutoConfig finds for the model type "glm", which GLM (2022) and Transformers' GLM-4 share: configs of original
    GLM folders become a [`GLMConfig`], all others the built-in `GlmConfig`, exactly as without this package.
    """

    model_type = "glm"

    def __new__(cls, *args: Any, **kwargs: Any) -> GlmConfig:  # type: ignore[misc]
        return GlmConfig(*args, **kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> GlmConfig | GLMConfig:  # type: ignore[override]
        config_class = GLMConfig if GLMConfig.is_original(config_dict) else GlmConfig
        return config_class.from_dict(config_dict, **kwargs)


def register():
    """Makes the Auto classes know GLM. Called once, when the package is imported."""
    AutoConfig.register(GLMConfig.model_type, GLMConfig, exist_ok=True)
    AutoConfig.register(SharedGlmConfig.model_type, SharedGlmConfig, exist_ok=True)
    AutoTokenizer.register(GLMConfig, GLMTokenizer, exist_ok=True)
    for auto_class, model_class in {
        AutoModel: GLMModel,
        AutoModelForSeq2SeqLM: GLMForConditionalGeneration,
        AutoModelForCausalLM: GLMForConditionalGeneration,
        AutoModelForMultipleChoice: GLMForMultipleChoice,
        AutoModelForSequenceClassification: GLMForSequenceClassification,
        AutoModelForTokenClassification: GLMForTokenClassification,
        AutoModelForQuestionAnswering: GLMForQuestionAnswering,
    }.items():
        auto_class.register(GLMConfig, model_class, exist_ok=True)
