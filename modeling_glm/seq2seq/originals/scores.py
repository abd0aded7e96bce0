"""
Score answers as the authors' code does. Use `modeling_glm.seq2seq.metrics` for scores that others compute as well.

Scores of the originals differ from the standard ones: they drop short and repeated sentences, and swap prediction and
reference, which changes rougeLsum.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...tokenization.seq2seq.readers.squad import join_windows
from ...utils.numbers import check_real_number
from ...utils.squad_words import squad_words, word_f1
from ..metrics import import_metric_package, read_pairs
from .texts import restore_text

SENTENCE_END = "[SEP]"
# Shorter sentences of a prediction are dropped.
FEWEST_WORDS = 5
# By the names of the originals, and of rouge-score.
ROUGE_TYPES = {"rouge-1": "rouge1", "rouge-2": "rouge2", "rouge-l": "rougeLsum"}
# Keeps the F1 of two texts below 1, as the originals compute it.
EPSILON = 1e-5
# Letters and signs that do not decompose, as the package unidecode writes them.
TRANSLITERATION = str.maketrans(
    {
        **dict(zip("ØøŁłĐđÐðĦħŦŧıŊŋ", "OoLlDdDdHhTtiNn", strict=True)),
        "ß": "ss",
        "ẞ": "SS",
        "Æ": "AE",
        "æ": "ae",
        "Œ": "OE",
        "œ": "oe",
        "Þ": "Th",
        "þ": "th",
        "‐": "-",
        "‑": "-",
        "–": "-",
        "—": "--",
        "‘": "'",
        "’": "'",
        "‚": ",",
        "“": '"',
        "”": '"',
        "„": ",,",
        "…": "...",
        "€": "EUR",
        "£": "PS",
        "¥": "Y=",
        "°": "deg",
        "×": "x",
        "÷": "/",
        "«": "<<",
        "»": ">>",
    }
)


@dataclass(frozen=True)
class OriginalRouge:
    """
    Hold the ROUGE of the originals.

    Attributes:
        scores: The means of "rouge-1", "rouge-2" and "rouge-l", 0 to 1.
        per_example: The same for every text.
        predictions, references: The texts that were compared, a sentence a line.
    """

    scores: dict[str, float]
    per_example: dict[str, list[float]]
    predictions: list[str]
    references: list[str]


def compute_original_rouge(
    predictions: Any, references: Any, *, kind: str = "cnn_dm", duplicate_rate: float = 0.7
) -> OriginalRouge:
    """
    Compute the ROUGE by which the originals choose their best epoch.

    Texts are split into sentences at `[SEP]`. Sentences of a prediction with 4 words or fewer are dropped (so a short
    headline scores 0), and then those of which earlier ones have more than `duplicate_rate` of the words.

    Args:
        predictions: Texts, in any form of rows.
        references: A text for every prediction.
        kind: How texts are read; see `restore_text`.
        duplicate_rate: 1 drops no repeated sentence.

    Raises:
        ImportError: Without rouge-score.
        ValueError: For no texts, different numbers of them, several references of one, and settings out of range.
    """
    scorer_module = import_metric_package("rouge")
    check_real_number("duplicate_rate", duplicate_rate, least=0, most=1)
    texts, targets = _read_single(predictions, references)
    compared, expected = [], []
    for text, target in zip(texts, targets, strict=True):
        sentences = [restore_text(sentence, kind) for sentence in text.strip().split(SENTENCE_END)]
        sentences = [sentence for sentence in sentences if len(sentence.split()) >= FEWEST_WORDS]
        compared.append("\n".join(remove_repeated(sentences, duplicate_rate)))
        expected.append("\n".join(restore_text(sentence, kind) for sentence in target.strip().split(SENTENCE_END)))
    scorer = scorer_module.RougeScorer(list(ROUGE_TYPES.values()), use_stemmer=True)
    # The first argument is called target. The originals give the prediction there.
    rows = [scorer.score(text, target) for text, target in zip(compared, expected, strict=True)]
    per_example = {name: [float(row[kind].fmeasure) for row in rows] for name, kind in ROUGE_TYPES.items()}
    scores = {name: sum(values) / len(values) for name, values in per_example.items()}
    return OriginalRouge(scores, per_example, compared, expected)


def remove_repeated(sentences: Sequence[str], duplicate_rate: float) -> list[str]:
    """
    Drop sentences of which earlier ones, dropped or not, have more than a share of the distinct words in lower case.

    Raises:
        ValueError: For a sentence without a word.
    """
    earlier: set[str] = set()
    kept = []
    for number, sentence in enumerate(sentences):
        words = set(sentence.lower().split())
        if not words:
            raise ValueError(f"Sentence {number} has no word, so no share of its words is repeated: leave it out.")
        if len(words & earlier) / len(words) <= duplicate_rate:
            kept.append(sentence)
        earlier |= words
    return kept


def smoothed_f1(text: str, other: str) -> float:
    """Return the F1 of the words of two texts in lower case. The originals keep it below 1: equal texts have 0.999995."""
    words, others = text.lower().split(), other.lower().split()
    if not words or not others:
        return float(words == others)
    shared = (Counter(words) & Counter(others)).total()
    precision, recall = shared / len(words), shared / len(others)
    return 2 * precision * recall / (precision + recall + EPSILON)


@dataclass(frozen=True)
class MultiBleu:
    """
    Hold what `multi-bleu.perl` prints; `str()` of it is that line.

    Attributes:
        bleu: 0 to 100.
        precisions: Those of 1 to 4 words, 0 to 100.
        brevity_penalty: 0 to 1.
        prediction_words, reference_words: The numbers of words. Of several references the nearest in length counts.
    """

    bleu: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    prediction_words: int
    reference_words: int

    def __str__(self) -> str:
        if not self.reference_words or not self.prediction_words:
            return "BLEU = 0, 0/0/0/0 (BP=0, ratio=0, hyp_len=0, ref_len=0)"
        shown = "/".join(f"{precision:.1f}" for precision in self.precisions)
        ratio = self.prediction_words / self.reference_words
        return (
            f"BLEU = {self.bleu:.2f}, {shown} (BP={self.brevity_penalty:.3f}, ratio={ratio:.3f}, "
            f"hyp_len={self.prediction_words}, ref_len={self.reference_words})"
        )


def compute_multi_bleu(predictions: Any, references: Any, *, lowercase: bool = False) -> MultiBleu:
    """
    Compute BLEU as `multi-bleu.perl` does: words are what stands between white space, and nothing is smoothed.

    Args:
        predictions: Texts, in any form of rows.
        references: For every prediction a text, or a list of texts.
        lowercase: The script's `-lc`.

    Raises:
        ImportError: Without sacrebleu.
        ValueError: For no texts, different numbers of them, and rows that are not texts.
    """
    sacrebleu = import_metric_package("bleu")
    texts, targets = read_pairs(predictions, references)
    most = max(map(len, targets))
    streams = [[of_text[n] if n < len(of_text) else None for of_text in targets] for n in range(most)]
    metric = sacrebleu.metrics.BLEU(tokenize="none", smooth_method="none", lowercase=lowercase, force=True)
    score = metric.corpus_score(texts, streams)
    return MultiBleu(
        float(score.score),
        tuple(map(float, score.precisions)),
        float(score.bp),
        int(score.sys_len),
        int(score.ref_len),
    )


def normalize_squad_answer(text: str) -> str:
    """
    Normalise an answer as SQuAD's script does, and write accented letters without accents.

    The originals use the package unidecode, which also writes other scripts in Latin letters. Here they stay.
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(TRANSLITERATION))
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(squad_words(plain))


def score_squad_answer(prediction: str, answers: Sequence[str]) -> tuple[bool, float]:
    """Return whether a prediction is one of the answers, and the best F1 of its words with one of them, 0 to 1."""
    words = normalize_squad_answer(prediction)
    golds = [normalize_squad_answer(answer) for answer in answers]
    return words in golds, max((word_f1(words.split(), gold.split()) for gold in golds), default=0.0)


def compute_original_squad(
    question_ids: Sequence[Any], predictions: Sequence[str], answers: Sequence[Sequence[str]]
) -> dict[str, float]:
    """
    Compute exact match and F1 over questions whose passages were cut into windows.

    The first window that does not say `N/A` answers. A question without an answer counts as right if all windows say so.

    Args:
        question_ids: The question of every window.
        predictions: The prediction for every window, in the order of the passage.
        answers: The answers of the question of every window; `["N/A"]` if it has none.

    Returns:
        `EM` and `F1` in percent.

    Raises:
        ValueError: For no windows, and for lists of different lengths.
    """
    if not len(question_ids) == len(predictions) == len(answers):
        raise ValueError(
            f"There are {len(question_ids)} question_ids, {len(predictions)} predictions and {len(answers)} answers: expected "
            "one of each for every window."
        )
    if not question_ids:
        raise ValueError("There are no predictions, so nothing can be measured.")
    rows = [{"id": name, "references": golds} for name, golds in zip(question_ids, answers, strict=True)]
    scored = [score_squad_answer(row["prediction"], row["references"]) for row in join_windows(rows, predictions)]
    return {
        "EM": 100 * sum(exact for exact, _ in scored) / len(scored),
        "F1": 100 * sum(f1 for _, f1 in scored) / len(scored),
    }


def _read_single(predictions: Any, references: Any) -> tuple[list[str], list[str]]:
    texts, targets = read_pairs(predictions, references)
    for number, of_text in enumerate(targets):
        if len(of_text) > 1:
            raise ValueError(f"Reference {number} is a list of {len(of_text)} texts: the originals compare with one.")
    return texts, [target for (target,) in targets]


__all__ = [
    "MultiBleu",
    "OriginalRouge",
    "compute_multi_bleu",
    "compute_original_rouge",
    "compute_original_squad",
    "normalize_squad_answer",
    "remove_repeated",
    "score_squad_answer",
    "smoothed_f1",
]
