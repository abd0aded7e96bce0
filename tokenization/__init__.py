"""From text to the inputs of GLM: the tokenizer, span corruption, cloze questions and collators."""

from .cloze.collator import DataCollatorForCloze
from .cloze.task import PatternVerbalizer
from .pretraining.collator import DataCollatorForBlankInfilling
from .tokenization_glm import GLMTokenizer

__all__ = ["DataCollatorForBlankInfilling", "DataCollatorForCloze", "GLMTokenizer", "PatternVerbalizer"]
