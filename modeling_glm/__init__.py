"""
GLM (Du et al., ACL 2022, "General Language Model Pretraining with Autoregressive Blank Infilling") for Transformers.

Importing the package makes the Auto classes of Transformers know GLM.
"""

from .attention_layout import AttentionLayout, compute_attention_layout, plot_attention_layout
from .blank_constraints import BlankConstraint
from .calibration import Calibration, expected_calibration_error
from .cloze_classifier import ClozeClassifier
from .configuration_glm import GLMConfig
from .continuation_pipeline import GLMTextGenerationPipeline
from .conversion import Conversion, convert_checkpoint
from .filling import fill_blanks
from .fillings import BlankAnswer, Filling
from .infilling_pipeline import BlankInfillingPipeline
from .modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
    GLMPreTrainedModel,
)
from .piece_scoring import score_fillings
from .pipelines import ClozeClassificationPipeline
from .registration import register
from .soft_prompts import add_soft_tokens
from .streaming import BlankIteratorStreamer, BlankStreamer, StreamedAnswer
from .tokenization import DataCollatorForBlankInfilling, DataCollatorForCloze, GLMTokenizer, PatternVerbalizer

__version__ = "0.1.0"

register()

__all__ = [
    "AttentionLayout",
    "BlankAnswer",
    "BlankConstraint",
    "BlankInfillingPipeline",
    "BlankIteratorStreamer",
    "BlankStreamer",
    "Calibration",
    "ClozeClassificationPipeline",
    "ClozeClassifier",
    "Conversion",
    "DataCollatorForBlankInfilling",
    "DataCollatorForCloze",
    "Filling",
    "GLMConfig",
    "GLMForConditionalGeneration",
    "GLMForMultipleChoice",
    "GLMForQuestionAnswering",
    "GLMForSequenceClassification",
    "GLMForTokenClassification",
    "GLMModel",
    "GLMPreTrainedModel",
    "GLMTextGenerationPipeline",
    "GLMTokenizer",
    "PatternVerbalizer",
    "StreamedAnswer",
    "add_soft_tokens",
    "compute_attention_layout",
    "convert_checkpoint",
    "expected_calibration_error",
    "fill_blanks",
    "plot_attention_layout",
    "score_fillings",
]
