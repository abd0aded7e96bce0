"""Texts of answers as the originals read them: every stored pair, and what else the rules say."""

import json

import pytest

from modeling_glm.seq2seq.originals.texts import (
    RESTORE,
    copy_answer,
    restore_cnn_dm,
    restore_infilling,
    restore_squad,
    restore_text,
)
from tests.support.original_files import read_golden

GOLDEN = json.loads(read_golden("seq2seq/postprocessing.json"))
PAIRS = {
    **{f"fix_tokenization_{kind}": lambda text, kind=kind: restore_text(text, kind) for kind in RESTORE},
    "squad_fix_tokenization": restore_squad,
    "blanklm_fix_tokenization": restore_infilling,
}


@pytest.mark.parametrize("name", PAIRS)
def test_golden_pairs(name):
    assert [PAIRS[name](before) for before, _ in GOLDEN[name]] == [after for _, after in GOLDEN[name]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n", "n"),
        ("'", "`"),
        ("' t", "` t"),
        ("don ' t ' s", "do n't 's"),
        ('" " "', "`` '' ``"),
        (". . . .", "... ."),
        ("1 , 2 . 5", "1,2 . 5"),
        ("A . B", "A . B"),
        ("well - known - man", "well-known-man"),
        ("well - ", "well -"),
        ("a - - b", "a -- b"),
        ("a - ' s", "a - 's"),
    ],
)
def test_cnn_dm(text, expected):
    assert restore_cnn_dm(text) == expected


def test_unknown_kind():
    with pytest.raises(ValueError, match="kind='xsum': expected one of 'cnn_dm', 'gigaword', 'cnn_dm_org'"):
        restore_text("a", "xsum")


def test_golden_copies(of_family):
    """Also the offsets that our tokenizer gives are theirs."""
    tokenizer, golden = of_family("bert"), GOLDEN["squad_decode"]
    encoded = tokenizer(golden["context"], add_special_tokens=False, return_offsets_mapping=True)
    assert encoded["input_ids"] == golden["context_tokens"]
    assert list(map(list, encoded["offset_mapping"])) == golden["token_to_char"]
    for case in golden["cases"]:
        assert tokenizer(case["text"], add_special_tokens=False)["input_ids"] == case["ids"]
        assert copy_answer(tokenizer, case["ids"], golden["context"], case["decode"]) == case["out"]


def test_copies_of_nothing(of_family):
    tokenizer = of_family("bert")
    assert copy_answer(tokenizer, [], "Anton") == ""
    ids = tokenizer("late", add_special_tokens=False)["input_ids"]
    assert copy_answer(tokenizer, ids, "Anton") == "late"
    assert copy_answer(tokenizer, ids, "") == "late"
