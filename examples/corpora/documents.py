"""
The documents of the corpus, and how to make the text of one.

A document states one fact in one to three sentences that repeat each other. So a masked word follows from the words around
it.
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")
HELD_OUT_ONE_IN = 20
# Kinds of keys that are never held out: small closed sets, whose members do not follow from the rest of a sentence.
ALWAYS_TRAINED = frozenset({"base", "closed"})
# Facts must not compare numbers: fine-tuning in 01_quickstart.py asks for that.
COMPARISON = re.compile(r"\b(odd|oddly|parity|larger|smaller|greater|bigger|less[ -]than)\b|\beven number", re.I)
PARITY = re.compile(r"\beven(ly|ness)?\b", re.I)


@dataclass(frozen=True, kw_only=True)
class Document:
    """
    A paragraph about one fact, or a paragraph of prose.

    Attributes:
        family: Name of its family.
        key: The fact that it states, as `kind:name`. All families use the same key for the same fact.
        text: The paragraph.
    """

    family: str
    key: str
    text: str


def is_held_out(key: str) -> bool:
    """Return whether documents with this key are held out."""
    if key.partition(":")[0] in ALWAYS_TRAINED:
        return False
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) % HELD_OUT_ONE_IN == 0


def split(documents: Iterable[Document], *, held_out: bool) -> list[Document]:
    """Return the held-out documents, or the others, in the given order."""
    return [document for document in documents if is_held_out(document.key) == held_out]


def state_fact(family: str, keys: Sequence[str], templates: Sequence[str], **fields: object) -> Iterator[Document]:
    """
    Yield the document that states a fact, unless it compares numbers or mentions parity.

    Args:
        family: Name of the family.
        keys: All facts that the document reveals, the main one first. If one of them is held out, the document gets its
            key, so that no training document reveals it.
        templates: Sentences with `{name}` for fields, and `{Name}` for a field with a capital.
        fields: The values of the fields.
    """
    text = _compose(f"{family}:{keys[0]}", templates, {name: str(value) for name, value in fields.items()})
    if not COMPARISON.search(text) and not PARITY.search(text):
        yield Document(family=family, key=next(filter(is_held_out, keys), keys[0]), text=text)


def _compose(identity: str, templates: Sequence[str], fields: dict[str, str]) -> str:
    """Make one to three sentences. `identity` chooses the templates and the length."""
    fields |= {name.capitalize(): value[:1].upper() + value[1:] for name, value in fields.items()}
    rng = generator_of(identity)
    goal = rng.randint(14, 34)
    sentences: list[str] = []
    for template in rng.sample(templates, min(len(templates), 3)):
        sentences.append(template.format_map(fields))
        if len(" ".join(sentences).split()) >= goal:
            break
    return " ".join(sentences)


def generator_of(identity: str) -> random.Random:
    """Return a generator of random numbers that depends on a string only."""
    return random.Random(int.from_bytes(blake2b(identity.encode(), digest_size=8).digest()))


def sample(identity: str, population: Sequence[T], count: int) -> list[T]:
    """Return `count` members of a population, in their order. `identity` chooses them."""
    chosen = generator_of(identity).sample(range(len(population)), min(count, len(population)))
    return [population[index] for index in sorted(chosen)]


def pack_sentences(sentences: Iterable[str], words: int) -> Iterator[str]:
    """Join sentences into paragraphs of up to so many words. A longer sentence stands alone."""
    pending: list[str] = []
    for sentence in sentences:
        if pending and len(" ".join([*pending, sentence]).split()) > words:
            yield " ".join(pending)
            pending = []
        pending.append(sentence)
    if pending:
        yield " ".join(pending)


def join_words(items: Sequence[str]) -> str:
    """Join words: `["a", "b", "c"]` -> `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def with_article(noun: str) -> str:
    """Put an indefinite article in front of a noun: `error` -> `an error`."""
    vowel = noun[0] in "aeiouAEIOU" and not noun.lower().startswith("uni")
    return f"an {noun}" if vowel else f"a {noun}"
