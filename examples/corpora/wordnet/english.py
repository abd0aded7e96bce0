"""How the words and definitions of WordNet stand in a sentence."""

import re

from ..documents import with_article
from .database import Synset, WordNet

# A definition that begins so describes one thing of several: "a dog is ...", but "water is ...".
_COUNTABLE = re.compile(r"(an?|one|any|someone|each|either) ", re.I)
_SENTENCE = re.compile(r"[A-Z\"'(].*[a-z]{2}.*", re.DOTALL)
# Ranks of the classification of living beings, whose names nobody has to know.
_TAXON = re.compile(
    r"(genus|family|order|class|phylum|division|subfamily|suborder|superfamily|tribe|subclass|subphylum|kingdom) ",
    re.I,
)
_GENUS = re.compile(r"\b(genus|genera|family [A-Z]\w+|order [A-Z]\w+)\b")
_LIVING = {5, 20}  # animals and plants
TOO_GENERAL = 1000


def named(synset: Synset, word: str) -> str:
    """Put a word of a synset as it stands in a sentence: `a dog`, `water`, `Paris`, `to run`."""
    if synset.pos == "v":
        return f"to {word}"
    if synset.pos == "n" and word == word.lower() and is_countable(synset):
        return with_article(word)
    return word


def is_countable(synset: Synset) -> bool:
    """Return whether the words of a noun synset take an article, as far as its definition tells."""
    return bool(_COUNTABLE.match(synset.definition))


def is_presentable(synset: Synset) -> bool:
    """Return whether a synset has an everyday word: no name of a rank of living beings, no figures or signs."""
    word = synset.words[0]
    return bool(
        synset.definition
        and not _TAXON.match(word)
        and not (synset.category in _LIVING and _GENUS.search(synset.definition))
        and re.fullmatch(r"[A-Za-z][A-Za-z' .-]*", word)
        and len(word.split()) <= 3
    )


def everyday_kind(wordnet: WordNet, synset: Synset) -> Synset | None:
    """
    Return what people would say that something is a kind of: a spaniel is a dog rather than a sporting dog.

    That is the ancestor that was met most often among the first four, without the most general ones.
    """
    chain = [parent for parent in wordnet.ancestors(synset, 4) if wordnet.descendants[parent.id] <= TOO_GENERAL]
    return max(chain, key=lambda parent: parent.count, default=None)


def is_sentence(example: str) -> bool:
    """Return whether an example is a whole sentence rather than a phrase."""
    return bool(_SENTENCE.fullmatch(example)) and len(example.split()) >= 4


def sentence(text: str) -> str:
    """Write a text as a sentence: with a capital at its beginning and a stop at its end."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", '."', '?"', '!"')) else f"{text}."
