"""
Compare libraries that say which tokens may follow: for regular expressions, JSON schemas and context-free grammars.

    pip install llguidance xgrammar
    python -m benchmarks.studies.constraint_libraries [VOCABULARY] [--rounds 5]

VOCABULARY is a folder with a tokenizer, by default the embedded model. Libraries that are not installed are left out.

In each round, every library compiles the task anew and follows one answer, with the mask of the vocabulary at every token.
The answer must be allowed, or the row says so. "outlines-core, bytes" is what `BlankConstraint(regex=...)` does:
outlines-core builds an automaton over bytes, in a process of its own, and this package walks the vocabulary through it.

The second table has the size of each library with everything that it brings and modeling-glm does not need already.
"""

import argparse
import importlib
import importlib.metadata
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.requirements import Requirement

from modeling_glm import GLMTokenizer
from modeling_glm.constraints import byte_table
from modeling_glm.constraints.grammar import Grammar, make_matcher, vocabulary_tokenizer
from modeling_glm.constraints.token_steps import RegexAutomaton, VocabularyBytes
from modeling_glm.tokenization.blanks import answer_forms
from modeling_glm.tokenization.token_bytes import token_bytes

from ..harness.machine import describe_this_machine
from ..harness.report import make_table

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["name", "year"],
    "additionalProperties": False,
}
ORDER = {
    "type": "object",
    "properties": {
        "customer": PERSON,
        "state": {"enum": ["open", "paid", "sent"]},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"what": {"type": "string"}, "count": {"type": "integer"}, "price": {"type": "number"}},
                "required": ["what", "count"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["customer", "state", "lines"],
    "additionalProperties": False,
}
ORDERED = (
    '{"customer": {"name": "Ada", "year": 1987}, "state": "paid", '
    '"lines": [{"what": "a book", "count": 2, "price": 3.5}, {"what": "tea", "count": 1}]}'
)
LARK = 'start: sum\nsum: product ("+" product)*\nproduct: atom ("*" atom)*\natom: /[0-9]+/ | "(" sum ")"'
EBNF = 'root ::= product ("+" product)*\nproduct ::= atom ("*" atom)*\natom ::= [0-9]+ | "(" root ")"'
# A follower yields whether each token of an answer is in the mask at its place.
Follow = Callable[[Sequence[int]], Iterable[bool]]


@dataclass(frozen=True)
class Task:
    """Hold what an answer must be, and an answer. `kind` is regex, schema or grammar."""

    name: str
    kind: str
    given: Any
    answer: str


TASKS = (
    Task("date", "regex", "(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]", "1987-10-21"),
    Task("words", "regex", "[a-z]+( [a-z]+){2,5}", "one word is not enough"),
    Task("person", "schema", PERSON, '{"name": "Ada Lovelace", "year": 1987}'),
    Task("order", "schema", ORDER, ORDERED),
    Task("sums", "grammar", {"lark": LARK, "ebnf": EBNF}, "(12+3)*(4+56*(7+8))"),
)


class Vocabulary:
    """Hold the tokens in the form of each library. They are prepared once, and that time is not counted."""

    def __init__(self, tokenizer: GLMTokenizer):
        self.tokenizer = tokenizer
        self.size = len(tokenizer)
        self.texts = token_bytes(tokenizer)
        self.bytes = VocabularyBytes(self.texts, self.size)

    def outlines(self) -> Any:
        from outlines_core import Vocabulary as OutlinesVocabulary

        ids_of: dict[bytes, list[int]] = {}
        for token_id, text in self.texts.items():
            ids_of.setdefault(text, []).append(token_id)
        return OutlinesVocabulary(self.size, ids_of)

    def xgrammar(self) -> Any:
        import xgrammar

        listed = [self.texts.get(token_id, b"") for token_id in range(self.size)]
        raw = xgrammar.VocabType.RAW
        return xgrammar.TokenizerInfo([*listed, b"<end>"], vocab_type=raw, stop_token_ids=[self.size])


def compile_here(task: Task, vocabulary: Vocabulary, prepared: Any) -> Follow:
    byte_table._build.cache_clear()  # a compiled expression is kept
    rule = RegexAutomaton(task.given, byte_table.compile_bytes(task.given), vocabulary.bytes)

    def follow(token_ids: Sequence[int]) -> Iterable[bool]:
        for place, token_id in enumerate(token_ids):
            yield bool(rule.allowed(tuple(token_ids[:place]), 64)[token_id])

    return follow


def compile_outlines(task: Task, vocabulary: Vocabulary, prepared: Any) -> Follow:
    from outlines_core import Guide, Index, json_schema

    pattern = task.given if task.kind == "regex" else json_schema.build_regex_from_schema(json.dumps(task.given))
    guide = Guide(Index(pattern, prepared))

    def follow(token_ids: Sequence[int]) -> Iterable[bool]:
        for token_id in token_ids:
            is_allowed = token_id in guide.get_tokens()
            yield is_allowed
            guide.advance(token_id, return_tokens=False)

    return follow


def compile_llguidance(task: Task, vocabulary: Vocabulary, prepared: Any) -> Follow:
    if task.kind == "schema":
        grammar = Grammar("json_schema", json.dumps(task.given))
    else:
        grammar = Grammar("grammar", task.given["lark"] if task.kind == "grammar" else f"start: /{task.given}/")
    matcher = make_matcher(grammar, prepared)

    def follow(token_ids: Sequence[int]) -> Iterable[bool]:
        for token_id in token_ids:
            yield bool(matcher.compute_bitmask()[token_id // 8] >> token_id % 8 & 1)
            matcher.consume_token(token_id)

    return follow


def compile_xgrammar(task: Task, vocabulary: Vocabulary, prepared: Any) -> Follow:
    import xgrammar

    compiler = xgrammar.GrammarCompiler(prepared, max_threads=1, cache_enabled=False)
    if task.kind == "regex":
        compiled = compiler.compile_regex(task.given)
    elif task.kind == "schema":
        compiled = compiler.compile_json_schema(json.dumps(task.given))
    else:
        compiled = compiler.compile_grammar(task.given["ebnf"])
    matcher = xgrammar.GrammarMatcher(compiled)
    mask = xgrammar.allocate_token_bitmask(1, vocabulary.size + 1)

    def follow(token_ids: Sequence[int]) -> Iterable[bool]:
        for token_id in token_ids:
            matcher.fill_next_token_bitmask(mask)
            yield bool(int(mask[0, token_id // 32]) >> token_id % 32 & 1)
            matcher.accept_token(token_id)

    return follow


@dataclass(frozen=True)
class Library:
    """Hold how a library is used: the package, the tasks it knows, how it takes a vocabulary, and how it compiles."""

    package: str
    kinds: tuple[str, ...]
    prepare: Callable[[Vocabulary], Any]
    compile: Callable[[Task, Vocabulary, Any], Follow]


LIBRARIES = {
    "outlines-core, bytes": Library("outlines_core", ("regex",), lambda vocabulary: None, compile_here),
    "outlines-core": Library("outlines_core", ("regex", "schema"), Vocabulary.outlines, compile_outlines),
    "llguidance": Library(
        "llguidance",
        ("regex", "schema", "grammar"),
        lambda vocabulary: vocabulary_tokenizer(vocabulary.tokenizer, vocabulary.size),
        compile_llguidance,
    ),
    "xgrammar": Library("xgrammar", ("regex", "schema", "grammar"), Vocabulary.xgrammar, compile_xgrammar),
}


def is_usable(package: str) -> bool:
    """Return whether a package and all that it imports are installed."""
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


def measure(task: Task, library: Library, vocabulary: Vocabulary, prepared: Any, rounds: int) -> tuple[str, str, str]:
    """Return the milliseconds to compile, the masks per second, and whether the answer is allowed."""
    token_ids = answer_forms(vocabulary.tokenizer, task.answer)[-1]
    compiling, following, is_allowed = [], [], True
    for _ in range(rounds):
        start = time.perf_counter()
        follow = library.compile(task, vocabulary, prepared)
        compiled = time.perf_counter()
        found = []
        for allowed in follow(token_ids):
            found.append(allowed)
            if not allowed:
                break
        following.append(len(found) / (time.perf_counter() - compiled))
        compiling.append(compiled - start)
        is_allowed &= all(found)
    told = "yes" if is_allowed else "no"
    return f"{statistics.median(compiling) * 1e3:.1f}", f"{statistics.median(following):,.0f}", told


def requirements(name: str, extra: str = "") -> set[str]:
    """Find the distributions that one needs on this machine, itself included."""
    found, waiting = set(), [name]
    while waiting:
        one = waiting.pop().lower().replace("_", "-")
        if one in found:
            continue
        found.add(one)
        try:
            listed = importlib.metadata.requires(one) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        parsed = map(Requirement, listed)
        waiting += [need.name for need in parsed if need.marker is None or need.marker.evaluate({"extra": extra})]
    return found


def size_row(name: str) -> tuple[str, str, str, str]:
    """Describe a library: its version, the megabytes that it adds, and what these are."""
    sizes: dict[str, float | None] = {}
    for need in sorted(requirements(name) - requirements("modeling-glm")):
        try:
            files = importlib.metadata.files(need) or []
            sizes[need] = sum(file.locate().stat().st_size for file in files if file.locate().is_file()) / 1e6
        except importlib.metadata.PackageNotFoundError:
            sizes[need] = None
    shown = ", ".join(f"{need} {'not installed' if size is None else f'{size:.1f}'}" for need, size in sizes.items())
    return name, importlib.metadata.version(name), f"{sum(size or 0 for size in sizes.values()):.1f}", shown


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabulary", nargs="?", default="examples/glm-tiny", help="folder with a tokenizer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", choices=[task.name for task in TASKS], help="only these tasks")
    args = parser.parse_args(arguments)
    vocabulary = Vocabulary(GLMTokenizer.from_pretrained(args.vocabulary))
    libraries = {name: library for name, library in LIBRARIES.items() if is_usable(library.package)}
    prepared = {name: library.prepare(vocabulary) for name, library in libraries.items()}

    print(f"{vocabulary.size:,} tokens. {describe_this_machine()}\n")
    rows = [
        (f"{task.kind}: {task.name}", name, *measure(task, library, vocabulary, prepared[name], args.rounds))
        for task in TASKS
        if not args.tasks or task.name in args.tasks
        for name, library in libraries.items()
        if task.kind in library.kinds
    ]
    print(make_table(("task", "library", "compile, ms", "masks per second", "answer allowed"), rows))
    packages = {library.package.replace("_", "-"): None for library in libraries.values()}
    print("\n" + make_table(("library", "version", "added, MB", "what is added, MB"), list(map(size_row, packages))))


if __name__ == "__main__":
    main()
