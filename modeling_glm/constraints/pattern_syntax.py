r"""
Read a regular expression in the syntax of Rust's regex crate as far as an automaton needs it.

The engine behind the automaton knows neither anchors nor Unicode word boundaries. So this module replaces each assertion
by a mark, two characters that no text has, and keeps these out of every class:

    ^a.$  ->  M0 a [^\n M] M1        with M0, M1 for two marks, and M for the characters that marks are made of

`compile_bytes` turns marks back into conditions on what stands before and behind them. This module also says in words what
is wrong with an expression, because the engine does not.
"""

import re
from dataclasses import dataclass

# U+FDD0 to U+FDEF are noncharacters: Unicode promises that no text has them.
FIRST_MARK = 0xFDD0
MARK_CHARACTERS = range(FIRST_MARK, FIRST_MARK + 32)
END_OF_MARK = MARK_CHARACTERS[-1]
_MARKS = f"\\u{{{FIRST_MARK:X}}}-\\u{{{END_OF_MARK:X}}}"

# Everything that holds between two characters. A mark's first character is FIRST_MARK plus the place in this list.
ASSERTIONS = (
    *("text start", "text end", "line start", "line end", "crlf start", "crlf end"),
    *("word edge", "no word edge", "word start", "word end", "no word before", "no word behind"),
    *("ascii edge", "no ascii edge", "ascii start", "ascii end", "no ascii before", "no ascii behind"),
)
_BOUNDARIES = {
    "b{start-half}": "no {} before",
    "b{end-half}": "no {} behind",
    "b{start}": "{} start",
    "b{end}": "{} end",
    "b": "{} edge",
    "B": "no {} edge",
    "<": "{} start",
    ">": "{} end",
}
_BOUNDARY = re.compile("|".join(map(re.escape, _BOUNDARIES)))
_CODE_POINT = re.compile(
    r"x\{\s*([0-9A-Fa-f]+)\s*\}|x([0-9A-Fa-f]{2})|[uU]\{\s*([0-9A-Fa-f]+)\s*\}|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})"
)
_PROPERTY = re.compile(r"[pP](?:\{[^}]*\}|[^{])", re.DOTALL)
_FLAGS = re.compile(r"\(\?([imsRUux]*(?:-[imsRUux]+)?)([:)])")
_NAMED = re.compile(r"\(\?P?<[\w.\[\]]+>")
_ELSEWHERE = {
    "(?=": "look-ahead",
    "(?!": "look-ahead",
    "(?<=": "look-behind",
    "(?<!": "look-behind",
    "(?>": "an atomic group",
    "(?P=": "a backreference",
    "(?#": "a comment group; write comments as (?x) text # comment",
    "(?(": "a condition",
    "(?|": "a branch reset",
    "(?R)": "recursion",
}
_LITERAL_ESCAPES = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
SYNTAX = "Expected the syntax of Rust's regex crate, which has neither look-around nor backreferences"


class PatternError(ValueError):
    """Say what is wrong with a regular expression."""


@dataclass(frozen=True)
class Syntax:
    """
    Hold what the engine needs of a regular expression.

    Attributes:
        pattern: The expression, with marks in the place of assertions.
        assertions: The names of the assertions that occur; see `ASSERTIONS`.
        alphabet: The bytes of the expression if it consists of literal characters, groups and repetitions, else None.
        depth: How deep groups are nested.
        is_bytewise: Whether a part of it turns Unicode off.
        excludes_marks: Whether no part of it matches a mark.
    """

    pattern: str
    assertions: frozenset[str]
    alphabet: frozenset[int] | None
    depth: int
    is_bytewise: bool
    excludes_marks: bool


def show_pattern(pattern: str) -> str:
    """Write an expression for a message, shortened if it is long."""
    return repr(pattern) if len(pattern) <= 100 else f"{pattern[:80]!r}... ({len(pattern)} characters)"


def read_pattern(pattern: str) -> Syntax:
    """
    Check the outline of an expression and replace its assertions by marks.

    Args:
        pattern: The expression.

    Raises:
        PatternError: If groups or classes do not close, or if the expression uses what Rust's syntax does not have.
    """
    if surrogate := re.search("[\ud800-\udfff]", pattern):
        raise PatternError(f"it has a lone surrogate, {surrogate[0]!r}, which is not a character.")
    reader = _Reader(pattern, with_marks=False)
    reader.read()
    if reader.spells_marks and reader.assertions:
        raise PatternError("U+FDD0 to U+FDEF cannot stand beside an anchor or a word boundary.")
    if not reader.spells_marks:
        reader = _Reader(pattern, with_marks=True)
        reader.read()
    return Syntax(
        # A comment at the end would hide what is put behind the expression.
        "".join(reader.written) + ("\n" if "x" in reader.flags else ""),
        frozenset(reader.assertions),
        None if reader.alphabet is None else frozenset("".join(reader.alphabet).encode()),
        reader.depth,
        reader.is_bytewise,
        reader.with_marks,
    )


class _Reader:
    """Walk through an expression once, and write it with marks."""

    def __init__(self, pattern: str, with_marks: bool):
        self.pattern = pattern
        self.with_marks = with_marks
        self.place = 0
        self.flags: frozenset[str] = frozenset("u")
        self.written: list[str] = []
        self.assertions: set[str] = set()
        self.alphabet: set[str] | None = set()
        self.depth = 0
        self.is_bytewise = False
        self.spells_marks = False
        self._outer: list[tuple[frozenset[str], int]] = []  # flags around each open group, and where it opens

    def read(self):
        may_repeat = False  # whether an expression stands before this place
        while self.place < len(self.pattern):
            character = self.pattern[self.place]
            if "x" in self.flags and self._skip_space():
                continue
            if character in "*+?" and not may_repeat:
                raise self._error(f"nothing stands before the {character!r} that could repeat")
            if character == "{" and not may_repeat:
                raise self._error("nothing stands before the '{' that could repeat; a brace itself is \\{")
            may_repeat = character != "|"
            if character == "\\":
                self._read_escape()
            elif character == "[":
                self._read_class()
            elif character == "(":
                self._open_group()
                may_repeat = False
            elif character == ")":
                self._close_group()
            elif character in "^$":
                side = "start" if character == "^" else "end"
                kind = "text" if "m" not in self.flags else "crlf" if "R" in self.flags else "line"
                self._write_assertion(f"{kind} {side}", 1)
            elif character == ".":
                without = "" if "s" in self.flags else r"\r\n" if "R" in self.flags else r"\n"
                self.alphabet = None
                self._write(f"[^{without}{_MARKS}]" if self._excludes() else ".", 1)
            elif character == "{":
                self._read_count()
            elif character in "|*+?":
                self._write(character, 1)
            else:
                self._write_literal(character, 1)
        if self._outer:
            self.place = self._outer[-1][1]
            raise self._error("the group that opens is never closed")

    def _excludes(self) -> bool:
        """Return whether classes must leave the marks out. Without Unicode, only ASCII passes the engine."""
        return self.with_marks and "u" in self.flags

    def _error(self, what: str) -> PatternError:
        return PatternError(f"{what}, at character {self.place + 1}.")

    def _write(self, text: str, length: int):
        self.written.append(text)
        self.place += length

    def _write_literal(self, character: str, length: int):
        self.spells_marks |= ord(character) in MARK_CHARACTERS
        if self.alphabet is not None:
            self.alphabet.add(character)
        self._write(self.pattern[self.place : self.place + length], length)

    def _write_assertion(self, name: str, length: int):
        self.assertions.add(name)
        if not self.with_marks:
            return self._write(self.pattern[self.place : self.place + length], length)
        # Two characters: the engine joins single ones into a class, (^|x) into [M0 x].
        mark = [FIRST_MARK + ASSERTIONS.index(name), END_OF_MARK]
        if self.alphabet is not None:
            self.alphabet.update(map(chr, mark))
        first, last = (f"\\u{{{number:X}}}" for number in mark)
        self._write(f"(?:{first}{last})", length)

    def _skip_space(self) -> bool:
        """Skip white space and comments, where the flag x allows them."""
        start = self.place
        while self.place < len(self.pattern):
            if self.pattern[self.place].isspace():
                self.place += 1
            elif self.pattern[self.place] == "#":
                end = self.pattern.find("\n", self.place)
                self.place = len(self.pattern) if end < 0 else end + 1
            else:
                break
        self.written.append(self.pattern[start : self.place])
        return self.place > start

    def _read_escape(self):
        rest = self.pattern[self.place + 1 : self.place + 16]
        if not rest:
            raise self._error("a backslash ends the expression; a backslash itself is \\\\")
        if found := _BOUNDARY.match(rest):
            kind = "word" if "u" in self.flags else "ascii"
            return self._write_assertion(_BOUNDARIES[found[0]].format(kind), 1 + found.end())
        if rest[0] in "Az":
            return self._write_assertion("text start" if rest[0] == "A" else "text end", 2)
        if rest[0] in "pPdDsSwW":
            found = _PROPERTY.match(self.pattern, self.place + 1) if rest[0] in "pP" else None
            if rest[0] in "pP" and not found:
                raise self._error(f"\\{rest[0]} has no name of a property, such as \\p{{L}}")
            length = found.end() - self.place if found else 2
            text = self.pattern[self.place : self.place + length]
            self.alphabet = None
            return self._write(f"[{text}&&[^{_MARKS}]]" if self._excludes() else text, length)
        if found := _CODE_POINT.match(self.pattern, self.place + 1):
            number = int(next(filter(None, found.groups())), 16)
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                raise self._error(f"{self.pattern[self.place : found.end()]} is not a character")
            if number > 0x7F and found[2] and "u" not in self.flags:
                raise self._error(
                    f"(?-u:{self.pattern[self.place : found.end()]}) is a byte that is not a character of UTF-8, which no answer has"
                )
            return self._write_literal(chr(number), found.end() - self.place)
        if rest[0].isdigit():
            raise self._error(f"\\{rest[0]} is a backreference. {SYNTAX}")
        if rest[0].isalpha() and rest[0] not in _LITERAL_ESCAPES:
            known = {"Z": r"; the end is \z", "h": r"; white space is \s", "e": r"; escape is \x1B"}
            raise self._error(f"\\{rest[0]} has no meaning{known.get(rest[0], '')}. {SYNTAX}")
        return self._write_literal(_LITERAL_ESCAPES.get(rest[0], rest[0]), 2)

    def _read_class(self):
        """Find the end of a class, in which other classes may stand."""
        start = place = self.place
        opened: list[int] = []
        self.alphabet = None
        while True:
            if place >= len(self.pattern):
                self.place = opened[-1] if opened else start
                raise self._error("the class that opens is never closed; a bracket itself is \\[")
            character = self.pattern[place]
            place += 1
            if "x" in self.flags and character == "#":
                place = self.pattern.find("\n", place) + 1 or len(self.pattern)
            elif character == "\\":
                escape = self.pattern[place : place + 1]
                found = _CODE_POINT.match(self.pattern, place) or (_PROPERTY.match(self.pattern, place))
                place = found.end() if found else place + len(escape)
            elif character == "[":
                opened.append(place - 1)
                place = self._skip_first(place)
            elif character == "]":
                opened.pop()
                if not opened:
                    break
        text = self.pattern[start:place]
        self._write(f"[{text}&&[^{_MARKS}]]" if self._excludes() else text, place - start)

    def _skip_first(self, place: int) -> int:
        """Skip what is literal at the start of a class: ^, then hyphens, or else a closing bracket."""
        hyphens = 0
        for expected in ("^", "-", "]"):
            while True:
                while "x" in self.flags and self.pattern[place : place + 1].isspace():
                    place += 1
                if self.pattern[place : place + 1] != expected or (expected == "]" and hyphens):
                    break
                place += 1
                hyphens += expected == "-"
                if expected != "-":
                    break
        return place

    def _open_group(self):
        """Read the start of a group, or flags for the rest of the group around them."""
        for start, name in _ELSEWHERE.items():
            if self.pattern.startswith(start, self.place):
                if start == "(?R)":  # a flag in Rust
                    continue
                raise self._error(f"{start}...) is {name}. {SYNTAX}")
        flags = self.flags
        if found := _FLAGS.match(self.pattern, self.place):
            on, _, off = found[1].partition("-")
            flags = (flags | set(on)) - set(off)
            self.is_bytewise |= "u" not in flags
            if "i" in flags:
                self.alphabet = None
            if not found[1] and found[2] == ")":
                raise self._error("(?) is empty")
            if found[2] == ")":
                self.flags = flags
                return self._write(found[0], len(found[0]))
            length = len(found[0])
        elif self.pattern.startswith("(?", self.place):
            if not (found := _NAMED.match(self.pattern, self.place)):
                raise self._error(f"{self.pattern[self.place : self.place + 4]!r} begins no group. {SYNTAX}")
            length = len(found[0])
        else:
            length = 1
        self._outer.append((self.flags, self.place))
        self.depth = max(self.depth, len(self._outer))
        self.flags = flags
        self._write(self.pattern[self.place : self.place + length], length)

    def _close_group(self):
        if not self._outer:
            raise self._error("a group closes that was never opened; a parenthesis itself is \\)")
        self.flags, _ = self._outer.pop()
        self._write(")", 1)

    def _read_count(self):
        end = self.pattern.find("}", self.place)
        count = self.pattern[self.place + 1 : end]
        if end < 0:
            raise self._error("the count that opens is never closed; a brace itself is \\{")
        inner = re.sub(r"\s", "", count)
        if not (found := re.fullmatch(r"(\d+)(?:,(\d*))?", inner, re.ASCII)):
            hint = f"; write {{0{inner}}}" if re.fullmatch(r",\d+", inner) else ""
            raise self._error(
                f"{{{count}}} is not a count such as {{2}}, {{2,}} or {{2,5}}{hint}; a brace itself is \\{{"
            )
        if found[2] and int(found[2]) < int(found[1]):
            raise self._error(f"{{{count}}} asks for at least {found[1]} and at most {found[2]}")
        self._write(self.pattern[self.place : end + 1], end + 1 - self.place)
