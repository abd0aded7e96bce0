"""Spell numbers in English words."""

import re


def counted(count: int, noun: str) -> str:
    return f"{cardinal(count)} {noun}" if count == 1 else f"{cardinal(count)} {noun}s"


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
    """The words for a number from 0 to 999,999, such as ``three hundred and forty-seven``."""
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
    """The words for a rank, such as ``twenty-first``."""
    head, mark, last = re.fullmatch(r"(?:(.*)([ -]))?(\w+)", cardinal(number)).groups(default="")
    rank = last[:-1] + "ieth" if last.endswith("y") else last + ("h" if last.endswith("t") else "th")
    return head + mark + ORDINALS.get(last, rank)


def ordinal_digits(number: int) -> str:
    """A rank in digits, such as ``21st``."""
    suffix = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def number_key(number: int) -> str:
    """The key of everything said about a number; the numbers below 100 are the building blocks of the others."""
    return f"number:{number}" if number >= 100 else f"base:number {number}"
