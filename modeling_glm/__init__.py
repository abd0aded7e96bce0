"""
GLM (Du et al., ACL 2022, "General Language Model Pretraining with Autoregressive Blank Infilling") for Transformers.

Importing the package makes the Auto classes of Transformers know GLM.
"""

from .configuration_glm import GLMConfig
from .conversion import Conversion, convert_checkpoint
from .modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
    GLMPreTrainedModel,
)
from .registration import register
from .tokenization import DataCollatorForBlankInfilling, DataCollatorForCloze, GLMTokenizer, PatternVerbalizer

__version__ = "0.1.0"

register()

__all__ = [
    "Conversion",
    "DataCollatorForBlankInfilling",
    "DataCollatorForCloze",
    "GLMConfig",
    "GLMForConditionalGeneration",
    "GLMForMultipleChoice",
    "GLMForQuestionAnswering",
    "GLMForSequenceClassification",
    "GLMForTokenClassification",
    "GLMModel",
    "GLMPreTrainedModel",
    "GLMTokenizer",
    "PatternVerbalizer",
    "convert_checkpoint",
]
