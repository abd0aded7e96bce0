"""Tasks: labels, fields, patterns that go together, what is saved."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import ClassLabel
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from modeling_glm import DataCollatorForCloze, PatternVerbalizer
from tests.support.missing import MISSING, NOT_TEXTS

NLI = PatternVerbalizer(
    "{premise|shorten}? [MASK], {hypothesis|bare|shorten}", {"yes": "true", "no": ["false", "not true"]}
)
EXAMPLE = {"premise": "The dog jumps", "hypothesis": "The fox is lazy!", "label": "no"}
FULL = PatternVerbalizer(
    ["{pair|shorten} [MASK]", {"pattern": "{a}: {b}? [MASK]", "verbalizer": {"x": "dog", "y": ["fox", "cat"]}}],
    {"x": "the", "y": "是"},
    derived={"pair": "{a} / {b}"},
    label_field="gold",
    integer_labels="place",
    metric="cb",
    name="full",
    end_of_piece=True,
    calibration={"temperature": 2.0},
)


def test_fill_and_choices():
    assert NLI.fill(EXAMPLE) == "The dog jumps?[MASK], The fox is lazy"
    assert NLI.choices(EXAMPLE) == [[" true"], [" false", " not true"]]
    assert [segment.kind for segment in NLI.parts(EXAMPLE)] == ["text", "text", "mask", "text", "text"]


def test_fields_of_derived_fields():
    assert NLI.fields == {"premise", "hypothesis"}
    assert FULL.fields == {"a", "b"}
    nested = PatternVerbalizer("{c} [MASK]", choices="{d}", derived={"b": "{a}!", "c": "{b} {e}", "d": "{f}"})
    assert nested.fields == {"a", "e", "f"}


@pytest.mark.parametrize(
    ("label", "index"), [("yes", 0), ("no", 1), (0, 0), (1, 1), (torch.tensor(1), 1), (None, None)]
)
def test_label_index(label, index):
    assert NLI.label_index({**EXAMPLE, "label": label}) == index


@pytest.mark.parametrize("missing", MISSING)
def test_missing_labels(missing):
    assert NLI.label_index({**EXAMPLE, "label": missing}) is None


def test_labels_that_are_truth_values_or_texts_of_choices():
    boolean = PatternVerbalizer("{a} [MASK]", {"False": "no", "True": "yes"})
    assert [boolean.label_index({"label": label}) for label in (True, False, "True", 0)] == [1, 0, 1, 0]
    choosing = PatternVerbalizer("{a} [MASK]", choices="{options}")
    options = {"a": "x", "options": ["p", "q"]}
    assert [choosing.label_index({**options, "label": label}) for label in ("q", 0)] == [1, 0]
    # A name is a name, also as a number.
    numbered = PatternVerbalizer("{a} [MASK]", {"1": "one", "2": "two"})
    assert [numbered.label_index({"label": label}) for label in ("1", 1)] == [0, 0]


@pytest.mark.parametrize("label", ["maybe", 2, -1, 1.0, True, "0"])
def test_labels_outside_the_task(label):
    with pytest.raises(ValueError, match=r"Label .* is not one of the task's: expected one of \['yes', 'no'\]"):
        NLI.label_index({**EXAMPLE, "label": label})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{a} no blank", {"x": "x", "y": "y"}), "has 0 blanks: expected exactly one"),
        (("{a} [MASK]",), "needs either a verbalizer"),
        (("{a} [MASK]", {"x": "x", "y": "y"}, "{options}"), "either a verbalizer or choices"),
        (([],), "at least one pattern"),
        (([{"text": "x"}],), "Unknown keys"),
        (([{"verbalizer": {"x": "x"}}],), "has no 'pattern'"),
    ],
)
def test_tasks_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatternVerbalizer(*arguments)


@pytest.mark.parametrize("template", ["{a} [MASK]", "{soft:2}{a}"])
def test_derived_fields_have_no_blank(template):
    with pytest.raises(ValueError, match="has a blank: only patterns have one"):
        PatternVerbalizer("{b} [MASK]", {"x": "x", "y": "y"}, derived={"b": template})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"premise": None}, "Field 'premise' is missing \\(None\\)"),
        ({"premise": ...}, r"asks for a field 'premise', but the example has \['hypothesis', 'label'\]"),
    ],
)
def test_fields_that_are_missing(tokenizer, change, message):
    example = {key: value for key, value in {**EXAMPLE, **change}.items() if value is not ...}
    with pytest.raises(ValueError, match=message):
        NLI.encode(example, tokenizer)


@pytest.mark.parametrize("value", [*MISSING, *NOT_TEXTS])
@pytest.mark.parametrize("field", ["premise", "hypothesis"])
def test_values_that_are_no_texts(tokenizer, field, value):
    """In every field: of patterns, of derived fields, of choices."""
    example = {**EXAMPLE, field: value}
    derived = PatternVerbalizer("{both} [MASK]", {"x": "x", "y": "y"}, derived={"both": "{premise} {hypothesis}"})
    choosing = PatternVerbalizer("{more} [MASK]", choices=["{premise}", "{hypothesis}"])
    listed = PatternVerbalizer("{more} [MASK]", choices="{options}")
    example |= {"more": "x", "options": ["a", value]}
    for task in (NLI, derived, choosing):
        for method in (lambda e: task.encode(e, tokenizer), task.check):  # noqa: B023
            with pytest.raises(ValueError, match=f"Field '{field}' is"):
                method(example)
    with pytest.raises(ValueError, match="Choice 1 of the field 'options' is"):
        listed.check({"more": "x", "options": ["a", value]})


def test_checks_of_examples():
    NLI.check({"premise": "a", "hypothesis": 3})
    NLI.check({"premise": "a", "hypothesis": "b", "label": "of no use"})
    NLI.check({"premise": "a", "hypothesis": "b", "label": "no"}, labelled=True)
    for example, message in (
        ({}, r"The example has no 'label', but \['hypothesis', 'premise'\] in .*|say which field has the label"),
        ({"label": None}, "The label 'label' is missing"),
        ({"label": "maybe"}, "Label 'maybe' is not one of the task's"),
    ):
        with pytest.raises(ValueError, match=message):
            NLI.check({"premise": "a", "hypothesis": "b", **example}, labelled=True)


@pytest.mark.parametrize(
    ("verbalizer", "message"),
    [
        ({1: "x", "1": "y"}, r"two labels of one name: \[1, '1'\]"),
        ({None: "x", "a": "y"}, "has the label None, which means that an example has none"),
        ({float("nan"): "x", "a": "y"}, "has the label nan"),
        ({b"a": "x", "b": "y"}, "A label of the verbalizer is a bytes"),
        ({"a": None, "b": "y"}, "A word of the verbalizer is missing"),
        ({"a": ["x", float("nan")], "b": "y"}, "A word of the verbalizer is missing"),
        ({"a": b"x", "b": "y"}, "A word of the verbalizer is a bytes"),
    ],
)
def test_verbalizers_that_cannot_be(verbalizer, message):
    with pytest.raises(ValueError, match=message):
        PatternVerbalizer("{a} [MASK]", verbalizer)


def test_what_integers_mean_can_be_said(tmp_path):
    words = {"1": "one", "0": "zero"}
    for setting, expected in (("auto", [1, 0]), ("name", [1, 0]), ("place", [0, 1]), (["1", "0"], [0, 1])):
        task = PatternVerbalizer("{a} [MASK]", words, integer_labels=setting)
        assert [task.label_index({"label": number}) for number in (0, 1)] == expected
        assert [task.label_index({"label": label}) for label in ("0", "1")] == [1, 0]
        task.save_pretrained(tmp_path)
        assert PatternVerbalizer.from_pretrained(tmp_path).integer_labels == setting
        assert task.label_index({"label": 0}, integer_labels="place") == 0
    mixed = PatternVerbalizer([{"pattern": "{a} [MASK]", "integer_labels": "place"}, "[MASK]: {a}"], words)
    again = PatternVerbalizer.from_dict(mixed.to_dict())
    assert [again.label_index({"label": 0}, number) for number in (0, 1)] == [0, 1]
    with pytest.raises(ValueError, match="integer_labels='index': expected 'auto', 'name', 'place', or a list"):
        PatternVerbalizer("{a} [MASK]", words, integer_labels="index")


@given(st.permutations(["1", "0", "-1"]), st.lists(st.sampled_from([1, 0, -1]), min_size=1, max_size=4), st.data())
def test_labels_of_all_types_train_the_same_classes(tokenizer, names, labels, data):
    order = data.draw(st.permutations(names))
    task = PatternVerbalizer("{a} [MASK]", dict(zip(names, ("x", "y", "z"), strict=True)))
    says_order = PatternVerbalizer.from_dict({**task.to_dict(), "integer_labels": order})
    forms = [
        labels,
        [str(label) for label in labels],
        np.array(labels),
        torch.tensor(labels),
        pd.Series(labels, index=range(len(labels), 0, -1)),
        pd.Series([*labels, None])[: len(labels)],
        pd.Series(labels, dtype="category"),
    ]
    expected = [names.index(str(label)) for label in labels]
    for form in forms:
        batch = DataCollatorForCloze(tokenizer, task)([{"a": "dog", "label": label} for label in form])
        assert batch["labels"].tolist() == expected
    integers = ClassLabel(names=order).str2int([str(label) for label in labels])
    batch = DataCollatorForCloze(tokenizer, says_order)([{"a": "dog", "label": label} for label in integers])
    assert batch["labels"].tolist() == expected


def test_patterns_of_different_labels_do_not_go_together(tokenizer):
    task = PatternVerbalizer(
        ["{a} [MASK]", {"pattern": "{a}? [MASK]", "verbalizer": {"p": "p", "q": "q"}}], {"x": "x", "y": "y"}
    )
    with pytest.raises(ValueError, match=r"different labels.*select"):
        task.encode({"a": "x"}, tokenizer)
    assert task.select([1]).labels == ["p", "q"]
    with pytest.raises(ValueError, match=r"patterns=\[2\]: the task has the patterns 0 ... 1"):
        task.select([2])


def test_content_free_keeps_the_choices():
    task = PatternVerbalizer(["{a} [MASK] {b}", "{c}: [MASK]"], choices="{options}", derived={"c": "{a} {b}"})
    example = {"a": "dog", "b": "fox", "options": ["x", "y"], "label": 0}
    free = {"a": "N/A", "b": "N/A", "c": "N/A", "options": ["x", "y"], "label": 0}
    assert task.content_free(example, "N/A") == free
    assert "c" not in example


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


def test_other_tokenizers_cannot_carry_a_task(tokenizer):
    other = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(ValueError, match="cannot carry a task: expected a GLMTokenizer"):
        FULL.attach(other)


def test_another_calibration_makes_another_task():
    changed = NLI.with_calibration({"temperature": 2.0})
    assert NLI.calibration is None
    assert changed.to_dict() == {**NLI.to_dict(), "calibration": {"temperature": 2.0}}
    assert changed.with_calibration(None).to_dict() == NLI.to_dict()


def test_an_answer_rule_belongs_to_its_calibration():
    rule = {"threshold": 0.75, "coverage": 0.9, "quantile": 0.125}
    ruled = NLI.with_calibration({"temperature": 2.0}).with_answer_rule(rule)
    assert NLI.answer_rule is None
    assert ruled.to_dict()["answer_rule"] == ruled.answer_rule == rule
    assert PatternVerbalizer.from_dict(json.loads(json.dumps(ruled.to_dict()))).to_dict() == ruled.to_dict()
    assert "answer_rule" not in ruled.with_answer_rule(None).to_dict()
    assert ruled.with_answer_rule(None).calibration == {"temperature": 2.0}
    assert ruled.with_calibration({"temperature": 3.0}).answer_rule is None
    assert ruled.select([0]).answer_rule is None


def test_published_tasks():
    assert PatternVerbalizer.from_task("rte").labels == ["entailment", "not_entailment"]
    assert PatternVerbalizer.from_task("rte").soft_tokens == 0
    assert PatternVerbalizer.from_task("rte", p_tuning=True).soft_tokens == 9
    with pytest.raises(ValueError, match="no prompt tokens for 'mnli'"):
        PatternVerbalizer.from_task("mnli", p_tuning=True)
    with pytest.raises(ValueError, match="Unknown task 'nothing'"):
        PatternVerbalizer.from_task("nothing")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "cloze.json is nested too deeply: expected at most 100 levels"),
        ('{"a": ' * 150 + "1" + "}" * 150, "cloze.json is nested too deeply"),
        ("[1]", "cloze.json holds a list: expected a JSON dict"),
        ("{", "cloze.json is not complete JSON"),
    ],
    ids=lambda text: text[:10],
)
def test_files_that_are_no_task(tmp_path, content, message):
    (tmp_path / "cloze.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        PatternVerbalizer.from_pretrained(tmp_path)


def test_content_free_leaves_the_parts_of_a_pattern():
    """A derived field without a field of the example is written by the author of the pattern."""
    task = PatternVerbalizer(
        "{a}?{asked}{b}? [MASK]", {"x": "Yes", "y": "No"}, derived={"asked": " Is it ", "b": "{a}!"}
    )
    example = task.content_free({"a": "rain"}, "N/A")
    assert task.fill(example) == "N/A? Is it N/A?[MASK]"
    assert task.content_free({"a": "rain", "asked": "own"}, "N/A")["asked"] == "N/A"


def test_tasks_with_the_spaces_of_the_originals():
    example = {"text": "Cold soup"}
    assert PatternVerbalizer.from_task("yelp_full").fill(example) == "It was[MASK]. Cold soup"
    assert PatternVerbalizer.from_task("yelp_full", original_spaces=True).fill(example) == "It was[MASK].Cold soup"
