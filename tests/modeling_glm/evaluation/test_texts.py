"""Encoding of evaluated texts: no special tokens, the mask behind which texts continue, and lengths that fit."""

import pytest

from modeling_glm import GLMTokenizer
from modeling_glm.evaluation.texts import check_max_length, continuing_mask_id, encode_plain
from tests.support.models import tiny_config
from tests.support.original_files import write_vocabulary
from tests.support.paths import EXAMPLES


@pytest.fixture(scope="module")
def tokenizer():
    return GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")


def test_special_tokens_are_letters(tokenizer):
    texts = ["The [MASK] runs.", "<|startofpiece|> [gMASK]", ""]
    special = set(tokenizer.all_special_ids)
    encoded = encode_plain(tokenizer, texts)
    assert not special.intersection(token for ids in encoded for token in ids)
    assert [tokenizer.decode(ids) for ids in encoded] == texts
    assert encode_plain(tokenizer, []) == []


def test_texts_continue_behind_gmask_where_there_is_one(tokenizer, tmp_path):
    assert continuing_mask_id(tokenizer) == tokenizer.gmask_token_id
    bert = GLMTokenizer.from_pretrained(write_vocabulary("bert", tmp_path, fixture=True))
    assert bert.gmask_token_id is None
    assert continuing_mask_id(bert) == bert.mask_token_id


def test_rows_are_as_long_as_the_position_table():
    config = tiny_config()
    assert check_max_length(None, config) == 48
    assert check_max_length(20, config) == 20
    for wrong in (49, 7, 10.0, True):
        with pytest.raises(ValueError, match="max_length="):
            check_max_length(wrong, config)
