"""The filling suite."""

import pytest

from benchmarks.harness.results import Speed, Value
from benchmarks.suites import filling


def test_texts_have_one_to_four_blanks():
    texts = filling.make_texts(8)
    assert [text.count("[MASK]") for text in texts] == [1, 2, 3, 4, 1, 2, 3, 4]
    assert texts == filling.make_texts(8)


def test_candidates_are_other_words():
    candidates = filling.make_candidates(20, "The year has twelve months.")
    assert len(set(candidates)) == 20
    assert not {word.strip() for word in candidates} & {"The", "year", "has", "twelve", "months"}


@pytest.mark.slow
def test_suite_runs(quick):
    results = filling.run(quick)
    speeds = [result for result in results if isinstance(result, Speed)]
    # Of the one round.
    assert all(0 < result.low == result.ratio == result.high == result.theirs / result.ours for result in speeds)
    assert [result.work for result in speeds] == [
        "7M parameters, fill 8 texts with 1 to 4 blanks in a batch",
        "7M parameters, rank 64 candidates for a blank",
        "7M parameters, fill 4 texts with 4 beams",
        "7M parameters, tokenize 64 short texts",
    ]
    free, chosen = (result for result in results if isinstance(result, Value))
    assert free.work == "7M parameters, tokenize 64 short texts, share in filling a free answer each"
    assert chosen.work == "7M parameters, tokenize 64 short texts, share in filling one of three choices each"
    assert 0 < free.value < 0.5
    assert 0 < chosen.value < 0.5
