"""The ids of filled patterns, and how contexts are cut."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm import GLMTokenizer, PatternVerbalizer
from modeling_glm.tokenization.patterns.encoding import (
    cut_around_answer,
    cut_around_blanks,
    cut_end,
    cut_of,
    cut_start,
    encode_segments,
    shorten,
)
from modeling_glm.tokenization.patterns.syntax import Segment

NLI = PatternVerbalizer(
    "{premise|shorten}? [MASK], {hypothesis|bare|shorten}", {"yes": "true", "no": ["false", "not true"]}
)
EXAMPLE = {"premise": "The dog jumps", "hypothesis": "The fox is lazy!", "label": "no"}


def ids_of(tokenizer: GLMTokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids


def test_pieces_are_tokenized_on_their_own(tokenizer):
    (context,) = NLI.encode(EXAMPLE, tokenizer)["input_ids"]
    pieces = ["The dog jumps", "?", ",", " The fox is lazy"]
    before, after = pieces[:2], pieces[2:]
    expected = [
        tokenizer.cls_token_id,
        *(token for piece in before for token in ids_of(tokenizer, piece)),
        tokenizer.mask_token_id,
        *(token for piece in after for token in ids_of(tokenizer, piece)),
        tokenizer.eos_token_id,
    ]
    assert context == expected
    inline = PatternVerbalizer("{premise|inline}ing? [MASK]", {"yes": "x", "no": "y"})
    assert inline.encode(EXAMPLE, tokenizer)["input_ids"] == [tokenizer("The dog jumpsing? [MASK]").input_ids]


def test_special_tokens_count_in_patterns_and_not_in_examples(tokenizer):
    task = PatternVerbalizer("{a}[SEP] [MASK]", {"x": "x", "y": "y"})
    (ids,) = task.encode({"a": "dog [MASK] fox [SEP]"}, tokenizer)["input_ids"]
    assert ids.count(tokenizer.mask_token_id) == 1
    assert ids.count(tokenizer.sep_token_id) == 1
    assert tokenizer.decode(ids[1:-3]) == "dog [MASK] fox [SEP]"


def test_a_text_that_continues_has_no_end(tokenizer):
    task = PatternVerbalizer("{a} [gMASK]", {"x": "x", "y": "y"})
    (ids,) = task.encode({"a": "dog"}, tokenizer)["input_ids"]
    assert ids[-1] == tokenizer.gmask_token_id


def naive_shortening(lengths: list[int], may: list[bool], excess: int, truncation: str) -> list[int]:
    lengths = list(lengths)
    for _ in range(excess):
        open_ = [i for i, allowed in enumerate(may) if allowed and lengths[i] > 0]
        longest = max(lengths[i] for i in open_)
        lengths[open_[-1] if truncation == "last" else [i for i in open_ if lengths[i] == longest][-1]] -= 1
    return lengths


@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=6),
    st.integers(-3, 40),
    st.sampled_from(["longest", "last"]),
)
def test_shortening(pieces, excess, truncation):
    lengths, may = [length for length, _ in pieces], [allowed for _, allowed in pieces]
    encoded = [list(range(length)) for length in lengths]
    if excess > sum(length for length, allowed in pieces if allowed):
        with pytest.raises(ValueError, match=f"{excess} are too many"):
            shorten(encoded, [cut_end if allowed else None for allowed in may], excess, truncation, "p")
        return
    shorten(encoded, [cut_end if allowed else None for allowed in may], excess, truncation, "p")
    assert [len(ids) for ids in encoded] == naive_shortening(lengths, may, excess, truncation)
    assert all(ids == list(range(len(ids))) for ids in encoded)  # the beginnings stay


@given(st.text("abc de", max_size=60), st.text("abc de", max_size=60), st.integers(16, 60))
def test_what_is_not_shortened_stays(tokenizer, premise, hypothesis, limit):
    task = PatternVerbalizer("{a|shorten}? [MASK], {b|shorten} {c}.", {"x": "the dog and", "y": "fox"})
    encoded = task.encode({"a": premise, "b": hypothesis, "c": "Rome"}, tokenizer, max_length=limit)
    (ids,), (words,) = encoded["input_ids"], encoded["choice_ids"]
    longest = max(len(word) for row in words for word in row)
    whole = task.encode({"a": premise, "b": hypothesis, "c": "Rome"}, tokenizer)["input_ids"][0]
    assert len(ids) == min(len(whole), limit - longest)
    assert ids.count(tokenizer.mask_token_id) == 1
    end = [*ids_of(tokenizer, " Rome"), *ids_of(tokenizer, "."), tokenizer.eos_token_id]
    assert ids[-len(end) :] == end
    assert words == task.encode({"a": "", "b": "", "c": "Rome"}, tokenizer)["choice_ids"][0]


def test_an_example_that_cannot_fit(tokenizer):
    task = PatternVerbalizer("{a|shorten} {b} [MASK]", {"x": "x", "y": "y"})
    with pytest.raises(
        ValueError, match=r"does not fit.*Raise max_length, mark further fields with \|shorten, or .*truncation"
    ):
        task.encode({"a": "dog", "b": "fox " * 20}, tokenizer, max_length=16)


def test_fields_that_may_not_be_shortened_are_cut_last(tokenizer):
    task = PatternVerbalizer("{a|shorten}? {b} so [MASK].", {"x": "dog", "y": "fox"})
    example = {"a": "dog fox " * 4, "b": "Rome Paris " * 6}
    (whole,) = task.encode(example, tokenizer)["input_ids"]
    (without_a,) = task.encode({**example, "a": ""}, tokenizer)["input_ids"]
    room = len(without_a) - 3
    (cut,) = task.encode(example, tokenizer, max_length=room + 1, cut_fields=True)["input_ids"]
    assert len(cut) == room
    assert cut.count(tokenizer.mask_token_id) == 1
    end = cut[-1 - len(ids_of(tokenizer, " so.")) :]
    assert end == whole[-len(end) :]
    assert cut[: room - len(end)] == without_a[: room - len(end)]
    (kept,) = task.encode(example, tokenizer, max_length=len(whole), cut_fields=True)["input_ids"]
    assert kept == task.encode(example, tokenizer, max_length=len(whole))["input_ids"][0]
    with pytest.raises(ValueError, match="does not fit"):
        task.encode(example, tokenizer, max_length=4, cut_fields=True)


def test_a_blank_that_the_vocabulary_lacks(tokenizer):
    task = PatternVerbalizer("{a} [sMASK]", {"x": "x", "y": "y"})
    poorer = pickle.loads(pickle.dumps(tokenizer))
    poorer.smask_token = None
    with pytest.raises(ValueError, match=r"\[sMASK\], but the vocabulary has no such token"):
        task.encode({"a": "x"}, poorer)


def test_cuts_by_hand():
    ids = list(range(10, 18))
    assert cut_end(ids, 3) == [10, 11, 12]
    assert cut_start(ids, 3) == [15, 16, 17]
    assert cut_start(ids, 0) == []
    assert cut_around_blanks(ids, 4, mask_token_ids=[14], side="end") == [12, 13, 14, 15]
    with pytest.raises(ValueError, match="A field has 2 blanks, but cutting it leaves room for 1 tokens"):
        cut_around_blanks(ids, 1, mask_token_ids=[11, 14], side="end")


@pytest.mark.parametrize(
    ("answer", "room", "kept", "as_originals"),
    [
        ([14, 15], 4, [12, 13, 14, 15], [12, 13, 14, 15]),
        ([14], 5, [12, 13, 14, 15, 16], [12, 13, 14, 15, 16]),
        ([17], 4, [14, 15, 16, 17], [15, 16, 17]),
        ([10], 4, [10, 11, 12, 13], [10, 11, 12, 13]),
        ([99], 4, [10, 11, 12, 13], [10, 11, 12, 13]),
        ([], 4, [10, 11, 12, 13], [10, 11, 12, 13]),
    ],
)
def test_cut_around_an_answer_by_hand(answer, room, kept, as_originals):
    ids = list(range(10, 18))
    assert cut_around_answer(ids, room, answer) == kept
    assert cut_around_answer(ids, room, answer, full=False) == as_originals


@given(st.text("abc", min_size=1, max_size=20), st.text("abc", min_size=1, max_size=3), st.integers(1, 20))
def test_a_window_is_full_and_has_the_start_of_the_answer(text, answer, room):
    room = min(room, len(text))
    window = "".join(cut_around_answer(list(text), room, answer))
    assert len(window) == room
    assert window in text
    first = text.find(answer)
    assert first < 0 or any(
        text[start : start + room] == window and start <= first < start + room for start in range(20)
    )


def test_every_field_is_cut_at_its_own_side(tokenizer):
    segments = [
        Segment("text", "the dog and the cat", shortenable=True, written=False, side="start"),
        Segment("mask", "[MASK]"),
        Segment("text", " the dog and the cat", shortenable=True, written=False),
        Segment("text", " is", written=True),
    ]
    whole = encode_segments(segments, tokenizer)
    encoded, cuts = [list(ids) for ids in whole], [cut_of(segment, tokenizer) for segment in segments]
    shorten(encoded, cuts, 4, "longest", "p")
    assert encoded == [whole[0][2:], whole[1], whole[2][:-2], whole[3]]


def test_special_tokens_of_fields(tokenizer):
    text = "dog [SEP] and [MASK] fox"
    plain, blanks, original = (
        encode_segments([Segment("text", text, written=False, blanks=has_blanks)], tokenizer, literal=literal)[0]
        for has_blanks, literal in ((False, True), (True, True), (False, False))
    )
    assert {tokenizer.sep_token_id, tokenizer.mask_token_id}.isdisjoint(plain)
    assert blanks.count(tokenizer.mask_token_id) == 1
    assert tokenizer.sep_token_id not in blanks
    assert original == ids_of(tokenizer, text)
    assert {tokenizer.sep_token_id, tokenizer.mask_token_id} <= set(original)


def test_texts_of_white_space_have_tokens_only_in_the_originals(tokenizer):
    blank = [Segment("text", " ", written=False)]
    assert encode_segments(blank, tokenizer) == [[]]
    assert encode_segments(blank, tokenizer, literal=False) == [ids_of(tokenizer, " ")]
