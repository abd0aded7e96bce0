"""Text fixes of seq2seq data, against those of the authors' code."""

import json

import pytest

from modeling_glm.tokenization.seq2seq.cleaning import (
    detokenize_blank_lm,
    detokenize_cnn_dm,
    detokenize_gigaword,
)
from tests.support.original_files import read_golden

PAIRS = json.loads(read_golden("seq2seq/postprocessing.json"))
FUNCTIONS = {
    "cnndm_detokenize_source": detokenize_cnn_dm,
    "cnndm_detokenize_target": lambda text: detokenize_cnn_dm(text, target=True),
    "gigaword_detokenize": detokenize_gigaword,
    "blanklm_detokenize": detokenize_blank_lm,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_texts_are_those_of_the_originals(name):
    assert [FUNCTIONS[name](text) for text, _ in PAIRS[name]] == [expected for _, expected in PAIRS[name]]


@pytest.mark.parametrize(
    ("clean", "text", "expected"),
    [
        (detokenize_cnn_dm, "a <S_SEP> -LCB- b -RCB- `c ' did n't", "a  { b } 'c ' didn't"),
        (detokenize_gigaword, "-lcb- UNKNOWN <unk> unk &amp;lt; -rcb- -LRB-", "{ [UNK]NOWN [UNK] unk < } -LRB-"),
        (detokenize_blank_lm, "<blank><blank> _UNK", "[MASK][MASK] [UNK]"),
    ],
)
def test_rules(clean, text, expected):
    assert clean(text) == expected
    assert clean("") == ""
