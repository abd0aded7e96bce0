"""The naive corruption lays a text out as worked by hand; test_spans.py compares it with the collator."""

from benchmarks.harness import naive_infilling

CLS, EOS, MASK, SOP, EOP = 1, 2, 3, 4, 5


def test_layout_is_the_one_worked_by_hand():
    # [CLS] a b c d <eos> with the blanks "b" and "d"; the piece of "d" comes first.
    text = [CLS, 10, 11, 12, 13, EOS]
    row = naive_infilling.lay_out(text, [(2, 3), (4, 5)], [1, 0], False, MASK, SOP, EOP, CLS)
    assert row == {
        "input_ids": [CLS, 10, MASK, 12, MASK, EOS, SOP, 13, SOP, 11],
        "position_ids": [[0, 1, 2, 3, 4, 5, 4, 4, 2, 2], [0, 0, 0, 0, 0, 0, 1, 2, 1, 2]],
        "labels": [-100, -100, -100, -100, -100, -100, 13, EOP, 11, EOP],
    }


def test_open_end_has_no_end_of_piece():
    row = naive_infilling.lay_out([CLS, 10, 11], [(1, 3)], [0], True, MASK, SOP, EOP, CLS)
    assert row["input_ids"] == [CLS, MASK, SOP, 10]
    assert row["labels"] == [-100, -100, 10, 11]
