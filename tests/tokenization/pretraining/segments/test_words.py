"""Words by hand in every vocabulary, equality with the naive reference, and what spans of whole words never do."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.harness import naive_infilling
from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer
from modeling_glm.tokenization.pretraining.segments.sentence_ends import SentenceEnds
from modeling_glm.tokenization.pretraining.segments.words import WordFinder, Words
from modeling_glm.tokenization.pretraining.texts import Texts

FAMILIES = ["own", "gpt2", "bert", "chinese"]


def encode(tokenizer: GLMTokenizer, text: str, ends: bool = True) -> list[int]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [tokenizer.cls_token_id, *ids, *([tokenizer.eos_token_id] if ends else [])]


def join(tokenizer: GLMTokenizer, rows: list[list[int]]) -> Texts:
    return Texts.join([np.array(row) for row in rows], (tokenizer.cls_token_id, tokenizer.eos_token_id))


@cache
def word_finder(tokenizer: GLMTokenizer) -> WordFinder:
    return WordFinder(tokenizer, SentenceEnds(tokenizer))


def find(tokenizer: GLMTokenizer, rows: list[list[int]]) -> Words:
    return word_finder(tokenizer)(join(tokenizer, rows))


def read(tokenizer: GLMTokenizer, ids: list[int]) -> list[list[str]]:
    """Return the words of a text by runs."""
    words = find(tokenizer, [ids])
    texts = [tokenizer.decode(ids[a:b]).strip() for a, b in zip(words.start, words.stop, strict=True)]
    return [texts[a : a + n] for a, n in zip(words.runs.start, words.runs.length, strict=True)]


@pytest.mark.parametrize("family", FAMILIES)
def test_words_of_every_vocabulary(family, of_family):
    tokenizer = of_family(family)
    found = read(tokenizer, encode(tokenizer, "the new box, old. (two) dogs; one!"))
    assert found == [["the", "new", "box"], ["old"], ["two"], ["dogs"], ["one"]]


def test_punctuation_inside_of_words_stays(tokenizer):
    found = read(tokenizer, encode(tokenizer, 'A dog\'s 3.14 U.S. "well-known" it\nNew line'))
    assert found == [["A", "dog's", "3.14", "U.S"], ["well-known"], ["it"], ["New", "line"]]


def test_dashes_and_dots_separate_words(of_family):
    tokenizer = of_family("gpt2")
    found = read(tokenizer, encode(tokenizer, "the old--and new\u2014co-op... 3.14 wait...what"))
    assert found == [["the", "old"], ["and", "new"], ["co-op"], ["3.14", "wait"], ["what"]]


def test_chinese_has_no_white_space(of_family):
    tokenizer = of_family("chinese")
    ids = encode(tokenizer, "我们在家,你好。")
    words, tokens = find(tokenizer, [ids]), tokenizer.convert_ids_to_tokens(ids)
    marks = {position for position, token in enumerate(tokens) if token in (",", "，", "。")}
    assert marks
    covered = {position for a, b in zip(words.start, words.stop, strict=True) for position in range(a, b)}
    assert covered == set(range(1, len(ids) - 1)) - marks
    assert len(words.start) == 3


def test_characters_of_several_tokens(tokenizer):
    """Bytes of a character stay together, and those of a Chinese full stop are no word."""
    ids = encode(tokenizer, "ab 好。 é cd")
    assert read(tokenizer, ids) == [["ab", "好"], ["é", "cd"]]


def test_special_tokens_are_no_words(tokenizer):
    ids = encode(tokenizer, "the fox and the dog")
    ids[3:3] = [tokenizer.mask_token_id]
    words = find(tokenizer, [ids])
    assert not np.any((words.start <= 3) & (words.stop > 3))
    assert len(words.runs.start) == 2


def test_a_text_of_punctuation_has_its_tokens_as_words(tokenizer):
    rows = [encode(tokenizer, ". , ! ?"), encode(tokenizer, "the fox.")]
    words = find(tokenizer, rows)
    assert words.text.tolist() == [0] * (len(rows[0]) - 2) + [1, 1]
    assert words.start[words.text == 0].tolist() == list(range(1, len(rows[0]) - 1))


def test_the_last_word_of_a_text_without_an_end_may_be_cut_off(tokenizer):
    assert read(tokenizer, encode(tokenizer, "the lazy dog", ends=False)) == [["the", "lazy"]]
    assert read(tokenizer, encode(tokenizer, "dog", ends=False)) == [["dog"]]
    assert read(tokenizer, encode(tokenizer, "the lazy dog.", ends=False)) == [["the", "lazy", "dog"]]


TEXT = st.text(alphabet="ab -.,'\"(\n!—。你，é…\u201d", min_size=1, max_size=40)


@settings(max_examples=100)
@given(texts=st.lists(st.tuples(TEXT, st.booleans()), min_size=1, max_size=4))
def test_words_equal_the_naive_reference(tokenizer, texts):
    rows = [encode(tokenizer, text, ends) for text, ends in texts]
    rows = [row for row in rows if len(row) > 2]
    if not rows:
        return
    words = find(tokenizer, rows)
    offsets = np.cumsum([0, *map(len, rows)])
    for number, row in enumerate(rows):
        own = words.text == number
        found = zip(words.start[own] - offsets[number], words.stop[own] - offsets[number], strict=True)
        assert [list(range(a, b)) for a, b in found] == naive_infilling.words(row, tokenizer)


@settings(max_examples=60)
@given(
    texts=st.lists(st.tuples(TEXT, st.booleans()), min_size=1, max_size=4),
    ratio=st.floats(0.01, 1),
    mean=st.floats(0.5, 10),
    seed=st.integers(0, 2**40),
)
def test_samples_equal_the_naive_reference(tokenizer, texts, ratio, mean, seed):
    rows = [row for text, ends in texts if len(row := encode(tokenizer, text, ends)) > 2]
    if not rows:
        return
    options = {"mask_ratio": ratio, "mean_span_length": mean, "single_span_probability": 0.2, "seed": seed}
    collator = DataCollatorForBlankInfilling(tokenizer, whole_words=True, **options)
    samples = collator.corrupt([{"input_ids": row, "sample_id": number} for number, row in enumerate(rows)])
    for number, row in enumerate(rows):
        made = {name: values.tolist() for name, values in samples[number].items()}
        assert made == naive_infilling.corrupt(row, number, collator)
