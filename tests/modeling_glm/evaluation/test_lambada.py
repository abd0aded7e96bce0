"""LAMBADA: the originals' samples and accuracy, in both directions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm import GLMTokenizer
from modeling_glm.evaluation.lambada import evaluate_lambada, lay_out_last_word, split_last_word
from modeling_glm.evaluation.texts import encode_plain
from modeling_glm.utils.rows import RowError
from tests.support.models import TOKEN_IDS
from tests.support.naive_scoring import naive_log_probs
from tests.support.original_evaluation import (
    as_sample,
    config_of,
    load_tiny,
    read_cases,
    read_flags,
    unpad,
    vocabulary_of,
)
from tests.support.paths import EXAMPLES

WINDOWS = read_cases("lm/windows.json")
SAMPLES = [case for case in WINDOWS["cases"] if case["task"] == "lambda"]
EVALUATION = read_cases("lm/evaluation.json")
CASES = [case for case in EVALUATION["cases"] if case["task"] == "lambda"]
TEXTS = [
    "She took the key and opened the door",
    "  He looked at the bell and rang the bell.  ",
    "A much longer text that loses its start where few tokens are allowed, as in this place here",
]


def read_rows(file: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.splitlines()]


@pytest.fixture(scope="module")
def tokenizer():
    return GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")


@pytest.mark.parametrize("number", range(len(SAMPLES)))
def test_samples_are_those_of_the_originals(vocabulary, number):
    case = SAMPLES[number]
    flags = read_flags(case["flags"])
    family, has_task_masks = vocabulary_of(case["tokenizer"])
    tokenizer = vocabulary(family)
    mask = tokenizer.gmask_token_id if has_task_masks and tokenizer.gmask_token_id else tokenizer.mask_token_id
    rows = read_rows(WINDOWS["files"][case["file"]])
    encoded = [encode_plain(tokenizer, split_last_word(row["text"])) for row in rows]
    assert [context for context, _ in encoded] == case["contexts"]
    assert [answer for _, answer in encoded] == case["answers"]
    laid_out = [
        as_sample(
            lay_out_last_word(
                context,
                answer,
                tokenizer.special_token_ids,
                mask,
                max_length=flags.seq_length,
                unidirectional=flags.unidirectional,
            ),
            config_of(tokenizer),
        )
        for context, answer in encoded
    ]
    pairs = [(mine, unpad(theirs)) for mine, theirs in zip(laid_out, case["samples"], strict=True) if "text" in theirs]
    assert [mine for mine, _ in pairs] == [theirs for _, theirs in pairs]
    # Where the originals fail, the text loses its start.
    refused = [mine for mine, theirs in zip(laid_out, case["samples"], strict=True) if "error" in theirs]
    assert all(len(sample["text"]) == flags.seq_length for sample in refused)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_accuracy_of_the_originals(number):
    case = CASES[number]
    model, tokenizer = load_tiny(case["model"])
    flags = read_flags(case["flags"])
    result = evaluate_lambada(
        model,
        tokenizer,
        read_rows(EVALUATION["files"][case["file"]]),
        max_length=flags.seq_length,
        unidirectional=flags.unidirectional,
    )
    assert list(map(float, result.correct)) == case["per_sample_correct"]
    assert result.accuracy == pytest.approx(case["score"]["accuracy"])


@pytest.mark.parametrize("unidirectional", [False, True])
def test_scores_are_those_of_token_by_token(model, tokenizer, unidirectional):
    result = evaluate_lambada(model, tokenizer, TEXTS, unidirectional=unidirectional, batch_size=2)
    for text, log_prob in zip(TEXTS, result.log_probs, strict=True):
        context, answer = encode_plain(tokenizer, split_last_word(text))
        first, rest = (context[:1], context[1:]) if unidirectional else (context, [])
        row = [tokenizer.cls_token_id, *first, tokenizer.gmask_token_id, tokenizer.eos_token_id]
        naive = naive_log_probs(model, row, [0], [[*rest, *answer]])[0][len(rest) : -1]
        assert log_prob == pytest.approx(sum(naive), abs=1e-4)
    assert result.answers == ("door", "bell.", "here")
    assert result.counts() == {"num_examples": 3, "num_cut": 0}
    assert [row["log_prob"] for row in result.details()] == list(result.log_probs)


@pytest.mark.parametrize("unidirectional", [False, True])
def test_long_texts_lose_their_start(model, tokenizer, unidirectional):
    short, long = (
        evaluate_lambada(model, tokenizer, texts, max_length=16, unidirectional=unidirectional)
        for texts in (["as in this place here"], [f"{'much more text ' * 40}as in this place here"])
    )
    assert (short.num_cut, long.num_cut) == (0, 1)
    assert short.log_probs != long.log_probs


@given(st.text(min_size=1).filter(str.strip))
def test_a_text_is_its_context_and_its_last_word(text):
    context, answer = split_last_word(text)
    assert answer[0] == " "
    assert answer[1:] == text.split()[-1]
    assert [*context.split(), answer[1:]] == text.split()


@pytest.mark.parametrize("text", ["", " ", "\n\t\x1c"])
def test_a_text_without_a_word_is_an_error(text):
    with pytest.raises(ValueError, match="The text has no word"):
        split_last_word(text)


def test_a_text_of_one_word_has_an_empty_context():
    ids = {name: TOKEN_IDS[name] for name in ("cls_token_id", "eos_token_id")}
    for unidirectional in (False, True):
        row = lay_out_last_word([], [9, 8], ids, 3, max_length=20, unidirectional=unidirectional)
        assert (row.context, row.continuations, row.skip) == ([2, 3, 1], [[9, 8]], 0)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, "There are no texts"),
        ([TEXTS[0], "  "], {}, "Text 1 has no word"),
        ([{"text": TEXTS[0]}, {"text": None}], {}, "Text 1 is None, of type NoneType"),
        (
            [{"sentence": "a b", "id": 3}],
            {},
            r"""Text 0 is a dict with the fields \['sentence', 'id'\].*"text" among""",
        ),
        ([TEXTS[0], "x" * 90], {"max_length": 8}, "Text 1 has a last word of .* tokens, but max_length=8 holds 5"),
        (TEXTS, {"max_length": 65}, "max_length=65: expected 8 to 64"),
    ],
)
def test_errors(model, tokenizer, rows, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_lambada(model, tokenizer, rows, **options)


def test_bad_rows_are_recorded_and_the_others_answered(model, tokenizer):
    result = evaluate_lambada(model, tokenizer, [TEXTS[0], "", TEXTS[1]], on_error="record")
    assert [type(error) for error in result.errors] == [RowError]
    assert result.answers == ("door", "bell.")
    assert [one["row"] for one in result.details()] == [0, 2]
