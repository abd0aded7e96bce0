"""Undo the tokenization of language modelling corpora, as reported perplexities do."""

import re
from collections.abc import Sequence

Replacement = tuple[str, str]


def _inside(left: str, right: str) -> Replacement:
    """Remove the white space inside a pair of signs that holds no other: "( a b )" -> "(a b)"."""
    content = rf"\s*([^{re.escape(right)}]*?)\s*"
    return re.escape(left) + content + re.escape(right), rf"{left}\1{right}"


def _exactly(old: str, new: str) -> Replacement:
    return re.escape(old), new.replace("\\", r"\\")


# They apply one after the other, over the whole text.
_WIKITEXT: list[Replacement] = [
    _exactly("s '", "s'"),
    (r"/' [0-9]/", "/'[0-9]/"),  # the originals write the class of the search for the digit
    *(_exactly(f" @{sign}@ ", sign) for sign in "-,."),
    *(_exactly(f" {sign} ", f"{sign} ") for sign in ":;.!?,"),
    *(_inside(left, right) for left, right in ("()", "[]", "{}", '""', "''")),
    *(_exactly(" ".join("=" * length), "=" * length) for length in (4, 3, 2)),
    _exactly(" ° ", "°"),
    _exactly(" \n", "\n"),
    _exactly("\n ", "\n"),
    _exactly(" N ", " 1 "),
    _exactly(" 's", "'s"),
]
_PTB: list[Replacement] = [
    _exactly(" '", "'"),
    _exactly(" \n", "\n"),
    _exactly("\n ", "\n"),
    _exactly(" n't", "n't"),
    _exactly(" N ", "1 "),
    _exactly("$ 1", "$1"),
    _exactly("# 1", "#1"),
]


def detokenize_wikitext(text: str) -> str:
    """
    Undo the tokenization of WikiText: `@-@`, punctuation, brackets, quotes, headings, numbers written as `N`.

    The reported perplexities rest on this text, so it keeps the oddities of the originals: "/' 3/" becomes "/'[0-9]/",
    and a plural's apostrophe may lose the space behind it.
    """
    return _apply(text, _WIKITEXT)


def detokenize_ptb(text: str) -> str:
    """
    Undo the tokenization of the Penn Treebank: apostrophes, line ends, numbers written as `N`.

    As in the originals, a number loses the space before it unless it follows `$` or `#`: "or N more" becomes "or1
    more".
    """
    return _apply(text, _PTB)


def detokenize_lambada(text: str) -> str:
    """Return a text of LAMBADA as it is: the originals do not change it."""
    return text


def _apply(text: str, replacements: Sequence[Replacement]) -> str:
    for pattern, replacement in replacements:
        text = re.sub(pattern, replacement, text)
    return text


__all__ = ["detokenize_lambada", "detokenize_ptb", "detokenize_wikitext"]
