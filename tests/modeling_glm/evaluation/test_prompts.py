"""Requests of lm-evaluation-harness as ids: where the white space goes, what is cut, and where the blank is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm.evaluation.prompts import ContextEncoder, EncodedContext, Request
from modeling_glm.evaluation.texts import continuing_mask_id, encode_plain
from modeling_glm.tokenization.blanks import decode_piece

FAMILIES = ["own", "gpt2", "bert", "roberta", "chinese"]
LETTERS = st.text("abcdefghiklmnoprstuw", min_size=1, max_size=8)
WHITE = st.sampled_from(["", " ", "  ", "\n", " \n", "\t"])


@pytest.fixture(params=FAMILIES)
def encoder(request, of_family) -> ContextEncoder:
    return make_encoder(of_family(request.param))


def make_encoder(tokenizer, **options) -> ContextEncoder:
    return ContextEncoder(tokenizer, continuing_mask_id(tokenizer), **options)


def encode(encoder: ContextEncoder, context: str, continuation: str) -> tuple[EncodedContext, list[int]]:
    request = encoder.split(context, continuation)
    (encoded,), (ids,) = encoder.encode_contexts([request.context]), encoder.encode_continuations([request])
    return encoded, ids


@pytest.mark.parametrize(
    ("context", "continuation", "expected"),
    [
        ("a b", " c", ("a b", " c")),
        ("a b ", "c", ("a b", " c")),
        ("a b \n", " c", ("a b", " \n c")),
        ("a", "b", ("a", "b")),
        ("", "b", ("", "b")),
        (" \n", "b", ("", " \nb")),
        ("a [MASK] b ", "c", ("a [MASK] b ", "c")),
    ],
)
def test_white_space_goes_to_the_continuation(tokenizer, context, continuation, expected):
    assert make_encoder(tokenizer).split(context, continuation) == Request(*expected)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=25)
@given(words=st.lists(LETTERS, min_size=1, max_size=3), white=WHITE, more=WHITE, continuation=LETTERS)
def test_context_and_continuation_read_as_the_text(of_family, family, words, white, more, continuation):
    """Which of both has the white space does not matter. Vocabularies without new lines show a space for them."""
    encoder, context = make_encoder(of_family(family)), " ".join(words)
    encoded, ids = encode(encoder, context + white, more + continuation)
    assert (encoded, ids) == encode(encoder, context, white + more + continuation)
    read = encoder.tokenizer.decode(encoded.ids[: encoded.blank]) + decode_piece(encoder.tokenizer, ids).literal
    assert read.split() == (context + white + more + continuation).split()
    if encoder.tokenizer.convert_tokens_to_ids("Ċ") not in (None, encoder.tokenizer.unk_token_id):  # byte-level
        assert read.lstrip() == context + white + more + continuation


def test_a_context_gets_a_mask_and_an_end(encoder):
    tokenizer = encoder.tokenizer
    encoded, ids = encode(encoder, "the dog", " runs")
    words = encode_plain(tokenizer, ["the dog"])[0]
    mask = tokenizer.mask_token_id if tokenizer.gmask_token_id is None else tokenizer.gmask_token_id
    assert encoded == EncodedContext([*words, mask], len(words), [tokenizer.eos_token_id])
    assert ids == encode_plain(tokenizer, [" runs"])[0]
    open_end = make_encoder(tokenizer, closes=False).encode_contexts(["the dog"])[0]
    assert open_end == EncodedContext([*words, mask], len(words), [])


def test_an_empty_context_is_a_mask_alone(encoder):
    encoded, ids = encode(encoder, "", "The dog")
    assert encoded == EncodedContext([encoder.mask_token_id], 0, [encoder.tokenizer.eos_token_id])
    assert ids == encode_plain(encoder.tokenizer, ["The dog"])[0]


def test_a_glued_continuation_of_a_word(of_family):
    """WordPiece spells it as the rest of the word, SentencePiece without its space."""
    bert, chinese = make_encoder(of_family("bert")), make_encoder(of_family("chinese"))
    assert bert.tokenizer.convert_ids_to_tokens(encode(bert, "the unhappi", "ness")[1]) == ["##ness"]
    assert bert.tokenizer.convert_ids_to_tokens(encode(bert, "the dog", ".")[1]) == ["."]
    assert not decode_piece(chinese.tokenizer, encode(chinese, "the unhappi", "ness")[1]).before


def test_a_blank_in_the_context_is_filled(encoder):
    tokenizer = encoder.tokenizer
    encoded, ids = encode(encoder, "the [MASK] dog.", "lazy")
    assert [tokenizer.cls_token_id, *encoded.ids, *encoded.end] == tokenizer("the [MASK] dog.")["input_ids"]
    assert encoded.ids[encoded.blank] == tokenizer.mask_token_id
    assert decode_piece(tokenizer, ids).literal == " lazy"  # spaced as the text is
    assert decode_piece(tokenizer, encode(encoder, "the un[MASK]", "lazy")[1]).literal == "lazy"


def test_a_text_that_ends_with_gmask_has_no_end(tokenizer):
    encoded, _ = encode(make_encoder(tokenizer), "the dog [gMASK]", " runs")
    assert encoded == EncodedContext([*encode_plain(tokenizer, ["the dog"])[0], tokenizer.gmask_token_id], 2, [])


def test_several_blanks_are_refused_or_words(tokenizer):
    context = "a [MASK] and a [MASK]"
    with pytest.raises(ValueError, match=r"'a \[MASK\] and a \[MASK\]' has 2 blanks.*read_blanks=False"):
        make_encoder(tokenizer).split(context, " c")
    encoder = make_encoder(tokenizer, read_blanks=False)
    encoded, _ = encode(encoder, context, " c")
    assert encoded.ids[:-1] == encode_plain(tokenizer, [context])[0]
    assert tokenizer.mask_token_id not in encoded.ids


def test_special_tokens_in_texts_are_letters(encoder):
    tokenizer = encoder.tokenizer
    encoded, ids = encode(encoder, f"a {tokenizer.sop_token}", f" {tokenizer.eop_token} b")
    assert not {tokenizer.sop_token_id, tokenizer.eop_token_id}.intersection([*encoded.ids, *ids])


def test_a_continuation_without_tokens_is_refused(of_family):
    with pytest.raises(ValueError, match=r"continuation ' ' of the context 'a dog' has no tokens"):
        encode(make_encoder(of_family("bert")), "a dog ", "")
    with pytest.raises(ValueError, match=r"continuation '' of the context 'a dog' has no tokens"):
        encode(make_encoder(of_family("gpt2")), "a dog", "")


MASK, EOS = 97, 98


def lay_out(tokenizer, context: EncodedContext, continuations, max_length: int, **options):
    row, cut = make_encoder(tokenizer).lay_out(context, continuations, max_length=max_length, **options)
    assert row.context[0] == tokenizer.cls_token_id
    return row.context[1:], [list(ids) for ids in row.continuations], row.skip, cut


@pytest.mark.parametrize(
    ("max_length", "expected", "cut"),
    [
        (20, [1, 2, 3, 4, MASK, EOS], 0),
        (9, [1, 2, 3, 4, MASK, EOS], 0),
        (8, [2, 3, 4, MASK, EOS], 1),
        (5, [MASK, EOS], 4),
    ],
)
def test_a_long_context_loses_its_start(tokenizer, max_length, expected, cut):
    """With [CLS] and the longest continuation, whose last token is not fed, a row has at most `max_length` tokens."""
    context = EncodedContext([1, 2, 3, 4, MASK], 4, [EOS])
    found = lay_out(tokenizer, context, [[5], [6, 7]], max_length)
    assert found == (expected, [[5], [6, 7]], 0, cut)
    assert 1 + len(found[0]) + 2 <= max_length


def test_a_continuation_without_room_is_refused(tokenizer):
    context = EncodedContext([1, MASK], 1, [EOS])
    assert lay_out(tokenizer, context, [[5, 6]], 5)[0] == [MASK, EOS]
    with pytest.raises(ValueError, match=r"has 3 tokens, but max_length=5 leaves room for 2.*rolling"):
        lay_out(tokenizer, context, [[5, 6, 7]], 5)


@pytest.mark.parametrize(
    ("max_length", "expected"),
    [(9, [1, MASK, 2, 3, 4, 5, EOS]), (7, [MASK, 2, 3, 4, EOS]), (6, [MASK, 2, 3, EOS]), (4, [MASK, EOS])],
)
def test_a_blank_in_a_long_context_stays(tokenizer, max_length, expected):
    assert lay_out(tokenizer, EncodedContext([1, MASK, 2, 3, 4, 5], 1, [EOS]), [[6]], max_length)[0] == expected


def test_unidirectional_reads_the_first_token_alone_in_both_directions(tokenizer):
    def read(ids, max_length=20):
        context = EncodedContext([*ids, MASK], len(ids), [EOS])
        return lay_out(tokenizer, context, [[5], [6, 7]], max_length, unidirectional=True)

    assert read([1, 2, 3]) == ([1, MASK, EOS], [[2, 3, 5], [2, 3, 6, 7]], 2, 0)
    assert read([1, 2, 3], 7) == ([2, MASK, EOS], [[3, 5], [3, 6, 7]], 1, 1)
    assert read([]) == ([MASK, EOS], [[5], [6, 7]], 0, 0)
    with pytest.raises(ValueError, match="blank before its end, but unidirectional=True"):
        lay_out(tokenizer, EncodedContext([1, MASK, 2], 1, [EOS]), [[5]], 20, unidirectional=True)


def test_a_prompt_keeps_its_end(tokenizer):
    encoder = make_encoder(tokenizer, closes=False)
    context = EncodedContext([1, 2, 3, MASK], 3, [])
    assert encoder.lay_out_prompt(context, max_length=20) == ([tokenizer.cls_token_id, 1, 2, 3, MASK], 0)
    assert encoder.lay_out_prompt(context, max_length=4) == ([tokenizer.cls_token_id, 2, 3, MASK], 1)
