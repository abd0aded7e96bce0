"""From text to the inputs of GLM: the tokenizer, span corruption, cloze questions and collators."""

from .blanks import BlankText
from .cloze.collator import DataCollatorForCloze
from .cloze.task import PatternVerbalizer
from .pretraining.collator import DataCollatorForBlankInfilling
from .tokenization_glm import GLMTokenizer

__all__ = ["BlankText", "DataCollatorForBlankInfilling", "DataCollatorForCloze", "GLMTokenizer", "PatternVerbalizer"]
