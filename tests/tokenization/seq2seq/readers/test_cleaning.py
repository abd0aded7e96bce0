"""Text fixes of seq2seq data, against those of the authors' code."""

import json

import pytest

from modeling_glm.tokenization.seq2seq.readers.cleaning import (
    clean_text,
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


@pytest.mark.parametrize(
    ("kind", "text", "as_source", "as_target", "as_originals"),
    [
        ("none", "“a” <S_SEP>", "“a” <S_SEP>", "“a” <S_SEP>", "“a” <S_SEP>"),
        ("punctuation", "“a” <S_SEP> b", '"a" <S_SEP> b', '"a" <S_SEP> b', '"a" <S_SEP> b'),
        ("cnn_dm", "a <S_SEP> ‘b’ <S_SEP>", "a 'b'", "a\n'b'", "a [SEP] 'b' [SEP]"),
        ("gigaword", "UNKNOWN <unk> -lrb-", "UNKNOWN UNK (", "UNKNOWN UNK (", "[UNK]NOWN [UNK] ("),
        ("blank_lm", "<blank> _UNK", "[MASK] UNK", "[MASK] UNK", "[MASK] [UNK]"),
    ],
)
def test_special_tokens_are_written_only_as_the_originals_do(kind, text, as_source, as_target, as_originals):
    assert clean_text(text, kind) == as_source
    assert clean_text(text, kind, target=True) == as_target
    assert clean_text(text, kind, target=True, original=True) == as_originals


def test_another_kind_is_refused():
    with pytest.raises(
        ValueError, match="cannot be cleaned as 'cnn': expected one of 'none', 'punctuation', 'cnn_dm'"
    ):
        clean_text("a", "cnn")
