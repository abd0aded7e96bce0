"""The originals' list of best answers and their banned n-grams, worked by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.seq2seq.originals.decoding import BestAnswers, OriginalSettings, ban_tokens
from tests.support.models import TOKEN_IDS, tiny_config
from tests.support.naive_search import forbid

EOP = TOKEN_IDS["eop_token_id"]


def test_the_best_answers():
    best = BestAnswers(most=2, length_penalty=1.0)
    best.add([5, 6, EOP], -4.0, ended=1)  # -4 / 2
    assert not best.is_done(-100.0, 3)  # one of two
    best.add([EOP], -1.5, ended=1)  # an empty answer counts as one token
    assert [answer.score for answer in best.ranked(2)] == [-1.5, -2.0]
    best.add([8, 9], -4.0, ended=0)  # no better than the worst
    assert [answer.token_ids for answer in best.ranked(2)] == [[EOP], [5, 6, EOP]]
    best.add([8, 9, 8], -5.4, ended=0)  # -1.8 takes the place of -2
    assert [answer.token_ids for answer in best.ranked(2)] == [[EOP], [8, 9, 8]]
    assert best.is_done(-7.2, 4)  # -7.2 / 4 is no better than -1.8
    assert not best.is_done(-7.1, 4)
    assert len(best.ranked(1)) == 1


def test_of_equal_answers_the_later_one_is_first_and_the_earlier_one_leaves():
    best = BestAnswers(most=2, length_penalty=0.0)
    for token in (1, 2):
        best.add([token], -1.0, ended=0)
    assert [answer.token_ids for answer in best.ranked(2)] == [[2], [1]]
    best.add([3], -0.5, ended=0)
    assert [answer.token_ids for answer in best.ranked(2)] == [[3], [2]]


@given(
    st.lists(st.lists(st.integers(10, 13), min_size=6, max_size=6), min_size=1, max_size=3),
    st.integers(0, 6),
    st.integers(0, 4),
    st.integers(0, 7),
)
def test_banned_tokens(rows, length, size, least):
    tokens = torch.tensor(rows)[:, None, :length]
    log_probs = torch.randn(len(rows), 1, 64, generator=torch.Generator().manual_seed(0))
    expected = [
        forbid(values.tolist(), row[:length], EOP, size, least)
        for values, row in zip(log_probs[:, 0], rows, strict=True)
    ]
    settings = OriginalSettings(max_new_tokens=8, no_repeat_ngram_size=size, min_new_tokens=least)
    ban_tokens(log_probs, tokens, settings, tiny_config())
    assert log_probs[:, 0].tolist() == expected


def test_settings_become_plain_numbers():
    checked = OriginalSettings(
        max_new_tokens=np.int64(5), num_beams=torch.tensor(2), length_penalty=np.float32(1)
    ).check(tiny_config())
    assert checked == OriginalSettings(max_new_tokens=5, num_beams=2, length_penalty=1.0)
    assert type(checked.max_new_tokens) is int
    assert type(checked.length_penalty) is float
    with pytest.raises(ValueError, match="max_new_tokens='5' is of type str"):
        OriginalSettings(max_new_tokens="5").check(tiny_config())
