"""The documents of the corpus, and how the text of one is made.

A document states one fact in one to three sentences that repeat each other, so a blanked word follows from the words
around it.
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")
HELD_OUT_ONE_IN = 20
ALWAYS_TRAINED = frozenset({"base", "closed"})
"""Namespaces of keys that are never held out: small closed sets, whose members nothing else in a sentence implies."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A paragraph about one fact, or a paragraph of prose."""

    family: str
    key: str
    """The fact that is stated, as ``namespace:name``; every family that states the fact uses the same key."""
    text: str


def is_held_out(key: str) -> bool:
    """Whether documents with this key belong to the held-out part."""
    if key.partition(":")[0] in ALWAYS_TRAINED:
        return False
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) % HELD_OUT_ONE_IN == 0


def split(documents: Iterable[Document], *, held_out: bool) -> list[Document]:
    """The held-out documents, or the others (for training), in the order given."""
    return [document for document in documents if is_held_out(document.key) == held_out]


COMPARISON = re.compile(r"\b(odd|oddly|parity|larger|smaller|greater|bigger|less[ -]than)\b|\beven number", re.I)
PARITY = re.compile(r"\beven(ly|ness)?\b", re.I)


def state_fact(family: str, keys: Sequence[str], templates: Sequence[str], **fields: object) -> Iterator[Document]:
    """Yield the document that states a fact, unless it compares numbers or speaks of parity.

    ``keys`` are all the facts that the document gives away, the main one first.  If any of them is held out the
    document takes the key of that one, so that no training document gives it away.
    """
    text = _compose(f"{family}:{keys[0]}", templates, {name: str(value) for name, value in fields.items()})
    if not COMPARISON.search(text) and not PARITY.search(text):
        yield Document(family=family, key=next(filter(is_held_out, keys), keys[0]), text=text)


def _compose(identity: str, templates: Sequence[str], fields: dict[str, str]) -> str:
    """One to three sentences from ``templates``, chosen by ``identity``; ``{Name}`` is ``{name}`` with a capital."""
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
    return random.Random(int.from_bytes(blake2b(identity.encode(), digest_size=8).digest()))


def sample(identity: str, population: Sequence[T], count: int) -> list[T]:
    """``count`` members of ``population``, in their order."""
    chosen = generator_of(identity).sample(range(len(population)), min(count, len(population)))
    return [population[index] for index in sorted(chosen)]


def join_words(items: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def with_article(noun: str) -> str:
    vowel = noun[0] in "aeiouAEIOU" and not noun.lower().startswith("uni")
    return f"an {noun}" if vowel else f"a {noun}"
