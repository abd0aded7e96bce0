"""Sources and answers as ids: white space at blanks, cutting, special tokens in texts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm.tokenization.seq2seq.encoding import (
    encode_answers,
    encode_original_source,
    encode_source,
    read_pattern,
    texts_before_blanks,
)
from modeling_glm.tokenization.seq2seq.layouts import OriginalLayout

FAMILIES = ["own", "gpt2", "roberta", "bert", "chinese"]
WORDS = ["dog", "the lazy fox", "1987", "Paris", "over"]


def encode(tokenizer, pattern, example, max_length=None, truncation="longest"):
    return encode_source(read_pattern(pattern, tokenizer), example, tokenizer, max_length, truncation)


@pytest.mark.parametrize("family", ["own", "gpt2", "roberta", "bert"])
@pytest.mark.parametrize(
    ("pattern", "source"),
    [
        ("{source} [MASK]", "The dog jumps"),
        ("{source} [MASK]", "the cat. \n"),
        ("{source}[MASK].", "the cat. "),
        ("[MASK] {source}", "the cat. "),
        ("Say {source}: [MASK] so", "the dog"),
    ],
)
def test_a_source_has_the_ids_of_the_whole_text(of_family, family, pattern, source):
    """So what `fill_blanks` reads is what training shows."""
    tokenizer = of_family(family)
    assert encode(tokenizer, pattern, {"source": source}) == tokenizer(pattern.replace("{source}", source)).input_ids


def test_a_source_that_continues_has_no_end(tokenizer):
    assert encode(tokenizer, "{source} [gMASK]", {"source": "The dog"}) == tokenizer("The dog [gMASK]").input_ids
    assert encode(tokenizer, "{source} [gMASK]", {"source": "The dog"})[-1] == tokenizer.gmask_token_id


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40)
@given(
    words=st.lists(st.sampled_from(WORDS), min_size=2, max_size=2),
    spaces=st.lists(st.sampled_from([" ", "", "  ", "\n", "\t "]), min_size=2, max_size=2),
    before=st.sampled_from(["", "So", "It was", "(", "The dog"]),
)
def test_answers_are_spaced_as_the_text_is(of_family, family, words, spaces, before):
    """Filling the blanks with the decoded answers gives back words with a space before them if the text has one."""
    tokenizer = of_family(family)
    pattern = read_pattern(f"{{a}}{spaces[0]}[MASK] and{spaces[1]}[MASK].", tokenizer)
    encoded = encode_answers(pattern, {"a": before}, words, tokenizer)
    row = [token for ids in encoded for token in (tokenizer.sop_token_id, *ids)]
    (answers,) = tokenizer.decode_blanks([[*row, tokenizer.eop_token_id]])
    lowered = [word.lower() if family == "bert" else word for word in words]
    assert answers == lowered
    assert bool(answers[1].before) == bool(spaces[1])
    # Behind a bracket or nothing a vocabulary may have no form without a space.
    assert bool(answers[0].before) >= bool(spaces[0])


def test_spaces_of_answers_by_hand(tokenizer):
    def answer(pattern, example, *answers):
        encoded = encode_answers(read_pattern(pattern, tokenizer), example, answers, tokenizer)
        return [tokenizer.convert_ids_to_tokens(ids)[0].startswith("Ġ") for ids in encoded]

    assert answer("{a} [MASK].", {"a": "It was"}, "dog") == [True]
    assert answer("{a}[MASK].", {"a": "It was"}, "dog") == [False]
    assert answer("{a}[MASK].", {"a": "It was "}, "dog") == [True]
    assert answer("{a}[MASK].", {"a": "It was"}, " dog") == [True]
    assert answer("[MASK]: {a}", {"a": "x"}, "dog") == [False]
    assert answer("{a} [MASK][MASK]", {"a": "x"}, "dog", "s") == [True, False]
    assert answer("{a|blanks}", {"a": "[MASK] is a[MASK] and [MASK]"}, "It", "t", "so") == [False, False, True]


def test_texts_before_blanks(tokenizer):
    pattern = read_pattern("{a} [MASK] and {b|blanks}", tokenizer)
    segments = pattern.segments({"a": "One ", "b": "two [MASK], [gMASK]"})
    assert list(texts_before_blanks(segments, tokenizer, ["x", "y", "z"])) == [
        "One  ",
        "One  x and two ",
        "One  x and two y, ",
    ]


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("{source|shorten} [MASK]", slice(0, 4)),
        ("{source|shorten_start} [MASK]", slice(-4, None)),
        ("{source|shorten_around:word} [MASK]", slice(2, 6)),
    ],
)
def test_sides_of_cutting(tokenizer, pattern, kept):
    source = "the dog and the lazy cat jumps over"
    ids = tokenizer(f"{source}", add_special_tokens=False).input_ids
    assert len(ids) >= 8
    example = {"source": source, "word": tokenizer.decode([ids[4]]).strip()}
    found = encode(tokenizer, pattern, example, max_length=7)
    assert found == [tokenizer.cls_token_id, *ids[kept], tokenizer.mask_token_id, tokenizer.eos_token_id]


def test_truncation_of_several_fields(tokenizer):
    pattern, example = "{a|shorten} [MASK] {b|shorten}", {"a": "dog " * 8, "b": "dog " * 8}
    whole = encode(tokenizer, pattern, example)
    place = whole.index(tokenizer.mask_token_id)
    longest = encode(tokenizer, pattern, example, max_length=len(whole) - 4)
    last = encode(tokenizer, pattern, example, max_length=len(whole) - 4, truncation="last")
    assert longest.index(tokenizer.mask_token_id) == place - 2
    assert last.index(tokenizer.mask_token_id) == place


def test_a_field_with_blanks_is_cut_around_them(tokenizer):
    source = f"{'dog ' * 9}[MASK] fox {'dog ' * 9}"
    found = encode(tokenizer, "{source|blanks|shorten}", {"source": source}, max_length=7)
    assert len(found) == 7
    assert found.count(tokenizer.mask_token_id) == 1
    assert tokenizer(" fox", add_special_tokens=False).input_ids[0] in found
    with pytest.raises(ValueError, match="A field has 3 blanks, but cutting it leaves room for 2 tokens"):
        encode(tokenizer, "{source|blanks|shorten}", {"source": "[MASK] a [MASK] b [MASK]"}, max_length=4)


def test_special_tokens_in_a_source_are_characters(tokenizer):
    source = "a [SEP] b [MASK] <|startofpiece|>"
    found = encode(tokenizer, "{source} [gMASK]", {"source": source})
    special = set(tokenizer.all_special_ids) - {tokenizer.cls_token_id, tokenizer.gmask_token_id}
    assert special.isdisjoint(found)
    pattern = read_pattern("{source} [gMASK]", tokenizer)
    original = encode_original_source(pattern, {"source": source}, tokenizer, 40, "longest", OriginalLayout())
    assert {tokenizer.sep_token_id, tokenizer.mask_token_id, tokenizer.sop_token_id} <= set(original)


def test_switches_of_the_original_layout(tokenizer):
    pattern, example = read_pattern("{source|shorten} [MASK]", tokenizer), {"source": "the dog and the cat"}

    def found(**switches):
        return encode_original_source(pattern, example, tokenizer, 5, "longest", OriginalLayout(**switches))

    ids = tokenizer(example["source"], add_special_tokens=False).input_ids
    cls, mask, eos = tokenizer.cls_token_id, tokenizer.mask_token_id, tokenizer.eos_token_id
    assert found() == [cls, *ids[:3], mask]
    assert found(begins=False) == [*ids[:4], mask]
    assert found(ends=True) == [cls, *ids[:2], mask, eos]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "{source}",
            r"'\{source\}' has no blank: write one of \[MASK\], \[sMASK\], \[gMASK\] where the target belongs",
        ),
        ("Say [MASK]", "reads no field: write the column in braces"),
        ("{source|upper} [MASK]", "Unknown filter 'upper'"),
    ],
)
def test_errors_of_patterns(tokenizer, pattern, message):
    with pytest.raises(ValueError, match=message):
        read_pattern(pattern, tokenizer)


def test_a_blank_that_the_vocabulary_lacks(of_family):
    with pytest.raises(ValueError, match=r"has a \[sMASK\], but the vocabulary has no such token: use \[MASK\]"):
        read_pattern("{source} [sMASK]", of_family("bert"))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"source": ""}, "The source is empty: no text in the fields source"),
        ({"source": " \n"}, "The source is empty"),
        ({"source": None}, "Field 'source' is missing"),
        ({"text": "a"}, r"asks for a field 'source', but the example has \['text'\]"),
        ({"source": "no mask"}, r"The source has no blank: .* expects a mask token, such as \[MASK\]"),
        ({"source": "dog " * 9 + "[MASK]"}, "does not fit.*mark further fields"),
    ],
)
def test_errors_of_rows(tokenizer, example, message):
    with pytest.raises(ValueError, match=message):
        encode(tokenizer, "{source|blanks}", example, max_length=8)


def test_one_of_several_fields_may_be_empty(tokenizer):
    found = encode(tokenizer, "{title} {source} [MASK]", {"title": "", "source": "the dog"})
    assert found == tokenizer(" the dog [MASK]").input_ids
