"""Register GLM with the Auto classes and the pipelines of Transformers."""

from typing import Any

import transformers
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GlmConfig,
)
from transformers.pipelines import PIPELINE_REGISTRY

from .checkpoints.embedded import embedded_folder
from .cloze.pipeline import CLOZE_TASK, ClozeClassificationPipeline
from .configuration_glm import GLMConfig
from .cpu_functions.switch import enable as enable_cpu_functions
from .filling.pipeline import INFILLING_TASK, BlankInfillingPipeline
from .hub import push
from .modeling_glm import AUTO_CLASSES, FILL_MASK_REFUSED, GLMPreTrainedModel
from .tokenization.tokenization_glm import GLMTokenizer

# The names of the tokenizer classes in the tokenizer_config.json of original checkpoints.
ORIGINAL_TOKENIZERS = ("GLMGPT2Tokenizer", "GLMBertTokenizer", "GLMRobertaTokenizer", "GLMChineseTokenizer")


class SharedGlmConfig(GlmConfig):
    """
    Tell configs of GLM (2022) from those of GLM-4, which share the model type "glm".

    `AutoConfig` uses this class for the type "glm". The config of an original GLM folder becomes a `GLMConfig`. Every
    other config becomes the built-in `GlmConfig`, exactly as without this package.
    """

    model_type = "glm"

    def __new__(cls, *args: Any, **kwargs: Any) -> GlmConfig:  # type: ignore[misc]
        return GlmConfig(*args, **kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> GlmConfig | GLMConfig:  # type: ignore[override]
        if not GLMConfig.is_original(config_dict):
            return GlmConfig.from_dict(config_dict, **kwargs)
        if folder := kwargs.get("name_or_path"):  # AutoConfig has read this folder
            config_dict = GLMConfig.add_special_token_ids(config_dict, folder)
        return GLMConfig.from_dict(config_dict, **kwargs)


class RefuseMaskedLM(GLMPreTrainedModel):
    """Say that GLM is not a masked language model, where `AutoModelForMaskedLM` or `pipeline("fill-mask")` loads one."""

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any):
        """
        Refuse.

        Raises:
            ValueError: Always. The message names the pipeline to use.
        """
        raise ValueError(FILL_MASK_REFUSED)

    _from_config = from_pretrained


def register() -> None:
    """
    Make the Auto classes and `pipeline` know GLM. The package calls this once, when it is imported.

    It adds entries to the registries of Transformers and replaces one: that of "glm" in `AutoConfig`, with
    `SharedGlmConfig`. No class, function or default list of Transformers changes.
    """
    enable_cpu_functions()
    AutoConfig.register(GLMConfig.model_type, GLMConfig, exist_ok=True)
    AutoConfig.register(SharedGlmConfig.model_type, SharedGlmConfig, exist_ok=True)
    GLMConfig.register_for_auto_class()
    for auto_class, model_class in AUTO_CLASSES.items():
        getattr(transformers, auto_class).register(GLMConfig, model_class, exist_ok=True)
        if not model_class.is_remote_code():
            model_class.register_for_auto_class(auto_class)

    AutoModelForMaskedLM.register(GLMConfig, RefuseMaskedLM, exist_ok=True)

    # AutoTokenizer finds ours by its name (config.tokenizer_class), not by the config class. So it takes ours even
    # with trust_remote_code=True, where the original code would not run.
    GLMTokenizer.register_for_auto_class()
    originals = [
        type(name, (GLMTokenizer,), {"from_pretrained": GLMTokenizer.from_pretrained}) for name in ORIGINAL_TOKENIZERS
    ]
    for tokenizer_class in (*originals, GLMTokenizer):
        AutoTokenizer.register(SharedGlmConfig, tokenizer_class, exist_ok=True)

    for task, pipeline_class, model_classes in (
        (CLOZE_TASK, ClozeClassificationPipeline, AutoModelForMultipleChoice),
        (INFILLING_TASK, BlankInfillingPipeline, AutoModelForSeq2SeqLM),
    ):
        if task not in PIPELINE_REGISTRY.get_supported_tasks():
            PIPELINE_REGISTRY.register_pipeline(
                task,
                pipeline_class=pipeline_class,
                pt_model=(model_classes,),
                default={"model": (embedded_folder(), "main")},  # where no model is given; the library says so
                type="text",
            )

    # Our own classes push with a model card. Their code also runs without this package, so it cannot import
    # the module.
    GLMPreTrainedModel.publisher = push
    GLMTokenizer.publisher = push


__all__ = ["SharedGlmConfig", "register"]
