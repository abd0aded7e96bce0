"""The order of the training samples: the number of a sample alone gives its corpus and its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from math import isqrt
from typing import Any, NamedTuple

from datasets import Dataset as TextDataset
from torch.utils.data import Dataset

BLOCK = 1024
ROUNDS = 6
MASK = 2**64 - 1


@dataclass(frozen=True)
class Phase:
    """
    The shares of the corpora from a sample on.

    Args:
        from_sample: Number of the first sample with these shares.
        weights: Share of each corpus.

    Raises:
        ValueError: For weights that are negative or do not sum to 1, and a negative sample.
    """

    from_sample: int
    weights: tuple[float, ...]

    def __post_init__(self):
        if self.from_sample < 0:
            raise ValueError(f"A phase begins at sample {self.from_sample}: expected 0 or more.")
        if not all(weight >= 0 for weight in self.weights):
            raise ValueError(f"The weights {self.weights} of a phase must not be negative.")
        if not abs(sum(self.weights) - 1) < 1e-6:
            raise ValueError(
                f"The weights {self.weights} of a phase sum to {sum(self.weights):g}: they must sum to 1."
            )


class TextPlace(NamedTuple):
    """The place of a text: the number of its corpus, and its index in it."""

    corpus: int
    text: int


class MixtureOrder:
    """
    The order in which a run of any length sees the texts of several corpora. Call it with the number of a sample.

    The order follows from the arguments alone. So a resumed run sees the same texts as an uninterrupted one, and processes
    that share the numbers share the texts.

    - Every corpus has its share in blocks of 1024 samples, counted from the start of a phase. A later block
      corrects the rounding of an earlier one. After n samples, at the end of a block, a corpus was seen weight x n
      times, up to half a sample per corpus and phase.
    - Within an epoch of a corpus every text comes once.
    - A later phase changes nothing before the block in which it begins.

    Args:
        sizes: Number of texts of each corpus.
        phases: The shares, in the order of their first samples. The first phase begins at 0.
        seed: Any non-negative integer.

    Raises:
        ValueError: For a corpus without texts, no phase, phases whose first samples do not increase from 0, and a number
            of weights that differs from the number of corpora.
    """

    def __init__(self, sizes: Sequence[int], phases: Sequence[Phase], seed: int):
        self.sizes, self.phases, self.seed = tuple(sizes), tuple(phases), seed
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"The corpora have {list(self.sizes)} texts: every one needs at least 1.")
        for phase in self.phases:
            if len(phase.weights) != len(self.sizes):
                raise ValueError(
                    f"The phase from sample {phase.from_sample} has {len(phase.weights)} weights {phase.weights} for "
                    f"{len(self.sizes)} corpora."
                )
        starts = [phase.from_sample for phase in self.phases]
        if starts[:1] != [0] or any(later <= earlier for earlier, later in pairwise(starts)):
            raise ValueError(f"Phases begin at samples {starts}: expected numbers that increase from 0.")
        # How many texts of each corpus come before each phase.
        self._before = [(0,) * len(self.sizes)]
        for phase, end in zip(self.phases, starts[1:], strict=False):
            seen = _share_out(phase.weights, end - phase.from_sample)
            self._before.append(tuple(map(sum, zip(self._before[-1], seen, strict=True))))
        self._block: tuple[int, list[tuple[int, int]]] = (-1, [])

    def __reduce__(self):
        return MixtureOrder, (self.sizes, self.phases, self.seed)

    def __call__(self, number: int) -> TextPlace:
        """Return the place of a sample. Raises an IndexError for a negative number."""
        corpus, position = self.locate(number)
        epoch, index = divmod(position, self.sizes[corpus])
        return TextPlace(corpus, permute(index, self.sizes[corpus], (self.seed, 1, corpus, epoch)))

    def locate(self, number: int) -> tuple[int, int]:
        """Return the corpus of a sample, and how many of its samples come before. Raises an IndexError as a call does."""
        if number < 0:
            raise IndexError(f"There is no sample {number}: they are numbered from 0.")
        phase = self._find_phase(number)
        start = number - (number - self.phases[phase].from_sample) % BLOCK
        if self._block[0] != start:
            self._block = start, self._build_block(phase, start)
        return self._block[1][number - start]

    def seen(self, number: int) -> tuple[int, ...]:
        """Count the texts of each corpus among the first `number` samples: exact at the ends of blocks, else about."""
        phase = self._find_phase(max(0, number))
        share = _share_out(self.phases[phase].weights, number - self.phases[phase].from_sample)
        return tuple(map(sum, zip(self._before[phase], share, strict=True)))

    def _find_phase(self, number: int) -> int:
        return sum(phase.from_sample <= number for phase in self.phases) - 1

    def _build_block(self, phase: int, start: int) -> list[tuple[int, int]]:
        """Return the corpus of each sample of a block, and how many texts of it came before in the run."""
        end = min([start + BLOCK, *(later.from_sample for later in self.phases[phase + 1 : phase + 2])])
        weights, offset = self.phases[phase].weights, self.phases[phase].from_sample
        before = _share_out(weights, start - offset)
        shares = [last - first for first, last in zip(before, _share_out(weights, end - offset), strict=True)]
        corpora = [corpus for corpus, share in enumerate(shares) for _ in range(share)]
        positions = list(map(sum, zip(self._before[phase], before, strict=True)))
        block = []
        for slot in range(len(corpora)):
            corpus = corpora[permute(slot, len(corpora), (self.seed, 0, start))]
            block.append((corpus, positions[corpus]))
            positions[corpus] += 1
        return block


class InfillingStream(Dataset):
    """
    The samples of a run, or of its rest, for a `DataLoader` that does not shuffle.

    Item j is `{"input_ids": ids of the text, "sample_id": start + j}`.

    Args:
        datasets: The corpora, each with `input_ids`.
        order: The order of the texts.
        num_samples: Number of samples.
        start: Number of the first sample.

    Raises:
        ValueError: If the sizes of the datasets are not those of `order`.
    """

    def __init__(self, datasets: Sequence[TextDataset], order: MixtureOrder, num_samples: int, start: int = 0):
        if (sizes := tuple(map(len, datasets))) != order.sizes:
            raise ValueError(f"The corpora have {sizes} texts, but the order is for {order.sizes}.")
        if num_samples < 0 or start < 0:
            raise ValueError(f"num_samples is {num_samples} and start {start}: expected 0 or more.")
        self.datasets, self.order, self.num_samples, self.start = list(datasets), order, num_samples, start
        self._arrays = [dataset.with_format("numpy", columns=["input_ids"]) for dataset in self.datasets]

    def __len__(self) -> int:
        return self.num_samples

    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """Return a batch at once, with the ids as arrays: several times as fast. A DataLoader calls this."""
        places = [self.order(self.start + index) for index in indices]
        texts: list[Any] = [None] * len(places)
        for corpus in {place.corpus for place in places}:
            numbers = [number for number, place in enumerate(places) if place.corpus == corpus]
            rows = self._arrays[corpus][[places[number].text for number in numbers]]["input_ids"]
            for number, row in zip(numbers, rows, strict=True):
                texts[number] = row
        return [
            {"input_ids": text, "sample_id": self.start + index} for text, index in zip(texts, indices, strict=True)
        ]

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < self.num_samples:
            raise IndexError(f"There is no sample {index}: there are {self.num_samples}.")
        place = self.order(self.start + index)
        row = self.datasets[place.corpus][place.text]
        return {"input_ids": row["input_ids"], "sample_id": self.start + index}


def permute(index: int, size: int, key: tuple[int, ...]) -> int:
    """
    Apply a random permutation of `range(size)` to an index, in constant time and memory.

    It is a Feistel network on the cells of a table with at least `size` cells, repeated while the result is outside of the
    range (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). Generators of NumPy may change with its
    version, this does not.

    Args:
        index: Number below `size`.
        size: Number of elements.
        key: Integers that choose the permutation.
    """
    rows = isqrt(size - 1) + 1
    columns = -(-size // rows)
    seed = 0
    for part in key:
        seed = _mix(seed ^ part)
    while True:
        row, column = divmod(index, columns)
        for step in range(0, ROUNDS, 2):
            row = (row + _mix(seed + step ^ column << 8)) % rows
            column = (column + _mix(seed + step + 1 ^ row << 8)) % columns
        index = row * columns + column
        if index < size:
            return index


def _mix(value: int) -> int:
    """Mix 64 bits: SplitMix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def _share_out(weights: Sequence[float], number: int) -> tuple[int, ...]:
    """
    Count the samples of each corpus among the first `number` ones.

    Each corpus takes its part of what the corpora before it left. So no count falls when the number grows, which is not
    true for differences of rounded cumulative weights.
    """
    exact = [Fraction(weight) for weight in weights]
    left = list(accumulate(reversed(exact)))[::-1]  # [a b c] -> [a+b+c b+c c]
    shares = []
    for weight, rest in zip(exact, left, strict=True):
        share = (2 * number * weight / rest + 1) // 2 if rest else 0
        shares.append(int(share))
        number -= shares[-1]
    return tuple(shares)
