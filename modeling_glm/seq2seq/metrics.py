"""Measure generated texts: ROUGE, BLEU, chrF, exact match, and the scores of SQuAD. All scores are percentages, 0 to 100."""

import importlib
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from transformers.utils import logging

from ..utils.numbers import check_truth_value, shorten
from ..utils.rows import check_rows, read_list, read_rows, read_text
from ..utils.squad_words import squad_words, word_f1

logger = logging.get_logger(__name__)

# The package that each metric needs, as it is imported and as it is installed.
PACKAGES = {
    "rouge": ("rouge_score.rouge_scorer", "rouge-score"),
    "bleu": ("sacrebleu", "sacrebleu"),
    "chrf": ("sacrebleu", "sacrebleu"),
}
ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
# Scripts that do not write spaces between words: each of these characters is a word.
WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
ENGLISH_LETTERS = frozenset(string.ascii_lowercase)


class UnicodeWords:
    """
    Split texts of any script into words for ROUGE.

    A word is a run of letters, marks and digits. A character of a script without spaces is a word of its own. English words
    are stemmed as rouge-score stems them.

    Args:
        stem: Stems a word; None stems nothing.
    """

    def __init__(self, stem: Callable[[str], str] | None = None):
        self.stem = stem

    def tokenize(self, text: str) -> list[str]:
        """Split a text: "Die 3 Bücher 中国" is "die", "3", "bücher", "中", "国"."""
        spaced = WITHOUT_SPACES.sub(r" \g<0> ", unicodedata.normalize("NFC", text.lower()))
        # "_" is punctuation (category Pc), as everything else that is neither letter, mark nor digit.
        kept = "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in spaced)
        words = kept.split()
        if self.stem is None:
            return words
        return [self.stem(word) if len(word) > 3 and word.isascii() else word for word in words]


def compute_rouge(
    predictions: Any, references: Any, *, stemmer: bool = True, words: str | None = None
) -> dict[str, float]:
    """
    Compute ROUGE with the package rouge-score: the mean F1 over all texts.

    Args:
        predictions: Texts, in any form of rows.
        references: For every prediction a text, or a list of texts, of which the best counts for each score.
        stemmer: Whether to compare the stems of English words.
        words: "english" for the words of rouge-score, which are made of a-z and 0-9 alone. "unicode" for words of all
            scripts, see `UnicodeWords`. By default most letters of the references decide, because in another script every
            score of English words is 0.

    Returns:
        `rouge1`, `rouge2`, `rougeL` and `rougeLsum` in percent. `rougeLsum` reads each line of a text as a sentence. A text
        that should be empty scores 100 if it is, else 0. `rouge2` of a single word is 0, as it has no pair of words.

    Raises:
        ImportError: Without rouge-score.
        ValueError: For no texts, different numbers of them, rows that are not texts, and other values of `words`.
    """
    scorer_module = import_metric_package("rouge")
    texts, targets = read_pairs(predictions, references)
    check_truth_value("stemmer", stemmer)
    if words is None:
        foreign = _share_of_letters(lambda letter: letter not in ENGLISH_LETTERS, targets)
        words = "english" if foreign <= 0.5 else "unicode"
        if words == "unicode":
            logger.warning_once(
                "Most letters of the references are not a-z, which is all that rouge-score reads: ROUGE compares the words of "
                "all scripts (words='unicode')."
            )
    if words not in ("english", "unicode"):
        raise ValueError(f"words={words!r}: expected 'english', 'unicode', or None to decide by the references.")
    tokenizer = None
    if words == "unicode":
        tokenizer = UnicodeWords(importlib.import_module("nltk.stem.porter").PorterStemmer().stem if stemmer else None)
    scorer = scorer_module.RougeScorer(list(ROUGE_TYPES), use_stemmer=bool(stemmer), tokenizer=tokenizer)
    rows = []
    for text, of_text in zip(texts, targets, strict=True):
        if not text.strip() and not all(map(str.strip, of_text)):
            rows.append([1.0] * len(ROUGE_TYPES))
            continue
        scores = scorer.score_multi(of_text, text)
        rows.append([scores[name].fmeasure for name in ROUGE_TYPES])
    return dict(zip(ROUGE_TYPES, (100 * np.mean(rows, axis=0)).tolist(), strict=True))


def compute_bleu(predictions: Any, references: Any, *, tokenize: str | None = None) -> dict[str, float]:
    """
    Compute BLEU of the whole corpus with sacrebleu.

    Args:
        predictions: Texts, in any form of rows.
        references: For every prediction a text, or a list of texts. Their numbers may differ.
        tokenize: The tokenizer of sacrebleu. By default "13a", or "zh" if most letters of the references are Chinese.

    Returns:
        `bleu` in percent. N-grams that no prediction is long enough for are left out, so one-word answers can score 100.

    Raises:
        ImportError: Without sacrebleu.
        ValueError: For no texts, different numbers of them, rows that are not texts, and unknown tokenizers.
    """
    sacrebleu = import_metric_package("bleu")
    texts, targets = read_pairs(predictions, references)
    if tokenize is None:
        tokenize = "zh" if _share_of_letters(HAN.match, targets) > 0.5 else "13a"
    known = sacrebleu.metrics.BLEU.TOKENIZERS
    if tokenize not in known:
        raise ValueError(f"tokenize={tokenize!r}: sacrebleu has {', '.join(map(repr, known))}.")
    # Without force it would ask on the console whether texts that end in " ." are tokenized.
    metric = sacrebleu.metrics.BLEU(tokenize=tokenize, effective_order=True, force=True)
    return {"bleu": _score_corpus(metric, texts, targets)}


def compute_chrf(predictions: Any, references: Any, *, word_order: int = 0) -> dict[str, float]:
    """
    Compute chrF of the whole corpus with sacrebleu: the F-score of character n-grams.

    Args:
        predictions: Texts, in any form of rows.
        references: For every prediction a text, or a list of texts, of which the best counts. Their numbers may differ.
        word_order: The longest n-grams of words that count as well. 2 is chrF++.

    Returns:
        `chrf` in percent.

    Raises:
        ImportError: Without sacrebleu.
        ValueError: For no texts, different numbers of them, and rows that are not texts.
    """
    sacrebleu = import_metric_package("chrf")
    texts, targets = read_pairs(predictions, references)
    return {"chrf": _score_corpus(sacrebleu.metrics.CHRF(word_order=word_order), texts, targets)}


def compute_exact_match(predictions: Any, references: Any) -> dict[str, float]:
    """
    Compute how many predictions equal one of their references. Only white space may differ.

    Args:
        predictions: Texts, in any form of rows.
        references: For every prediction a text, or a list of texts.

    Returns:
        `exact_match` in percent.

    Raises:
        ValueError: For no texts, different numbers of them, and rows that are not texts.
    """
    texts, targets = read_pairs(predictions, references)
    hits = [
        text.split() in [target.split() for target in of_text] for text, of_text in zip(texts, targets, strict=True)
    ]
    return {"exact_match": 100 * sum(hits) / len(hits)}


def compute_squad(predictions: Any, references: Any) -> dict[str, float]:
    """
    Compute exact match and F1 of words as SQuAD does: in lower case, without punctuation and the articles a, an, the.

    Args:
        predictions: Texts, in any form of rows. An empty text says that there is no answer.
        references: For every prediction an answer, or a list of answers, of which the best counts. No answer (an empty
            list or text) marks a question that cannot be answered. It scores 100 if the prediction is empty, else 0.

    Returns:
        `squad_exact_match` and `squad_f1` in percent.

    Raises:
        ValueError: For no texts, different numbers of them, and rows that are not texts.
    """
    texts, targets = read_pairs(predictions, references, may_be_empty=True)
    exact = f1 = 0.0
    for text, of_text in zip(texts, targets, strict=True):
        words = squad_words(text)
        answers = [squad_words(target) for target in of_text] or [[]]
        exact += words in answers
        f1 += max(1.0 if words == answer else word_f1(words, answer) for answer in answers)
    return {"squad_exact_match": 100 * exact / len(texts), "squad_f1": 100 * f1 / len(texts)}


# By the names that the examples and the command line take.
METRICS: dict[str, Callable[..., dict[str, float]]] = {
    "rouge": compute_rouge,
    "bleu": compute_bleu,
    "chrf": compute_chrf,
    "exact_match": compute_exact_match,
    "squad": compute_squad,
}


def compute_metrics_for(
    collator: Any, names: str | Iterable[str | Callable[[list[str], list[str]], dict[str, float]]]
) -> Callable[[Any], dict[str, float]]:
    """
    Make the function that Trainer takes as `compute_metrics`.

    Args:
        collator: A `DataCollatorForInfillingSeq2Seq`, or the tokenizer.
        names: Names of metrics (see `METRICS`), or functions of predictions and references that return scores.

    Returns:
        A function of an `EvalPrediction` whose `predictions` and `label_ids` are ids of Part B, as `GLMSeq2SeqTrainer` gives
        them. In texts with several blanks every answer is compared with that of its own blank; a missing one is empty.

    Raises:
        ImportError: If the package of a metric is missing.
        ValueError: For unknown names, and later for predictions that are not ids.
    """
    tokenizer = getattr(collator, "tokenizer", collator)
    if not hasattr(tokenizer, "decode_blanks"):
        raise ValueError(
            f"Expected a DataCollatorForInfillingSeq2Seq or a GLMTokenizer, got a {type(collator).__name__}."
        )
    listed = [names] if isinstance(names, str) or callable(names) else list(names)
    if not listed:
        raise ValueError(f"No metric is named: expected some of {', '.join(map(repr, METRICS))}.")
    functions = [name if callable(name) else find_metric(name) for name in listed]

    def compute_metrics(evaluated: Any) -> dict[str, float]:
        predicted = read_answers(tokenizer, evaluated.predictions, "predictions")
        gold = read_answers(tokenizer, evaluated.label_ids, "label_ids")
        if len(predicted) != len(gold):
            raise ValueError(f"There are {len(predicted)} rows of predictions, but {len(gold)} of label_ids.")
        predictions, references = [], []
        for answers, targets in zip(predicted, gold, strict=True):
            references += targets
            predictions += (answers + [""] * len(targets))[: len(targets)]
        scores: dict[str, float] = {}
        for function in functions:
            scores.update(function(predictions, references))
        return scores

    return compute_metrics


def find_metric(name: str) -> Callable[..., dict[str, float]]:
    """
    Find a metric by its name, and check that its package is there, before anything is trained or generated.

    Raises:
        ImportError: If its package is missing.
        ValueError: For an unknown name.
    """
    if name not in METRICS:
        raise ValueError(f"Unknown metric {name!r}: expected one of {', '.join(map(repr, METRICS))}.")
    if name in PACKAGES:
        import_metric_package(name)
    return METRICS[name]


def read_answers(tokenizer: Any, ids: Any, name: str) -> list[list[str]]:
    """
    Read the answers of every row of ids of Part B.

    Args:
        tokenizer: A `GLMTokenizer`.
        ids: (rows, seq) int64, every row `<sop> answer <sop> answer <eop>`, padded with -100 or padding.
        name: What messages call the ids.

    Raises:
        ValueError: For anything else.
    """
    try:
        array = np.asarray(ids)
    except ValueError:  # rows of different lengths, as in a tuple of outputs
        array = np.empty(0)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} has the type {type(ids).__name__}, shape {array.shape} and dtype {array.dtype}: expected ids (rows, seq) of "
            "answers. Use GLMSeq2SeqTrainer with predict_with_generate=True."
        )
    without = np.flatnonzero(~(array == tokenizer.sop_token_id).any(-1))
    if len(without):
        raise ValueError(
            f"Row {without[0]} of {name} has no start of a piece (id {tokenizer.sop_token_id}): expected "
            "'<sop> answer <eop>', as GLMSeq2SeqTrainer gives it with predict_with_generate=True."
        )
    return [[str(answer) for answer in answers] for answers in tokenizer.decode_blanks(array)]


def import_metric_package(metric: str) -> Any:
    """Import the package that a metric needs. Raises an `ImportError` that says how to install it."""
    module, package = PACKAGES[metric]
    return _import_package(metric, module, package)


@lru_cache
def _import_package(metric: str, module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"The metric {metric!r} needs the package {package}: pip install 'modeling-glm[eval]'."
        ) from error


def read_pairs(predictions: Any, references: Any, *, may_be_empty: bool = False) -> tuple[list[str], list[list[str]]]:
    """Read texts and the list of references of each. With `may_be_empty` such a list may be empty."""
    read = []
    for name, given in (("predictions", predictions), ("references", references)):
        rows = read_rows(given, wide=True)
        if rows.single:
            raise ValueError(f"{name} is one row, {shorten(given)}: expected a list of texts.")
        read.append(list(rows))
    texts = check_rows(read[0], read_text, kind="Prediction").good

    def read_references(row: Any) -> list[str]:
        is_list = isinstance(row, list | tuple) or (isinstance(row, np.ndarray) and row.ndim > 0)
        if may_be_empty and is_list and not len(row):
            return []
        return [read_text(text) for text in read_list(row)] if is_list else [read_text(row)]

    targets = check_rows(read[1], read_references, kind="Reference").good
    if len(texts) != len(targets):
        raise ValueError(
            f"There are {len(texts)} predictions, but references for {len(targets)}: expected a text, or a list of texts, "
            "for every prediction."
        )
    if not texts:
        raise ValueError("There are no predictions, so nothing can be measured.")
    return texts, targets


def _share_of_letters(is_wanted: Callable[[str], Any], targets: Sequence[Sequence[str]]) -> float:
    """Return the share of wanted letters among those of all references, 0 where there is no letter."""
    letters = Counter(letter for of_text in targets for text in of_text for letter in text.lower() if letter.isalpha())
    return sum(count for letter, count in letters.items() if is_wanted(letter)) / max(1, letters.total())


def _score_corpus(metric: Any, texts: list[str], targets: list[list[str]]) -> float:
    """Score a corpus with a metric of sacrebleu. It takes the first references of all texts, then the second ones, ..."""
    # An empty text that should be empty is right. sacrebleu gives 0 to it, so chrF would compare it with another reference.
    right = [
        not text.strip() and not all(map(str.strip, of_text)) for text, of_text in zip(texts, targets, strict=True)
    ]
    if all(right):
        return 100.0
    targets = [[""] if is_right else of_text for is_right, of_text in zip(right, targets, strict=True)]
    most = max(map(len, targets))
    streams = [[of_text[n] if n < len(of_text) else None for of_text in targets] for n in range(most)]
    return min(100.0, float(metric.corpus_score(texts, streams).score))  # rounding makes it 100.00000000000004


__all__ = [
    "METRICS",
    "UnicodeWords",
    "compute_bleu",
    "compute_chrf",
    "compute_exact_match",
    "compute_metrics_for",
    "compute_rouge",
    "compute_squad",
    "find_metric",
    "import_metric_package",
    "read_answers",
    "read_pairs",
]
