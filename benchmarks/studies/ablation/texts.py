"""The texts of the ablation by source: facts of the embedded corpus, or WordNet, Jane Austen and the Bible."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from examples.corpora import build_splits
from examples.corpora.documents import Document
from examples.corpora.groups import load_groups

LEARNABLE = ("number_words", "ordinals", "number_neighbours", "dates", "clock", "years")
# The sources of real text, with the table that shows what is measured on them.
REAL = {"wordnet": "WordNet", "austen": "prose", "bible": "prose"}


@dataclass(frozen=True, kw_only=True)
class SourceTexts:
    """
    The documents of a source.

    Attributes:
        title: Heading of the tables that show what is measured on them. Sources may share it.
        train: Documents to train on.
        held_out: Documents to measure on.
    """

    title: str
    train: Sequence[Document]
    held_out: Sequence[Document]


def read_facts(families: Sequence[str]) -> dict[str, SourceTexts]:
    """Return the documents of some families of the embedded corpus, as one source."""
    train, held_out = ([d for d in part if d.family in families] for part in build_splits())
    return {"facts": SourceTexts(title="facts", train=train, held_out=held_out)}


def read_real(families: Sequence[str]) -> dict[str, SourceTexts]:
    """
    Return WordNet documents and passages of prose, without those that leak what is held out. They have no families to choose.

    Raises:
        FileNotFoundError: If a file is missing that `make data` fetches.
    """
    assert not families
    groups = load_groups()
    return {
        name: SourceTexts(title=title, train=groups[name].train, held_out=groups[name].held_out)
        for name, title in REAL.items()
    }


READERS: dict[str, Callable[[Sequence[str]], dict[str, SourceTexts]]] = {"facts": read_facts, "real": read_real}


def digest_texts(sources: Mapping[str, SourceTexts]) -> str:
    """Return a digest of all documents, so that runs on other texts are told apart."""
    digest = blake2b(digest_size=8)
    for name, source in sources.items():
        for part in (source.train, source.held_out):
            digest.update(f"{name} {len(part)}\n".encode())
            for document in part:
                digest.update(document.text.encode() + b"\n")
    return digest.hexdigest()
