"""Multiple choice: the originals' samples and scores, choices spaced as the text is, and errors by row."""

import json

import pandas as pd
import pytest

from modeling_glm import GLMTokenizer
from modeling_glm.evaluation.choices import ChoiceExample, evaluate_choices, lay_out_choices, read_choice_example
from modeling_glm.utils.rows import RowError
from tests.support.naive_scoring import naive_log_probs
from tests.support.original_evaluation import as_sample, config_of, load_tiny, read_cases, read_flags
from tests.support.paths import EXAMPLES

GOLDEN = read_cases("cloze/multichoice.json")
ROWS = [json.loads(line) for line in GOLDEN["file"].splitlines()]
CASES = GOLDEN["cases"]
SCORED = [number for number, case in enumerate(CASES) if "scores" in case["samples"][0]]
EXAMPLES_GIVEN = [
    {"text": "Ice is [MASK].", "choices": ["cold", " hot as fire", "wet"], "label": 0},
    {"text": "The sun rises in the", "choices": [" east", " west"], "label": "west"},
]


@pytest.fixture(scope="module")
def tokenizer():
    return GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")


@pytest.mark.parametrize("number", range(len(CASES)))
def test_samples_are_those_of_the_originals(vocabulary, number):
    case = CASES[number]
    tokenizer, flags = vocabulary(case["tokenizer"]), read_flags(case["flags"])
    for row, sample in zip(ROWS, case["samples"], strict=True):
        example = read_choice_example(row)
        assert example.label == sample["label"]
        laid_out, _ = lay_out_choices(
            tokenizer,
            example,
            max_length=flags.seq_length,
            unidirectional=flags.unidirectional,
            as_written=True,
        )
        for choice in range(len(example.choices)):
            mine = as_sample(laid_out, config_of(tokenizer), choice)
            length, scored = len(mine["text"]), sample["logit_mask"][choice]
            assert mine["text"] == sample["text"][choice][:length]
            assert mine["attention_mask"] == sample["mask"][choice]
            assert mine["position_id"] == [positions[:length] for positions in sample["position"][choice]]
            assert mine["loss_mask"] == scored[:length]
            assert not any(scored[length:])
            # Unidirectional, the originals have targets for the choice alone.
            targets = [target * one for target, one in zip(mine["target"], mine["loss_mask"], strict=True)]
            assert targets == sample["target"][choice][:length]


@pytest.mark.parametrize("number", SCORED)
def test_scores_of_the_originals(number):
    case = CASES[number]
    model, tokenizer = load_tiny(case["tokenizer"])
    flags = read_flags(case["flags"])
    options = {"max_length": flags.seq_length, "unidirectional": flags.unidirectional, "as_written": True}
    result = evaluate_choices(model, tokenizer, ROWS, **options)
    expected = [sample["scores"] for sample in case["samples"]]
    for found, scores in zip(result.scores, expected, strict=True):
        assert found == pytest.approx(scores, abs=1e-4)
    assert list(result.predictions) == [scores.index(max(scores)) for scores in expected]
    assert list(result.labels) == [sample["label"] for sample in case["samples"]]


def test_choices_are_spaced_as_the_text_is(model, tokenizer):
    spaced, glued = (
        lay_out_choices(tokenizer, ChoiceExample(text, ["cold", " cold"], 0), max_length=64)[0].continuations
        for text in ("Ice is [MASK].", "Ice is (very)[MASK].")
    )
    assert spaced[0] == spaced[1] == glued[1]
    assert glued[0] != glued[1]
    written, _ = lay_out_choices(
        tokenizer, ChoiceExample("Ice is [MASK].", ["cold"], 0), max_length=64, as_written=True
    )
    assert written.continuations[0] == glued[0]


@pytest.mark.parametrize("unidirectional", [False, True])
def test_scores_are_those_of_token_by_token(model, tokenizer, unidirectional):
    rows = EXAMPLES_GIVEN[1:] if unidirectional else EXAMPLES_GIVEN
    result = evaluate_choices(model, tokenizer, rows, unidirectional=unidirectional)
    for row, scores in zip(rows, result.scores, strict=True):
        laid_out, _ = lay_out_choices(
            tokenizer, read_choice_example(row), max_length=64, unidirectional=unidirectional
        )
        naive = [
            sum(naive_log_probs(model, laid_out.context, [0], [choice])[0][laid_out.skip : -1])
            for choice in laid_out.continuations
        ]
        assert scores == pytest.approx(naive, abs=1e-4)


def test_accuracy_chance_and_length_penalty(model, tokenizer):
    result = evaluate_choices(model, tokenizer, EXAMPLES_GIVEN)
    right = sum(map(int.__eq__, result.predictions, result.labels))
    assert result.labels == (0, 1)
    low, high = result.interval
    assert low <= 50.0 * right <= high
    assert result.metrics() == {
        "accuracy": 50.0 * right,
        "accuracy_low": low,
        "accuracy_high": high,
        "chance": pytest.approx(100 * (1 / 3 + 1 / 2) / 2),
    }
    mean = evaluate_choices(model, tokenizer, EXAMPLES_GIVEN, length_penalty=1.0)
    lengths = [
        [
            len(choice)
            for choice in lay_out_choices(tokenizer, read_choice_example(row), max_length=64)[0].continuations
        ]
        for row in EXAMPLES_GIVEN
    ]
    for found, scores, counts in zip(mean.scores, result.scores, lengths, strict=True):
        assert found == pytest.approx([score / count for score, count in zip(scores, counts, strict=True)], abs=1e-5)


def test_a_long_text_loses_its_start_and_never_its_blank(tokenizer):
    text = f"{'far before '} [MASK] {'far behind ' * 30}"
    row, is_cut = lay_out_choices(tokenizer, ChoiceExample(text, [" a"], 0), max_length=20)
    assert is_cut
    assert row.context[1] == tokenizer.mask_token_id
    row, is_cut = lay_out_choices(tokenizer, ChoiceExample("far before " * 30, [" a"], 0), max_length=20)
    assert is_cut
    assert row.context[-2:] == [tokenizer.gmask_token_id, tokenizer.eos_token_id]
    assert len(row.context) == 19


def test_a_text_without_a_blank_continues_at_its_end(tokenizer):
    mask, gmask, eos = tokenizer.mask_token_id, tokenizer.gmask_token_id, tokenizer.eos_token_id
    spaced = tokenizer(" east", add_special_tokens=False)["input_ids"]
    for text, choice, as_written, expected in (
        ("The sun rises in the", " east", False, gmask),
        ("The sun rises in the ", "east", False, gmask),
        ("The sun rises in the ", " east", False, gmask),
        ("The sun rises in the", "east", False, gmask),
        ("The sun rises in the", " east", True, mask),
    ):
        row, _ = lay_out_choices(tokenizer, ChoiceExample(text, [choice], 0), max_length=64, as_written=as_written)
        words = tokenizer("The sun rises in the", add_special_tokens=False)["input_ids"]
        assert row.context == [tokenizer.cls_token_id, *words, expected, eos]
        assert row.continuations == [spaced]


def test_scripts_without_spaces_get_none(tokenizer):
    for text, choice, expected in (
        ("法国的首都是", "巴黎", "巴黎"),
        ("法国的首都是", "Paris", "Paris"),
        ("It is", "巴黎", "巴黎"),
        ("", "It", "It"),
    ):
        row, _ = lay_out_choices(tokenizer, ChoiceExample(text, [choice], 0), max_length=64)
        assert row.continuations == [tokenizer(expected, add_special_tokens=False)["input_ids"]]


def test_rows_of_a_table(model, tokenizer):
    table = pd.DataFrame(EXAMPLES_GIVEN, index=[7, 7])
    assert (
        evaluate_choices(model, tokenizer, table).scores == evaluate_choices(model, tokenizer, EXAMPLES_GIVEN).scores
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, "Example 1: label=3: expected 0 to 2, the number of one of the 3 choices"),
        ({"label": True}, "Example 1: label=True is of type bool"),
        ({"label": "icy"}, r"Example 1 has the label 'icy': expected one of its choices"),
        ({"choices": []}, r"Example 1: 'choices' is \[\]: expected a list with at least one string"),
        ({"choices": ["a", " "]}, "Example 1 has an empty choice, number 1 of 'choices'"),
        ({"text": "A [MASK] is [MASK]."}, "Example 1 has 2 blanks: expected one, or none to fill its end"),
        ({"text": 5}, "Example 1: The text is 5, of type int"),
        ({"choices": ["word " * 70]}, "Example 1 has a choice of .* tokens, but max_length=64 holds less"),
    ],
)
def test_bad_rows_are_errors_by_number(model, tokenizer, change, message):
    with pytest.raises(RowError, match=message) as caught:
        evaluate_choices(model, tokenizer, [EXAMPLES_GIVEN[0], {**EXAMPLES_GIVEN[0], **change}])
    assert caught.value.row == 1


@pytest.mark.parametrize(("label", "expected"), [(" west ", 1), ("0", 0), ("7", 2)])
def test_labels_as_text(label, expected):
    row = {"text": "a", "choices": [" east", " west", "7"], "label": label}
    assert read_choice_example(row).label == expected


def test_missing_fields_and_blanks_inside_a_text(model, tokenizer):
    for row, missing in (
        ({"text": "a", "label": 0}, "choices"),
        ({"inputs_pretokenized": "a", "choices_pretokenized": ["b"]}, "label"),
        ({"question": "a"}, "text"),
    ):
        with pytest.raises(RowError, match=f"Example 0 has no '{missing}'"):
            evaluate_choices(model, tokenizer, [row])
    with pytest.raises(RowError, match="Example 0 has a blank before its end"):
        evaluate_choices(model, tokenizer, EXAMPLES_GIVEN[:1], unidirectional=True)
    with pytest.raises(ValueError, match="There are no examples"):
        evaluate_choices(model, tokenizer, [])


def test_bad_rows_are_recorded_and_the_others_answered(model, tokenizer):
    result = evaluate_choices(model, tokenizer, [{"text": "a"}, *EXAMPLES_GIVEN], on_error="record")
    assert [error.row for error in result.errors] == [0]
    assert [one["row"] for one in result.details()] == [1, 2]
