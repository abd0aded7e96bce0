"""
Compile a regular expression to an automaton over bytes, as a script in a process of its own.

Nothing can stop the engine while it builds, so this process limits its own time and memory. It imports nothing but the
engine, so it starts in milliseconds.

    input   JSON: the expression with marks, its assertions, the limits
    output  JSON in one line; then the class of every byte, whether each state is final, and the table

A match has three parts in which it differs from what the engine builds: a space may come first, and marks are conditions
on what stands before and behind them. So the states here are sets of states of the engine. State 0 is dead.
"""

import json
import sys
from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

DEAD = 0  # the state from which nothing can match
END = 256  # the token that stands for the end of an answer
SPACE = ord(" ")
FIRST, LATER = "start, perhaps behind a space", "start, behind the space"
# A mark is the characters U+FDD0 + n and U+FDEF.
MARK_START, MARK_MIDDLE, FIRST_MARK, LAST_MARK = 0xEF, 0xB7, 0x90, 0xAF

# What may stand on one side of a place between two characters: nothing, a letter, digit or _ of ASCII, one of Unicode, ...
EDGE, ASCII, WORD, LINE_FEED, RETURN, OTHER = range(6)
Condition = Callable[[int, int], bool]
Follow = Callable[[Any], Sequence[Iterable[Hashable]]]


class RefusedError(Exception):
    """Say why an expression has no automaton: "syntax", "empty", "states" or "memory"."""


def is_word(side: int) -> bool:
    return side in (ASCII, WORD)


def is_ascii(side: int) -> bool:
    return side == ASCII


def boundaries(name: str, inside: Callable[[int], bool]) -> dict[str, Condition]:
    return {
        f"{name} edge": lambda before, behind: inside(before) != inside(behind),
        f"no {name} edge": lambda before, behind: inside(before) == inside(behind),
        f"{name} start": lambda before, behind: not inside(before) and inside(behind),
        f"{name} end": lambda before, behind: inside(before) and not inside(behind),
        f"no {name} before": lambda before, behind: not inside(before),
        f"no {name} behind": lambda before, behind: not inside(behind),
    }


# The names and their order are those of pattern_syntax.ASSERTIONS.
CONDITIONS: dict[str, Condition] = {
    "text start": lambda before, behind: before == EDGE,
    "text end": lambda before, behind: behind == EDGE,
    "line start": lambda before, behind: before in (EDGE, LINE_FEED),
    "line end": lambda before, behind: behind in (EDGE, LINE_FEED),
    "crlf start": lambda before, behind: before in (EDGE, LINE_FEED) or (before == RETURN and behind != LINE_FEED),
    "crlf end": lambda before, behind: behind in (EDGE, RETURN) or (behind == LINE_FEED and before != RETURN),
    **boundaries("word", is_word),
    **boundaries("ascii", is_ascii),
}


class Engine:
    """
    Hold the automaton of the engine.

    Attributes:
        start: The state at the start.
        columns: For every byte the next state of every state.
        finals: Whether each state ends a match.
        behind: For every mark that occurs, the state behind it of every state.
    """

    def __init__(self, pattern: str, alphabet: Iterable[int], most: int, excludes_marks: bool = False):
        from outlines_core import Index, Vocabulary

        # The engine searches, which needs care at both ends. It drops what a search prefers less: in a|ab the second, in a*?
        # all but the empty text. So let it search for two characters behind the match, which no text has.
        last = b"\xef\xb7\xae\xef\xb7\xaf"
        # It also looks for later starts: a.{30} doubles its states with each character. So let a match begin behind a
        # character that the match itself cannot have.
        first = b"\xef\xb7\xad" if excludes_marks else b""
        # Bytes as tokens: with the tokens of a vocabulary the engine needs minutes where it now needs milliseconds.
        tokens = {bytes([byte]): [byte] for byte in {*first, *last, *alphabet}}
        try:
            index = Index(f"{first.decode()}(?:{pattern}){last.decode()}", Vocabulary(END, tokens))
        except ValueError as error:  # the library has no class of its own
            raise RefusedError("empty" if "incompatible" in str(error) else "syntax") from error
        transitions, finals = index.get_transitions(), index.get_final_states()
        if len(transitions) > most:
            raise RefusedError("states")
        names = {state: number for number, state in enumerate(transitions, 1)}
        self.columns = [array("i", bytes(4 * len(transitions) + 4)) for _ in range(256)]
        for state, following in transitions.items():
            number = names[state]
            for byte, after in following.items():
                if byte != END:
                    self.columns[byte][number] = names[after]
        self.start = names[index.get_initial_state()]
        for byte in first:
            self.start = self.columns[byte][self.start]
        ends = [False, *(state in finals for state in transitions)]
        reached = list(range(len(ends)))
        for byte in last:
            reached = [self.columns[byte][state] for state in reached]
        self.finals = [ends[state] for state in reached]
        self.behind: dict[str, array[int]] = {}

    def take_marks(self, names: Iterable[str]):
        """Turn marks from characters into steps that read nothing."""
        numbers = {name: number for number, name in enumerate(CONDITIONS)}
        for name in names:
            bytes_of_mark = MARK_START, MARK_MIDDLE, FIRST_MARK + numbers[name], MARK_START, MARK_MIDDLE, LAST_MARK
            self.behind[name] = array("i", range(len(self.finals)))
            for byte in bytes_of_mark:
                column = self.columns[byte]
                self.behind[name] = array("i", [column[state] for state in self.behind[name]])
        start, middle = self.columns[MARK_START], self.columns[MARK_MIDDLE]
        inside = {middle[state] for state in start} - {DEAD}
        for byte in range(FIRST_MARK, LAST_MARK + 1):
            for state in inside:
                self.columns[byte][state] = DEAD

    def closure(self, state: int, before: int, behind: int) -> set[int]:
        """Find the states that marks lead to at a place between two characters."""
        steps = [column for name, column in self.behind.items() if CONDITIONS[name](before, behind)]
        found, waiting = {state}, [state]
        for reached in waiting:
            for column in steps:
                if (after := column[reached]) not in found:
                    found.add(after)
                    waiting.append(after)
        return found - {DEAD}


class Sides:
    """
    Tell the kinds of characters apart while their bytes are read.

    Attributes:
        columns: For every byte the next state of every state. Below 0 a character is complete: of the kind -1 - state.
        may_become: For every state the kinds that the character can still be of.
    """

    def __init__(self, knows_words: bool):
        patterns = {LINE_FEED: r"\n", RETURN: r"\r", ASCII: "[0-9A-Za-z_]", WORD: r"[\w&&[^0-9A-Za-z_]]"}
        patterns[OTHER] = "(?s:.)"  # what is none of the others
        if not knows_words:
            del patterns[WORD]
        kinds = {kind: Engine(pattern, range(256), 1000) for kind, pattern in patterns.items()}
        classes, bytes_ = group(list(zip(*(map(array.tobytes, kind.columns) for kind in kinds.values()), strict=True)))
        numbers = {(start := tuple(engine.start for engine in kinds.values())): 0}
        waiting, rows = [start], []
        for states in waiting:
            row = []
            for byte in bytes_:
                after = tuple([kind.columns[byte][state] for kind, state in zip(kinds.values(), states, strict=True)])
                done = [
                    kind for (kind, engine), state in zip(kinds.items(), after, strict=True) if engine.finals[state]
                ]
                if not done and after not in numbers:
                    numbers[after] = len(numbers)
                    waiting.append(after)
                row.append(-1 - done[0] if done else numbers[after])
            rows.append(row)
        columns = list(zip(*rows, strict=True))
        self.columns = [columns[number] for number in classes]
        self.may_become: list[set[int]] = [set() for _ in rows]
        for _ in range(4):  # the most bytes of a character
            for state, row in enumerate(rows):
                for reached in set(row):
                    self.may_become[state] |= {-1 - reached} if reached < 0 else self.may_become[reached]


def group(columns: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """Find equal columns: the class of every byte, and a byte of every class."""
    numbers: dict[Hashable, int] = {}
    classes = [numbers.setdefault(column, len(numbers)) for column in columns]
    return classes, [classes.index(number) for number in range(len(numbers))]


class Automaton:
    """
    Hold what is known of the automaton so far.

    Attributes:
        columns: For every class of bytes the next state of every state. State 0 is dead.
        finals: Whether each state ends a match.
    """

    def __init__(self, columns: "list[array[int]]", finals: list[bool]):
        self.columns, self.finals = columns, finals


def compile_pattern(
    pattern: str,
    assertions: Sequence[str] = (),
    alphabet: Sequence[int] | None = None,
    most: int = 10**5,
    excludes_marks: bool = False,
) -> tuple[list[int], Automaton, int]:
    """
    Compile an expression.

    Args:
        pattern: The expression, with marks in the place of assertions.
        assertions: The assertions that occur.
        alphabet: The only bytes that occur, if they are known.
        most: The most states.
        excludes_marks: Whether no part of the expression matches a mark.

    Returns:
        The class of every byte, the automaton, and its start.

    Raises:
        RefusedError: If there is no automaton.
    """
    engine = Engine(pattern, range(256) if alphabet is None else alphabet, most, excludes_marks)
    if assertions:
        engine.take_marks(assertions)
    looks_around = not {"text start", "text end"}.issuperset(assertions)
    sides = Sides(any("word" in name for name in assertions)) if looks_around else None
    classes, bytes_ = group(
        [
            (column.tobytes(), sides and sides.columns[byte], byte == SPACE)
            for byte, column in enumerate(engine.columns)
        ]
    )
    engine.columns = [engine.columns[byte] for byte in bytes_]
    if sides is None:
        known, follow, is_final = read_bytes(engine, classes[SPACE])
    else:
        sides.columns = [sides.columns[byte] for byte in bytes_]
        known, follow, is_final = read_characters(engine, sides, classes[SPACE])
    return classes, known, determinize(known, follow, is_final, most)


def read_bytes(engine: Engine, space: int) -> tuple[Automaton, Follow, Callable[[Any], bool]]:
    """Read bytes where only the two ends of the answer are conditions: items are states of the engine."""
    starts = engine.closure(engine.start, EDGE, OTHER)
    empty = any(engine.finals[end] for end in engine.closure(engine.start, EDGE, EDGE))
    finals = engine.finals
    if engine.behind:
        finals = [any(finals[end] for end in engine.closure(state, OTHER, EDGE)) for state in range(len(finals))]

    def follow(item: Any) -> Sequence[Iterable[Hashable]]:
        if item not in (FIRST, LATER):
            return [(column[item],) for column in engine.columns]
        following: list[set[Hashable]] = [{column[state] for state in starts} for column in engine.columns]
        if item == FIRST:
            following[space].add(LATER)
        return following

    return (
        Automaton(engine.columns, list(finals)),
        follow,
        lambda item: empty if item in (FIRST, LATER) else finals[item],
    )


def read_characters(engine: Engine, sides: Sides, space: int) -> tuple[Automaton, Follow, Callable[[Any], bool]]:
    """
    Read bytes where conditions ask for the characters around a place.

    Items are (kind before, state) between two characters. Inside a character they are (state of sides, kind, state): the
    kind is guessed before its first byte, and the item ends if the character becomes another.
    """

    def read(inner: int, guesses: Iterable[tuple[int, int]]) -> list[set[Hashable]]:
        following: list[set[Hashable]] = [set() for _ in engine.columns]
        for number, (column, kinds) in enumerate(zip(engine.columns, sides.columns, strict=True)):
            reached = kinds[inner]
            for kind, state in guesses:
                if not (after := column[state]):
                    continue
                if reached == -1 - kind:
                    following[number].add((kind, after))
                elif reached >= 0 and kind in sides.may_become[reached]:
                    following[number].add((reached, kind, after))
        return following

    def follow(item: Any) -> Sequence[Iterable[Hashable]]:
        if item in (FIRST, LATER):
            before, state = EDGE, engine.start
        elif len(item) == 3:
            inner, kind, state = item
            return read(inner, [(kind, state)])
        else:
            before, state = item
        kinds = sides.may_become[0]
        following = read(0, [(kind, reached) for kind in kinds for reached in engine.closure(state, before, kind)])
        if item == FIRST:
            following[space].add(LATER)
        return following

    def is_final(item: Any) -> bool:
        if item in (FIRST, LATER):
            item = EDGE, engine.start
        return len(item) == 2 and any(engine.finals[end] for end in engine.closure(item[1], item[0], EDGE))

    return Automaton([array("i", [DEAD]) for _ in engine.columns], [False]), follow, is_final


def determinize(known: Automaton, follow: Follow, is_final: Callable[[Any], bool], most: int) -> int:
    """
    Add the sets of items that can be reached from the start to an automaton as states. A set of one known state is that.

    Returns:
        The start.
    """
    cache: dict[Any, Sequence[Iterable[Hashable]]] = {}
    start = len(known.finals)
    numbers: dict[frozenset[Hashable], int] = {frozenset(): DEAD, (first := frozenset([FIRST])): start}
    waiting = [first]
    for items in waiting:
        for item in items:
            if item not in cache:
                cache[item] = follow(item)
        for column, *together in zip(known.columns, *(cache[item] for item in items), strict=True):
            after = frozenset(together[0]).union(*together[1:]) - {DEAD}
            number = numbers.get(after)
            if number is None:
                only = next(iter(after))
                if len(after) == 1 and isinstance(only, int):
                    number = numbers[after] = only
                else:
                    number = numbers[after] = start + len(waiting)
                    waiting.append(after)
                    if number >= most:
                        raise RefusedError("states")
            column.append(number)
        known.finals.append(any(map(is_final, items)))
    return start


def limit_process(seconds: float, memory: int):
    """Let the system end this process if it takes too long, or too much memory."""
    try:
        import resource
        import signal
    except ImportError:  # Windows: the caller's clock remains
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)  # of a processor; SIGPROF ends the process
    for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(limit)[1]
        try:
            resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
        except (ValueError, OSError):  # macOS does not limit the address space
            continue


def main():
    asked = json.load(sys.stdin.buffer)
    limit_process(asked["seconds"], asked["memory"])
    sys.path.insert(0, asked["path"])
    try:
        classes, automaton, start = compile_pattern(
            asked["pattern"], asked["assertions"], asked["alphabet"], asked["states"], asked["excludes_marks"]
        )
        states = len(automaton.finals)
        if states * len(automaton.columns) > asked["cells"]:
            raise RefusedError("states")
    except (RefusedError, MemoryError) as error:
        print(json.dumps({"refused": str(error) or "memory"}))
        return
    header = json.dumps({"states": states, "classes": len(automaton.columns), "start": start}).encode()
    table = b"".join(column.tobytes() for column in automaton.columns)
    sys.stdout.buffer.write(header + b"\n" + bytes(classes) + bytes(automaton.finals) + table)


if __name__ == "__main__":
    main()
