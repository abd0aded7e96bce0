"""Registration with the Auto classes and the pipelines of Transformers."""

from typing import Any

import transformers
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GlmConfig,
    Trainer,
)
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.trainer import DEFAULT_CALLBACKS

from .cloze.pipeline import CLOZE_TASK, ClozeClassificationPipeline
from .configuration_glm import GLMConfig
from .cpu_training.switch import enable as enable_cpu_training
from .filling.pipeline import INFILLING_TASK, BlankInfillingPipeline
from .filling.text_generation import SharedTextGenerationPipeline
from .hub import push, trainer
from .modeling_glm import AUTO_CLASSES, GLMPreTrainedModel
from .tokenization.tokenization_glm import GLMTokenizer

# What the originals' tokenizer_config.json calls its class.
ORIGINAL_TOKENIZERS = ("GLMGPT2Tokenizer", "GLMBertTokenizer", "GLMRobertaTokenizer", "GLMChineseTokenizer")


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
        if not GLMConfig.is_original(config_dict):
            return GlmConfig.from_dict(config_dict, **kwargs)
        if folder := kwargs.get("name_or_path"):  # AutoConfig has read this folder
            config_dict = GLMConfig.add_special_token_ids(config_dict, folder)
        return GLMConfig.from_dict(config_dict, **kwargs)


def register():
    """Makes the Auto classes, `pipeline` and the Trainer know GLM. Called once, when the package is imported."""
    enable_cpu_training()
    AutoConfig.register(GLMConfig.model_type, GLMConfig, exist_ok=True)
    AutoConfig.register(SharedGlmConfig.model_type, SharedGlmConfig, exist_ok=True)
    GLMConfig.register_for_auto_class()
    for auto_class, model_class in AUTO_CLASSES.items():
        getattr(transformers, auto_class).register(GLMConfig, model_class, exist_ok=True)
        if not model_class.is_remote_code():
            model_class.register_for_auto_class(auto_class)

    # Tokenizers go by their names (config.tokenizer_class), not by the config class: AutoTokenizer then takes ours even
    # with trust_remote_code, where the originals' own code would fail.
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
                task, pipeline_class=pipeline_class, pt_model=(model_classes,), type="text"
            )
    # In place: registering it anew would warn, and lose the task's default model.
    PIPELINE_REGISTRY.check_task("text-generation")[1]["impl"] = SharedTextGenerationPipeline

    # The library pushes with a card that says nothing of the model, and the uploaded code must not need this package: so
    # its methods are replaced from here.
    GLMPreTrainedModel.push_to_hub = push.push_to_hub  # type: ignore[method-assign, assignment]
    GLMPreTrainedModel.save_pretrained = push.save_pretrained  # type: ignore[method-assign]
    GLMTokenizer.push_to_hub = push.push_tokenizer_to_hub
    # Trainer has one card for all models. For those of GLM it is ours, for all others its own.
    Trainer.create_model_card = trainer.create_model_card  # type: ignore[method-assign]
    if trainer.HubCallback not in DEFAULT_CALLBACKS:
        DEFAULT_CALLBACKS.append(trainer.HubCallback)  # type: ignore[arg-type]
