"""
Read the texts of answers as the authors' code does before it scores them.

BERT's vocabulary splits words from signs, as in `it ' s` and `3 , 000`. These functions undo that by rules, and so
reproduce the authors' numbers. Answers of GLM's own tokenizers need none of them.
"""

import re
import string
from collections.abc import Callable, Sequence
from typing import Any

# Endings that stand behind an apostrophe in the files of CNN/DailyMail.
ENDINGS = ("s", "d", "ll")
# Blank infilling: what is found and what is written, one after the other over the whole text.
INFILLING_FIXES = (
    ("` `", "``"),
    ("' '", "''"),
    ("n ' t", "n't"),
    ("' s", "'s"),
    ("' m", "'m"),
    ("' re", "'re"),
    (". . .", "..."),
    (" . .", " .."),
    ("- -", "--"),
    ("u . s .", "u.s."),
    ("u . k .", "u.k."),
    ("e . g .", "e.g."),
)
# SQuAD: dashes between words, abbreviations, and numbers with a sign inside. A comma has at most three digits behind it.
SQUAD_FIXES = (
    (re.compile(r" ([-–]) "), r"\1"),
    (re.compile(r"\b([ap]) \. m\b"), r"\1.m"),
    (re.compile(r"\bu \. s\b"), "u.s"),
    (re.compile(r"(?<=\d) ([.:]) (?=\d)"), r"\1"),
    (re.compile(r"(?<=\d) , (?=\d{1,3}(?!\d))"), ","),
)


def restore_cnn_dm(text: str) -> str:
    """
    Join the tokens of a text as those of CNN/DailyMail's files.

    Quotes take turns: the first, third, ... of a kind opens. A dash between words glues them.

    Example:

    ```python
    >>> restore_cnn_dm('the u . n . said : " it didn \\' t cost $ 3 , 000 . . . "')
    "the u.n. said : `` it did n't cost $ 3,000 ... ''"
    ```
    """
    tokens = text.split()
    joined: list[str] = []
    opened = {'"': False, "'": False}
    place, glues = 0, False  # `glues`: the token before is a dash that the next word continues
    while place < len(tokens):
        token, after = tokens[place], tokens[place + 1 : place + 3]
        before = joined[-1] if joined else ""
        following = after[0] if after else ""
        glued, glues, taken = glues, False, 1
        if token == '"':
            joined.append("''" if opened[token] else "``")
            opened[token] = not opened[token]
        elif token == "'" and following == "t" and before.endswith("n"):
            joined[-1:] = [before[:-1], "n't"]
            taken = 2
        elif token == "'" and following in ENDINGS:
            joined.append(f"'{following}")
            taken = 2
        elif token == "'":
            joined.append("'" if opened[token] else "`")
            opened[token] = not opened[token]
        elif [token, *after] == [".", ".", "."]:
            joined.append("...")
            taken = 3
        elif (token == "," and _is_number(before) and _is_number(following)) or (
            token == "." and before.isdigit() and following.isdigit()
        ):
            joined[-1] += token + following
            taken = 2
        elif token == "." and _is_letter(before) and _is_letter(following) and after[1:] == ["."]:
            joined[-1] += f".{following}."
            taken = 3
        elif token == "-" and following == "-":
            joined.append("--")
            taken = 2
        elif token == "-" and joined and following and before not in string.punctuation and _begins_word(following):
            joined[-1] += "-"
            glues = True
        elif glued and token != "-" and _begins_word(token):
            joined[-1] += token
        else:
            joined.append(token)
        place += taken
    return " ".join(joined)


def _is_number(token: str) -> bool:
    return bool(token) and all(letter.isdigit() or letter == "," for letter in token)


def _is_letter(token: str) -> bool:
    return len(token) == 1 and token.isalpha()


def _begins_word(token: str) -> bool:
    return token[0] not in string.punctuation


def restore_gigaword(text: str) -> str:
    """Write unknown words as Gigaword's files do: `UNK`."""
    return text.replace("[UNK]", "UNK")


# The kinds of texts that the originals tell apart. `cnn_dm` serves every task of a BERT vocabulary.
RESTORE: dict[str, Callable[[str], str]] = {
    "cnn_dm": restore_cnn_dm,
    "gigaword": restore_gigaword,
    "cnn_dm_org": str,
}


def restore_text(text: str, kind: str) -> str:
    """
    Read a text as the originals' metrics do.

    Args:
        text: An answer or a reference.
        kind: "cnn_dm" for every task with BERT's vocabulary, else "gigaword" for Gigaword and "cnn_dm_org" (as it is).

    Raises:
        ValueError: For another kind.
    """
    if kind not in RESTORE:
        raise ValueError(f"kind={kind!r}: expected one of {', '.join(map(repr, RESTORE))}.")
    return RESTORE[kind](text)


def restore_squad(text: str) -> str:
    """Join numbers, dashes and abbreviations of an answer to a question: `5 p . m for 3 , 000` is `5 p.m for 3,000`."""
    for pattern, written in SQUAD_FIXES:
        text = pattern.sub(written, text)
    return text


def restore_infilling(text: str) -> str:
    """
    Join signs and abbreviations of a filled text, as the originals do before BLEU.

    Also `' s` in front of any word with s is joined, so `'' she` becomes `''she`.
    """
    for found, written in INFILLING_FIXES:
        text = text.replace(found, written)
    return text


def copy_answer(tokenizer: Any, token_ids: Sequence[int], context: str, decoded: str | None = None) -> str:
    """
    Copy an answer from the characters of its context, as the originals do with BERT's vocabulary, which is lower case.

    Args:
        tokenizer: A `GLMTokenizer`.
        token_ids: The tokens of the answer, without start and end.
        context: The passage.
        decoded: The text of the tokens; by default what the tokenizer decodes.

    Returns:
        The characters of the first place in the context that has these tokens. Without one, the decoded text with
        `restore_squad`.
    """
    ids = list(token_ids)
    encoded = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    tokens, offsets = encoded["input_ids"], encoded["offset_mapping"]
    for start in range(len(tokens) - len(ids) + 1) if ids else ():
        if tokens[start : start + len(ids)] == ids:
            return context[offsets[start][0] : offsets[start + len(ids) - 1][1]]
    return restore_squad(str(tokenizer.decode(ids)) if decoded is None else decoded)


__all__ = [
    "RESTORE",
    "copy_answer",
    "restore_cnn_dm",
    "restore_gigaword",
    "restore_infilling",
    "restore_squad",
    "restore_text",
]
