"""Keywords, operators and tokens of Python."""

import keyword
import operator
import re
import token
from collections.abc import Iterator

from ...documents import Document, state_fact

_OPERATOR_FUNCTIONS = sorted(name for name in operator.__all__ if name not in {"lt", "le", "gt", "ge"})


def python_words() -> Iterator[Document]:
    """Yield keywords, operators and tokens: closed sets, which are never held out."""
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
    yield from state_fact("python_words", [f"closed:python {name}"], templates, name=name, **fields)
