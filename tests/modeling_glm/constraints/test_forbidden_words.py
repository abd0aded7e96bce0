"""Words that answers must not contain."""

import codecs
import random
import re
import time

import pytest

from modeling_glm import BlankConstraint
from modeling_glm.constraints.forbidden_words import ForbiddenWords, ForbiddenWordsAutomaton
from modeling_glm.tokenization.token_bytes import token_bytes


def test_words_are_forbidden_however_they_are_cut(tokenizer):
    """And only where they stand by themselves."""
    rule = ForbiddenWordsAutomaton(tokenizer, ["the"], len(tokenizer))
    token = {text.decode(): token_id for token_id, text in token_bytes(tokenizer).items() if text.isascii()}
    letters = tuple(token[letter] for letter in " the")
    for step, token_id in enumerate(letters):
        assert rule.allowed(letters[:step], 9)[token_id]  # it may go on: "then" is another word
        assert rule.may_end(letters[:step])
    assert not rule.may_end(letters)
    allowed = rule.allowed(letters, 9)
    assert not allowed[token[" "]]
    assert allowed[token["n"]]
    assert rule.may_end((*letters, token["n"]))
    assert not rule.may_end(tuple(token[letter] for letter in "The"))
    assert rule.may_end((token["a"], *letters[1:]))  # "athe"


def test_characters_of_several_tokens(tokenizer):
    """Each byte of é is a token. With the first one alone, nobody knows whether "caf" has ended."""
    token = {text: token_id for token_id, text in token_bytes(tokenizer).items()}
    letters = [token[bytes([byte])] for byte in "é".encode()]
    word = tuple(token[letter.encode()] for letter in "caf")
    short, whole = (ForbiddenWordsAutomaton(tokenizer, [text], len(tokenizer)) for text in ("caf", "café"))
    for rule in (short, whole):
        assert rule.allowed(word, 9)[letters[0]]
        assert rule.allowed((*word, letters[0]), 9)[letters[1]]
    assert not short.may_end(word)
    assert not short.may_end((*word, letters[0]))  # what is left of é is no letter
    assert short.may_end((*word, *letters))
    assert short.allowed((*word, *letters), 9)[token[b" "]]
    assert not whole.may_end((*word, *letters))
    assert not whole.allowed((*word, *letters), 9)[token[b" "]]
    assert whole.allowed((*word, *letters), 9)[token[b"s"]]


WORDS = [
    "the",
    "of",
    "a",
    "It",
    "a-b",
    "x y",
    "-",
    "...",
    "19",
    "é",
    "the end",
    "日本",
    "İ",
    "ß",
    "fox",
    "-of",
    "'s",
    ".",
    "a.",
    "caf",
    "café",
    "naïve",
    "’",
    "北京",
]


@pytest.mark.parametrize("seed", range(8))
def test_masks_are_those_of_a_search_in_the_whole_text(seed, tokenizer):
    """Python's regular expressions search in the text with each token. Words of letters are not found within others."""
    draw = random.Random(seed)
    rule = ForbiddenWordsAutomaton(tokenizer, WORDS, len(tokenizer))
    patterns = [
        re.compile(
            (r"(?<!\w)" if word[0].isalnum() else "") + re.escape(word) + (r"(?!\w)" if word[-1].isalnum() else ""),
            re.IGNORECASE,
        )
        for word in WORDS
    ]
    texts = token_bytes(tokenizer)

    def read(data: bytes) -> str:
        """The whole characters: the last one may lack bytes."""
        return codecs.getincrementaldecoder("utf-8")("replace").decode(data)

    def has_word(text: str, before: int) -> bool:
        """Whether a word ends before a place, or with a sign in front of it."""
        found = (pattern.match(text, place) for pattern in patterns for place in range(len(text)))
        ends = [match.end() for match in found if match]
        return any(end < before or (end == before and not re.match(r"\w", text[end - 1])) for end in ends)

    for _ in range(6):
        word = draw.choice(["", " "]) + draw.choice(WORDS)
        prefix = (
            *draw.choices(list(texts), k=draw.randint(0, 2)),
            *tokenizer(word, add_special_tokens=False)["input_ids"],
        )
        prefix = prefix[: draw.randint(0, len(prefix))]
        data = b"".join(texts[token_id] for token_id in prefix)
        text = read(data)
        if has_word(text, len(text)):
            continue  # never reached
        ended = data.decode("utf-8", "replace")
        assert rule.may_end(prefix) != has_word(ended, len(ended) + 1)  # whatever ends the text
        mask = rule.allowed(prefix, 9)
        for token_id, added in texts.items():
            longer = read(data + added)
            assert bool(mask[token_id]) != has_word(longer, len(longer)), (data, added)


def test_any_case_of_a_word_is_found_in_a_text():
    words = ForbiddenWords(["the", "ß", "Σ", "a b"])
    found = ["The", "(THE)", "a the b", "ẞ", "ς", "x a B."]
    assert [text for text in found if text not in words] == []
    assert [text for text in ["then", "athe", "ssa", "a  b", "", "the_"] if text in words] == []
    assert "" not in ForbiddenWords([])


def test_words_that_begin_or_end_with_a_sign_are_found_behind_letters_and_before_them():
    words = ForbiddenWords(["-seven", "'s", ".", "non-"])
    assert [text for text in ["twenty-seven", "The cat's.", "a.b", "NON-word", "x non-"] if text not in words] == []
    assert [text for text in ["twenty-sevens", "cat'sx", "seven", "anon-x"] if text in words] == []


def test_ten_thousand_words_take_no_longer_than_ten(tokenizer):
    words = [f"word{number}" for number in range(10_000)]
    start = time.process_time()
    rule = ForbiddenWordsAutomaton(tokenizer, words, len(tokenizer))
    asked = BlankConstraint(forbidden_words=words)
    for number in range(0, 10_000, 100):
        prefix = tuple(tokenizer(f"a word{number}", add_special_tokens=False)["input_ids"])
        assert not rule.may_end(prefix)
        assert rule.allowed(prefix, 9).any()
        assert not asked.accepts(f"a Word{number}.")
        assert asked.accepts(f"a Word{number}x.")
    assert time.process_time() - start < 5
