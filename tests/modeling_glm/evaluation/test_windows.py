"""Windows: those of the originals, every token scored once, and settings that would skip tokens refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.evaluation.texts import encode_plain
from modeling_glm.evaluation.windows import (
    Window,
    check_window,
    default_stride,
    default_window,
    lay_out_window,
    plan_windows,
)
from modeling_glm.tokenization.seq2seq.detokenizers import detokenize_wikitext
from tests.support.models import TOKEN_IDS, tiny_config
from tests.support.original_evaluation import (
    as_sample,
    config_of,
    read_cases,
    read_documents,
    read_flags,
    unpad,
    vocabulary_of,
)

FILES = read_cases("lm/windows.json")["files"]
CASES = read_cases("lm/windows.json")["cases"]
CLS, MASK = TOKEN_IDS["cls_token_id"], TOKEN_IDS["gmask_token_id"]


def is_sound(case) -> bool:
    """A stride above the window makes the originals skip tokens."""
    flags = read_flags(case["flags"])
    return case["task"] != "lambda" and flags.overlapping_eval < flags.seq_length


@pytest.mark.parametrize("number", [number for number, case in enumerate(CASES) if is_sound(case)])
def test_windows_are_those_of_the_originals(vocabulary, number):
    case = CASES[number]
    flags = read_flags(case["flags"])
    family, has_task_masks = vocabulary_of(case["tokenizer"])
    tokenizer = vocabulary(family)
    mask = tokenizer.gmask_token_id if has_task_masks else None
    config = config_of(tokenizer)
    texts = read_documents(case, FILES)
    if case["task"] == "wikitext":
        texts = [detokenize_wikitext(text) for text in texts]
    assert encode_plain(tokenizer, texts) == case["documents"]
    planned = [plan_windows(len(ids), flags.seq_length - 1, flags.overlapping_eval) for ids in case["documents"]]
    # The originals make a broken window of a document without a token to score.
    kept = [count if len(ids) > 1 else 0 for ids, count in zip(case["documents"], case["num_sequences"], strict=True)]
    assert [len(windows) for windows in planned] == kept
    samples = [
        as_sample(
            lay_out_window(
                ids,
                window,
                tokenizer.cls_token_id,
                mask or tokenizer.mask_token_id,
                unidirectional=flags.unidirectional,
            ),
            config,
        )
        for ids, windows in zip(case["documents"], planned, strict=True)
        for window in windows
    ]
    assert samples == [unpad(sample) for sample in case["samples"] if any(sample["loss_mask"])]


@pytest.mark.parametrize("number", [number for number, case in enumerate(CASES) if not is_sound(case)])
def test_strides_above_the_window_are_refused(number):
    case = CASES[number]
    flags = read_flags(case["flags"])
    refused = pytest.raises(ValueError, match=f"stride={flags.overlapping_eval}.*skips tokens")
    for ids in case.get("documents", ()):
        with refused:
            plan_windows(len(ids), flags.seq_length - 1, flags.overlapping_eval)


def test_an_example_worked_by_hand():
    assert plan_windows(9, 6, 2) == [Window(0, 6, 1), Window(2, 8, 6), Window(4, 9, 8)]
    letters = [*range(10, 19)]
    row = lay_out_window(letters, Window(2, 8, 6), CLS, MASK)
    assert (row.context, row.continuations, row.skip) == ([CLS, 12, 13, 14, 15, MASK], [[16, 17]], 0)
    row = lay_out_window(letters, Window(2, 8, 6), CLS, MASK, unidirectional=True)
    assert (row.context, row.continuations, row.skip) == ([CLS, 12, MASK], [[13, 14, 15, 16, 17]], 3)


@given(
    num_tokens=st.integers(0, 60),
    window=st.integers(2, 12),
    data=st.data(),
    score_first=st.booleans(),
    unidirectional=st.booleans(),
)
def test_every_token_is_scored_once_behind_those_before_it(num_tokens, window, data, score_first, unidirectional):
    stride = data.draw(st.integers(1, window))
    ids = list(range(100, 100 + num_tokens))
    windows = plan_windows(num_tokens, window, stride, score_first=score_first)
    rows = [lay_out_window(ids, planned, CLS, MASK, unidirectional=unidirectional) for planned in windows]
    scored = [token for row in rows for token in row.continuations[0][row.skip :]]
    assert scored == ids[0 if score_first else 1 :]
    assert [planned.num_scored for planned in windows] == [len(row.continuations[0]) - row.skip for row in rows]
    for planned, row in zip(windows, rows, strict=True):
        shown = [*row.context[1:-1], *row.continuations[0]]
        assert shown == ids[planned.start : planned.stop]
        assert len(shown) <= window
    # From the second window on, each shows as many scored tokens as fit.
    assert all(planned.scored - planned.start == window - stride for planned in windows[1:])


def test_defaults_are_those_of_the_paper():
    config = tiny_config(max_position_embeddings=1024)
    assert (default_window(config), default_stride(default_window(config))) == (1023, 256)
    assert default_stride(2) == 1


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        (49, 8, r"window=49: expected 2 to 48, because config.max_position_embeddings=48"),
        (1, 1, r"window=1: expected 2 to 48"),
        (16.0, 8, r"window=16.0 is of type float: expected a whole number"),
        (16, 17, r"stride=17: expected 1 to 16, because a stride above the window \(16\) skips tokens"),
        (16, 0, r"stride=0: expected 1 to 16"),
    ],
)
def test_settings_out_of_range_are_errors(window, stride, message):
    with pytest.raises(ValueError, match=message):
        check_window(window, stride, tiny_config())
