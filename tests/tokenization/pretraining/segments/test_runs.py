"""Runs and sentences by hand."""

import numpy as np

from modeling_glm.tokenization.pretraining.segments.runs import find_runs, find_sentences
from modeling_glm.tokenization.pretraining.texts import Texts

CLS, EOS, STOP = 2, 1, 9


def test_runs_by_hand():
    """Documents without their boundaries, and without the last token of a text that has no end, unless it is the only one."""
    texts = Texts.join([np.array(row) for row in ([2, 10, 11, 1, 2, 12, 1], [2, 10, 11, 12], [2, 10])], (CLS, EOS))
    runs = find_runs(texts)
    assert runs.start.tolist() == [1, 5, 8, 12]
    assert runs.length.tolist() == [2, 1, 2, 1]
    assert runs.text.tolist() == [0, 0, 1, 2]


def test_sentences_by_hand():
    texts = Texts.join([np.array(row) for row in ([2, 10, STOP, 11, 1, 2, 12], [2, 13, STOP, 1])], (CLS, EOS))
    sentences = find_sentences(texts, texts.ids == STOP)
    assert sentences.start.tolist() == [1, 3, 6, 8]
    assert sentences.length.tolist() == [2, 1, 1, 2]
    assert sentences.text.tolist() == [0, 0, 0, 1]
