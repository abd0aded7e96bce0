"""Spell numbers in English words."""

import re

UNITS = [
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
TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth"}


def cardinal(number: int) -> str:
    """Spell a number from 0 to 999,999: 347 -> `three hundred and forty-seven`."""
    if number < 20:
        return UNITS[number]
    if number < 100:
        tens, units = divmod(number, 10)
        return f"{TENS[tens]}-{UNITS[units]}" if units else TENS[tens]
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, size)
    joint = " and " if rest < 100 else " "
    return f"{cardinal(head)} {name}" + (f"{joint}{cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    """Spell a rank: 21 -> `twenty-first`."""
    head, mark, last = re.fullmatch(r"(?:(.*)([ -]))?(\w+)", cardinal(number)).groups(default="")
    rank = last[:-1] + "ieth" if last.endswith("y") else last + ("h" if last.endswith("t") else "th")
    return head + mark + ORDINALS.get(last, rank)


def ordinal_digits(number: int) -> str:
    """Write a rank in digits: 21 -> `21st`."""
    suffix = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def number_key(number: int) -> str:
    """Return the key of all facts about a number. Numbers below 100 are never held out: the others are built from them."""
    return f"number:{number}" if number >= 100 else f"base:number {number}"


def counted(count: int, noun: str) -> str:
    """Count things: 2, `word` -> `two words`."""
    return f"{cardinal(count)} {noun}" if count == 1 else f"{cardinal(count)} {noun}s"
