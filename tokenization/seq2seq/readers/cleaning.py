"""
Clean the texts of seq2seq data as the authors' code does, so that results compare with theirs.

Its texts name special tokens: `[SEP]` between the sentences of a summary, `[UNK]` for an unknown word. Those count
only in the layout of the originals. Elsewhere a special token in a text is letters, so `clean_text` writes a line
break and "UNK".
"""

import re

from ...patterns.punctuation import standardize_punctuation

# Brackets as the Penn Treebank writes them; Gigaword has the names in lower case.
BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
SENTENCE_END = "<S_SEP>"  # between the sentences of CNN/DM
SENTENCE_BREAK = "[SEP]"  # what a target of the originals has in its place; their metrics split there
UNKNOWN = "[UNK]"

_CNN_DM = {**BRACKETS, "''": '"', "``": '"', "`": "'", " n't": "n't", " 's": "'s", " 'd": "'d", " 'll": "'ll"}
_GIGAWORD = {
    **{name.lower(): sign for name, sign in BRACKETS.items()},
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
}
KINDS = ("none", "punctuation", "cnn_dm", "gigaword", "blank_lm")
_SENTENCE_END = re.compile(rf"\s*{SENTENCE_END}\s*")


def detokenize_cnn_dm(text: str, target: bool = False) -> str:
    """
    Undo the tokenization of CNN/DM: brackets, quotes, and the space before `n't`, `'s`, `'d` and `'ll`.

    Args:
        text: A line of a `.source` or `.target` file.
        target: Whether it is a summary. `<S_SEP>` becomes `[SEP]` there; in articles it is removed, which leaves two
            spaces.

    Example:

    ```python
    >>> detokenize_cnn_dm("It did n't rain -LRB- much -RRB- . <S_SEP> So : `` Go ! ''", target=True)
    'It didn\\'t rain ( much ) . [SEP] So : " Go ! "'
    ```
    """
    return _replace(text.replace(SENTENCE_END, SENTENCE_BREAK if target else ""), _CNN_DM)


def detokenize_gigaword(text: str) -> str:
    """
    Undo the tokenization of Gigaword: brackets, `&amp;` and the like; unknown words become `[UNK]`.

    "UNK" counts inside words too, as in the originals: "UNKNOWN" becomes "[UNK]NOWN". The lower-case "unk" stays.
    """
    return _replace(text.replace("UNK", UNKNOWN).replace("<unk>", UNKNOWN), _GIGAWORD)


def detokenize_blank_lm(text: str) -> str:
    """Give the texts of the Blank Language Model our tokens: `<blank>` becomes `[MASK]`, `_UNK` becomes `[UNK]`."""
    return text.replace("_UNK", UNKNOWN).replace("<blank>", "[MASK]")


def clean_text(text: str, kind: str, *, target: bool = False, original: bool = False) -> str:
    """
    Clean a text of a task.

    Args:
        text: The text.
        kind: "cnn_dm", "gigaword", "blank_lm", "punctuation" for no more than ASCII quotes, or "none".
        target: Whether it is a target.
        original: Whether the text is the originals', special tokens and double spaces included. Otherwise sentences of
            a summary stand in lines of their own, and an unknown word is "UNK".

    Raises:
        ValueError: For another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"Texts cannot be cleaned as {kind!r}: expected one of {', '.join(map(repr, KINDS))}.")
    if kind == "none":
        return text
    if kind == "blank_lm":
        return detokenize_blank_lm(text if original else text.replace("_UNK", "UNK"))
    text = standardize_punctuation(text)
    if kind == "cnn_dm":
        if not original:
            text = _SENTENCE_END.sub("\n" if target else " ", text).strip()
        return detokenize_cnn_dm(text, target)
    if kind == "gigaword":
        return detokenize_gigaword(text) if original else _replace(text.replace("<unk>", "UNK"), _GIGAWORD)
    return text


def _replace(text: str, replacements: dict[str, str]) -> str:
    """Replace one after the other, in the order of the dict: "&amp;lt;" -> "&lt;" -> "<"."""
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


__all__ = [
    "SENTENCE_BREAK",
    "clean_text",
    "detokenize_blank_lm",
    "detokenize_cnn_dm",
    "detokenize_gigaword",
]
