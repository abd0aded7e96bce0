"""The corpus: the same in every process, its split, and what its documents look like."""

import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from hashlib import sha256

import pytest

from examples import corpora as corpus
from examples.corpora.spelling import TENS, UNITS, cardinal, ordinal
from tests.support.paths import ROOT

NUMBER_WORD = "|".join([*UNITS, *TENS, "hundred", "thousand"])
RANK_WORD = "|".join(ordinal(number) for number in [*range(1, 20), *range(20, 100, 10), 100, 1000])
NUMBER_PHRASE = re.compile(
    rf"\b(?:(?:{NUMBER_WORD})(?:-| and | )(?=(?:{NUMBER_WORD}|{RANK_WORD})\b))*"
    rf"(?:{NUMBER_WORD}|{RANK_WORD})\b",
    re.IGNORECASE,
)
CHARACTER_NAME = re.compile(r"(?<![^ (])[A-Z][A-Z0-9-]+(?: [A-Z0-9-]+)*")


def facts(documents: list[corpus.Document]) -> list[corpus.Document]:
    return [document for document in documents if document.family != "prose"]


def size(documents: list[corpus.Document]) -> int:
    return sum(len(document.text) for document in documents)


def digest(documents: list[corpus.Document]) -> str:
    return sha256(repr(documents).encode()).hexdigest()


@pytest.mark.slow
def test_another_process_builds_the_same_corpus(documents: list[corpus.Document]) -> None:
    code = "import hashlib; from corpora import build_corpus; print(hashlib.sha256(repr(build_corpus()).encode()).hexdigest())"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    output = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "examples",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.strip() == digest(documents)


def test_families_can_be_chosen(documents: list[corpus.Document]) -> None:
    chosen = corpus.build_corpus(families=["sums", "clock"])
    assert chosen == [document for name in ("sums", "clock") for document in documents if document.family == name]


def test_split_has_every_document_once(
    documents: list[corpus.Document], training: list[corpus.Document], held_out: list[corpus.Document]
) -> None:
    assert Counter(training + held_out) == Counter(documents)
    assert {document.key for document in training}.isdisjoint(document.key for document in held_out)
    assert {document.text for document in training}.isdisjoint(document.text for document in held_out)
    assert 0.03 < len(held_out) / len(documents) < 0.09


def test_one_key_in_twenty_is_held_out(documents: list[corpus.Document]) -> None:
    keys = {document.key for document in documents}
    assert 0.04 < sum(map(corpus.is_held_out, keys)) / len(keys) < 0.08
    assert not any(corpus.is_held_out(f"closed:{number}") for number in range(1000))


def test_held_out_numbers_are_not_spelled_in_training(
    training: list[corpus.Document], held_out: list[corpus.Document]
) -> None:
    numbers = [
        int(document.key.removeprefix("number:")) for document in held_out if document.key.startswith("number:")
    ]
    assert len(numbers) > 100
    secrets = {spell(number) for number in numbers for spell in (cardinal, ordinal)}
    spelled = {phrase.lower() for document in facts(training) for phrase in NUMBER_PHRASE.findall(document.text)}
    assert cardinal(1234) in spelled
    assert secrets.isdisjoint(spelled)


def test_held_out_characters_are_not_named_in_training(
    training: list[corpus.Document], held_out: list[corpus.Document]
) -> None:
    characters = [
        chr(int(document.key.removeprefix("character:"), 16))
        for document in held_out
        if document.key.startswith("character:")
    ]
    assert len(characters) > 100
    secrets = {unicodedata.name(case) for character in characters for case in (character, *character.lower())}
    named = {name for document in facts(training) for name in CHARACTER_NAME.findall(document.text)}
    assert "LATIN SMALL LETTER A" in named
    assert secrets.isdisjoint(named)


def test_size(documents: list[corpus.Document]) -> None:
    prose = [document for document in documents if document.family == "prose"]
    assert 4_000_000 < size(documents) < 6_500_000
    assert 0.08 < size(prose) / size(documents) < 0.32
    total = size(facts(documents))
    for family in {document.family for document in facts(documents)}:
        assert size([document for document in documents if document.family == family]) < 0.3 * total


def test_documents_are_short_paragraphs(documents: list[corpus.Document]) -> None:
    assert all(re.fullmatch(r"\S+( \S+)*", document.text) for document in documents)
    lengths = sorted(len(document.text.split()) for document in documents)
    assert lengths[len(lengths) // 100] >= 8
    assert lengths[-len(lengths) // 100] <= 80
    assert all(document.text.isascii() for document in facts(documents))


def test_facts_neither_compare_numbers_nor_speak_of_parity(documents: list[corpus.Document]) -> None:
    kept_out = re.compile(r"\b(odd|even|parity|larger|smaller|greater|bigger|less[ -]than)\b", re.IGNORECASE)
    assert not [document for document in facts(documents) if kept_out.search(document.text)]


def test_prose_has_no_markup(documents: list[corpus.Document]) -> None:
    prose = [document.text for document in documents if document.family == "prose"]
    assert not [text for text in prose if re.search(r">>>|``|:\w+:`|\n", text)]
