"""The filling suite."""

from benchmarks.harness.results import Speed
from benchmarks.suites import filling


def test_texts_have_one_to_four_blanks():
    texts = filling.make_texts(8)
    assert [text.count("[MASK]") for text in texts] == [1, 2, 3, 4, 1, 2, 3, 4]
    assert texts == filling.make_texts(8)


def test_candidates_are_other_words():
    candidates = filling.make_candidates(20, "The year has twelve months.")
    assert len(set(candidates)) == 20
    assert not {word.strip() for word in candidates} & {"The", "year", "has", "twelve", "months"}


def test_suite_runs(quick):
    results = filling.run(quick)
    assert {type(result) for result in results} == {Speed}
    # Of the one round.
    assert all(0 < result.low == result.ratio == result.high == result.theirs / result.ours for result in results)
    assert [result.work for result in results] == [
        "7M parameters, fill 8 texts with 1 to 4 blanks in a batch",
        "7M parameters, rank 64 candidates for a blank",
    ]
