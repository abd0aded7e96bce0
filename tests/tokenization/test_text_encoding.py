"""Texts become ids: layouts by hand, batches of texts with and without an end, threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest


def names(tokenizer, ids) -> list[str]:
    return [token.replace("Ġ", "_") for token in tokenizer.convert_ids_to_tokens(ids)]


def test_text_by_hand(tokenizer):
    ids = tokenizer("the lazy [MASK], 404").input_ids
    assert names(tokenizer, ids) == [
        "[CLS]", "the", "_lazy", "[MASK]", ",", "_4", "0", "4", "<|endoftext|>",
    ]  # fmt: skip


def test_pair_by_hand(tokenizer):
    encoded = tokenizer("the lazy", "the capital", return_token_type_ids=True)
    assert names(tokenizer, encoded.input_ids) == [
        "[CLS]",
        "the",
        "_lazy",
        "[SEP]",
        "the",
        "_capital",
        "<|endoftext|>",
    ]
    assert encoded.token_type_ids == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("text", ["the lazy [gMASK]", "the lazy[gMASK]"])
def test_text_to_be_continued_has_no_end(tokenizer, text):
    assert names(tokenizer, tokenizer(text).input_ids) == ["[CLS]", "the", "_lazy", "[gMASK]"]


def test_white_space_behind_the_blank_is_text(tokenizer):
    found = names(tokenizer, tokenizer("the [gMASK] ").input_ids)
    assert found == ["[CLS]", "the", "[gMASK]", "_", "<|endoftext|>"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_batch_with_and_without_an_end(tokenizer, side):
    texts = ["the lazy [gMASK]", "the [MASK] dog and the cat", "the dog"]
    batch = tokenizer(texts, padding=True, padding_side=side, return_tensors="pt", return_special_tokens_mask=True)
    assert batch.input_ids.shape == batch.attention_mask.shape == batch.special_tokens_mask.shape
    for row, text in enumerate(texts):
        alone = tokenizer(text).input_ids
        assert batch.input_ids[row][batch.attention_mask[row].bool()].tolist() == alone
        assert len(batch.tokens(row)) == batch.input_ids.shape[1]
    assert (batch.input_ids[batch.attention_mask == 0] == tokenizer.pad_token_id).all()


def test_padding_options_hold_for_texts_to_be_continued(tokenizer):
    texts = ["the lazy [gMASK]", "the dog"]
    assert tokenizer(texts, padding="max_length", max_length=9, return_tensors="pt").input_ids.shape == (2, 9)
    assert tokenizer(texts, padding=True, pad_to_multiple_of=8, return_tensors="pt").input_ids.shape == (2, 8)
    assert [len(row) for row in tokenizer(texts).input_ids] == [4, 4]
    assert tokenizer(texts[0], return_tensors="pt").input_ids.shape == (1, 4)
    assert tokenizer(texts, return_length=True)["length"] == [4, 4]
    offsets = tokenizer(texts[0], return_offsets_mapping=True).offset_mapping
    assert [texts[0][start:stop].strip() for start, stop in offsets] == ["", "the", "lazy", "[gMASK]"]
    pairs = tokenizer(["the dog", "a"], ["the [gMASK]", "cat"], padding=True, return_tensors="pt")
    assert names(tokenizer, pairs.input_ids[0]) == ["[CLS]", "the", "_dog", "[SEP]", "the", "[gMASK]"]
    assert names(tokenizer, pairs.input_ids[1][pairs.attention_mask[1].bool()])[-1] == "<|endoftext|>"
    assert names(tokenizer, tokenizer("the [gMASK]", add_special_tokens=False).input_ids) == ["the", "[gMASK]"]


def test_threads_do_not_see_each_other(tokenizer):
    """A text that continues changes nothing for texts that others encode at the same time."""
    expected = tokenizer("the lazy dog").input_ids
    with ThreadPoolExecutor(4) as pool:
        texts = ["the lazy dog", "the lazy [gMASK]"] * 200
        found = list(pool.map(lambda text: tokenizer(text).input_ids, texts))
    assert found[::2] == [expected] * 200
    assert {row[-1] for row in found[1::2]} == {tokenizer.gmask_token_id}
