"""The ids of contexts and words, and how contexts are cut."""

import pickle
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm import GLMTokenizer, PatternVerbalizer
from modeling_glm.tokenization.blanks import answer_forms, shown_form
from modeling_glm.tokenization.cloze.encoding import shorten
from tests.support.original_files import write_vocabulary

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


def test_end_of_piece(tokenizer):
    task = PatternVerbalizer("{a} [MASK]", {"x": "dog", "y": "the fox"}, end_of_piece=True)
    (words,) = task.encode({"a": "x"}, tokenizer)["choice_ids"]
    assert all(ids[-1] == tokenizer.eop_token_id and len(ids) > 1 for row in words for ids in row)


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
            shorten(encoded, may, excess, truncation, "p")
        return
    shorten(encoded, may, excess, truncation, "p")
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


def test_labels_with_the_same_tokens_are_named(tokenizer):
    task = PatternVerbalizer("{a} [MASK]", {"x": "dog", "y": ["fox", " dog"]})
    with pytest.warns(UserWarning, match=r"Words of the labels 'x' and 'y' have the same tokens \[\d+\]"):
        task.encode({"a": "x"}, tokenizer)


FAMILIES = ["own", "gpt2", "roberta", "bert", "chinese"]
FORMS_WORDS = {"x": ["dog", " fox"], "y": "the lazy dog", "z": "1987"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("glued", ["{a}[MASK]", "{a} is:[MASK].", "{a} ([MASK])", "[MASK]{a}", "{a}{soft:1}[MASK]"])
def test_forms_do_not_depend_on_white_space_before_the_blank(of_family, family, glued):
    tokenizer = of_family(family)
    if "soft" in glued:
        tokenizer = pickle.loads(pickle.dumps(tokenizer))
        tokenizer.add_tokens(["<|soft0|>"], special_tokens=True)
    example = {"a": "The fox"}
    expected = PatternVerbalizer(glued, FORMS_WORDS).encode(example, tokenizer, forms=partial(answer_forms, tokenizer))
    flat = [form for row in expected["choice_ids"][0] for form in row]
    forms = [answer_forms(tokenizer, word) for word in ("dog", " fox", "the lazy dog", "1987")]
    assert flat == [list(form) for word in forms for form in word]
    for space in (" ", "  ", "\n", "\t ", "\u3000"):
        spaced = PatternVerbalizer(glued.replace("[MASK]", f"{space}[MASK]"), FORMS_WORDS)
        assert spaced.encode(example, tokenizer, forms=partial(answer_forms, tokenizer)) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_without_forms_words_are_as_the_pattern_shows_them(of_family, family):
    tokenizer = of_family(family)
    for pattern, before in (("{a} so:[MASK]", "so:"), ("{a} so: [MASK]", "so: "), ("{a} ([MASK])", "(")):
        task = PatternVerbalizer(pattern, FORMS_WORDS)
        (found,) = task.encode({"a": "The fox"}, tokenizer)["choice_ids"]
        words = [["dog", " fox"], ["the lazy dog"], ["1987"]]
        assert found == [[list(shown_form(tokenizer, before, word)) for word in row] for row in words]
        (forms,) = task.encode({"a": "The fox"}, tokenizer, forms=partial(answer_forms, tokenizer))["choice_ids"]
        assert all(ids in of_label for row, of_label in zip(found, forms, strict=True) for ids in row)


def test_a_label_counts_no_form_twice(tokenizer):
    task = PatternVerbalizer("{a} [MASK]", {"x": ["dog", " dog", "dog"], "y": "fox"}, end_of_piece=True)
    (forms,) = task.encode({"a": "x"}, tokenizer, forms=partial(answer_forms, tokenizer))["choice_ids"]
    expected = [[*form, tokenizer.eop_token_id] for form in answer_forms(tokenizer, "dog")]
    assert forms[0] == expected
    assert len(expected) == 2


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


def test_words_have_the_ids_of_the_tokenizer_as_it_is(tokenizer):
    task = PatternVerbalizer("{a} [MASK]", {"x": "lazy", "y": ["fox", "jumps over"]})
    kept = pickle.dumps(task)
    words = [[" lazy"], [" fox", " jumps over"]]
    other = pickle.loads(pickle.dumps(tokenizer))
    other.add_tokens(["laz"])
    for _ in range(2):
        for chosen in (tokenizer, other):
            expected = [[ids_of(chosen, word) for word in row] for row in words]
            assert task.encode({"a": "x"}, chosen)["choice_ids"] == [expected]
    before = task.encode({"a": "x"}, other)["choice_ids"]
    other.add_tokens(["jumps over"])
    after = task.encode({"a": "x"}, other)["choice_ids"]
    assert after == [[[ids_of(other, word) for word in row] for row in words]]
    assert after != before != task.encode({"a": "x"}, tokenizer)["choice_ids"]
    assert pickle.dumps(task) == kept  # the task keeps nothing


def test_a_word_without_tokens(tokenizer):
    task = PatternVerbalizer("{a}[MASK]", choices="{options}")
    with pytest.raises(ValueError, match="no tokens"):
        task.encode({"a": "x", "options": ["dog", " "]}, tokenizer)


def test_a_blank_that_the_vocabulary_lacks(tokenizer):
    task = PatternVerbalizer("{a} [sMASK]", {"x": "x", "y": "y"})
    poorer = pickle.loads(pickle.dumps(tokenizer))
    poorer.smask_token = None
    with pytest.raises(ValueError, match=r"\[sMASK\], but the vocabulary has no such token"):
        task.encode({"a": "x"}, poorer)


def test_published_tasks_have_words_as_the_originals_encode_them(tmp_path):
    """In SentencePiece a word on its own begins with the start of a word, whatever stands before the blank."""
    tokenizer = GLMTokenizer.from_pretrained(write_vocabulary("chinese", tmp_path))
    task = PatternVerbalizer.from_task("tnews")
    words = [row[0] for row in task.patterns[0].verbalizer.values()]
    alone = [[tokenizer(word, add_special_tokens=False)["input_ids"]] for word in words]
    for asked in (task, task.select([0]), PatternVerbalizer.from_dict(task.to_dict())):
        assert asked.encode({"sentence": "邮局"}, tokenizer)["choice_ids"][0] == alone
    own = PatternVerbalizer("这是一条[MASK]新闻：{sentence}", dict(zip(words, words, strict=True)))
    glued = [[list(shown_form(tokenizer, "这是一条", word))] for word in words]
    assert own.encode({"sentence": "邮局"}, tokenizer)["choice_ids"][0] == glued
    assert all(one != other for one, other in zip(alone, glued, strict=True))
