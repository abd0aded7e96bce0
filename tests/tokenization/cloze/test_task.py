"""Patterns, verbalizers and the batches that are made of them."""

import json
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from modeling_glm import DataCollatorForCloze, GLMTokenizer, PatternVerbalizer
from modeling_glm.tokenization.cloze.encoding import shorten
from modeling_glm.tokenization.cloze.syntax import FieldElement, SoftElement, parse

NLI = PatternVerbalizer(
    "{premise|shorten}? [MASK], {hypothesis|bare|shorten}", {"yes": "true", "no": ["false", "not true"]}
)
EXAMPLE = {"premise": "The dog jumps", "hypothesis": "The fox is lazy!", "label": "no"}


def ids_of(tokenizer: GLMTokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False).input_ids


# Patterns


def test_elements_of_a_pattern():
    elements = parse("{{a}} {soft:2}{word|bare|lower_first|inline} b")
    assert elements == ["{a} ", SoftElement(2), FieldElement("word", ("bare", "lower_first"), inline=True), " b"]


@pytest.mark.parametrize(
    ("pattern", "filled"),
    [
        ("{a}? [MASK], {b}", "One.?[MASK], two words. "),
        ("{a|bare}: {b|strip|bare} [MASK]", "One: two words[MASK]"),
        ("{b|strip|bare|lower_first}{a|lower_first}([MASK])", "two wordsone.([MASK])"),
        ("[MASK]{{{a}}}", "[MASK]{One.}"),
        ("{number} [sMASK]", "7[sMASK]"),
        ("{a|inline} {b|inline|strip} [gMASK]", "One. two words.[gMASK]"),
    ],
)
def test_filled_patterns(pattern, filled):
    task = PatternVerbalizer(pattern, {"x": "x", "y": "y"})
    assert task.fill({"a": "One.", "b": "two words. ", "number": 7}) == filled


def test_chinese_punctuation_is_taken_off():
    task = PatternVerbalizer("{a|bare}？[MASK]", {"x": "是", "y": "否"})
    assert task.fill({"a": "天气很好。！"}) == "天气很好？[MASK]"


def test_words_take_the_space_before_the_blank():
    example = {"a": "x", "options": ["one", " two"]}
    assert PatternVerbalizer("{a} [MASK]", {"p": ["b", " c"], "q": "d"}).choices(example) == [[" b", " c"], [" d"]]
    assert PatternVerbalizer("{a} ([MASK])", {"p": "b", "q": " d"}).choices(example) == [["b"], [" d"]]
    assert PatternVerbalizer("[MASK] {a}", choices="{options}").choices(example) == [["one"], [" two"]]
    assert PatternVerbalizer("{a}{soft:1} [MASK]", choices=["{a}!", "no {a}"]).choices(example) == [[" x!"], [" no x"]]


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


def test_a_text_that_goes_on_has_no_end(tokenizer):
    task = PatternVerbalizer("{a} [gMASK]", {"x": "x", "y": "y"})
    (ids,) = task.encode({"a": "dog"}, tokenizer)["input_ids"]
    assert ids[-1] == tokenizer.gmask_token_id


def test_end_of_piece(tokenizer):
    task = PatternVerbalizer("{a} [MASK]", {"x": "dog", "y": "the fox"}, end_of_piece=True)
    (words,) = task.encode({"a": "x"}, tokenizer)["choice_ids"]
    assert all(ids[-1] == tokenizer.eop_token_id and len(ids) > 1 for row in words for ids in row)


# Labels


@pytest.mark.parametrize(
    ("label", "index"), [("yes", 0), ("no", 1), (0, 0), (1, 1), (torch.tensor(1), 1), (None, None)]
)
def test_label_index(label, index):
    assert NLI.label_index({**EXAMPLE, "label": label}) == index


def test_labels_that_are_truth_values_or_texts_of_choices():
    boolean = PatternVerbalizer("{a} [MASK]", {"False": "no", "True": "yes"})
    assert [boolean.label_index({"label": label}) for label in (True, False, "True", 0)] == [1, 0, 1, 0]
    choosing = PatternVerbalizer("{a} [MASK]", choices="{options}")
    options = {"a": "x", "options": ["p", "q"]}
    assert [choosing.label_index({**options, "label": label}) for label in ("q", 0)] == [1, 0]
    # A name is a name: only numbers count from 0.
    numbered = PatternVerbalizer("{a} [MASK]", {"1": "one", "2": "two"})
    assert [numbered.label_index({"label": label}) for label in ("1", 1)] == [0, 1]


@pytest.mark.parametrize("label", ["maybe", 2, -1, 1.0, True, "0"])
def test_labels_outside_the_task(label):
    with pytest.raises(ValueError, match=r"Label .* is none of the task's: expected one of \['yes', 'no'\]"):
        NLI.label_index({**EXAMPLE, "label": label})


# Truncation


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
    assert ids[-4:-1] == [*ids_of(tokenizer, " Rome"), *ids_of(tokenizer, ".")][-3:] or ids[-2] == whole[-2]
    assert words == task.encode({"a": "", "b": "", "c": "Rome"}, tokenizer)["choice_ids"][0]


def test_an_example_that_cannot_fit(tokenizer):
    task = PatternVerbalizer("{a|shorten} {b} [MASK]", {"x": "x", "y": "y"})
    with pytest.raises(ValueError, match=r"does not fit.*Raise max_length, or mark further fields with \|shorten"):
        task.encode({"a": "dog", "b": "fox " * 20}, tokenizer, max_length=16)


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{a} no blank", {"x": "x", "y": "y"}), "has 0 blanks: expected exactly one"),
        (("[MASK] {a} [gMASK]", {"x": "x", "y": "y"}), "has 2 blanks: expected exactly one"),
        (("{a} { [MASK]", {"x": "x", "y": "y"}), "single '{'"),
        (("{a b} [MASK]", {"x": "x", "y": "y"}), "neither a field"),
        (("{soft:0} [MASK]", {"x": "x", "y": "y"}), "neither a field"),
        (("{a|upper} [MASK]", {"x": "x", "y": "y"}), "Unknown filter 'upper'.*shorten"),
        (("{a|inline|shorten} [MASK]", {"x": "x", "y": "y"}), "cannot be inline and shortened"),
        (("{a} [MASK]",), "needs either a verbalizer"),
        (("{a} [MASK]", {"x": "x", "y": "y"}, "{options}"), "either a verbalizer or choices"),
        (("{a} [MASK]", {"x": "x"}), "at least two labels"),
        (("{a} [MASK]", {"x": "x", "y": []}), "Label 'y' has the words"),
        (("{a} [MASK]", {"x": "x", "y": " "}), "Label 'y' has the words"),
        (("{a} [MASK]", None, ["yes", "no"]), "'yes' is no choice of an example"),
        (([],), "at least one pattern"),
        (([{"text": "x"}],), "Unknown keys"),
        (([{"verbalizer": {"x": "x"}}],), "has no 'pattern'"),
    ],
)
def test_tasks_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatternVerbalizer(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"premise": None}, "Field 'premise' of the example is empty"),
        ({"premise": ...}, r"asks for a field 'premise', but the example has \['hypothesis', 'label'\]"),
    ],
)
def test_fields_that_are_missing(tokenizer, change, message):
    example = {key: value for key, value in {**EXAMPLE, **change}.items() if value is not ...}
    with pytest.raises(ValueError, match=message):
        NLI.encode(example, tokenizer)


@pytest.mark.parametrize("options", ["text", 3, [], {"a": 1}])
def test_choices_that_are_no_list(tokenizer, options):
    task = PatternVerbalizer("{a} [MASK]", choices="{options}")
    with pytest.raises(ValueError, match="'options'"):
        task.encode({"a": "x", "options": options}, tokenizer)


def test_labels_with_the_same_tokens_are_named(tokenizer):
    task = PatternVerbalizer("{a} [MASK]", {"x": "dog", "y": ["fox", " dog"]})
    with pytest.warns(UserWarning, match=r"Labels 'x' \(' dog'\) and 'y' \(' dog'\) have the same tokens"):
        task.encode({"a": "x"}, tokenizer)


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


def test_patterns_of_different_labels_do_not_go_together(tokenizer):
    task = PatternVerbalizer(
        ["{a} [MASK]", {"pattern": "{a}? [MASK]", "verbalizer": {"p": "p", "q": "q"}}], {"x": "x", "y": "y"}
    )
    with pytest.raises(ValueError, match=r"different labels.*select"):
        task.encode({"a": "x"}, tokenizer)
    assert task.select([1]).labels == ["p", "q"]
    with pytest.raises(ValueError, match=r"patterns=\[2\]: the task has the patterns 0 ... 1"):
        task.select([2])


# Saving


FULL = PatternVerbalizer(
    ["{pair|shorten} [MASK]", {"pattern": "{a}: {b}? [MASK]", "verbalizer": {"x": "dog", "y": ["fox", "cat"]}}],
    {"x": "the", "y": "是"},
    derived={"pair": "{a} / {b}"},
    label_field="gold",
    metric="cb",
    name="full",
    end_of_piece=True,
    calibration={"temperature": 2.0},
)


def test_saved_and_loaded(tmp_path, tokenizer):
    path = FULL.save_pretrained(tmp_path / "task")
    assert path.name == "cloze.json"
    assert "是" in path.read_text(encoding="utf-8")
    loaded = PatternVerbalizer.from_pretrained(tmp_path / "task")
    assert loaded.to_dict() == FULL.to_dict()
    example = {"a": "dog", "b": "fox", "gold": "y"}
    assert loaded.encode(example, tokenizer) == FULL.encode(example, tokenizer)
    assert pickle.loads(pickle.dumps(loaded)).to_dict() == FULL.to_dict()
    with pytest.raises(OSError, match=r"cloze\.json"):
        PatternVerbalizer.from_pretrained(tmp_path)


def test_a_tokenizer_carries_the_task_that_is_attached(tmp_path, tokenizer):
    carrier = FULL.attach(tokenizer)
    assert tokenizer.cloze is None
    assert type(carrier) is type(tokenizer)
    assert carrier("The dog [MASK].").input_ids == tokenizer("The dog [MASK].").input_ids
    tokenizer.save_pretrained(tmp_path / "before")
    assert not (tmp_path / "before" / "cloze.json").exists()
    saved = carrier.save_pretrained(tmp_path / "after")
    assert any(str(path).endswith("cloze.json") for path in saved)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "after")
    assert PatternVerbalizer.from_dict(loaded.cloze).to_dict() == FULL.to_dict()
    assert "cloze" not in json.loads((tmp_path / "after" / "tokenizer_config.json").read_text())


# Batches


@pytest.mark.parametrize("side", ["left", "right"])
def test_collator(tokenizer, side):
    tokenizer = pickle.loads(pickle.dumps(tokenizer))
    tokenizer.padding_side = side
    examples = [EXAMPLE, {"premise": "Rome", "hypothesis": "Paris", "label": "yes"}]
    batch = DataCollatorForCloze(tokenizer, NLI, pad_to_multiple_of=8)(examples)
    assert batch["input_ids"].shape[1] % 8 == 0
    assert batch["labels"].tolist() == [1, 0]
    for row, example in enumerate(examples):
        encoded = NLI.encode(example, tokenizer)
        real = batch["attention_mask"][row] == 1
        assert batch["input_ids"][row][real].tolist() == encoded["input_ids"][0]
        assert real[-1 if side == "left" else 0]
        words = [[ids[ids != -100].tolist() for ids in label] for label in batch["choice_ids"][row]]
        assert [[ids for ids in label if ids] for label in words] == encoded["choice_ids"][0]


def test_collator_with_ragged_choices_and_several_patterns(tokenizer):
    task = PatternVerbalizer(["{a} [MASK]", "So {a}? [MASK]"], choices="{options}")
    examples = [{"a": "dog", "options": ["one", "the fox", "x"]}, {"a": "the lazy dog", "options": ["Rome", "y"]}]
    batch = DataCollatorForCloze(tokenizer, task)(examples)
    assert "labels" not in batch
    assert batch["input_ids"].shape[:2] == batch["attention_mask"].shape[:2] == (2, 2)
    assert batch["choice_ids"].shape[:3] == (2, 2, 3)
    assert (batch["choice_ids"][1, :, 2] == -100).all()
    encoded = [task.encode(example, tokenizer) for example in examples]
    again = DataCollatorForCloze(tokenizer, task)(encoded)
    assert all(torch.equal(batch[name], again[name]) for name in batch)


def test_collator_refuses_a_mixture_of_labels(tokenizer):
    with pytest.raises(ValueError, match="1 of 2 examples have a label"):
        DataCollatorForCloze(tokenizer, NLI)([EXAMPLE, {**EXAMPLE, "label": None}])


def test_collator_names_the_example(tokenizer):
    with pytest.raises(ValueError, match="Example 1 of the batch: The pattern asks for a field 'premise'"):
        DataCollatorForCloze(tokenizer, NLI)([EXAMPLE, {"hypothesis": "x"}])


def test_collator_takes_the_limit_of_the_tokenizer(tokenizer):
    tokenizer = pickle.loads(pickle.dumps(tokenizer))
    tokenizer.model_max_length = 20
    long = {**EXAMPLE, "premise": "The dog jumps " * 20}
    batch = DataCollatorForCloze(tokenizer, NLI)([long])
    assert batch["input_ids"].shape[1] + batch["choice_ids"].shape[-1] == 20
