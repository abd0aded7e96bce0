"""Tests of the example corpus and of the baselines on it."""

import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from hashlib import sha256

import pytest

from examples import corpora as corpus
from examples.corpora import baselines
from examples.corpora.families.numbers.roman_numerals import roman
from examples.corpora.spelling import TENS, UNITS, cardinal, ordinal, ordinal_digits
from tests.support.paths import ROOT

NUMBER_WORD = "|".join([*UNITS, *TENS, "hundred", "thousand"])
RANK_WORD = "|".join(ordinal(number) for number in [*range(1, 20), *range(20, 100, 10), 100, 1000])
NUMBER_PHRASE = re.compile(
    rf"\b(?:(?:{NUMBER_WORD})(?:-| and | )(?=(?:{NUMBER_WORD}|{RANK_WORD})\b))*"
    rf"(?:{NUMBER_WORD}|{RANK_WORD})\b",
    re.IGNORECASE,
)
CHARACTER_NAME = re.compile(r"(?<![^ (])[A-Z][A-Z0-9-]+(?: [A-Z0-9-]+)*")


@pytest.fixture(scope="module")
def documents() -> list[corpus.Document]:
    return corpus.build_corpus()


@pytest.fixture(scope="module")
def training(documents: list[corpus.Document]) -> list[corpus.Document]:
    return corpus.split(documents, held_out=False)


@pytest.fixture(scope="module")
def held_out(documents: list[corpus.Document]) -> list[corpus.Document]:
    return corpus.split(documents, held_out=True)


def facts(documents: list[corpus.Document]) -> list[corpus.Document]:
    return [document for document in documents if document.family != "prose"]


def size(documents: list[corpus.Document]) -> int:
    return sum(len(document.text) for document in documents)


def digest(documents: list[corpus.Document]) -> str:
    return sha256(repr(documents).encode()).hexdigest()


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


@pytest.mark.parametrize(
    ("number", "words", "rank", "short"),
    [
        (3, "three", "third", "3rd"),
        (12, "twelve", "twelfth", "12th"),
        (21, "twenty-one", "twenty-first", "21st"),
        (40, "forty", "fortieth", "40th"),
        (100, "one hundred", "one hundredth", "100th"),
        (111, "one hundred and eleven", "one hundred and eleventh", "111th"),
        (347, "three hundred and forty-seven", "three hundred and forty-seventh", "347th"),
        (2005, "two thousand and five", "two thousand and fifth", "2005th"),
        (99_202, "ninety-nine thousand two hundred and two", "ninety-nine thousand two hundred and second", "99202nd"),
    ],
)
def test_numbers_are_spelled(number: int, words: str, rank: str, short: str) -> None:
    assert cardinal(number) == words
    assert ordinal(number) == rank
    assert ordinal_digits(number) == short


def test_cardinals_differ() -> None:
    assert len({cardinal(number) for number in range(20_000)}) == 20_000


@pytest.mark.parametrize(("number", "numeral"), [(14, "XIV"), (1987, "MCMLXXXVII"), (3999, "MMMCMXCIX")])
def test_roman(number: int, numeral: str) -> None:
    assert roman(number) == numeral


def test_filled_blanks_restore_the_text(held_out: list[corpus.Document]) -> None:
    blanks = baselines.make_blanks(held_out, count=2000, seed=1)
    assert blanks == baselines.make_blanks(held_out, count=2000, seed=1)
    assert blanks != baselines.make_blanks(held_out, count=2000, seed=2)
    texts = {(document.family, document.text) for document in held_out}
    for blank in blanks:
        assert blank.text.count(baselines.MASK) == 1
        assert (blank.family, blank.text.replace(baselines.MASK, blank.answer)) in texts
        assert 1 <= blank.words <= baselines.MAX_WORDS
        assert blank.answer == " ".join(blank.answer.split())
        assert blank.answer[-1] not in ".,:;!?"


def test_more_context_predicts_better(training: list[corpus.Document], held_out: list[corpus.Document]) -> None:
    families = {"number_words", "dates", "unicode_case", "clock"}
    seen = [document for document in training if document.family in families]
    blanks = baselines.make_blanks(
        [document for document in held_out if document.family in families], count=500, seed=0
    )
    kinds = (baselines.UnigramBaseline, baselines.NeighbourBaseline, baselines.BackoffNgramBaseline)
    scores = [baselines.exact_match([*map(kind().fit(seen).predict, blanks)], blanks) for kind in kinds]
    assert 0 < scores[0] <= scores[1] <= scores[2] < 1


def test_baselines_on_a_handful() -> None:
    texts = ("a cat sat on the mat.", "a dog sat on the mat.", "a dog ran on the road.")
    seen = [corpus.Document(family="toy", key=f"closed:{text}", text=text) for text in texts]
    blank = baselines.HeldOutBlank(family="toy", text="one [MASK] ran on.", answer="dog")
    assert baselines.UnigramBaseline().fit(seen).predict(blank) == "a"
    near = baselines.HeldOutBlank(family="toy", text="a [MASK] sat on the mat.", answer="cat")
    assert baselines.NeighbourBaseline().fit(seen).predict(near) == "cat"
    assert baselines.BackoffNgramBaseline().fit(seen).predict(blank) == "dog"
    long = baselines.HeldOutBlank(family="toy", text="a dog sat [MASK] mat.", answer="on the")
    assert baselines.BackoffNgramBaseline().fit(seen).predict(long) == "on the"


def test_exact_match() -> None:
    blanks = [baselines.HeldOutBlank(family="toy", text="[MASK].", answer=answer) for answer in ("a", "b")]
    assert baselines.exact_match(["a", "c"], blanks) == 0.5
