"""
Write small documents about the synsets of WordNet.

A document says what a word means and repeats it in other words: what it is a kind of, its opposite, another word for it, a
sentence that uses it. So a hidden word often follows from the rest. A word that is used much has more documents.
"""

import random
from collections.abc import Iterator

from ..documents import Document, generator_of, is_held_out
from .database import Synset, WordNet
from .english import everyday_kind, is_presentable, is_sentence, named, sentence

USED, RARE = "wordnet", "wordnet_rare"
KINDS, OPPOSITES = "kind_of", "opposites"
FAMILIES = (USED, RARE, KINDS, OPPOSITES, "examples")
MOST_WORDS = 60
# How many documents a synset has, by how often it was met.
_VERSIONS = ((50, 3), (5, 2), (0, 1))


def key_of(synset: Synset) -> str:
    """Return the key that decides whether a synset is held out: synsets with one definition go together."""
    return f"synset:{synset.pos}:{synset.definition.lower()}"


def opposites_key(word: str, opposite: str) -> str:
    """Return the key of a pair of opposites, whichever comes first."""
    return f"opposites:{':'.join(sorted((word.lower(), opposite.lower())))}"


def wordnet_documents(wordnet: WordNet) -> Iterator[Document]:
    """
    Yield all documents.

    A document that reveals something of a held-out synset has its key: its definition, its examples, or what it is a kind of.
    """
    for synset in wordnet:
        if not is_presentable(synset):
            continue
        kind = everyday_kind(wordnet, synset) if synset.pos in "nv" else None
        versions = next(number for count, number in _VERSIONS if synset.count >= count)
        for version in range(versions):
            rng = generator_of(f"{key_of(synset)}:{synset.id}:{version}")
            yield from _describe(wordnet, synset, kind, rng)
        yield from _kinds(wordnet, synset, kind)
        yield from _opposites(synset)
        yield from _examples(synset)


def _describe(wordnet: WordNet, synset: Synset, kind: Synset | None, rng: random.Random) -> Iterator[Document]:
    """Yield a document with the definition and up to three statements that repeat it."""
    word = rng.choice(synset.words[: 1 + (len(synset.words) > 1 and rng.random() < 0.3)])
    name = named(synset, word)
    meaning = synset.definition
    forms = [f"{name} is {meaning}", f"the word for {meaning} is {word}", f'"{word}" means {meaning}']
    if synset.pos in "ar":
        forms = forms[1:]
    if synset.pos == "v":
        forms[0] = f"{name} is to {meaning}"
    statements = [*_relations(wordnet, synset, word, kind)]
    rng.shuffle(statements)
    if synset.examples and rng.random() < 0.6:
        statements.insert(0, rng.choice(synset.examples))
    first = [rng.choice(forms)]
    rest = statements[: rng.randint(1, 3)]
    lines = rest[:1] + first + rest[1:] if rest and rng.random() < 0.25 else first + rest
    text = " ".join(map(sentence, lines))
    if len(text.split()) <= MOST_WORDS:
        revealed = [key_of(synset), *(opposites_key(*pair) for pair in synset.opposites[:1])]
        key = next(filter(is_held_out, revealed), revealed[0])
        yield Document(family=USED if synset.count else RARE, key=key, text=text)


def _relations(wordnet: WordNet, synset: Synset, word: str, kind: Synset | None) -> Iterator[str]:
    """Yield what relates a word to others."""
    name = named(synset, word)
    parents = synset.related("@")
    if synset.pos == "n":
        if parents:
            yield f"{name} is a kind of {wordnet[parents[0]].words[0]}"
            if kind is not None and kind.id != parents[0]:
                yield f"{name} is a kind of {kind.words[0]}"
        elif classes := synset.related("@i"):
            yield f"{name} is {named(wordnet[classes[0]], wordnet[classes[0]].words[0])}"
        for whole in synset.related("#p")[:1]:
            yield f"{name} is a part of {named(wordnet[whole], wordnet[whole].words[0])}"
    elif synset.pos == "v" and parents:
        yield f"{name} is a way {named(wordnet[parents[0]], wordnet[parents[0]].words[0])}"
    others = [other for other in synset.words if other.lower() != word.lower()]
    if others:
        yield f"another word for {word} is {others[0]}"
    for own, opposite in synset.opposites[:1]:
        yield f"the opposite of {own} is {opposite}"


def _kinds(wordnet: WordNet, synset: Synset, kind: Synset | None) -> Iterator[Document]:
    """Yield what a word that is in use is a kind of, in one sentence and as a chain. Only its first sense has them."""
    if kind is None or synset.pos != "n" or not synset.count or wordnet.senses(synset)[0] is not synset:
        return
    name = named(synset, synset.words[0])
    link = "is a kind of" if synset.related("@") else "is"
    own = kind.words[0] if synset.related("@") else named(kind, kind.words[0])
    yield Document(family=KINDS, key=key_of(synset), text=sentence(f"{name} {link} {own}"))
    above = wordnet.ancestors(kind, 1)
    if above and not is_held_out(key_of(kind)):
        text = f"{name} {link} {own}, and {named(kind, kind.words[0])} is a kind of {above[0].words[0]}"
        yield Document(family=KINDS, key=key_of(synset), text=sentence(text))


def _opposites(synset: Synset) -> Iterator[Document]:
    """Yield the opposites of a word that is in use, both ways round. A pair is held out as a whole."""
    if not synset.count:
        return
    for own, other in synset.opposites:
        key = opposites_key(own, other)
        yield Document(family=OPPOSITES, key=key, text=sentence(f"the opposite of {own} is {other}"))
        text = f"{sentence(f'the opposite of {own} is {other}')} {sentence(f'the opposite of {other} is {own}')}"
        yield Document(family=OPPOSITES, key=key, text=text)


def _examples(synset: Synset) -> Iterator[Document]:
    """Yield the whole sentences that use a word."""
    for example in synset.examples:
        if is_sentence(example):
            yield Document(family="examples", key=key_of(synset), text=sentence(example))
