"""
Read the database files of WordNet 3.1 (Fellbaum 1998): `data.noun`, `data.verb`, `data.adj`, `data.adv` and `index.sense`.

The manual page wndb(5WN) describes their form. A synset is a set of words with one meaning. `index.sense` says how often each
sense of a word was met in texts that were labelled by hand.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

VERSION = "3.1"
FILES = ("data.noun", "data.verb", "data.adj", "data.adv", "index.sense")
# The numbers of noun synsets tell the versions apart.
_SYNSETS = {"3.0": 82115, "3.1": 82192}
_PARTS_OF_SPEECH = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
_EXAMPLE = re.compile(r'"([^"]*)"?')
_MARKER = re.compile(r"\((?:a|p|ip)\)$")
_LEADING_NOTE = re.compile(r"^(?:\([^()]*\)\s*)+")


@dataclass(frozen=True, kw_only=True)
class Synset:
    """
    A set of words with one meaning.

    Attributes:
        id: Part of speech and offset, such as `n02086723`. The part of speech of a satellite adjective is `a`.
        words: Its words as they are written, the most frequent one first.
        counts: For each word, how often this sense of it was met.
        category: Number of its lexicographer file: 5 has animals, 18 persons.
        definition: What it means, without notes in parentheses at its beginning.
        examples: Sentences or phrases that use one of the words.
        relations: Ids of related synsets by the symbol of the relation: `@` kind of, `@i` instance of, `%p` parts, and so on.
        opposites: Pairs of a word of this synset and its opposite.
    """

    id: str
    words: tuple[str, ...]
    counts: tuple[int, ...] = ()
    category: int = 0
    definition: str
    examples: tuple[str, ...] = ()
    relations: dict[str, tuple[str, ...]] = field(default_factory=dict)
    opposites: tuple[tuple[str, str], ...] = ()

    @property
    def pos(self) -> str:
        """Part of speech: `n`, `v`, `a` or `r`."""
        return self.id[0]

    @property
    def count(self) -> int:
        """How often this meaning was met, over all its words."""
        return sum(self.counts)

    def related(self, *symbols: str) -> tuple[str, ...]:
        """Return the ids of the synsets in one of these relations to this one."""
        return tuple(other for symbol in symbols for other in self.relations.get(symbol, ()))


class WordNet:
    """All synsets, by their id, in the order of the files."""

    def __init__(self, synsets: Iterable[Synset]) -> None:
        self.synsets = {synset.id: synset for synset in synsets}

    def __iter__(self) -> Iterator[Synset]:
        return iter(self.synsets.values())

    def __getitem__(self, key: str) -> Synset:
        return self.synsets[key]

    def __len__(self) -> int:
        return len(self.synsets)

    @cached_property
    def by_word(self) -> dict[tuple[str, str], list[Synset]]:
        """The synsets of a word and part of speech, the most frequent sense first."""
        found: dict[tuple[str, str], list[tuple[int, Synset]]] = defaultdict(list)
        for synset in self:
            for word, count in zip(synset.words, synset.counts, strict=True):
                found[word.lower(), synset.pos].append((-count, synset))
        return {key: [synset for _, synset in sorted(items, key=lambda item: item[0])] for key, items in found.items()}

    @cached_property
    def descendants(self) -> dict[str, int]:
        """For every synset, how many others have it among their ancestors."""
        counts = dict.fromkeys(self.synsets, 0)
        for synset in self:
            for parent in self.ancestors(synset, 30):
                counts[parent.id] += 1
        return counts

    def senses(self, synset: Synset) -> list[Synset]:
        """Return the senses of the first word of a synset, the most frequent one first."""
        return self.by_word[synset.words[0].lower(), synset.pos]

    def ancestors(self, synset: Synset, most: int) -> list[Synset]:
        """Return up to `most` steps of the chain of what it is a kind (or an instance) of, by the first relation."""
        chain: list[Synset] = []
        while len(chain) < most and (parents := synset.related("@", "@i")) and self[parents[0]] not in chain:
            synset = self[parents[0]]
            chain.append(synset)
        return chain


def read_wordnet(folder: str | Path) -> WordNet:
    """
    Read WordNet 3.1.

    Args:
        folder: The folder with `data.noun`, `data.verb`, `data.adj`, `data.adv` and `index.sense`.

    Raises:
        FileNotFoundError: For a file that is missing.
        ValueError: For a line of another form, with its file and number, and for another version of WordNet.
    """
    folder = Path(folder)
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)}: run make data, or give the folder of WordNet 3.1."
        )
    counts = dict(_read_lines(folder / "index.sense", _parse_sense))
    drafts = {
        draft.synset.id: draft
        for name in FILES[:4]
        for draft in _read_lines(folder / name, lambda line: _parse_synset(line, counts))
    }
    return WordNet(_with_opposites(draft, drafts) for draft in drafts.values())


def require_version(wordnet: WordNet) -> None:
    """
    Refuse another version of WordNet: its synsets and so the held-out ones would be others.

    Raises:
        ValueError: If the number of nouns is not that of WordNet 3.1.
    """
    nouns = sum(synset.pos == "n" for synset in wordnet)
    if nouns != _SYNSETS[VERSION]:
        known = next((version for version, size in _SYNSETS.items() if size == nouns), None)
        found = f"version {known}" if known else f"{nouns:,} noun synsets"
        raise ValueError(
            f"WordNet {VERSION} with {_SYNSETS[VERSION]:,} noun synsets was expected, and {found} was found: run make data."
        )


@dataclass(frozen=True)
class _Draft:
    """A synset whose opposites are still numbers: this word, the other synset, its word, all counted from 1."""

    synset: Synset
    opposites: tuple[tuple[int, str, int], ...]


def _read_lines(path: Path, parse):
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.startswith("  "):  # the license, which every file begins with
                continue
            try:
                yield parse(line)
            except (ValueError, IndexError) as error:
                raise ValueError(
                    f"{path}, line {number}: not a line of WordNet {VERSION}: {line[:60]!r}. Run make data."
                ) from error


def _parse_sense(line: str) -> tuple[tuple[str, str], int]:
    """Return word and synset of a line of `index.sense`, and the count: `dog%1:05:00:: 02086723 1 42`."""
    key, offset, _, count = line.split()
    word, _, rest = key.partition("%")
    return (word, _PARTS_OF_SPEECH[rest[0]] + offset), int(count)


def _parse_synset(line: str, counts: dict[tuple[str, str], int]) -> _Draft:
    head, bar, gloss = line.partition("|")
    if not bar:
        raise ValueError("no gloss")
    fields = head.split()
    pos = fields[2].replace("s", "a")
    identity = pos + fields[0]
    size = int(fields[3], 16)
    words = [_MARKER.sub("", word) for word in fields[4 : 4 + 2 * size : 2]]
    start = 4 + 2 * size
    relations: dict[str, list[str]] = defaultdict(list)
    opposites = []
    for number in range(int(fields[start])):
        symbol, offset, other_pos, ends = fields[start + 1 + 4 * number : start + 5 + 4 * number]
        other = other_pos.replace("s", "a") + offset
        source, target = int(ends[:2], 16), int(ends[2:], 16)
        if symbol == "!" and source and target:
            opposites.append((source, other, target))
        elif not source:
            relations[symbol].append(other)
    definition, examples = _parse_gloss(gloss)
    return _Draft(
        Synset(
            id=identity,
            words=tuple(word.replace("_", " ") for word in words),
            counts=tuple(counts.get((word.lower(), identity), 0) for word in words),
            category=int(fields[1]),
            definition=definition,
            examples=examples,
            relations={symbol: tuple(others) for symbol, others in relations.items()},
        ),
        tuple(opposites),
    )


def _parse_gloss(gloss: str) -> tuple[str, tuple[str, ...]]:
    """Split a gloss into the definition and the quoted examples."""
    definition, _, quoted = gloss.partition('"')
    examples = _EXAMPLE.findall(f'"{quoted}') if quoted else []
    plain = (" ".join(example.replace("`", "'").split()).strip(" ;") for example in examples)
    definition = " ".join(_LEADING_NOTE.sub("", definition.replace("`", "'").strip()).split()).strip(" ;:,-")
    return definition, tuple(example for example in plain if example)


def _with_opposites(draft: _Draft, drafts: dict[str, _Draft]) -> Synset:
    synset = draft.synset
    pairs = tuple((synset.words[own - 1], drafts[other].synset.words[its - 1]) for own, other, its in draft.opposites)
    return Synset(**{**vars(synset), "opposites": pairs}) if pairs else synset
