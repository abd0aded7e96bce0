"""
Trivial baselines for filling one blank, to compare a trained model with.

The baselines know how many words are missing; a model does not. They answer with the most frequent run of so many words that
they have seen in a context like this one.

    python -m examples.corpora.measuring.baselines     # prints the exact match of each baseline on held-out blanks
"""

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, Self

from ..build import build_corpus
from ..documents import Document, split
from .blanks import CHUNK, MASK, MAX_WORDS, HeldOutBlank, exact_match, make_blanks

LEFT, RIGHT = 3, 2
_START, _END = "<start>", "<end>"
_BARRIERS = frozenset({*"(\"'.,:;!?)", _START, _END})


def _tokens(text: str) -> list[str]:
    """Split a text into words and punctuation marks."""
    tokens: list[str] = []
    for chunk in text.split():
        tokens += _tokens_of_chunk(chunk)
    return tokens


@functools.cache
def _tokens_of_chunk(chunk: str) -> tuple[str, ...]:
    before, word, after = CHUNK.fullmatch(chunk).groups()
    return (*before, *([word] if word else []), *after)


def _framed(documents: Iterable[Document]) -> list[str]:
    """Return the tokens of all documents, with marks between them, so that no context reaches into another document."""
    tokens: list[str] = []
    for document in documents:
        tokens += [*[_START] * LEFT, *_tokens(document.text), *[_END] * RIGHT]
    return tokens


def _runs(tokens: Sequence[str], words: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield every run of so many words without punctuation, with its position."""
    for position, run in enumerate(zip(*(tokens[offset:] for offset in range(words)), strict=False)):
        if _BARRIERS.isdisjoint(run):
            yield position, run


def _context(blank: HeldOutBlank) -> tuple[list[str], list[str]]:
    left, _, right = blank.text.partition(MASK)
    return [*[_START] * LEFT, *_tokens(left)][-LEFT:], [*_tokens(right), *[_END] * RIGHT][:RIGHT]


def _most_frequent(runs: Iterable[tuple[str, ...]]) -> str:
    """Return the most frequent run; among equals, the first in the alphabet."""
    counts = Counter(runs)
    return " ".join(min(counts, key=lambda run: (-counts[run], run)))


class Baseline(Protocol):
    """A way to fill blanks without a model."""

    def fit(self, documents: Iterable[Document]) -> Self:
        """Learn from documents."""

    def predict(self, blank: HeldOutBlank) -> str:
        """Return words for a blank. Of its answer only the number of words is used."""


class UnigramBaseline:
    """Answer with the most frequent run of so many words."""

    def fit(self, documents: Iterable[Document]) -> Self:
        """Count the runs of words."""
        tokens = _framed(documents)
        self._best = {
            words: _most_frequent(run for _, run in _runs(tokens, words)) for words in range(1, MAX_WORDS + 1)
        }
        return self

    def predict(self, blank: HeldOutBlank) -> str:
        """Return the most frequent run of words."""
        return self._best[blank.words]


class NeighbourBaseline(UnigramBaseline):
    """Answer with the most frequent run between the same two neighbours, or else the most frequent run."""

    def fit(self, documents: Iterable[Document]) -> Self:
        """Note between which neighbours the runs of words stand."""
        documents = list(documents)
        super().fit(documents)
        self._tokens = tokens = _framed(documents)
        self._between: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        for words in range(1, MAX_WORDS + 1):
            for position, _ in _runs(tokens, words):
                self._between[tokens[position - 1], tokens[position + words], words].append(position)
        return self

    def predict(self, blank: HeldOutBlank) -> str:
        """Return the most frequent run between the neighbours of the blank."""
        left, right = _context(blank)
        if positions := self._between.get((left[-1], right[0], blank.words)):
            return self._most_frequent_at(positions, blank.words)
        return super().predict(blank)

    def _most_frequent_at(self, positions: Iterable[int], words: int) -> str:
        return _most_frequent(tuple(self._tokens[position : position + words]) for position in positions)


class BackoffNgramBaseline(NeighbourBaseline):
    """Answer with the most frequent run in the longest known context: up to 3 words on the left and 2 on the right."""

    _CONTEXTS = ((3, 2), (2, 2), (3, 1), (2, 1), (1, 2), (1, 1), (3, 0), (2, 0), (0, 2), (1, 0), (0, 1))

    def fit(self, documents: Iterable[Document]) -> Self:
        """Note where each word and each pair of words stands."""
        super().fit(documents)
        self._places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for size in (1, 2):
            for position, tokens in enumerate(zip(*(self._tokens[offset:] for offset in range(size)), strict=False)):
                self._places[tokens].append(position)
        return self

    def predict(self, blank: HeldOutBlank) -> str:
        """Return the most frequent run in the longest context that was seen."""
        for left, right in self._CONTEXTS:
            if positions := self._seen_in(blank, left, right):
                return self._most_frequent_at(positions, blank.words)
        return super().predict(blank)

    def _seen_in(self, blank: HeldOutBlank, left: int, right: int) -> list[int]:
        """Return the positions of runs of as many words in the same context of `left` and `right` words."""
        tokens, words = self._tokens, blank.words
        before, after = _context(blank)
        before, after = before[LEFT - left :], after[:right]
        return [
            position
            for position in self._candidates(words, before, after)
            if tokens[position - left : position] == before
            and tokens[position + words : position + words + right] == after
        ]

    def _candidates(self, words: int, before: Sequence[str], after: Sequence[str]) -> list[int]:
        if before and after:
            return self._between.get((before[-1], after[0], words), [])
        near = tuple(before[-2:] or after)
        shift = len(near) if before else -words
        starts = (place + shift for place in self._places.get(near, []))
        return [start for start in starts if _BARRIERS.isdisjoint(self._tokens[start : start + words])]


class NgramLoss:
    """
    Cross entropy of answers under an n-gram model of tokens, which sees the tokens on the left.

    Shorter contexts are interpolated by the number of different tokens that follow a context (Witten and Bell 1991).
    """

    def __init__(self, order: int, vocab_size: int) -> None:
        self.order = order
        self.vocab_size = vocab_size

    def fit(self, texts: Iterable[Sequence[int]]) -> Self:
        """Count the n-grams of tokenized texts."""
        self._counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for ids in texts:
            for position, token in enumerate(ids):
                for length in range(min(self.order, position + 1)):
                    self._counts[tuple(ids[position - length : position])][token] += 1
        self._totals = {context: counts.total() for context, counts in self._counts.items()}
        return self

    def __call__(self, context: Sequence[int], answer: Sequence[int]) -> float:
        """Return the loss of an answer behind its context in nats, summed over its tokens."""
        ids = [*context, *answer]
        return -sum(math.log(self._probability(ids, position)) for position in range(len(context), len(ids)))

    def _probability(self, ids: Sequence[int], position: int) -> float:
        probability = 1 / self.vocab_size
        for length in range(min(self.order, position + 1)):
            if counts := self._counts.get(tuple(ids[position - length : position])):
                total = self._totals[tuple(ids[position - length : position])]
                probability = (counts[ids[position]] + len(counts) * probability) / (total + len(counts))
        return probability


BASELINES: dict[str, tuple[type[UnigramBaseline], int]] = {
    "unigram": (UnigramBaseline, 1),
    "most frequent neighbour": (NeighbourBaseline, 2),
    "back-off n-gram": (BackoffNgramBaseline, 4),
}


def evaluate_baselines(
    documents: Sequence[Document], blanks: Sequence[HeldOutBlank], encode: Callable[[str], list[int]]
) -> dict[str, tuple[list[bool], float]]:
    """Train every baseline. Returns for each which blanks it fills exactly, and its loss in nats per token."""
    texts = [encode(document.text) for document in documents]
    vocab_size = 1 + max(map(max, texts))
    # A word inside a text begins with the space before it.
    sides = [blank.text.partition(MASK)[0] for blank in blanks]
    contexts = [encode(left.rstrip()) if left else [] for left in sides]
    answers = [encode(left[len(left.rstrip()) :] + blank.answer) for left, blank in zip(sides, blanks, strict=True)]
    results = {}
    for name, (baseline_class, order) in BASELINES.items():
        baseline = baseline_class().fit(documents)
        loss = NgramLoss(order, vocab_size).fit(texts)
        total = sum(loss(context, answer) for context, answer in zip(contexts, answers, strict=True))
        hits = [blank.is_right(baseline.predict(blank)) for blank in blanks]
        results[name] = hits, total / sum(map(len, answers))
    return results


def main() -> None:
    """Print the exact match of the baselines on 2000 held-out blanks, by family and in total."""
    documents = build_corpus()
    blanks = make_blanks(split(documents, held_out=True), count=2000, seed=0)
    training = split(documents, held_out=False)
    baselines: list[Baseline] = [UnigramBaseline(), NeighbourBaseline(), BackoffNgramBaseline()]
    predictions = [list(map(baseline.fit(training).predict, blanks)) for baseline in baselines]
    print(f"{'family':<22} {'blanks':>6} {'unigram':>9} {'neighbour':>9} {'backoff':>9}")
    for family in [*sorted({blank.family for blank in blanks}), "all"]:
        chosen = [index for index, blank in enumerate(blanks) if family in {blank.family, "all"}]
        answers = [blanks[index] for index in chosen]
        scores = [exact_match([guesses[index] for index in chosen], answers) for guesses in predictions]
        print(f"{family:<22} {len(chosen):>6} " + " ".join(f"{score:>9.3f}" for score in scores))


if __name__ == "__main__":
    main()
