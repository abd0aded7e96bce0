"""Errors that name a row of a batch."""

from modeling_glm.tokenization.patterns.row_errors import name_row, tell


def test_a_row_is_named_by_its_number_and_what_it_holds():
    assert name_row(3, {"a": 1}) == "Example 3 of the batch ({'a': 1})"
    assert len(name_row(0, {"a": "x" * 1000})) < 240


def test_removed_columns_are_suspected_only_if_no_field_is_there():
    error = ValueError("No text.")
    assert "remove_unused_columns" in str(tell(0, {"label": 1}, error, {"source"}))
    assert str(tell(0, {"source": ""}, error, {"source"})) == "Example 0 of the batch ({'source': ''}): No text."
    assert "remove_unused_columns" not in str(tell(0, {"label": 1}, error, set()))
