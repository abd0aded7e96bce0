"""The ids of the words of a verbalizer: as the pattern shows them, and in all forms."""

import pickle
from functools import partial

import pytest

from modeling_glm import GLMTokenizer, PatternVerbalizer
from modeling_glm.tokenization.blanks import answer_forms, shown_form
from tests.support.original_files import write_vocabulary


def ids_of(tokenizer: GLMTokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids


def test_end_of_piece(tokenizer):
    task = PatternVerbalizer("{a} [MASK]", {"x": "dog", "y": "the fox"}, end_of_piece=True)
    (words,) = task.encode({"a": "x"}, tokenizer)["choice_ids"]
    assert all(ids[-1] == tokenizer.eop_token_id and len(ids) > 1 for row in words for ids in row)


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


def test_published_tasks_have_words_as_the_originals_encode_them(tmp_path):
    """In SentencePiece a word on its own begins with the start of a word, whatever stands before the blank."""
    tokenizer = GLMTokenizer.from_pretrained(write_vocabulary("chinese", tmp_path))
    task = PatternVerbalizer.from_task("tnews")
    words = [row[0] for row in task.patterns[0].verbalizer.values()]
    end = tokenizer.eop_token_id
    alone = [[[*tokenizer(word, add_special_tokens=False)["input_ids"], end]] for word in words]
    for asked in (task, task.select([0]), PatternVerbalizer.from_dict(task.to_dict())):
        assert asked.encode({"sentence": "邮局"}, tokenizer)["choice_ids"][0] == alone
    own = PatternVerbalizer("这是一条[MASK]新闻：{sentence}", dict(zip(words, words, strict=True)))
    own.end_of_piece = True
    glued = [[[*shown_form(tokenizer, "这是一条", word), end]] for word in words]
    assert own.encode({"sentence": "邮局"}, tokenizer)["choice_ids"][0] == glued
    assert all(one != other for one, other in zip(alone, glued, strict=True))
