"""
Winograd schemas (Levesque et al., 2012): which of two things does a pronoun mean?

BIG-bench has no such file, but its task `winowhy` (Zhang et al., 2020) names the right thing for each of the 273 sentences:
"... The 'it' refers to the suitcase because ...". Sentences come in pairs that differ in a word or two, and the right thing
of one is the wrong thing of the other. So the questions are rebuilt from the pairs.
"""

import hashlib
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from examples.corpora.archives.folder import require

from .questions import ChoiceRow, read_questions

QUESTION = re.compile(r"(?P<sentence>.+?) The '(?P<pronoun>[^']+)' refers to (?P<meant>.+?) because .*", re.DOTALL)
# How far apart the sentences of a pair stand in the file, and how alike their words are.
NEAR = 3
ALIKE = 0.7
# The pronoun is the last one of its form, but the first one in sentences with these digests.
FIRST_PRONOUN = frozenset({"1b44d5b16297", "b7994c314b6f", "e8aaa55ad763", "279f2a52e485", "95d064e2a720"})
POSSESSIVE = ("my", "his", "her", "our", "their")
# Words that are written small inside a sentence.
SMALL = frozenset(["a", "an", "the", "my", "his", "her", "our", "their", "some"])


class Schema(NamedTuple):
    """
    Hold a sentence with a pronoun.

    Attributes:
        sentence: The sentence, with single spaces.
        pronoun: The pronoun, written as in the sentence.
        meant: What it means, in small letters.
    """

    sentence: str
    pronoun: str
    meant: str


def winograd_rows() -> list[ChoiceRow]:
    """
    Read the schemas as rows with choices. The blank stands in place of the pronoun.

    Left out are sentences whose wrong choice stands only in the other sentence of the pair.
    """
    schemas = read_schemas([question.text for question in read_questions(require("bigbench", "winowhy.json"))])
    return build_rows(schemas)


def read_schemas(texts: Sequence[str]) -> list[Schema]:
    """
    Read the sentences with their pronouns, each once, in the order of the file.

    Raises:
        ValueError: For a text of another form.
    """
    found = {}
    for number, text in enumerate(texts):
        match = QUESTION.fullmatch(text)
        if match is None:
            raise ValueError(f"Example {number} of winowhy does not say what a pronoun refers to: {text[:80]!r}.")
        found[Schema(" ".join(match["sentence"].split()), match["pronoun"], match["meant"])] = None
    return list(found)


def build_rows(schemas: Sequence[Schema]) -> list[ChoiceRow]:
    """Build a row for every schema with a partner."""
    rows = []
    for number, schema in enumerate(schemas):
        partner = _find_partner(schemas, number)
        if partner is None or _is_foreign(partner, schema):
            continue
        before, behind = split_at_pronoun(schema)
        choices = [write_choice(meant, schema, before) for meant in (schema.meant, partner.meant)]
        # The right choice is the first one of every other row.
        label = len(rows) % 2
        rows.append(ChoiceRow(f"{before}[MASK]{behind}", choices[::-1] if label else choices, label, "winograd"))
    return rows


def split_at_pronoun(schema: Schema) -> tuple[str, str]:
    """Split a sentence around its pronoun, the last one of that form except in the sentences of `FIRST_PRONOUN`."""
    places = [match.span() for match in re.finditer(rf"\b{re.escape(schema.pronoun)}\b", schema.sentence)]
    places = places or [
        match.span() for match in re.finditer(rf"\b{re.escape(schema.pronoun)}\b", schema.sentence, re.IGNORECASE)
    ]
    if not places:
        raise ValueError(f"The sentence {schema.sentence!r} has no {schema.pronoun!r}.")
    start, stop = places[0 if digest(schema.sentence) in FIRST_PRONOUN else -1]
    return schema.sentence[:start], schema.sentence[stop:]


def write_choice(meant: str, schema: Schema, before: str) -> str:
    """Write what a pronoun means as the sentence would: with its capitals, and with 's for a possessive pronoun."""
    words = [_write_word(word, schema.sentence) for word in meant.split()]
    if not before.strip() or before.rstrip()[-1] in ".!?":
        words[0] = words[0][0].upper() + words[0][1:]
    return " ".join(words) + ("'s" if schema.pronoun.lower() in POSSESSIVE else "")


def digest(sentence: str) -> str:
    """Compute a short digest of a sentence, because sentences of evaluations stay out of the repository."""
    return hashlib.sha256(sentence.encode()).hexdigest()[:12]


def _write_word(word: str, sentence: str) -> str:
    """Write a word with the capitals that it has in the sentence."""
    if word in SMALL:
        return word
    name = word.removesuffix("'s")
    pattern = rf"(?<!\w){re.escape(name)}(?!\w)"
    found = [match[0] for match in re.finditer(pattern, sentence, re.IGNORECASE)]
    written = next((one for one in found if one == name), found[0] if found else name)
    return written + word[len(name) :]


def _find_partner(schemas: Sequence[Schema], number: int) -> Schema | None:
    """Find the schema nearby that is most alike, has the same pronoun and means something else."""
    mine = schemas[number]
    near = [
        (_likeness(mine, other), -abs(place - number), other)
        for place, other in enumerate(schemas)
        if abs(place - number) <= NEAR and other.pronoun.lower() == mine.pronoun.lower() and other.meant != mine.meant
    ]
    likeness, _, partner = max(near, default=(0.0, 0, None), key=lambda one: one[:2])
    return partner if likeness >= ALIKE else None


def _likeness(one: Schema, other: Schema) -> float:
    return SequenceMatcher(None, one.sentence.lower().split(), other.sentence.lower().split()).ratio()


def _is_foreign(partner: Schema, schema: Schema) -> bool:
    """Return whether what the partner means stands in its own sentence, word for word, but not in the other one."""
    meant = partner.meant.removeprefix("the ")
    return meant in partner.sentence.lower() and meant not in schema.sentence.lower()


__all__ = ["Schema", "build_rows", "digest", "read_schemas", "split_at_pronoun", "winograd_rows", "write_choice"]
