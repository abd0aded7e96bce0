"""From text to the inputs of GLM: the tokenizer, span corruption, cloze questions, sources and targets, and collators."""

from .blanks import BlankText
from .cloze.collator import DataCollatorForCloze
from .cloze.task import PatternVerbalizer
from .pretraining.collator import DataCollatorForBlankInfilling
from .seq2seq.collator import DataCollatorForInfillingSeq2Seq
from .tokenization_glm import GLMTokenizer

__all__ = [
    "BlankText",
    "DataCollatorForBlankInfilling",
    "DataCollatorForCloze",
    "DataCollatorForInfillingSeq2Seq",
    "GLMTokenizer",
    "PatternVerbalizer",
]
