"""
GLM (Du et al., ACL 2022, "General Language Model Pretraining with Autoregressive Blank Infilling") for Transformers.

Importing the package registers GLM with the Auto classes and pipelines of Transformers, and int8 with its quantization
methods. Nothing else of Transformers changes.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .checkpoints.convert import Conversion, convert_checkpoint
from .checkpoints.embedded import embedded_checkpoint
from .cloze.answers.reliability import expected_calibration_error
from .cloze.calibration import Calibration
from .cloze.classifier import ClozeClassifier
from .cloze.pipeline import ClozeClassificationPipeline
from .cloze.soft_prompts import add_soft_tokens
from .configuration_glm import GLMConfig
from .constraints.blank_constraint import BlankConstraint
from .filling.choose import Choice, choose
from .filling.fill import fill_blanks
from .filling.pipeline import BlankInfillingPipeline
from .filling.results import BlankAnswer, Filling
from .filling.scoring import score_fillings
from .filling.streaming import BlankIteratorStreamer, BlankStreamer, StreamedAnswer
from .filling.text_generation import GLMTextGenerationPipeline
from .inspection.attention_layout import AttentionLayout, compute_attention_layout, plot_attention_layout
from .modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
    GLMPreTrainedModel,
)
from .precision.choosing import set_precision
from .precision.quantizer import GLMInt8Config
from .registration import register
from .seq2seq.predictions import TargetPrediction, predict_targets
from .tokenization import (
    BlankText,
    DataCollatorForBlankInfilling,
    DataCollatorForCloze,
    DataCollatorForInfillingSeq2Seq,
    GLMTokenizer,
    PatternVerbalizer,
)
from .utils.rows import RowError

if find_spec("transformers.decision") is not None:  # from Transformers 5.23 on
    from .modeling_glm import GLMForDecision
    from .questions_glm import GLMDecisionConfig

if TYPE_CHECKING:
    from .export.ort_filler import ORTFiller
    from .export.save import export_model
    from .hub.trainer import GLMTrainer, HubCallback
    from .seq2seq.trainer import GLMSeq2SeqTrainer

__version__ = "0.2.0.dev0"

register()


def __getattr__(name: str) -> Any:
    """Import what filling does not need at its first use: classes that need `Trainer` take a second."""
    if name in ("GLMTrainer", "HubCallback"):
        from .hub import trainer

        return getattr(trainer, name)
    if name == "GLMSeq2SeqTrainer":
        from .seq2seq.trainer import GLMSeq2SeqTrainer

        return GLMSeq2SeqTrainer
    if name == "ORTFiller":
        from .export.ort_filler import ORTFiller

        return ORTFiller
    if name == "export_model":
        from .export.save import export_model

        return export_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "AttentionLayout",
    "BlankAnswer",
    "BlankConstraint",
    "BlankInfillingPipeline",
    "BlankIteratorStreamer",
    "BlankStreamer",
    "BlankText",
    "Calibration",
    "Choice",
    "ClozeClassificationPipeline",
    "ClozeClassifier",
    "Conversion",
    "DataCollatorForBlankInfilling",
    "DataCollatorForCloze",
    "DataCollatorForInfillingSeq2Seq",
    "Filling",
    "GLMConfig",
    "GLMForConditionalGeneration",
    "GLMForMultipleChoice",
    "GLMForQuestionAnswering",
    "GLMForSequenceClassification",
    "GLMForTokenClassification",
    "GLMInt8Config",
    "GLMModel",
    "GLMPreTrainedModel",
    "GLMSeq2SeqTrainer",
    "GLMTextGenerationPipeline",
    "GLMTokenizer",
    "GLMTrainer",
    "HubCallback",
    "ORTFiller",
    "PatternVerbalizer",
    "RowError",
    "StreamedAnswer",
    "TargetPrediction",
    "add_soft_tokens",
    "choose",
    "compute_attention_layout",
    "convert_checkpoint",
    "embedded_checkpoint",
    "expected_calibration_error",
    "export_model",
    "fill_blanks",
    "plot_attention_layout",
    "predict_targets",
    "score_fillings",
    "set_precision",
]

if find_spec("transformers.decision") is not None:
    __all__ += ["GLMDecisionConfig", "GLMForDecision"]
