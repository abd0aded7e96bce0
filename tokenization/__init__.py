"""From text to the inputs of GLM: the tokenizer, span corruption, cloze questions and collators."""

from .cloze import PatternVerbalizer
from .collators import DataCollatorForCloze
from .infilling_collator import DataCollatorForBlankInfilling
from .tokenization_glm import GLMTokenizer

__all__ = ["DataCollatorForBlankInfilling", "DataCollatorForCloze", "GLMTokenizer", "PatternVerbalizer"]
