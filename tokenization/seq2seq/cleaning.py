"""Clean the texts of seq2seq data as the authors' code does, so that results compare with theirs."""

# Brackets as the Penn Treebank writes them; Gigaword has the names in lower case.
BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
SENTENCE_END = "<S_SEP>"  # between the sentences of CNN/DM
SENTENCE_BREAK = "[SEP]"  # what a target has in its place; metrics split there

_CNN_DM = {**BRACKETS, "''": '"', "``": '"', "`": "'", " n't": "n't", " 's": "'s", " 'd": "'d", " 'll": "'ll"}
_GIGAWORD = {
    "UNK": "[UNK]",
    "<unk>": "[UNK]",
    **{name.lower(): sign for name, sign in BRACKETS.items()},
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
}
_BLANK_LM = {"_UNK": "[UNK]", "<blank>": "[MASK]"}


def detokenize_cnn_dm(text: str, target: bool = False) -> str:
    """
    Undo the tokenization of CNN/DM: brackets, quotes, and the space before `n't`, `'s`, `'d` and `'ll`.

    Args:
        text: A line of a `.source` or `.target` file.
        target: Whether it is a summary. `<S_SEP>` becomes `[SEP]` there; in articles it is removed, which leaves two spaces.

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
    return _replace(text, _GIGAWORD)


def detokenize_blank_lm(text: str) -> str:
    """Give the texts of the Blank Language Model our tokens: `<blank>` becomes `[MASK]`, `_UNK` becomes `[UNK]`."""
    return _replace(text, _BLANK_LM)


def _replace(text: str, replacements: dict[str, str]) -> str:
    """Replace one after the other, in the order of the dict: "&amp;lt;" -> "&lt;" -> "<"."""
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


__all__ = [
    "SENTENCE_BREAK",
    "detokenize_blank_lm",
    "detokenize_cnn_dm",
    "detokenize_gigaword",
]
