"""From text to the inputs of GLM: the tokenizer, span corruption and collators."""

from .collators import DataCollatorForBlankInfilling
from .tokenization_glm import GLMTokenizer

__all__ = ["DataCollatorForBlankInfilling", "GLMTokenizer"]
