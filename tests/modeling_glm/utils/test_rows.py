"""Rows of any input: the caller's order, whatever the rows come in; and errors in the places of their rows."""

import copy
import enum
import pickle
from collections import UserDict

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from datasets import Dataset, DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm.utils.rows import (
    InputRows,
    RowError,
    as_row_error,
    check_on_error,
    check_rows,
    in_batches,
    read_example,
    read_list,
    read_rows,
    read_text,
    rename_taken,
)
from tests.support.containers import CONTAINERS, LAZY


def read_all(inputs) -> list[str]:
    return [read_text(row) for row in read_rows(inputs)]


@pytest.mark.parametrize("name", CONTAINERS)
@settings(max_examples=20)
@given(texts=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_order_and_type_do_not_matter(name, texts):
    assert read_all(CONTAINERS[name](texts)) == texts


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_is_read_lazily_is_no_single_row(name):
    rows = read_rows(CONTAINERS[name](["b", "a"]))
    assert not rows.single
    assert rows.lazy == (name in LAZY)


@pytest.mark.parametrize(
    "inputs", ["a", np.str_("a"), np.array("a"), {"text": "a"}, UserDict(text="a"), {"only": "a"}]
)
def test_one_text(inputs):
    rows = read_rows(inputs)
    assert rows.single
    assert read_all(rows) == ["a"]
    assert type(read_text(next(iter(rows)))) is str


def test_rows_of_a_generator_are_read_as_they_are_wanted():
    taken = []
    rows = read_rows(taken.append(number) or number for number in range(9))
    assert taken == []
    first, batch = next(in_batches(rows, 4))
    assert (first, batch, taken) == (0, [0, 1, 2, 3], [0, 1, 2, 3])


def test_batches_say_where_they_begin():
    assert list(in_batches(iter("abcde"), 2)) == [(0, ["a", "b"]), (2, ["c", "d"]), (4, ["e"])]
    assert list(in_batches([], 2)) == []


FIELDS = {"premise", "hypothesis"}
PAIRS = [{"premise": "b", "hypothesis": "y"}, {"premise": "a", "hypothesis": "x"}]


TABLES = {
    "list": lambda: PAIRS,
    "iterator": lambda: iter(PAIRS),
    "frame": lambda: pd.DataFrame(PAIRS, index=[1, 0]),
    "frame, one label for all": lambda: pd.DataFrame(PAIRS, index=["t", "t"]),
    "frame, sorted back": lambda: pd.DataFrame(PAIRS[::-1]).sort_values("premise", ascending=False),
    "columns": lambda: {"premise": ["b", "a"], "hypothesis": ("y", "x")},
    "columns of series": lambda: {
        "premise": pd.Series(["b", "a"], index=[1, 0]),
        "hypothesis": pd.Series(["y", "x"], index=[5, 5]),
    },
    "columns of arrays": lambda: {"premise": np.array(["b", "a"]), "hypothesis": pa.array(["y", "x"])},
    "dataset": lambda: Dataset.from_list(PAIRS),
    "columns of a dataset": lambda: dict(Dataset.from_list(PAIRS)[:]),
    "table": lambda: pa.table({"premise": ["b", "a"], "hypothesis": ["y", "x"]}),
    "array": lambda: np.array([("b", "y"), ("a", "x")], dtype=[("premise", "U1"), ("hypothesis", "U1")]),
    "rows of a frame": lambda: [pd.DataFrame(PAIRS).iloc[place] for place in range(2)],
    "tuples of a frame": lambda: pd.DataFrame(PAIRS).itertuples(index=False),
    "series of dicts": lambda: pd.Series(PAIRS, index=[1, 0]),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_dicts_by_row(name):
    assert [read_example(row, FIELDS) for row in read_rows(TABLES[name](), FIELDS)] == PAIRS


def test_lists_in_one_example_are_no_columns():
    example = {"text": "Where?", "options": ["a", "b"]}
    assert read_rows(example, {"text"}) == InputRows([example], single=True)
    many = {"text": ["Where?", "Who?"], "options": [["a", "b"], ["c"]]}
    rows = read_rows(many, {"text"})
    assert not rows.single
    assert list(rows) == [example, {"text": "Who?", "options": ["c"]}]
    # All of a dict decides where nothing else is known.
    assert read_rows({"options": ["a", "b"], "n": 1}).single


def test_an_example_of_one_field_may_be_its_value():
    assert read_example("a", {"text"}) == {"text": "a"}
    assert read_text(pd.Series({"id": 7, "text": "a"})) == "a"
    assert read_example(3, ["sentence"]) == {"sentence": 3}
    with pytest.raises(
        ValueError, match=r"reads the fields \['hypothesis', 'premise'\]: give a dict with them in place of 'a'"
    ):
        read_example("a", FIELDS)


class PolarsFrame:
    """As polars: iterating gives the columns, and the rows have a method of their own."""

    columns = property(lambda self: list(PAIRS[0]))

    def __iter__(self):
        return iter(zip(*(row.values() for row in PAIRS), strict=True))

    def iter_rows(self, named: bool):
        assert named
        return iter(PAIRS)


class OtherFrame:
    """As dask: iterating gives the names of the columns."""

    columns = property(lambda self: list(PAIRS[0]))

    def __iter__(self):
        return iter(PAIRS[0])


def test_tables_of_other_libraries_are_read_by_row():
    assert list(read_rows(PolarsFrame(), FIELDS)) == PAIRS
    with pytest.raises(
        ValueError, match=r"OtherFrame, a table whose rows are not known: turn it into a DataFrame of pandas"
    ):
        read_rows(OtherFrame(), FIELDS)


class Kind(str, enum.Enum):  # noqa: UP042  whose str() is "Kind.HOT"
    HOT = "hot"


def test_members_of_an_enum_are_their_texts():
    assert (read_text(Kind.HOT), read_list([Kind.HOT])) == ("hot", ["hot"])
    assert [type(text) for text in (read_text(Kind.HOT), *read_list([Kind.HOT]))] == [str, str]


NO_ROWS = {
    "int": (lambda: 5, "The input is a int: expected a text"),
    "None": (lambda: None, "The input is a NoneType"),
    "bytes": (lambda: b"a", "The input is a bytes"),
    "set": (lambda: {"a", "b"}, "The input is a set: expected a text, or texts in an order"),
    "tensor": (lambda: torch.tensor([1]), "The input is a Tensor"),
    "array of two columns": (lambda: np.array([["a", "b"]]), r"an array of shape \(1, 2\)"),
    "splits": (
        lambda: DatasetDict(train=Dataset.from_dict({"text": ["a"]})),
        r"a DatasetDict with the splits \['train'\]: give one of them",
    ),
    "columns of different lengths": (lambda: {"text": ["a"], "id": [1, 2]}, "'text' has 1, 'id' has 2"),
    "a name twice": (lambda: pd.DataFrame([["a", "b"]], columns=["x", "x"]), "two columns with the name 'x'"),
}


@pytest.mark.parametrize("name", NO_ROWS)
def test_what_is_not_rows(name):
    make, message = NO_ROWS[name]
    with pytest.raises(ValueError, match=message):
        read_rows(make())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (None, "The text is None, of type NoneType"),
        (float("nan"), "The text is nan, of type float"),
        (pd.NA, "The text is <NA>, of type NAType"),
        (b"a [MASK]", r"The text is b'a \[MASK\]', of type bytes"),
        (["a"], r"The text is \['a'\], of type list"),
        (5, "The text is 5, of type int"),
        ({"text": None}, "The text is None"),
        ({"a": "x", "b": "y"}, r"a dict with the fields \['a', 'b'\]"),
        ({}, r"a dict with the fields \[\]"),
        (["a"] * 100, r"'a',\.\.\., of type list"),
        ("a \ud83d b", "half of a surrogate pair at character 2"),
    ],
    ids=["None", "nan", "NA", "bytes", "list", "int", "field None", "two fields", "no field", "long", "surrogate"],
)
def test_what_is_no_text(row, message):
    with pytest.raises(ValueError, match=message):
        read_text(row)


def check_positive(value: int) -> str:
    if value < 0:
        raise ValueError(f"The value is {value}.")
    return str(value)


@given(st.lists(st.integers(-3, 3)), st.integers(0, 100))
def test_errors_stand_in_the_places_of_their_rows(values, first_row):
    checked = check_rows(values, check_positive, kind="Value", on_error="record", first_row=first_row)
    results = checked.restore([f"<{value}>" for value in checked.good])
    assert checked.numbers == [first_row + place for place, value in enumerate(values) if value >= 0]
    for place, (value, result) in enumerate(zip(values, results, strict=True)):
        shown = str(result) if value < 0 else result
        assert shown == (f"Value {first_row + place} is {value}." if value < 0 else f"<{value}>")


def test_restoring_takes_one_result_for_each_good_row():
    checked = check_rows([1, -1], check_positive, on_error="record")
    with pytest.raises(ValueError, match="more results than the 1 good rows"):
        checked.restore(["a", "b"])


def test_a_row_may_be_an_error_already():
    rows = ["one", ValueError("The line is broken."), RowError(7, "The text is odd.", "Text"), "two"]
    checked = check_rows(rows, read_text, on_error="record")
    results = [str(result) for result in checked.restore(["1", "2"])]
    assert results == ["1", "Row 1: The line is broken.", "Text 2 is odd.", "2"]
    with pytest.raises(RowError, match="Row 1: The line is broken"):
        check_rows(rows, read_text)


@pytest.mark.parametrize(
    "name", ["lists", "tuples", "array", "column array", "frame", "columns", "series", "records", "iterators"]
)
def test_rows_of_several_texts(name):
    wide = {
        "lists": [["b", "y"], ["a", "x"]],
        "tuples": (("b", "y"), ("a", "x")),
        "array": np.array([["b", "y"], ["a", "x"]]),
        "column array": np.array([[["b", "y"]], [["a", "x"]]])[:, 0],
        "frame": pd.DataFrame({"first": ["b", "a"], "second": ["y", "x"]}, index=[1, 0]),
        "columns": {"first": ["b", "a"], "second": pd.Series(["y", "x"], index=[1, 0])},
        "series": pd.Series([["b", "y"], pd.Series(["a", "x"], index=[1, 0])], index=["t", "t"]),
        "records": Dataset.from_list(PAIRS[:1] + PAIRS[1:]),
        "iterators": iter([iter(["b", "y"]), np.array(["a", "x"])]),
    }[name]
    assert [read_list(row) for row in read_rows(wide, wide=True)] == [["b", "y"], ["a", "x"]]
    assert [read_list(row) for row in read_rows(np.array([["b"], ["a"]]), wide=True)] == [["b"], ["a"]]


@pytest.mark.parametrize("row", ["ab", [], [1], ["a", None], {"a"}, None, 3, {"x": 1}, b"ab"], ids=str)
def test_what_is_no_list_of_texts(row):
    with pytest.raises(ValueError, match=r"The choices of text 2 is .*: expected a list with at least one string"):
        read_list(row, "The choices of text 2")


def test_the_first_bad_row_is_raised():
    with pytest.raises(RowError, match=r"^Value 12 is -1\.$") as caught:
        check_rows(iter([1, 1, -1, -2]), check_positive, kind="Value", first_row=10)
    assert caught.value.row == 12
    assert caught.value.reason == "The value is -1."
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_wrong_on_error_is_named():
    with pytest.raises(ValueError, match="on_error='skip': expected one of 'raise', 'record'"):
        check_on_error("skip")
    with pytest.raises(ValueError, match="on_error='skip'"):
        check_rows([], check_positive, on_error="skip")


def test_an_error_says_its_row_and_travels():
    error = RowError(3, "The text has no blank.", "Text")
    assert str(error) == "Text 3 has no blank."
    assert error.as_dict() == {"row": 3, "error": "The text has no blank."}
    assert str(RowError(3, "Pattern 'x' wants a field.", "Example")) == "Example 3: Pattern 'x' wants a field."
    for copied in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(copied) is RowError
        assert (str(copied), copied.row, copied.reason) == (str(error), 3, error.reason)
    assert str(as_row_error(error, 8)) == "Text 8 has no blank."
    assert str(as_row_error(ValueError("Bad."), 8, "Text")) == "Text 8: Bad."


def test_fields_with_the_name_of_a_result_are_renamed():
    assert rename_taken({"text": 1, "score": 2}, ("score",)) == {"text": 1, "input_score": 2}
    assert rename_taken({"score": 1, "input_score": 2}, ("score",)) == {"input_input_score": 1, "input_score": 2}
    assert rename_taken({"text": 1}, ("score",)) == {"text": 1}
