"""A corpus of plain English sentences made from what ships with Python.

Most documents state one fact (how a number is spelled, how a character is named, how a date is written) in one to
three sentences that repeat each other, so that a blanked word follows from the words around it.  The others are prose
from the documentation and the docstrings of the standard library.

The corpus depends on nothing but the interpreter: its Unicode version, its standard library and, for time zones and
error messages, its platform.  ``python examples/corpus.py`` prints the families with their sizes.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import calendar
import datetime
import encodings.aliases
import errno
import functools
import html.entities
import http
import importlib
import inspect
import json
import keyword
import locale
import mimetypes
import operator
import os
import random
import re
import signal
import string
import sys
import sysconfig
import token
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from pydoc_data.topics import topics
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


_COMPARISON = re.compile(r"\b(odd|oddly|parity|larger|smaller|greater|bigger|less[ -]than)\b|\beven number", re.I)
_PARITY = re.compile(r"\beven(ly|ness)?\b", re.I)


def _fact(family: str, keys: Sequence[str], templates: Sequence[str], **fields: object) -> Iterator[Document]:
    """Yield the document that states a fact, unless it compares numbers or speaks of parity.

    ``keys`` are all the facts that the document gives away, the main one first.  If any of them is held out the
    document takes the key of that one, so that no training document gives it away.
    """
    text = _compose(f"{family}:{keys[0]}", templates, {name: str(value) for name, value in fields.items()})
    if not _COMPARISON.search(text) and not _PARITY.search(text):
        yield Document(family=family, key=next(filter(is_held_out, keys), keys[0]), text=text)


def _compose(identity: str, templates: Sequence[str], fields: dict[str, str]) -> str:
    """One to three sentences from ``templates``, chosen by ``identity``; ``{Name}`` is ``{name}`` with a capital."""
    fields |= {name.capitalize(): value[:1].upper() + value[1:] for name, value in fields.items()}
    rng = _rng(identity)
    goal = rng.randint(14, 34)
    sentences: list[str] = []
    for template in rng.sample(templates, min(len(templates), 3)):
        sentences.append(template.format_map(fields))
        if len(" ".join(sentences).split()) >= goal:
            break
    return " ".join(sentences)


def _rng(identity: str) -> random.Random:
    return random.Random(int.from_bytes(blake2b(identity.encode(), digest_size=8).digest()))


def _sample(identity: str, population: Sequence[T], count: int) -> list[T]:
    """``count`` members of ``population``, in their order."""
    chosen = _rng(identity).sample(range(len(population)), min(count, len(population)))
    return [population[index] for index in sorted(chosen)]


def _listing(items: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def counted(count: int, noun: str) -> str:
    return f"{cardinal(count)} {noun}" if count == 1 else f"{cardinal(count)} {noun}s"


def _with_article(noun: str) -> str:
    vowel = noun[0] in "aeiouAEIOU" and not noun.lower().startswith("uni")
    return f"an {noun}" if vowel else f"a {noun}"


# Numbers

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
_ORDINALS |= {"twelve": "twelfth"}
_ROMAN = {1000: "M", 900: "CM", 500: "D", 400: "CD", 100: "C", 90: "XC", 50: "L", 40: "XL", 10: "X", 9: "IX"}
_ROMAN |= {5: "V", 4: "IV", 1: "I"}


def cardinal(number: int) -> str:
    """The words for a number from 0 to 999,999, such as ``three hundred and forty-seven``."""
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, units = divmod(number, 10)
        return f"{_TENS[tens]}-{_UNITS[units]}" if units else _TENS[tens]
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, size)
    joint = " and " if rest < 100 else " "
    return f"{cardinal(head)} {name}" + (f"{joint}{cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    """The words for a rank, such as ``twenty-first``."""
    head, mark, last = re.fullmatch(r"(?:(.*)([ -]))?(\w+)", cardinal(number)).groups(default="")
    rank = last[:-1] + "ieth" if last.endswith("y") else last + ("h" if last.endswith("t") else "th")
    return head + mark + _ORDINALS.get(last, rank)


def ordinal_digits(number: int) -> str:
    """A rank in digits, such as ``21st``."""
    suffix = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def roman(number: int) -> str:
    """A number from 1 to 3999 in Roman numerals."""
    letters = ""
    for value, numeral in _ROMAN.items():
        count, number = divmod(number, value)
        letters += numeral * count
    return letters


def number_key(number: int) -> str:
    """The key of everything said about a number; the numbers below 100 are the building blocks of the others."""
    return f"number:{number}" if number >= 100 else f"base:number {number}"


def _number_words() -> Iterator[Document]:
    templates = (
        "{n} is written {words}.",
        "{Words} is written {n} in digits.",
        "The number {n} is read as {words}.",
        "In words, {n} is {words}.",
        "In digits, {words} is {n}.",
        "{Words} has {count}: {digits}.",
        "To write {words}, put down {digits}, which gives {n}.",
        "Spelled out in full, the number {n} reads {words}.",
    )
    numbers = [*range(2000), *_sample("thousands", range(2000, 10_000), 1200)]
    numbers += _sample("hundred thousands", range(10_000, 1_000_000), 400)
    for n in numbers:
        digits = str(n)
        parts = [digit + "0" * (len(digits) - 1 - place) for place, digit in enumerate(digits) if digit != "0"]
        extra = ["{n} is the sum {parts}, so the number is {words}."] if len(parts) > 1 else []
        yield from _fact(
            "number_words",
            [number_key(n)],
            [*templates, *extra],
            n=n,
            words=cardinal(n),
            count=counted(len(digits), "digit"),
            digits=_listing(list(digits)),
            parts=" + ".join(parts),
        )


def _ordinals() -> Iterator[Document]:
    templates = (
        "The {short} is the {long}.",
        "The rank {short} is read as {long}.",
        "Number {n} in a row is the {long}, written {short}.",
        "The {long} place belongs to number {n}, {words}.",
        "From {words} comes the rank {long}, and from {n} comes {short}.",
        "In short, the {long} is written {short}.",
    )
    for n in [*range(1, 800), *_sample("ordinals", range(800, 3000), 500)]:
        fields = {"n": n, "words": cardinal(n), "long": ordinal(n), "short": ordinal_digits(n)}
        yield from _fact("ordinals", [number_key(n)], templates, **fields)


def _number_neighbours() -> Iterator[Document]:
    templates = (
        "After {words} comes {next}.",
        "Before {next} comes {words}.",
        "{Words} lies between {previous} and {next}.",
        "Counting up: {previous}, {words}, {next}.",
        "Counting down: {next}, {words}, {previous}.",
        "{previous_n}, {n} and {next_n} follow each other: {previous}, {words} and {next}.",
        "The number after {n} is {next_n}, so {words} is followed by {next}.",
        "The number before {n} is {previous_n}, so {previous} is followed by {words}.",
    )
    for n in [*range(1, 600), *_sample("neighbours", range(600, 3000), 600)]:
        yield from _fact(
            "number_neighbours",
            [number_key(n), number_key(n - 1), number_key(n + 1)],
            templates,
            n=n,
            previous_n=n - 1,
            next_n=n + 1,
            words=cardinal(n),
            previous=cardinal(n - 1),
            next=cardinal(n + 1),
        )


def _roman_numerals() -> Iterator[Document]:
    templates = (
        "{roman} is {n}, {words}.",
        "The Roman numeral {roman} stands for {words}.",
        "In Roman numerals, {n} is {roman}.",
        "{Words} is written {roman} by the Romans and {n} today.",
        "The numeral {roman} is read {words} and has the value {n}.",
        "Rome wrote {words} as {roman}.",
    )
    for n in [*range(1, 600), *_sample("roman numerals", range(600, 4000), 600)]:
        yield from _fact("roman_numerals", [number_key(n)], templates, n=n, words=cardinal(n), roman=roman(n))


def _sums() -> Iterator[Document]:
    templates = (
        "{a} + {b} = {c}.",
        "{A_words} plus {b_words} is {c_words}.",
        "Add {b} to {a} to get {c}.",
        "{C_words} is the sum of {a_words} and {b_words}.",
        "{c} - {b} = {a}, that is, {c_words} minus {b_words} is {a_words}.",
        "If {b_words} is taken from {c_words}, {a_words} is left.",
        "{a} and {b} make {c}: {a_words} and {b_words} make {c_words}.",
    )
    for a in range(1, 100):
        for b in range(1, 11):
            yield from _fact(
                "sums",
                [f"sum:{a}+{b}", number_key(a + b)],
                templates,
                a=a,
                b=b,
                c=a + b,
                a_words=cardinal(a),
                b_words=cardinal(b),
                c_words=cardinal(a + b),
            )


def _money() -> Iterator[Document]:
    templates = (
        "${price} is {words}.",
        "The price ${price} is read as {words}.",
        "{Words} is written ${price}.",
        "A bill of ${price} comes to {dollars} dollars and {cents} cents, that is, {words}.",
        "Pay {words}, or ${price} in digits.",
        "In ${price} the dollars are {dollars} and the cents are {cents}.",
    )
    for amount in _sample("money", range(202, 10_000), 700):
        dollars, cents = divmod(amount, 100)
        if cents > 1:
            price, words = f"{dollars}.{cents:02}", f"{cardinal(dollars)} dollars and {cardinal(cents)} cents"
            fields = {"price": price, "words": words, "dollars": dollars, "cents": cents}
            yield from _fact("money", [f"money:{price}"], templates, **fields)


def _decimals() -> Iterator[Document]:
    templates = (
        "{number} is read {words}.",
        "{Words} is written {number}.",
        "The decimal number {number} is {words}.",
        "Before the point of {number} stands {whole}, and after the point stands {digits}.",
        "In words, {number} is {words}, with {whole} before the point.",
        "In digits, {words} is {number}.",
    )
    for value in _sample("decimals", range(1, 10_000), 500):
        whole, part = divmod(value, 100)
        digits = " ".join(_UNITS[int(digit)] for digit in f"{part:02}")
        fields = {"number": f"{whole}.{part:02}", "whole": cardinal(whole), "digits": digits}
        fields["words"] = f"{fields['whole']} point {digits}"
        yield from _fact("decimals", [f"decimal:{fields['number']}"], templates, **fields)


def _fractions() -> Iterator[Document]:
    templates = (
        "{a}/{b} is {words}.",
        "{Words} is written {a}/{b}.",
        "In the fraction {a}/{b} the numerator is {a} and the denominator is {b}.",
        "The fraction with numerator {a_words} and denominator {b_words} is {words}.",
        "{a} divided by {b} is {a}/{b}, read {words}.",
        "Cut a cake into {b} pieces and take {a} of them: this is {words} of the cake.",
    )
    for b in range(3, 31):
        for a in range(2, b):
            words = f"{cardinal(a)} {'quarter' if b == 4 else ordinal(b)}s"
            fields = {"a": a, "b": b, "a_words": cardinal(a), "b_words": cardinal(b), "words": words}
            yield from _fact("fractions", [f"fraction:{a}/{b}"], templates, **fields)


# Calendar and clock

_WEEKDAYS = calendar.day_name[:]
_MONTHS = calendar.month_name[:]
_SEASONS = ("winter", "spring", "summer", "autumn")


def _calendar_order() -> Iterator[Document]:
    templates = (
        "The day after {day} is {next}.",
        "The day before {next} is {day}.",
        "{day} comes after {previous} and before {next}.",
        "If today is {day}, tomorrow is {next} and yesterday was {previous}.",
        "{previous}, {day} and {next} follow each other in the week.",
        "The week goes from {previous} to {day} and from {day} to {next}.",
    )
    for index, day in enumerate(_WEEKDAYS):
        fields = {"day": day, "previous": _WEEKDAYS[index - 1], "next": _WEEKDAYS[(index + 1) % 7]}
        for repeat in range(6):
            yield from _fact("calendar_order", [f"closed:{day} {repeat}"], templates, **fields)
    yield from _months()


def _months() -> Iterator[Document]:
    templates = (
        "{month} comes after {previous} and before {next}.",
        "{month} is month {number} of the year, the {rank} month.",
        "The {rank} month of the year is {month}.",
        "{month} lies in the {quarter} quarter of the year and belongs to {season} in the north.",
        "{month}, the {rank} month, is followed by {next}.",
        "Month {number} is {month}, in short {short}.",
        "{month} has {days} days, in words {days_words}.",
    )
    for index in range(12):
        for repeat in range(6):
            month = _MONTHS[index + 1]
            yield from _fact(
                "calendar_order",
                [f"closed:{month} {repeat}"],
                templates,
                month=month,
                short=month[:3],
                previous=_MONTHS[(index - 1) % 12 + 1],
                next=_MONTHS[(index + 1) % 12 + 1],
                number=index + 1,
                rank=ordinal(index + 1),
                quarter=ordinal(index // 3 + 1),
                season=_SEASONS[(index + 1) // 3 % 4],
                days="28 or 29" if index == 1 else calendar.mdays[index + 1],
                days_words="twenty-eight or twenty-nine" if index == 1 else cardinal(calendar.mdays[index + 1]),
            )


def _dates() -> Iterator[Document]:
    templates = (
        "{day} {month} {year} is written {iso}.",
        "The date {iso} is {day} {month} {year}.",
        "{iso} is the {rank} of {month} {year}.",
        "If {day} {month} {year} is a {weekday}, the day after it is a {next_weekday}.",
        "The {rank} of {month} {year} has the year {year}, the month {month_number} and the day {day}.",
        "{month} is month {month_number}, so {day} {month} {year} is {iso}.",
        "{month} {day}, {year} is a {weekday}, and {next} is a {next_weekday}.",
        "The {short_rank} of {month} {year} is read as the {rank} of {month}.",
    )
    first = datetime.date(1800, 1, 1).toordinal()
    for day_number in _sample("dates", range(first, first + 300 * 365), 1900):
        day, after = (datetime.date.fromordinal(day_number + offset) for offset in (0, 1))
        yield from _fact(
            "dates",
            [f"date:{day.isoformat()}", f"date:{after.isoformat()}"],
            templates,
            day=day.day,
            month=_MONTHS[day.month],
            month_number=day.month,
            year=day.year,
            iso=day.isoformat(),
            rank=ordinal(day.day),
            short_rank=ordinal_digits(day.day),
            weekday=_WEEKDAYS[day.weekday()],
            next=f"{after.day} {_MONTHS[after.month]} {after.year}",
            next_weekday=_WEEKDAYS[after.weekday()],
        )


def _years() -> Iterator[Document]:
    templates = (
        "{year} is a {kind} year with {total} days.",
        "In {year} February has {february} days, so {year} is a {kind} year.",
        "{year} belongs to the {decade}s and to the {century} century.",
        "The year {year} has {total} days, because February {year} has {february} days.",
        "The {century} century includes the {decade}s and the year {year}.",
        "The year before {year} is {previous}, and the year after {year} is {next}.",
    )
    for year in range(1700, 2200):
        leap = calendar.isleap(year)
        yield from _fact(
            "years",
            [f"year:{year}"],
            templates,
            year=year,
            previous=year - 1,
            next=year + 1,
            kind="leap" if leap else "common",
            total=365 + leap,
            february=28 + leap,
            decade=year // 10 * 10,
            century=ordinal((year - 1) // 100 + 1),
        )


def _clock() -> Iterator[Document]:
    templates = (
        "{clock} is {short} in the {part}.",
        "{clock} is {minutes} past {hour} in the {part}.",
        "{Minutes} past {hour} in the {part} is {clock} on a digital clock.",
        "On the clock, {short} in the {part} is shown as {clock}.",
        "At {clock} it is {minutes} past {hour}.",
        "The time {clock} has the hour {hour_number} and the minute {minute}.",
    )
    for time in _sample("clock", [time for time in range(1440) if time % 60 > 1], 800):
        hour, minute = divmod(time, 60)
        twelve = (hour - 1) % 12 + 1
        yield from _fact(
            "clock",
            [f"time:{hour:02}:{minute:02}"],
            templates,
            clock=f"{hour:02}:{minute:02}",
            short=f"{twelve}:{minute:02}",
            part="night" if hour < 6 else "morning" if hour < 12 else "afternoon" if hour < 18 else "evening",
            hour=cardinal(twelve),
            minutes=f"{cardinal(minute)} minutes",
            hour_number=hour,
            minute=minute,
        )


# Characters

_LETTER_BLOCKS = (
    *(range(0x41, 0x250), range(0x370, 0x400), range(0x400, 0x530), range(0x531, 0x590), range(0x10A0, 0x1100)),
    *(range(0x1C90, 0x1CC0), range(0x1E00, 0x2000), range(0x2C60, 0x2C80), range(0xA640, 0xA69E)),
    *(range(0xA722, 0xA7A0), range(0x250, 0x2B0)),
)
_SYMBOL_BLOCKS = (
    *(range(0x21, 0x30), range(0x3A, 0x41), range(0xA1, 0xC0), range(0x2010, 0x2060), range(0x20A0, 0x20C1)),
    *(range(0x2190, 0x2200), range(0x2200, 0x2300), range(0x2500, 0x2600), range(0x2654, 0x2660)),
    *(range(0x2801, 0x2900), range(0x1F030, 0x1F094), range(0x1F0A1, 0x1F0F6), range(0x27F0, 0x2800)),
)
_STYLE_BLOCKS = (
    *(range(0x2100, 0x2150), range(0x2460, 0x24EB), range(0xFF01, 0xFF5F), range(0x1D400, 0x1D800)),
    *(range(0x1F100, 0x1F16A), range(0x2070, 0x209D), range(0x2B0, 0x2E5), range(0x1D2C, 0x1D6B)),
)
_BASE_BLOCKS = (range(0x20, 0x7F), range(0x300, 0x370), range(0x391, 0x3CA), range(0x410, 0x450))
_LETTER_NAME = re.compile(r"(\w+) (SMALL|CAPITAL) LETTER (.+?)(?: WITH (.+))?")
_OPPOSITES = {"LEFT": "RIGHT", "LEFTWARDS": "RIGHTWARDS", "UP": "DOWN", "UPWARDS": "DOWNWARDS", "UPPER": "LOWER"}
_OPPOSITES |= {"WHITE": "BLACK", "HORIZONTAL": "VERTICAL", "LIGHT": "HEAVY"}
_OPPOSITES |= {opposite: word for word, opposite in _OPPOSITES.items()}
_CATEGORIES = {
    "Lu": "uppercase letter",
    "Ll": "lowercase letter",
    "Lt": "titlecase letter",
    "Lm": "modifier letter",
    "Lo": "other letter",
    "Mn": "nonspacing mark",
    "Nd": "decimal digit",
    "Nl": "letter number",
    "No": "other number",
    "Pc": "connector punctuation",
    "Pd": "dash punctuation",
    "Ps": "open punctuation",
    "Pe": "close punctuation",
    "Pi": "initial punctuation",
    "Pf": "final punctuation",
    "Po": "other punctuation",
    "Sm": "math symbol",
    "Sc": "currency symbol",
    "Sk": "modifier symbol",
    "So": "other symbol",
}


def character_key(character: str) -> str:
    """The key of everything said about a character and its partner of the other case."""
    if any(ord(character) in block for block in _BASE_BLOCKS):
        return f"base:character {ord(character):04X}"
    upper = character.upper()
    return f"character:{ord(upper if len(upper) == 1 and upper.lower() == character else character):04X}"


def _characters(blocks: Iterable[range]) -> Iterator[str]:
    """The named characters of some blocks, of the categories known by words."""
    for character in map(chr, (code for block in blocks for code in block)):
        if unicodedata.category(character) in _CATEGORIES and unicodedata.name(character, ""):
            yield character


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


def _unicode_letters() -> Iterator[Document]:
    templates = [
        "{name} is {code}, {a_category}.",
        "The {category} {name} has the code point {code}.",
        "{name} is a {case} letter of the {script} script, at {code}.",
        "{code} belongs to {name}: the code point is {hex} in hexadecimal.",
        "The name {name} says that the script is {script}, the case is {case} and the letter is {letter}.",
        "Python writes {name} as the escape {escape}, for {code}.",
        "In small print, {name} reads {lower}.",
    ]
    accented = "{name} is the {case} letter {letter} of the {script} script with {accent}."
    for character in _characters(_LETTER_BLOCKS):
        name = unicodedata.name(character)
        if match := _LETTER_NAME.fullmatch(name):
            script, case, letter, accent = match.groups()
            yield from _fact(
                "unicode_letters",
                [character_key(character)],
                [*templates, accented] if accent else templates,
                name=name,
                code=_code(character),
                hex=f"{ord(character):04X}",
                escape=f"\\u{ord(character):04x}",
                category=_CATEGORIES[unicodedata.category(character)],
                a_category=_with_article(_CATEGORIES[unicodedata.category(character)]),
                script=script.title(),
                case=case.lower(),
                letter=letter,
                accent=accent,
                lower=name.lower(),
            )


def _unicode_case() -> Iterator[Document]:
    templates = (
        "The capital partner of {small} is {capital}.",
        "The small partner of {capital} is {small}.",
        "In lower case, {capital} becomes {small}.",
        "In upper case, {small} becomes {capital}.",
        "{capital} and {small} are one letter in two cases.",
        "The letter at {capital_code} has the name {capital}, and its small partner is {small} at {small_code}.",
    )
    for capital in _characters(_LETTER_BLOCKS):
        small = capital.lower()
        if small != capital and len(small) == 1 and small.upper() == capital:
            yield from _fact(
                "unicode_case",
                [character_key(capital)],
                templates,
                capital=unicodedata.name(capital),
                small=unicodedata.name(small),
                capital_code=_code(capital),
                small_code=_code(small),
            )


def _unicode_decomposition() -> Iterator[Document]:
    templates = (
        "{name} decomposes into {base} and {mark}.",
        "{base} and {mark} together make {name}.",
        "Put {mark} on {base} to get {name}.",
        "Without {mark}, {name} is {base}.",
        "The character {name} has the base {base} and the mark {mark}.",
        "The mark of {name} is {mark}.",
        "{code} is {base_code} followed by {mark_code}: {name} is {base} followed by {mark}.",
    )
    for character in _characters(_LETTER_BLOCKS):
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            base, mark = (chr(int(part, 16)) for part in parts)
            yield from _fact(
                "unicode_decomposition",
                [character_key(character), character_key(base)],
                templates,
                name=unicodedata.name(character),
                base=unicodedata.name(base),
                mark=unicodedata.name(mark),
                code=_code(character),
                base_code=_code(base),
                mark_code=_code(mark),
            )


def _unicode_style() -> Iterator[Document]:
    templates = (
        "{name} is a styled form of {plain}.",
        "The plain form of {name} is {plain}.",
        "Without its style, {name} is {plain}.",
        "{name} at {code} looks like {plain}.",
        "The compatibility decomposition of {name} is {plain}.",
        "{code} is {name}, a form of {plain} at {plain_code}.",
        "In small print, {name} reads {lower}.",
    )
    for character in _characters(_STYLE_BLOCKS):
        plain = unicodedata.normalize("NFKC", character)
        if unicodedata.decomposition(character).startswith("<") and _is_recognisable(character, plain):
            yield from _fact(
                "unicode_style",
                [character_key(character), character_key(plain)],
                templates,
                name=unicodedata.name(character),
                plain=unicodedata.name(plain),
                code=_code(character),
                plain_code=_code(plain),
                lower=unicodedata.name(character).lower(),
            )


def _is_recognisable(character: str, plain: str) -> bool:
    """Whether the name of a character contains the last word of the name of its plain form."""
    return len(plain) == 1 and unicodedata.name(plain).split()[-1] in unicodedata.name(character).split()


def _unicode_digits() -> Iterator[Document]:
    templates = (
        "{name} has the numeric value {value}, {words}.",
        "The value of {name} is {words}, in digits {value}.",
        "{name} at {code} stands for {value}.",
        "{Words} is the value of {name}.",
        "The sign {name} is read as the number {words}.",
        "{code} is {name}: the value is {value}.",
        "To write the number {value} one may use {name}, at {code}.",
    )
    for character in map(chr, range(0x30, 0x20000)):
        value = unicodedata.numeric(character, 0.5)
        name = unicodedata.name(character, "")
        if value.is_integer() and 0 <= value < 1_000_000:
            number, words = int(value), cardinal(int(value))
            if words.replace("-", " ").upper() in name:
                fields = {"name": name, "code": _code(character), "value": number, "words": words}
                yield from _fact("unicode_digits", [character_key(character), number_key(number)], templates, **fields)


def _unicode_symbols() -> Iterator[Document]:
    templates = [
        "{code} is {name}.",
        "The {category} at {code} is called {name}.",
        "{name} has the code point {code}, in hexadecimal {hex}.",
        "In small print, {name} reads {lower}.",
        "The name of {name} has {count}, from {first} to {last}.",
        "{A_category} named {name} is found at {code}.",
    ]
    for character in _characters(_SYMBOL_BLOCKS):
        name = unicodedata.name(character)
        opposite = _opposite(name)
        keys = [character_key(character), *([character_key(opposite)] if opposite else [])]
        yield from _fact(
            "unicode_symbols",
            keys,
            [*templates, "The opposite of {name} is {opposite}."] if opposite else templates,
            name=name,
            code=_code(character),
            hex=f"{ord(character):04X}",
            category=_CATEGORIES[unicodedata.category(character)],
            a_category=_with_article(_CATEGORIES[unicodedata.category(character)]),
            lower=name.lower(),
            count=counted(len(name.split()), "word"),
            first=name.split()[0],
            last=name.split()[-1],
            opposite=unicodedata.name(opposite) if opposite else "",
        )


def _opposite(name: str) -> str:
    """The character whose name swaps left and right, up and down and so on, or nothing."""
    swapped = " ".join(_OPPOSITES.get(word, word) for word in name.split())
    try:
        return unicodedata.lookup(swapped) if swapped != name else ""
    except KeyError:
        return ""


def _html_entities() -> Iterator[Document]:
    templates = (
        "The HTML entity &{entity}; stands for {name}.",
        "In HTML, {name} is written &{entity}; or &#{decimal};.",
        "{name} has the HTML entity {entity} and the code point {code}.",
        "&{entity}; and &#x{hex}; both give {name} at {code}.",
        "The entity called {entity} is the character {name}, in small print {lower}.",
        "A web page shows {name} for the entity {entity}, typed &{entity};.",
    )
    entities = [
        (entity.removesuffix(";"), character)
        for entity, character in sorted(html.entities.html5.items())
        if entity.endswith(";") and len(character) == 1 and unicodedata.name(character, "")
    ]
    for entity, character in _sample("entities", entities, 1300):
        yield from _fact(
            "html_entities",
            [f"entity:{entity}", character_key(character)],
            templates,
            entity=entity,
            name=unicodedata.name(character),
            lower=unicodedata.name(character).lower(),
            code=_code(character),
            decimal=ord(character),
            hex=f"{ord(character):X}",
        )


def _alphabet() -> Iterator[Document]:
    templates = (
        "{letter} is the {rank} letter of the alphabet.",
        "The {rank} letter of the alphabet is {letter}.",
        "Letter number {n} is {letter}, the {rank}.",
        "The capital of {small} is {letter}.",
        "In lower case, {letter} is {small}.",
        "The word {rank} gives the place of {letter}, and {n} is its number.",
    )
    for n, letter in enumerate(string.ascii_uppercase, start=1):
        for repeat in range(3):
            fields = {"n": n, "letter": letter, "small": letter.lower(), "rank": ordinal(n)}
            yield from _fact("alphabet", [f"closed:{letter} {repeat}"], templates, **fields)


# Names and numbers of the network and the operating system

_HTTP_CLASSES = ("an informational response", "a success", "a redirection", "a client error", "a server error")


def _http_status() -> Iterator[Document]:
    templates = (
        "HTTP status {code} is {phrase}, {kind}.",
        "{phrase} is the HTTP status {code}.",
        "The status {code} begins with {first}, so {phrase} is {kind}.",
        "In Python, http.HTTPStatus.{name} is {code}, {phrase}.",
        "A server that answers {code} says {phrase}.",
        "The constant {name} means {phrase}, with the code {code}.",
    )
    for status in http.HTTPStatus:
        yield from _fact(
            "http_status",
            [f"http:{status.value}"],
            templates,
            code=status.value,
            phrase=status.phrase,
            kind=_HTTP_CLASSES[status.value // 100 - 1],
            first=str(status.value)[0],
            name=status.name,
        )


def _mime_types() -> Iterator[Document]:
    templates = (
        "A file that ends in {extension} has the MIME type {type}.",
        "The MIME type {type} has the main type {main} and the subtype {subtype}.",
        "The type of {name}{extension} is {type}, because the name ends in {extension}.",
        "{type} is the type of files with the extension {extension}.",
        "The extension {extension} stands for {type}, of the main type {main}.",
        "A web server sends {name}{extension} as {type}.",
    )
    for extension, kind in sorted(mimetypes.MimeTypes().types_map[True].items()):
        main, _, subtype = kind.partition("/")
        fields = {"extension": extension, "type": kind, "main": main, "subtype": subtype}
        name = _rng(extension).choice(("report", "picture", "example", "letter", "copy"))
        yield from _fact("mime_types", [f"mime:{extension}"], templates, **fields, name=name)


def _error_numbers() -> Iterator[Document]:
    templates = (
        "The error {name} means: {message}.",
        "{message} is the message of the error {name}, number {code}.",
        "In Python, errno.{name} is {code}, and os.strerror({code}) says {message}.",
        "Error number {code} is {name}: {message}.",
        "A call that fails with {name} reports {message}.",
        "The message {message} belongs to {name}.",
    )
    for code, name in sorted(errno.errorcode.items()):
        yield from _fact("errors", [f"errno:{name}"], templates, name=name, code=code, message=os.strerror(code))


def _signals() -> Iterator[Document]:
    templates = (
        "The signal {name} has the number {code}.",
        "{name} is signal number {code}: {message}.",
        "A process that gets {name} is told: {message}.",
        "In Python, signal.{name} is {code}.",
        "{message} is what {name} means, signal {code}.",
    )
    for item in signal.Signals:
        if message := signal.strsignal(item):
            fields = {"name": item.name, "code": item.value, "message": message}
            yield from _fact("signals", [f"signal:{item.name}"], templates, **fields)


def _time_zones() -> Iterator[Document]:
    templates = (
        "{zone}: the city is {city}, the region is {region}.",
        "The time zone {zone} is named after {city} in {region}.",
        "In {city} the clocks follow the time zone {zone}.",
        "The region of {zone} is {region}.",
        "The time zone of {city} in {region} has the name {zone}.",
        "Clocks in {region} may be set to {zone}, the time of {city}.",
    )
    for zone in sorted(zoneinfo.available_timezones()):
        region, _, place = zone.replace("_", " ").partition("/")
        city = place.rpartition("/")[2]
        if city and region not in {"Etc", "SystemV", "US", "posix", "right"}:
            fields = {"zone": zone, "city": city, "region": region}
            yield from _fact("time_zones", [f"zone:{city}"], templates, **fields)


def _locales() -> Iterator[Document]:
    templates = (
        "The locale {name} has the language {language} and the territory {territory}.",
        "The language {language} in the territory {territory} gives the locale {name}.",
        "In the locale {name} the language is {language}.",
        "{name} joins the language {language} to the territory {territory}.",
        "The territory of the locale {name} is {territory}, after the language {language}.",
    )
    for name in sorted({alias.split(".")[0].split("@")[0] for alias in locale.locale_alias.values()}):
        language, _, territory = name.partition("_")
        if territory:
            fields = {"name": name, "language": language, "territory": territory}
            yield from _fact("locales", [f"locale:{name}"], templates, **fields)


def _codecs() -> Iterator[Document]:
    templates = (
        "The codec {codec} is also called {alias}.",
        "{alias} is an alias of the codec {codec}.",
        "In Python, the alias {alias} finds the codec {codec}.",
        "Text in {alias} is decoded by {codec}.",
        "The name {alias} stands for the encoding {codec}.",
    )
    for alias, codec in sorted(encodings.aliases.aliases.items()):
        yield from _fact("codecs", [f"codec:{alias}"], templates, alias=alias, codec=codec)


# Python

_OPERATOR_FUNCTIONS = sorted(name for name in operator.__all__ if name not in {"lt", "le", "gt", "ge"})


def _python_words() -> Iterator[Document]:
    """Keywords, operators, tokens and built-in names: closed sets, always in the training part."""
    for word in keyword.kwlist:
        yield from _closed(
            word,
            "{name} is a keyword of Python.",
            "The keyword {name} is reserved, so no variable is called {name}.",
            "In Python, {name} is a word of the language, not a name.",
        )
    for name in _OPERATOR_FUNCTIONS:
        if match := re.match(r"Same as (.+?)(?:,|\.?$|\.? \()", getattr(operator, name).__doc__ or ""):
            yield from _closed(
                name,
                "operator.{name} is the same as {meaning}.",
                "The expression {meaning} calls {name} of the module operator.",
                "The function {name} of the operator module does what {meaning} does.",
                meaning=match[1],
            )
    for sign, number in token.EXACT_TOKEN_TYPES.items():
        if "<" not in sign and ">" not in sign:
            yield from _closed(
                token.tok_name[number],
                "The token {sign} is called {name}.",
                "{name} is the token {sign}.",
                "In the module token, {name} stands for {sign}.",
                sign=sign,
            )


def _closed(name: str, *templates: str, **fields: str) -> Iterator[Document]:
    yield from _fact("python_words", [f"closed:python {name}"], templates, name=name, **fields)


def _exceptions() -> Iterator[Document]:
    templates = (
        "{name} is a subclass of {base}.",
        "The base class of {name} is {base}.",
        "An except clause for {base} also catches {name}.",
        "{name} is an exception, and whatever is {a_name} is also {a_base}.",
        "To catch {a_name} one may write except {name} or except {base}.",
        "The exceptions from {name} up are {chain}.",
    )
    for name, item in sorted(vars(builtins).items()):
        if isinstance(item, type) and issubclass(item, BaseException) and item.__name__ == name != "BaseException":
            chain = _listing([base.__name__ for base in item.__mro__[:-1]])
            base = item.__base__.__name__
            fields = {"name": name, "base": base, "chain": chain}
            fields |= {"a_name": _with_article(name), "a_base": _with_article(base)}
            yield from _fact("exceptions", [f"python:builtins.{name}"], templates, **fields)


@dataclass(frozen=True, kw_only=True)
class _Definition:
    """A module, class or function of the standard library, as found in its source."""

    module: str
    name: str
    parameters: tuple[str, ...] | None = None
    base: str = ""
    doc: str = ""

    @property
    def key(self) -> str:
        return f"python:{self.module}.{self.name}" if self.name else f"python:{self.module}"


_LEFT_OUT = re.compile(r"(^|\.)(tests?|idlelib|lib2to3|turtledemo|site-packages|_\w+|this|antigravity)(\.|$)")


@functools.cache
def _sources() -> dict[str, str]:
    """The pure Python modules of the standard library and their source."""
    root = Path(sysconfig.get_path("stdlib"))
    sources: dict[str, str] = {}
    for path in sorted(root.rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if module.partition(".")[0] in sys.stdlib_module_names and not _LEFT_OUT.search(module):
            sources[module] = path.read_text(encoding="utf-8", errors="replace")
    return sources


@functools.cache
def _definitions() -> tuple[_Definition, ...]:
    """What the modules of ``_sources`` define, in the order of their text."""
    found: list[_Definition] = []
    for module, source in _sources().items():
        tree = ast.parse(source)
        found.append(_Definition(module=module, name="", doc=ast.get_docstring(tree) or ""))
        found.extend(_definitions_in(tree, module, ""))
    return tuple(found)


def _definitions_in(node: ast.Module | ast.ClassDef, module: str, prefix: str) -> Iterator[_Definition]:
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = [argument.arg for argument in child.args.args + child.args.kwonlyargs]
            doc = ast.get_docstring(child) or ""
            yield _Definition(module=module, name=prefix + child.name, parameters=tuple(parameters), doc=doc)
        elif isinstance(child, ast.ClassDef):
            base = ast.unparse(child.bases[0]) if len(child.bases) == 1 else ""
            yield _Definition(module=module, name=prefix + child.name, base=base, doc=ast.get_docstring(child) or "")
            yield from _definitions_in(child, module, f"{prefix}{child.name}.")


def _is_public(item: _Definition) -> bool:
    """Whether a name is meant to be used; the codecs are left out, as they all define the same names."""
    hidden = any(part.startswith("_") for part in item.name.split("."))
    return not hidden and not item.module.startswith("encodings.")


def _python_functions() -> Iterator[Document]:
    templates = (
        "The function {name} of the module {module} is called as {name}({call}).",
        "{module}.{name} takes {count}: {parameters}.",
        "To use {name}, write from {module} import {name}.",
        "Going by {module}, the function {name} has {count}, namely {parameters}.",
        "A call {module}.{name}({call}) passes {count}.",
        "The full name {module}.{name} means the function {name} in the module {module}.",
    )
    functions = [
        item
        for item in _definitions()
        if item.parameters and len(item.parameters) < 6 and "." not in item.name and _is_public(item)
    ]
    for item in _sample("functions", functions, 300):
        yield from _fact(
            "python_functions",
            [item.key],
            templates,
            module=item.module,
            name=item.name,
            call=", ".join(item.parameters),
            parameters=_listing(item.parameters),
            count=counted(len(item.parameters), "parameter"),
        )


def _python_classes() -> Iterator[Document]:
    templates = (
        "{module}.{name} is a subclass of {base}.",
        "The base class of {name} in the module {module} is {base}.",
        "The module {module} defines the class {name} with the statement class {name}({base}).",
        "Every {name} of the module {module} is also one of {base}.",
        "To use the class {name}, write from {module} import {name}.",
    )
    classes = [item for item in _definitions() if item.base and _is_public(item) and "[" not in item.base]
    for item in _sample("classes", classes, 250):
        fields = {"module": item.module, "name": item.name, "base": item.base}
        yield from _fact("python_classes", [item.key], templates, **fields)


# Prose

_EXTENSION_MODULES = [
    "builtins",
    "itertools",
    "math",
    "cmath",
    "time",
    "_datetime",
    "_collections",
    "_functools",
    "_operator",
    "_io",
    "_socket",
    "_ssl",
    "_struct",
    "array",
    "zlib",
    "select",
    "posix",
    "sys",
    "gc",
    "_thread",
    "_sqlite3",
    "unicodedata",
    "mmap",
    "_random",
    "_bisect",
    "_heapq",
    "_csv",
    "_json",
    "_pickle",
    "_decimal",
    "_asyncio",
    "_ctypes",
    "_hashlib",
    "_lzma",
    "_bz2",
    "_curses",
    "_elementtree",
    "_queue",
    "_signal",
    "_sre",
    "_warnings",
    "_weakref",
    "binascii",
    "fcntl",
    "grp",
    "pwd",
    "marshal",
    "readline",
    "resource",
    "syslog",
    "termios",
    "atexit",
    "faulthandler",
    "_codecs",
    "_abc",
    "_imp",
    "_locale",
    "_lsprof",
    "_opcode",
    "_symtable",
]
_COMMENT = re.compile(r"(?m)(?:^ *# .*\n(?: *#\n)*){2,}")
_ROLE = re.compile(r":[\w:+-]+:`[!~]?([^`]*)`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^>]*>`_*")
_MARKUP = re.compile(r"`+([^`]*)`+_*|(?<![\w*])\*{1,2}(\w[^*\n]*?)\*{1,2}(?![\w*])")
_PROSE = re.compile(r"(?a)[A-Z\"'][\w'\"(),;:./\s&%+=<>\[\]*@#!?-]*[.!?]\)?")
_BLOCK_START = re.compile(r"\n\s*\n|\n(?= *[*+-] )")
_BULLET = re.compile(r"^ *[*+-] ")
_TYPEWRITER = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": " - "}
)
_NOTE = re.compile(r">>>|\b(XXX+|TODO|FIXME|NB|Hmm|Ick|Ugh)\b")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def _prose() -> Iterator[Document]:
    """A sample of the prose: more of it would take the room of facts that a small model can master."""
    return iter(_sample("prose", list(_all_prose()), 3000))


def _all_prose() -> Iterator[Document]:
    """Prose paragraphs of the documentation; a paragraph that occurs more than once is kept where it comes first."""
    seen: set[str] = set()
    for key, text in _prose_sources():
        sentences = [sentence for block in _paragraphs(text) for sentence in SENTENCE_END.split(block)]
        fresh = [sentence for sentence in dict.fromkeys(sentences) if sentence not in seen]
        seen.update(fresh)
        for paragraph in _packed(fresh):
            if len(paragraph.split()) >= 8 and not _COMPARISON.search(paragraph):
                yield Document(family="prose", key=key, text=paragraph)


def _prose_sources() -> Iterator[tuple[str, str]]:
    for topic, text in sorted(topics.items()):
        for number, section in enumerate(re.split(r"\n(?=.+\n[=*\-~^]{4,}\n)", inspect.cleandoc(text))):
            yield f"topic:{topic} {number}", section
    for item in _definitions():
        yield item.key, item.doc
    for module, source in _sources().items():
        for number, comment in enumerate(_COMMENT.findall(source)):
            yield f"comment:{module} {number}", re.sub(r"(?m)^ *# ?", "", comment)
    for name in _EXTENSION_MODULES:
        try:
            yield from _docstrings(importlib.import_module(name))
        except ImportError:
            continue


def prose_sentences() -> Iterator[tuple[str, str]]:
    """Pairs of a top-level module and a sentence of plain prose in its docstrings and comments, in a fixed order."""
    for key, text in _prose_sources():
        kind, _, name = key.partition(":")
        if kind != "topic":
            module = re.split(r"[ .]", name)[0]
            for paragraph in _paragraphs(text):
                for sentence in SENTENCE_END.split(paragraph):
                    yield module, sentence


def _docstrings(module: object) -> Iterator[tuple[str, str]]:
    """The docstrings of an extension module, its functions, its classes and their methods."""
    owner = module.__name__.removeprefix("_")
    for name, item in sorted(vars(module).items()):
        if callable(item) and not name.startswith("_"):
            yield f"python:{owner}.{name}", inspect.cleandoc(item.__doc__ or "")
            for method, value in sorted(vars(item).items()) if isinstance(item, type) else ():
                yield f"python:{owner}.{name}.{method}", inspect.cleandoc(getattr(value, "__doc__", None) or "")


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a docstring that are plain prose, without markup."""
    for block in _BLOCK_START.split(text):
        lines = _BULLET.sub(lambda match: " " * len(match[0]), block, count=1).splitlines()
        if len({len(line) - len(line.lstrip()) for line in lines}) == 1:
            paragraph = " ".join(_plain("\n".join(lines)).split())
            if paragraph[-1:].isalpha() and len(paragraph.split()) >= 5:
                paragraph += "."
            if _PROSE.fullmatch(paragraph) and _looks_like_prose(paragraph):
                yield paragraph


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", _ROLE.sub(r"\1", text.translate(_TYPEWRITER)))
    text = _MARKUP.sub(lambda match: match[1] or match[2] or "", text).replace("::", ":")
    return re.sub(r"(?<=[a-z]-)\n *(?=[a-z])", "", text)


def _looks_like_prose(paragraph: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in paragraph)
    capitals = sum(map(str.isupper, paragraph))
    plain = letters > 0.88 * len(paragraph) and capitals < 0.15 * len(paragraph)
    return plain and len(paragraph.split()) >= 4 and not _NOTE.search(paragraph)


def _packed(sentences: Iterable[str]) -> Iterator[str]:
    """Join sentences to paragraphs of about 60 words at most."""
    pending: list[str] = []
    for sentence in sentences:
        if pending and len(" ".join([*pending, sentence]).split()) > 60:
            yield " ".join(pending)
            pending = []
        pending.append(sentence)
    if pending:
        yield " ".join(pending)


# The whole

FAMILIES: dict[str, Callable[[], Iterator[Document]]] = {
    "number_words": _number_words,
    "ordinals": _ordinals,
    "number_neighbours": _number_neighbours,
    "roman_numerals": _roman_numerals,
    "sums": _sums,
    "money": _money,
    "decimals": _decimals,
    "fractions": _fractions,
    "calendar_order": _calendar_order,
    "dates": _dates,
    "years": _years,
    "clock": _clock,
    "unicode_letters": _unicode_letters,
    "unicode_case": _unicode_case,
    "unicode_decomposition": _unicode_decomposition,
    "unicode_style": _unicode_style,
    "unicode_digits": _unicode_digits,
    "unicode_symbols": _unicode_symbols,
    "html_entities": _html_entities,
    "alphabet": _alphabet,
    "http_status": _http_status,
    "mime_types": _mime_types,
    "errors": _error_numbers,
    "signals": _signals,
    "time_zones": _time_zones,
    "locales": _locales,
    "codecs": _codecs,
    "python_words": _python_words,
    "exceptions": _exceptions,
    "python_functions": _python_functions,
    "python_classes": _python_classes,
    "prose": _prose,
}


def build_corpus(*, families: Sequence[str] | None = None) -> list[Document]:
    """All documents of the families, in a fixed order, each text once."""
    names = FAMILIES if families is None else families
    documents: dict[str, Document] = {}
    for name in names:
        for document in FAMILIES[name]():
            documents.setdefault(document.text, document)
    return list(documents.values())


@functools.cache
def build_splits() -> tuple[list[Document], list[Document]]:
    """The documents to train on and those held out, built once in a process."""
    documents = build_corpus()
    return split(documents, held_out=False), split(documents, held_out=True)


def _print_table(documents: Sequence[Document]) -> None:
    print(f"{'family':<22} {'documents':>9} {'words':>9} {'kB':>7} {'held out':>9}")
    for family in [*dict.fromkeys(document.family for document in documents), ""]:
        members = [document for document in documents if document.family == (family or document.family)]
        words = sum(len(document.text.split()) for document in members)
        size = sum(len(document.text) for document in members) / 1000
        held_out = len(split(members, held_out=True))
        print(f"{family or 'all':<22} {len(members):>9} {words:>9} {size:>7.0f} {held_out:>9}")
        if family:
            print(f"    {_rng(family).choice(members).text}")


def main() -> None:
    """Print the families, or write the documents."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the documents to FILE as JSON lines")
    arguments = parser.parse_args()
    documents = build_corpus()
    _print_table(documents)
    if arguments.write:
        lines = (json.dumps(vars(document) | {"held_out": is_held_out(document.key)}) for document in documents)
        arguments.write.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
