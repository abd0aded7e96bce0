"""
Read JSON schemas and context-free grammars with llguidance, and decide which texts they accept.

The parser of llguidance follows bytes. Constraining answers and accepting them use the same parser, with the tokens of the
vocabulary or with single bytes as tokens, so they cannot disagree. As with a pattern, a space may come first.
"""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..tokenization import GLMTokenizer
from ..tokenization.blanks import remember
from ..tokenization.token_bytes import list_special_ids, token_bytes
from ..utils.numbers import shorten

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# The limits of one grammar. llguidance has limits of its own for time and memory, but its compiler recurses through rules
# that stand for one another and ends the process with a few thousand of them.
MOST_CHARACTERS = 2**18
MOST_RULES = 1000

INSTALL_GRAMMARS = "pip install 'modeling-glm[constraints]'"
END_OF_BYTES = 256  # the token behind the 256 bytes
# Other options of its JSON, such as "x-guidance" in a schema, stay as they are.
JSON_OPTIONS = {"whitespace_pattern": " ?"}
# All ways to cut a text into tokens are allowed, as in patterns.
_WITH_SPACE = '%llguidance {"no_forcing": true}\nstart: " "? @answer'
_RULE = re.compile(r"^[ \t]*[?!]?[A-Za-z_][^:\n]*:|\"\$ref\"", re.MULTILINE)


@dataclass(frozen=True)
class Grammar:
    """
    Hold a JSON schema or a context-free grammar that was checked.

    Attributes:
        name: The caller's name of it: "json_schema" or "grammar".
        text: The schema as JSON, or the grammar in the syntax of Lark.
    """

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}={shorten(self.text)}"

    @functools.cached_property
    def source(self) -> str:
        """The input of llguidance: a grammar with a space in front of this one."""
        if self.name == "grammar":
            inner: dict[str, Any] = {"lark_grammar": self.text}
        else:
            own = json.loads(self.text)
            inner = {"json_schema": {**own, "x-guidance": {**JSON_OPTIONS, **own.get("x-guidance", {})}}}
        return json.dumps({"grammars": [{"lark_grammar": _WITH_SPACE}, {**inner, "name": "answer"}]})


def read_schema(given: Any) -> Grammar:
    """
    Read a JSON schema, given as a dict or as JSON.

    Raises:
        ValueError: If it is not a schema, or has a keyword that llguidance does not support.
        ImportError: If llguidance is not installed.
    """
    expected = 'expected a dict or its JSON, such as {"type": "integer"}'
    if not isinstance(given, str | Mapping):
        raise ValueError(f"json_schema={shorten(given)} is of type {type(given).__name__}: {expected}.")
    try:
        schema = json.loads(given) if isinstance(given, str) else dict(given)
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
    except RecursionError:  # it cannot be shown either
        raise ValueError(f"json_schema nests too deep to be read: {expected}.") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"json_schema={shorten(given)} cannot be read as JSON: {error}: {expected}.") from None
    if not isinstance(schema, dict):
        raise ValueError(f"json_schema={shorten(given)} is JSON of type {type(schema).__name__}: {expected}.")
    if not isinstance(schema.get("x-guidance", {}), Mapping):
        raise ValueError(f"json_schema has x-guidance={shorten(schema['x-guidance'])}: expected an object.")
    return _check(Grammar("json_schema", text))


def read_grammar(given: Any) -> Grammar:
    """
    Read a context-free grammar in the syntax of Lark.

    Raises:
        ValueError: If it is not a grammar, or lacks the rule `start`.
        ImportError: If llguidance is not installed.
    """
    if not isinstance(given, str):
        raise ValueError(
            f"grammar={shorten(given)} is of type {type(given).__name__}: expected a string in the syntax of Lark, "
            "such as 'start: /[0-9]+/ (\"+\" /[0-9]+/)*'."
        )
    return _check(Grammar("grammar", given))


@functools.lru_cache(maxsize=256)
def _check(grammar: Grammar) -> Grammar:
    """Return the grammar if llguidance can compile it."""
    if len(grammar.text) > MOST_CHARACTERS:
        raise ValueError(f"{grammar} is longer than {MOST_CHARACTERS:,} characters, which is the limit.")
    if (rules := len(_RULE.findall(grammar.text))) > MOST_RULES:
        raise ValueError(f"{grammar} has {rules:,} rules or references, but at most {MOST_RULES:,} are allowed.")
    library = _library()
    is_wrong, messages = library.LLMatcher.validate_grammar_with_warnings(grammar.source, byte_tokenizer())
    if is_wrong:
        expected = (
            "Expected a grammar in the syntax of Lark with a rule start"
            if grammar.name == "grammar"
            else "Expected a JSON schema of the keywords that llguidance supports"
        )
        reason = "; ".join(line.strip() for message in messages for line in message.splitlines() if line.strip())
        raise ValueError(f"{grammar} cannot be used: {shorten_reason(reason)}. {expected}.")
    return grammar


def shorten_reason(reason: str, most: int = 300) -> str:
    return reason if len(reason) <= most else f"{reason[:most]}..."


def accepts(grammar: Grammar, text: str) -> bool:
    """Return whether a grammar accepts a whole text, or all of it behind a space."""
    matcher = byte_matcher(grammar)
    written = text.encode("utf-8", "surrogatepass")
    return matcher.try_consume_tokens(list(written)) == len(written) and bool(matcher.is_accepting())


def make_matcher(grammar: Grammar, tokenizer: "LLTokenizer") -> "LLMatcher":
    """
    Make a parser at the start of an answer. It is not safe to share between threads.

    Raises:
        ValueError: If the grammar and the vocabulary together exceed a limit of llguidance.
    """
    matcher = _library().LLMatcher(tokenizer, grammar.source, log_level=0)
    if matcher.is_error():
        raise ValueError(f"{grammar} cannot be used: {shorten_reason(matcher.get_error())}.")
    return matcher


def byte_matcher(grammar: Grammar) -> "LLMatcher":
    """Make a parser that reads bytes. A grammar is compiled once: the parsers are copies."""
    return _first_byte_matcher(grammar).deep_copy()


@functools.lru_cache(maxsize=64)
def _first_byte_matcher(grammar: Grammar) -> "LLMatcher":
    return make_matcher(grammar, byte_tokenizer())


@functools.lru_cache(maxsize=1)
def byte_tokenizer() -> "LLTokenizer":
    """Return a vocabulary of bytes, in which token n is the byte n."""
    return _make_tokenizer([bytes([byte]) for byte in range(0xF8)] + [b""] * 8)  # UTF-8 has no byte from F8 on


def vocabulary_tokenizer(tokenizer: GLMTokenizer, vocab_size: int) -> "LLTokenizer":
    """Return the vocabulary for llguidance. Its end of a text is the token `vocab_size`, which no model has."""
    return _vocabulary_tokenizer(tokenizer, vocab_size, len(tokenizer), list_special_ids(tokenizer))


@remember
def _vocabulary_tokenizer(
    tokenizer: GLMTokenizer, vocab_size: int, size: int, special_ids: tuple[int, ...]
) -> "LLTokenizer":
    """Cache the result by the tokens as well, because a user may add some and change the special ones."""
    texts = token_bytes(tokenizer)
    return _make_tokenizer([texts.get(token_id, b"") for token_id in range(vocab_size)])


class _Tokens:
    """Hold the bytes of tokens in the form that llguidance reads. It encodes no text, because no text is forced."""

    bos_token_id = None

    def __init__(self, tokens: Sequence[bytes]):
        self.eos_token_id = len(tokens)
        self.special_token_ids = [len(tokens)]
        self.tokens = [*tokens, b"\xff<end>"]  # FF marks a special token

    def __call__(self, text: Any) -> list[int]:
        return []


def _make_tokenizer(tokens: Sequence[bytes]) -> "LLTokenizer":
    library = _library()
    return library.LLTokenizer(library.TokenizerWrapper(_Tokens(tokens)), n_vocab=len(tokens) + 1)


def _library() -> Any:
    try:
        import llguidance
    except ImportError:
        raise ImportError(f"A json_schema or grammar for blanks needs llguidance: {INSTALL_GRAMMARS}.") from None
    return llguidance
