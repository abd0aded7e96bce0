"""Detokenizers of language modelling corpora, against those of the authors' code."""

import json

import pytest

from modeling_glm.tokenization.seq2seq.detokenizers import detokenize_lambada, detokenize_ptb, detokenize_wikitext
from tests.support.original_files import read_golden

PAIRS = json.loads(read_golden("seq2seq/postprocessing.json"))
FUNCTIONS = {
    "detokenize_wikitext": detokenize_wikitext,
    "detokenize_ptb": detokenize_ptb,
    "detokenize_lambada": detokenize_lambada,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_texts_are_those_of_the_originals(name):
    assert [FUNCTIONS[name](text) for text, _ in PAIRS[name]] == [expected for _, expected in PAIRS[name]]


@pytest.mark.parametrize(
    ("detokenize", "text", "expected"),
    [
        (detokenize_wikitext, "= = = = A = = = = \n b : c ; d @-@ e @,@ f", "==== A ====\nb: c; d-e,f"),
        (detokenize_wikitext, "{ x } [ y ] ( z ( w ) ) \" q \" ' r '", "{x} [y] (z ( w) ) \"q\" 'r'"),
        (detokenize_wikitext, r"a \n ( b \1 ) 5 ° C", r"a \n (b \1) 5°C"),
        (detokenize_ptb, "they do n't pay $ N or # N or N \n to 'em", "they don't pay $1 or #1 or N\nto'em"),
    ],
)
def test_rules(detokenize, text, expected):
    assert detokenize(text) == expected
    assert detokenize("") == ""
