"""Random words become blanks: their number, their answers, and the draws of the authors' code."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.tokenization.seq2seq.readers.cleaning import detokenize_blank_lm
from modeling_glm.tokenization.seq2seq.word_blanks import BLANK, answers_between, blank_words
from tests.support.seq2seq_features import CASES, FEATURES, flag_of

SPLITS = {"train": "train", "dev": "valid"}
DRAWN = [
    case
    for case in CASES
    if case["task"] == "blank"
    and case["split"] in SPLITS
    and case.get("samples")
    and "--task-mask" not in case["flags"]
]


@given(
    words=st.lists(st.text("ab", min_size=1, max_size=3), max_size=12),
    ratio=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_answers_fill_the_blanks(words, ratio, seed):
    blanked, answers = blank_words("  ".join(words), ratio, Random(seed))
    assert sum(len(answer.split()) for answer in answers) == int(len(words) * ratio)
    pieces = blanked.split()
    assert not any(left == right == BLANK for left, right in itertools.pairwise(pieces))
    remaining = iter(answers)
    filled = [next(remaining) if piece == BLANK else piece for piece in pieces]
    assert " ".join(filled) == " ".join(words)
    assert next(remaining, None) is None


@pytest.fixture
def tokenizer(original_tokenizer):
    return original_tokenizer("bert")


@pytest.mark.parametrize("case", DRAWN, ids=lambda case: f"{case['split']}-{flag_of(case, '--blank-maskratio')}")
def test_draws_are_those_of_the_originals(case, tokenizer):
    rng = Random(int(flag_of(case, "--seed")))
    contexts = []
    for line in FEATURES["files"]["blank"][f"{SPLITS[case['split']]}.txt"].splitlines():
        blanked, _ = blank_words(detokenize_blank_lm(line), float(flag_of(case, "--blank-maskratio")), rng)
        ids = tokenizer(blanked, add_special_tokens=False)["input_ids"][: case["src_seq_length"]]
        contexts.append(ids + [tokenizer.pad_token_id] * (case["src_seq_length"] - len(ids)))
    assert contexts == [sample["text"][: case["src_seq_length"]] for sample in case["samples"]]


@pytest.mark.parametrize("ratio", [-0.1, 1.5, float("nan")])
def test_ratio_outside_0_to_1(ratio):
    with pytest.raises(ValueError, match="expected a share of the words from 0 to 1"):
        blank_words("a b", ratio, Random(0))


@given(
    words=st.lists(st.sampled_from("ab"), min_size=1, max_size=10), ratio=st.floats(0, 1), seed=st.integers(0, 1000)
)
def test_answers_between_fit_the_text(words, ratio, seed):
    """Words repeat, so other answers than the removed ones may fit. They must give the text."""
    blanked, removed = blank_words(" ".join(words), ratio, Random(seed))
    answers = answers_between(blanked, " ".join(words))
    assert answers is not None
    assert len(answers) == len(removed)
    assert all(answers)
    remaining = iter(answers)
    assert " ".join(next(remaining) if piece == BLANK else piece for piece in blanked.split()) == " ".join(words)


@pytest.mark.parametrize(
    ("blanked", "text", "expected"),
    [
        ("[MASK]", "a b", ["a b"]),
        ("a [MASK] c [MASK]", "a b c d e", ["b", "d e"]),
        ("[MASK] a [MASK] a", "a a a a", ["a", "a"]),
        ("a b", "a b", []),
        ("a b", "a c", None),
        ("a [MASK]", "a", None),
        ("[MASK] b", "b", None),
        ("a [MASK] a", "a a", None),
        ("b [MASK]", "a c", None),
        ("a [MASK] b [MASK] d", "a c d", None),
    ],
)
def test_answers_between_by_hand(blanked, text, expected):
    assert answers_between(blanked, text) == expected
