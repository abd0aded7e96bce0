"""Texts that are too long are cut around their blanks: the rule by hand, in all vocabularies, pairs, windows, batches."""

import json
import logging

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modeling_glm import GLMTokenizer
from modeling_glm.tokenization.cutting import keep_around_blanks, take_tokens
from tests.support.original_files import VOCABULARIES, write_vocabulary

WORDS = "the lazy dog and the quick brown fox jumps over a cat in the year of the capital " * 4


@pytest.mark.parametrize(
    ("text", "room", "kept"),
    [
        ("....B...", 4, [2, 3, 4, 5]),
        ("B.......", 4, [0, 1, 2, 3]),
        (".......B", 4, [4, 5, 6, 7]),
        ("B......B", 4, [0, 1, 6, 7]),
        ("..B..B..", 2, [2, 5]),
        ("........", 3, [0, 1, 2]),
        ("..B.", 4, [0, 1, 2, 3]),
        ("BBB.", 2, None),
    ],
)
def test_rule_by_hand(text, room, kept):
    assert keep_around_blanks([sign == "B" for sign in text], room) == kept


def test_a_text_without_blanks_is_cut_at_the_side():
    assert keep_around_blanks([False] * 5, 2, "left") == [3, 4]
    assert keep_around_blanks([False] * 5, 0, "left") == []


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 40))
def test_blanks_stay_and_what_is_near_them(is_blank, room):
    blanks = [place for place, blank in enumerate(is_blank) if blank]
    assume(len(blanks) <= room or len(is_blank) <= room)
    kept = keep_around_blanks(is_blank, room)
    lost = set(range(len(is_blank))) - set(kept)
    assert kept == sorted(set(kept))
    assert len(kept) == min(room, len(is_blank))
    assert not lost & set(blanks)
    far = max((min(abs(place - blank) for blank in blanks) for place in kept if blanks), default=0)
    assert all(min((abs(place - blank) for blank in blanks), default=far) >= far for place in lost)


def test_tokens_keep_their_places(tokenizer):
    encoding = tokenizer("the lazy dog", add_special_tokens=False).encodings[0]
    taken = take_tokens(encoding, [0, 2])
    assert taken.tokens == [encoding.tokens[0], encoding.tokens[2]]
    assert taken.offsets == [encoding.offsets[0], encoding.offsets[2]]
    assert taken.word_ids == [encoding.word_ids[0], encoding.word_ids[2]]
    assert taken.overflowing == []


@pytest.fixture(scope="module", params=VOCABULARIES)
def vocabulary(request, tmp_path_factory) -> GLMTokenizer:
    return GLMTokenizer.from_pretrained(write_vocabulary(request.param, tmp_path_factory.mktemp(request.param)))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "text",
    [f"[MASK] {WORDS}", f"{WORDS} [MASK]", f"{WORDS} [MASK] {WORDS}", f"[MASK] {WORDS} [MASK] {WORDS} [MASK]."],
    ids=["start", "end", "middle", "three"],
)
def test_every_vocabulary_keeps_its_blanks(vocabulary, text, side):
    vocabulary.truncation_side = side
    whole = vocabulary(text).input_ids
    cut = vocabulary(text, truncation=True, max_length=12, return_offsets_mapping=True)
    places = keep_around_blanks([token == vocabulary.mask_token_id for token in whole[1:-1]], 10)
    assert cut.input_ids == [whole[0], *(whole[1:-1][place] for place in places), whole[-1]]
    assert cut.attention_mask == [1] * 12
    assert cut.sequence_ids() == [None, *[0] * 10, None]
    masks = [text[start:stop] for token, (start, stop) in zip(cut.input_ids, cut.offset_mapping, strict=True)
             if token == vocabulary.mask_token_id]  # fmt: skip
    assert [mask.strip() for mask in masks] == ["[MASK]"] * text.count("[MASK]")


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_without_blanks_is_cut_as_before(tokenizer, side):
    changed = GLMTokenizer(tokenizer_object=tokenizer.backend_tokenizer, truncation_side=side)
    ids = changed(WORDS, add_special_tokens=False).input_ids
    kept = ids[:8] if side == "right" else ids[-8:]
    assert changed(WORDS, truncation=True, max_length=10).input_ids[1:-1] == kept


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_to_be_continued_is_cut_on_the_left(tokenizer, side):
    changed = GLMTokenizer(tokenizer_object=tokenizer.backend_tokenizer, truncation_side=side)
    whole = changed(f"{WORDS} [gMASK]").input_ids
    cut = changed(f"{WORDS} [gMASK]", truncation=True, max_length=9)
    assert cut.input_ids == [whole[0], *whole[-8:]]
    assert cut.input_ids[-1] == changed.gmask_token_id
    assert cut.word_ids()[1:] == changed(f"{WORDS} [gMASK]").word_ids()[-8:]
    bare = changed(f"{WORDS} [gMASK]", truncation=True, max_length=9, add_special_tokens=False)
    assert bare.input_ids == whole[-9:]
    assert changed.truncation_side == side


@pytest.mark.parametrize("text", ["the lazy [gMASK]", "[gMASK]", "a [MASK] b [gMASK]"])
@pytest.mark.parametrize("pair", [None, "the dog [gMASK]"])
def test_encodings_of_texts_to_be_continued(tokenizer, text, pair):
    """They are what the backend says of them: ids of sequences, words and letters, and nothing that overflows."""
    encoded = tokenizer(text, pair, return_offsets_mapping=True, return_special_tokens_mask=True)
    encoding = encoded.encodings[0]
    assert encoding.overflowing == []
    assert encoded.input_ids[-1] == tokenizer.gmask_token_id
    assert encoding.n_sequences == (1 if pair is None else 2)
    expected = [(text, 0)] if pair is None else [(text, 0), (pair, 1)]
    for part, number in expected:
        alone = tokenizer(part, add_special_tokens=False, return_offsets_mapping=True)
        places = [place for place, found in enumerate(encoded.sequence_ids()) if found == number]
        assert [encoded.input_ids[place] for place in places] == alone.input_ids
        assert [encoded.offset_mapping[place] for place in places] == alone.offset_mapping
        assert [encoded.word_ids()[place] for place in places] == alone.word_ids()
    outside = [place for place, found in enumerate(encoded.sequence_ids()) if found is None]
    assert [encoded.special_tokens_mask[place] for place in outside] == [1] * len(expected)


@pytest.mark.parametrize(
    ("strategy", "lengths"), [("longest_first", (4, 5)), ("only_first", (3, 6)), ("only_second", (6, 3))]
)
def test_pairs(tokenizer, strategy, lengths):
    first, second = "the lazy dog [MASK] and cat", "the capital [MASK] over the [MASK]"
    whole = [tokenizer(text, add_special_tokens=False).input_ids for text in (first, second)]
    assert (len(whole[0]), len(whole[1])) == (6, 6)
    cut = tokenizer(first, second, truncation=strategy, max_length=12, return_token_type_ids=True)
    assert [cut.sequence_ids().count(number) for number in (0, 1)] == list(lengths)
    assert cut.input_ids.count(tokenizer.mask_token_id) == 3
    assert cut.input_ids[-1] == tokenizer.eos_token_id
    assert tokenizer([(first, second)], truncation=strategy, max_length=12).input_ids == [cut.input_ids]
    assert tokenizer([first], [second], truncation=strategy, max_length=12).input_ids == [cut.input_ids]


@pytest.mark.parametrize("text", [f"{WORDS} [MASK] {WORDS}", f"{WORDS} [gMASK]", WORDS])
def test_windows(tokenizer, text):
    """With what overflows nothing is lost: windows overlap by `stride`, and each token is in one of them."""
    whole = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    windows = tokenizer(
        [text, "the dog"],
        truncation=True,
        max_length=16,
        stride=4,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    mapping = windows["overflow_to_sample_mapping"]
    assert mapping == [0] * (len(mapping) - 1) + [1]
    assert len(windows.encodings) == len(mapping) == len(windows.input_ids)
    found = {offsets for row in windows.offset_mapping[:-1] for offsets in row} - {(0, 0)}
    assert found == set(whole.offset_mapping)
    assert max(map(len, windows.input_ids)) == 16


@pytest.mark.parametrize("padding", [True, "max_length", False])
@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_of_a_batch_are_cut_as_they_are_alone(tokenizer, padding, side):
    texts = [f"{WORDS} [gMASK]", "the dog", f"{WORDS} [MASK] {WORDS}", WORDS, "a [gMASK]", "[gMASK] "]
    batch = tokenizer(texts, truncation=True, max_length=20, padding=padding, padding_side=side)
    lengths = []
    for row, text in enumerate(texts):
        alone = tokenizer(text, truncation=True, max_length=20)
        lengths.append(20 if padding else len(alone.input_ids))
        kept = [token for token, real in zip(batch.input_ids[row], batch.attention_mask[row], strict=True) if real]
        assert kept == alone.input_ids
        assert len(batch.tokens(row)) == len(batch.input_ids[row])
    assert [len(row) for row in batch.input_ids] == lengths


def test_texts_in_words(tokenizer):
    words = f"{WORDS} [MASK] {WORDS}".split()
    cut = tokenizer(words, is_split_into_words=True, truncation=True, max_length=9)
    assert cut.input_ids.count(tokenizer.mask_token_id) == 1
    assert cut.word_ids()[cut.input_ids.index(tokenizer.mask_token_id)] == words.index("[MASK]")
    continued = tokenizer([words, ["the", "[gMASK]"]], is_split_into_words=True, truncation=True, max_length=9)
    assert [row[-1] for row in continued.input_ids] == [tokenizer.eos_token_id, tokenizer.gmask_token_id]
    pairs = tokenizer([(["the", "dog"], ["a", "[gMASK]"])], is_split_into_words=True)
    assert pairs.sequence_ids(0) == [None, *[0] * 3, None, 1, 1]


@pytest.mark.parametrize("text", ["[MASK] " * 9, f"{'[MASK] ' * 9} a [gMASK]"])
def test_a_blank_is_never_lost_without_a_word(tokenizer, text):
    with pytest.raises(ValueError, match=r"Text 1 has \d+ blanks, but cutting it to max_length=8.*max_length"):
        tokenizer(["the dog", text], truncation=True, max_length=8)


def test_a_text_that_fits_brings_no_warning(tokenizer, caplog):
    changed = GLMTokenizer(tokenizer_object=tokenizer.backend_tokenizer, model_max_length=6)
    with caplog.at_level(logging.WARNING, logger="transformers"):
        assert len(changed("the lazy dog and [gMASK]").input_ids) == 6
        assert len(changed(f"{WORDS} [MASK]", truncation=True).input_ids) == 6
        assert len(changed(f"{WORDS} [gMASK]", truncation=True, padding=True).input_ids) == 6
        assert caplog.messages == []
        changed("the lazy dog and a [gMASK]")
        assert "(8 > 6)" in caplog.messages[0]


@pytest.mark.parametrize(
    ("config", "given", "expected"),
    [
        ({"model_type": "glm_infilling", "max_position_embeddings": 48}, None, 48),
        ({"model_type": "glm", "max_sequence_length": 64}, None, 64),
        ({"model_type": "glm_infilling", "max_position_embeddings": 48}, 20, 20),
        ({"model_type": "bert", "max_position_embeddings": 48}, None, int(1e30)),
        (None, None, int(1e30)),
    ],
)
def test_the_position_table_limits_a_text(tokenizer, tmp_path, config, given, expected):
    tokenizer.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert settings["model_max_length"] > 10**20
    settings["model_max_length"] = given or settings["model_max_length"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps(config or {}))
    loaded = GLMTokenizer.from_pretrained(tmp_path)
    assert loaded.model_max_length == expected
    assert GLMTokenizer.from_pretrained(tmp_path, model_max_length=10).model_max_length == 10
    loaded.save_pretrained(tmp_path / "again")
    assert GLMTokenizer.from_pretrained(tmp_path / "again").model_max_length == expected
