"""Random texts with blanks: every script, white space of every kind, special tokens as words, nothing and very much."""

import random
import unicodedata
from collections.abc import Callable
from typing import Any

from modeling_glm import GLMTokenizer

WHITE_SPACE = [
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\u00a0",
    "\u2009",
    "\u3000",
    "\u200b",
    "\ufeff",
    "\x85",
    "\u2028",
    "\x0b",
]
WORDS = [
    "a",
    "The",
    "number",
    "1987",
    "don't",
    "naïve",
    "re\u0301sume\u0301",
    "Straße",
    "İstanbul",
    "ﬁne",
    "数字",
    "数",
    "かな",
    "한국어",
    "مرحبا",
    "हिन्दी",
    "ไทย",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "\u202eabc\u202c",
    "a\u0335\u0336\u0337",
    "Ġ",
    "Ġthe",
    "▁the",
    "##ing",
    "_",
    "___",
    "[mask]",
    "[MASK",
    "MASK]",
    "{text}",
    "%s",
    "\\n",
    "<b>",
    "&amp;",
    "\x00",
    "\x7f",
    "\x1b[31m",
    "\ufffd",
    "\ufffe",
    "\U0010ffff",
    "null",
    "NaN",
]
STRUCTURE = ["[CLS]", "[SEP]", "[UNK]", "[PAD]", "<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "<|startofpiece|>"]
STRUCTURE += ["<|endofpiece|>", "<|dummy|>", "[dBLOCK]", "[UNUSED1]", "[ENC]", "eos", "eop"]
# No tokenizer can read them.
BROKEN = ["\ud800", "\udfff", "a\udc80b"]


def draw_character(draw: random.Random) -> str:
    """Draw any character that UTF-8 can encode."""
    while True:
        code = draw.choice(
            [draw.randrange(0x250), draw.randrange(0x3000), draw.randrange(0x10000), draw.randrange(0x110000)]
        )
        if unicodedata.category(chr(code)) != "Cs":
            return chr(code)


def draw_part(draw: random.Random, most: int = 6) -> str:
    """Draw what may stand between two blanks."""
    parts = []
    for _ in range(draw.randint(0, most)):
        kind = draw.random()
        if kind < 0.5:
            parts.append(draw.choice(WORDS))
        elif kind < 0.7:
            parts.append("".join(draw_character(draw) for _ in range(draw.randint(1, 4))))
        elif kind < 0.8:
            parts.append(draw.choice(STRUCTURE))
        parts.append(draw.choice([" ", " ", *WHITE_SPACE]))
    return "".join(parts)


def draw_text(draw: random.Random, tokenizer: GLMTokenizer, blanks: int) -> str:
    """Draw a text with this number of blanks."""
    masks = tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids)
    parts = [draw_part(draw) for _ in range(blanks + 1)]
    text = parts[0] + "".join(draw.choice(masks) + part for part in parts[1:])
    return text if tokenizer.split_at_blanks(text) == parts else draw_text(draw, tokenizer, blanks)


def draw_huge(draw: random.Random, tokenizer: GLMTokenizer) -> str:
    """Draw a text that is longer than every position table of the tests."""
    word = draw.choice(["word ", "a", "数字", "\u0301", "👩‍👩‍👧‍👦", " ", "\n", "don't ", "1987 ", "\x00", "x" * 1000])
    huge = word * (draw.choice([300, 3_000, 20_000]) // len(word) + 1)
    place = draw.choice([0, len(huge) // 2, len(huge)])
    return f"{huge[:place]} {tokenizer.mask_token}{huge[place:]}"


def draw_bad_row(draw: random.Random, tokenizer: GLMTokenizer) -> Any:
    """Draw a row that is not a text with a blank."""
    makers: list[Callable[[], Any]] = [
        lambda: draw_text(draw, tokenizer, 0),
        lambda: "",
        lambda: draw.choice(WHITE_SPACE),
        lambda: f"{draw_part(draw)}{draw.choice(BROKEN)} {tokenizer.mask_token}",
        lambda: f"{tokenizer.mask_token} " * 500,
        lambda: draw.choice([None, 7, 1.5, float("nan"), True, b"[MASK]", [], {}, object()]),
        lambda: [tokenizer.mask_token],
        lambda: {"a": tokenizer.mask_token, "b": "x"},
        lambda: {"text": None},
    ]
    return draw.choice(makers)()
