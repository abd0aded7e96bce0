"""Sentence ends in the four vocabularies of the originals, and in one trained here."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm import GLMTokenizer
from modeling_glm.tokenization.pretraining.segments.sentence_ends import SENTENCE_ENDS, SentenceEnds
from tests.support.original_files import VOCABULARIES, write_vocabulary

TEXT = "One. Two? Three! Four; Five: Six。 Seven"
BYTES_TEXT = "One… Two？ Three！ Four； Five：\nSix\nSeven"


@pytest.fixture(scope="module", params=[*VOCABULARIES, "trained"])
def vocabulary(request, tmp_path_factory):
    if request.param == "trained":
        return GLMTokenizer.train_from_iterator(["some words. and others"] * 3, 300)
    return GLMTokenizer.from_pretrained(write_vocabulary(request.param, tmp_path_factory.mktemp(request.param)))


def sentences(tokenizer, text: str) -> list[str]:
    ids = np.array(tokenizer(text, add_special_tokens=False)["input_ids"])
    stops = np.flatnonzero(SentenceEnds(tokenizer)(ids)) + 1
    parts = np.split(ids, stops)
    return [tokenizer.decode(part).strip() for part in parts if len(part)]


def test_every_end_is_found(vocabulary):
    texts = [TEXT]
    if "ByteLevel" in vocabulary.backend_tokenizer.to_str():
        texts.append(BYTES_TEXT)  # the others know not all of these characters
    for text in texts:
        found = [re.sub(r"\W", "", part).lower() for part in sentences(vocabulary, text)]
        assert [part for part in found if part] == ["one", "two", "three", "four", "five", "six", "seven"]


@given(st.text(alphabet="ab。！…\n. é中😀", max_size=30))
def test_byte_level_tokens_end_where_the_text_does(text):
    """Characters of several tokens: the token with the last byte ends the sentence, and no other."""
    tokenizer = trained()
    ids = np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)
    ends = SentenceEnds(tokenizer)(ids)
    expected = []
    for position in range(len(ids)):
        before, upto = (tokenizer.decode(ids[:stop]) for stop in (position, position + 1))
        expected.append(count(upto) > count(before))
    assert ends.tolist() == expected


def count(text: str) -> int:
    return sum(text.count(end) for end in SENTENCE_ENDS)


TRAINED: list[GLMTokenizer] = []


def trained() -> GLMTokenizer:
    """Bytes and a few words, so that Chinese characters take three tokens."""
    if not TRAINED:
        TRAINED.append(GLMTokenizer.train_from_iterator(["ab ab. ab"] * 3, 275))
    return TRAINED[0]


def test_special_tokens_end_nothing_and_join_nothing():
    tokenizer = trained()
    full_stop = tokenizer("。", add_special_tokens=False)["input_ids"]
    assert len(full_stop) == 3
    ends = SentenceEnds(tokenizer)
    assert ends(np.array(full_stop)).tolist() == [False, False, True]
    assert not ends(np.array([*full_stop[:2], tokenizer.eos_token_id, full_stop[2]])).any()
    assert not ends(np.array(tokenizer.all_special_ids)).any()


def test_the_line_break_of_the_chinese_vocabulary(tmp_path):
    tokenizer = GLMTokenizer.from_pretrained(write_vocabulary("chinese", tmp_path))
    assert SentenceEnds(tokenizer)(np.array([tokenizer.convert_tokens_to_ids("<n>")])).all()
