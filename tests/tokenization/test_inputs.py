"""What callers may give to the tokenizer, and what is said about anything else."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from modeling_glm import GLMTokenizer
from tests.support.stress import why_unclear

TEXT = "Paris is the [MASK] of France."
HALF = "\ud800"
IDS = torch.tensor([[15, 3, 16]])  # 3 is [MASK]


def expect_clear(call, *names: str):
    """Make a call that must fail with a ValueError, whose message names one of the names."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked below
        call()
    assert why_unclear(caught.value, *names) == ""
    return str(caught.value)


# A second text that is empty


@pytest.mark.parametrize("family", ["own", "gpt2", "bert", "roberta", "chinese"])
@pytest.mark.parametrize("first", ["", "one", "one [MASK]", "[gMASK]", "one two three four five six"])
@pytest.mark.parametrize("second", ["", " ", "two"])
@pytest.mark.parametrize("options", [{}, {"truncation": True, "max_length": 6}, {"add_special_tokens": False}])
def test_a_pair_has_the_same_ids_alone_and_in_a_batch(of_family, family, first, second, options):
    tokenizer = of_family(family)
    alone = tokenizer(first, second, **options)
    assert tokenizer([first], [second], **options)["input_ids"] == [alone["input_ids"]]
    assert tokenizer([(first, second)], **options)["input_ids"] == [alone["input_ids"]]
    beside = tokenizer([("x", "y"), (first, second), ["z", "z"]], **options)
    assert beside["input_ids"][1] == alone["input_ids"]
    assert tokenizer.encode(first, second, **options) == alone["input_ids"]
    if options.get("add_special_tokens", True):
        between = tokenizer.sep_token_id or tokenizer.eos_token_id
        assert between in alone["input_ids"][1:-1] or alone["input_ids"][-1] == between


def test_a_pair_of_words_has_the_same_ids_alone_and_in_a_batch(tokenizer):
    for first, second in [(["a"], []), ([], ["b"]), ([], []), (["a", "b"], ["c"])]:
        alone = tokenizer(first, second, is_split_into_words=True)["input_ids"]
        assert tokenizer([first], [second], is_split_into_words=True)["input_ids"] == [alone]
        assert tokenizer([(first, second)], is_split_into_words=True)["input_ids"] == [alone]
    assert tokenizer([], is_split_into_words=True)["input_ids"] == tokenizer("")["input_ids"]
    assert tokenizer("a", None)["input_ids"] == tokenizer("a")["input_ids"]


# Texts

WRONG_TEXTS = {
    "int": 3,
    "float": 1.5,
    "bytes": b"a",
    "dict": {"text": "a"},
    "set": {"a"},
    "iterator": iter("ab"),
    "array": np.array(["a"]),
    "tensor": torch.tensor([1]),
    "half": HALF,
    "nested lists": [[["a"]]],
    "object": object(),
}


@pytest.mark.parametrize("name", WRONG_TEXTS)
def test_wrong_texts_are_refused_with_their_row(tokenizer, name):
    wrong = WRONG_TEXTS[name]
    expect_clear(lambda: tokenizer(wrong), "The text", "Text 0")
    expect_clear(lambda: tokenizer.encode(wrong), "The text", "Text 0")
    expect_clear(lambda: tokenizer.tokenize(wrong), "The text", "Text 0")
    expect_clear(lambda: tokenizer("a", wrong), "second text")
    expect_clear(lambda: tokenizer(["a", "b", wrong]), "Text 2")
    expect_clear(lambda: tokenizer(["a", "b"], ["c", wrong]), "Text 1: the second text")
    expect_clear(lambda: tokenizer([("a", "b"), ("c", wrong)]), "Text 1")
    expect_clear(lambda: tokenizer([["a"], ["b", wrong]], is_split_into_words=True), "Text 1: word 1")
    expect_clear(lambda: tokenizer(["a [gMASK]", wrong], truncation=True, max_length=9), "Text 1")
    expect_clear(lambda: tokenizer(["a", wrong], padding=True, split_special_tokens=True), "Text 1")
    assert tokenizer("a")["input_ids"] == tokenizer(["a"])["input_ids"][0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda t: t([]), "The batch is empty"),
        (lambda t: t([], []), "The batch is empty"),
        (lambda t: t(["a"], ["b", "c"]), "1 texts, but 2 second"),
        (lambda t: t(["a"], "b"), "expected a list of as many"),
        (lambda t: t([["a", "b", "c"]]), "a pair of strings"),
        (lambda t: t([("a",)]), "a pair of strings"),
        (lambda t: t("a b", is_split_into_words=True), "a list of words"),
        (lambda t: t(["a", None]), "Text 1 is None, of type NoneType"),
        (lambda t: t("a", f"b{HALF}"), "The text: the second text has half of a surrogate pair at character 1"),
    ],
    ids=["none", "no pairs", "lengths", "one second", "three", "one in a tuple", "no words", "None", "half"],
)
def test_forms_of_batches_that_do_not_exist(tokenizer, call, said):
    assert said in expect_clear(lambda: call(tokenizer))


# Numbers


@pytest.mark.parametrize("value", [-1, 2.0, "5", True, 10**30, None, [3], np.float64(3), torch.tensor(3)], ids=str)
def test_numbers_are_whole_and_in_range(tokenizer, value):
    inputs = tokenizer([TEXT], return_tensors="pt")
    if value is not None:
        expect_clear(lambda: tokenizer(TEXT, truncation=True, max_length=value), "max_length=")
        expect_clear(lambda: tokenizer(TEXT, padding="max_length", max_length=value), "max_length=")
        expect_clear(lambda: tokenizer(TEXT, padding=True, pad_to_multiple_of=value), "pad_to_multiple_of=")
        expect_clear(lambda: tokenizer.pad({"input_ids": [[1]]}, pad_to_multiple_of=value), "pad_to_multiple_of=")
        expect_clear(lambda: tokenizer.build_inputs_for_generation(inputs, value, ["a"]), "max_gen_length=")
        expect_clear(lambda: tokenizer.build_inputs_for_multiple_choice(inputs, [["a"]], value), "max_length=")
    expect_clear(lambda: tokenizer(TEXT, truncation=True, max_length=9, stride=value), "stride=")
    expect_clear(lambda: GLMTokenizer.train_from_iterator(["a"], value), "vocab_size=")
    expect_clear(lambda: tokenizer.train_new_from_iterator(["a"], value), "vocab_size=")


@pytest.mark.parametrize("pair", [None, "b"])
def test_a_length_without_room_for_the_special_tokens(tokenizer, pair):
    around = 2 if pair is None else 3
    for length in range(around):
        said = expect_clear(lambda length=length: tokenizer("a", pair, truncation=True, max_length=length))
        assert f"max_length={length}: there are {around} special tokens" in said
        assert len(tokenizer.encode("a", pair, truncation=True, max_length=length, add_special_tokens=False)) <= length
    assert len(tokenizer.encode("a", pair, truncation=True, max_length=around)) == around
    assert tokenizer.encode("a", max_length=np.int64(2)) == tokenizer.encode("a", max_length=2)


def test_windows_of_every_stride(tokenizer):
    for stride in range(5):
        windows = tokenizer("a b c d e f g h i j", max_length=7, stride=stride, return_overflowing_tokens=True)
        assert max(map(len, windows["input_ids"])) == 7
    for stride in (5, 6, 100):
        expect_clear(lambda stride=stride: tokenizer("a b c", truncation=True, max_length=7, stride=stride), "stride=")


@pytest.mark.parametrize("strategy", ["only_first", "only_second"])
def test_the_text_that_is_cut_is_too_short(tokenizer, strategy):
    texts = ("a", "b c d e f g h") if strategy == "only_first" else ("a b c d e f g h", "b")
    said = expect_clear(lambda: tokenizer(*texts, truncation=strategy, max_length=7))
    assert f"truncation='{strategy}' cannot cut to max_length=7" in said
    expect_clear(lambda: tokenizer("a b c d e", truncation="only_second", max_length=4), "only_second")


def test_a_side_that_does_not_exist(tokenizer):
    expect_clear(lambda: tokenizer("a", padding=True, padding_side="middle"), "padding_side='middle'")


# Ids

WRONG_IDS = {
    "floats": [[1.0, 2.0]],
    "bools": [[True, False]],
    "texts": ["ab"],
    "None": [None],
    "1-D": [1, 2],
    "1-D tensor": torch.tensor([1, 2]),
    "3-D tensor": torch.zeros(1, 1, 1, dtype=torch.long),
    "0-D tensor": torch.tensor(1),
    "float tensor": torch.tensor([[1.0]]),
    "bool tensor": torch.tensor([[True]]),
    "sparse tensor": torch.tensor([[1, 0]]).to_sparse(),
    "meta tensor": torch.ones(1, 2, dtype=torch.long, device="meta"),
    "object array": np.array([[1, None]]),
    "float array": np.array([[1.5]]),
    "text": "ab",
    "dict": {"input_ids": [[1]]},
    "int": 3,
    "nothing": None,
}


@pytest.mark.parametrize("name", WRONG_IDS)
def test_rows_of_ids_for_decode_blanks(tokenizer, name):
    expect_clear(lambda: tokenizer.decode_blanks(WRONG_IDS[name]), "sequences")


@pytest.mark.parametrize(
    "rows",
    [[[3, -100]], ((3, -100),), torch.tensor([[3, -100]]), np.array([[3, -100]]), [torch.tensor([3, -100])]],
    ids=range(5),
)
def test_forms_of_rows_for_decode_blanks(tokenizer, rows):
    assert tokenizer.decode_blanks(rows) == [["" for _ in {3} & set(tokenizer.mask_token_ids)]]
    assert tokenizer.decode_blanks([]) == []


@pytest.mark.parametrize(
    "ids",
    [[-1], [-100, 3], [10**30], [3.0], [True], "a", None, ["a"], [None], True, 2.5, torch.tensor([3.0]), [[3], [3.5]]],
    ids=str,
)
def test_ids_that_cannot_be_decoded(tokenizer, ids):
    expect_clear(lambda: tokenizer.decode(ids), "token_ids")
    expect_clear(lambda: tokenizer.decode(ids, skip_special_tokens=True), "token_ids")
    expect_clear(lambda: tokenizer.batch_decode(ids), "token_ids")
    expect_clear(lambda: tokenizer.convert_ids_to_tokens(ids), "ids")


def test_ids_beyond_the_vocabulary_add_nothing(tokenizer):
    ids = tokenizer.encode("a b")
    assert tokenizer.decode([*ids, 10**6]) == tokenizer.decode(ids)  # models have more rows than tokens
    assert tokenizer.convert_ids_to_tokens([10**6]) == [None]
    for form in (ids, tuple(ids), torch.tensor(ids), np.array(ids)):
        assert tokenizer.convert_ids_to_tokens(form) == tokenizer.tokenize("a b", add_special_tokens=True)
        assert tokenizer.decode(form) == tokenizer.decode(ids)
    assert tokenizer.convert_ids_to_tokens(torch.tensor(ids[0])) == tokenizer.convert_ids_to_tokens(ids[0]) == "[CLS]"


@pytest.mark.parametrize("tokens", [3, None, [3], ["a", None], b"a", [b"a"]], ids=str)
def test_tokens_are_strings(tokenizer, tokens):
    expect_clear(lambda: tokenizer.convert_tokens_to_ids(tokens), "tokens")
    expect_clear(lambda: tokenizer.convert_tokens_to_string(tokens), "tokens")


# Answers


@pytest.mark.parametrize("answers", ["x", 3, None, [3], [None], [["x"]], b"x", {0: "x"}, [], ["x", "y"]], ids=str)
def test_answers_are_a_list_of_strings(tokenizer, answers):
    expect_clear(lambda: tokenizer.fill(TEXT, answers), "answers")
    expect_clear(lambda: tokenizer.fill_with_offsets(TEXT, answers), "answers")


@pytest.mark.parametrize(
    "answers", [{1: "x"}, {-1: "x"}, {"0": "x"}, {0: 3}, {0: None}, {0.0: "x"}, {True: "x"}, ["x"], 3], ids=str
)
def test_answers_of_some_blanks_name_blanks_of_the_text(tokenizer, answers):
    expect_clear(lambda: tokenizer.fill_some(TEXT, answers), "answers")
    assert tokenizer.fill_some(TEXT, {}) == TEXT
    assert tokenizer.fill_some(TEXT, {np.int64(0): "x"}) == "Paris is the x of France."


@pytest.mark.parametrize("text", [3, None, b"[MASK]", ["[MASK]"]], ids=str)
def test_a_text_with_blanks_is_a_string(tokenizer, text):
    expect_clear(lambda: tokenizer.split_at_blanks(text), "The text")
    expect_clear(lambda: tokenizer.fill(text, ["x"]), "The text")
    expect_clear(lambda: tokenizer.fill_some(text, {}), "The text")


# Inputs of the model

WRONG_INPUTS = {
    "nothing": None,
    "no dict": [1],
    "no ids": {},
    "lists": {"input_ids": [[3]]},
    "1-D": {"input_ids": torch.tensor([3])},
    "3-D": {"input_ids": torch.tensor([[[3]]])},
    "floats": {"input_ids": IDS.float()},
    "bools": {"input_ids": IDS.bool()},
    "sparse": {"input_ids": IDS.to_sparse()},
    "meta": {"input_ids": IDS.to("meta")},
    "no rows": {"input_ids": IDS[:0]},
    "no blank": {"input_ids": torch.tensor([[15, 16]])},
    "longer mask": {"input_ids": IDS, "attention_mask": torch.ones(1, 4)},
    "1-D mask": {"input_ids": IDS, "attention_mask": torch.ones(3)},
    "mask of lists": {"input_ids": IDS, "attention_mask": [[1, 1, 1]]},
    "hidden blank": {"input_ids": IDS, "attention_mask": torch.tensor([[1, 0, 1]])},
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_inputs_are_what_the_tokenizer_returns(tokenizer, name):
    wrong = WRONG_INPUTS[name]
    expect_clear(lambda: tokenizer.build_inputs_for_generation(wrong), "inputs", "Text 0")
    expect_clear(lambda: tokenizer.build_inputs_for_generation(wrong, targets=["a"]), "inputs", "Text 0")
    expect_clear(lambda: tokenizer.build_inputs_for_multiple_choice(wrong, [["a"]]), "inputs", "Text 0")


@pytest.mark.parametrize(
    "targets",
    ["x", ["x", 3], ["x", None], 3, [["x"], ["y", "z"]], [["x"], [3]], ["x", HALF], ["x"], {"a": 1, "b": 2}],
    ids=ascii,
)
def test_targets_are_strings_for_every_text(tokenizer, targets):
    inputs = tokenizer([TEXT, TEXT], return_tensors="pt")
    expect_clear(lambda: tokenizer.build_inputs_for_generation(inputs, targets=targets), "targets", "Text 1")


@pytest.mark.parametrize(
    "choices",
    [
        3,
        None,
        ["ab", "cd"],
        [["a"], "c"],
        [["a"], []],
        [["a"], [3]],
        [["a"], None],
        [["a"], [""]],
        [["a"], [HALF]],
        [["a"]],
    ],
    ids=ascii,
)
def test_choices_are_strings_for_every_text(tokenizer, choices):
    inputs = tokenizer([TEXT, TEXT], return_tensors="pt")
    expect_clear(lambda: tokenizer.build_inputs_for_multiple_choice(inputs, choices), "choices")


@pytest.mark.parametrize(
    "rows",
    [
        None,
        3,
        "ab",
        [],
        {"ids": [[1]]},
        {"input_ids": 3},
        {"input_ids": ["a"]},
        {"input_ids": [[1], None]},
        {"input_ids": [[1.5], [1]]},
        {"input_ids": [[1, 2], [3]], "attention_mask": [[1], [1]]},
        {"input_ids": [[1, 2], [3]], "attention_mask": [[1, 1]]},
        {"input_ids": [[1, 2], [3]], "attention_mask": [[1, 1], [1, 1]]},
        [{"input_ids": [1, 2]}, {"ids": [1]}],
        [{"input_ids": [1, 2], "attention_mask": [1]}, {"input_ids": [1], "attention_mask": [1]}],
    ],
    ids=range(14),
)
def test_rows_that_cannot_be_padded(tokenizer, rows):
    expect_clear(lambda: tokenizer.pad(rows, return_tensors="pt"))


# Tokenizers


@pytest.mark.parametrize("texts", [3, "abc", [3], [None], [HALF], [["a", 3]], b"ab"], ids=ascii)
def test_texts_to_learn_from(tokenizer, texts):
    expect_clear(lambda: GLMTokenizer.train_from_iterator(texts, 300), "ext")
    expect_clear(lambda: tokenizer.train_new_from_iterator(texts, 300), "ext")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"model": {"type": "BPE"}}', "[" * 100_000, "\0"], ids=range(7)
)
def test_a_file_that_is_no_tokenizer(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    assert "tokenizer.json is not the tokenizer.json of" in expect_clear(lambda: GLMTokenizer(str(path)))


def test_what_a_tokenizer_is_built_from(tmp_path, tokenizer):
    with pytest.raises(FileNotFoundError):
        GLMTokenizer(str(tmp_path / "nothing.json"))
    expect_clear(lambda: GLMTokenizer(tokenizer_object=3), "tokenizer_object")
    expect_clear(lambda: tokenizer.with_cloze(3), "task")
    expect_clear(lambda: tokenizer.with_cloze([1]), "task")
    assert GLMTokenizer(tokenizer_object=Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())).encode("a")
