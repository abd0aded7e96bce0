"""What values of examples mean: missing values, texts, and labels by name, by number and by type."""

import decimal
import enum

import datasets
import numpy as np
import pandas as pd
import pyarrow
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.tokenization.patterns.values import find_class, is_missing, label_name, text_of, texts_of
from tests.support.missing import MISSING, NOT_TEXTS, TEXTS_OF_VALUES

# Every way to write an integer as a label.
INTEGER_TYPES = {
    "int": int,
    "str": str,
    "float": float,
    "np.int8": np.int8,
    "np.int64": np.int64,
    "np.float32": np.float32,
    "np.str_": lambda number: np.str_(number),
    "np.array": np.array,
    "np.array of one": lambda number: np.array([number]),
    "torch": torch.tensor,
    "torch of one": lambda number: torch.tensor([number]),
    "Decimal": decimal.Decimal,
    "pd.Series": lambda number: pd.Series([number])[0],
    "pd.Int64": lambda number: pd.Series([number, None], dtype="Int64")[0],
    "pd.float": lambda number: pd.Series([number, None])[0],
    "pd.category": lambda number: pd.Series([number]).astype("category")[0],
    "pd.string": lambda number: pd.Series([str(number)], dtype="string")[0],
    "arrow": pyarrow.scalar,
    "IntEnum": lambda number: enum.IntEnum("Label", {"X": number}).X,
}
# Places are integers: neither texts nor floats.
PLACE_TYPES = sorted(
    set(INTEGER_TYPES) - {"str", "float", "np.float32", "np.str_", "pd.float", "pd.string", "Decimal"}
)


class Kind(str, enum.Enum):  # noqa: UP042  # whose str() is "Kind.YES"
    YES = "yes"


@pytest.mark.parametrize("value", MISSING)
def test_missing(value):
    assert is_missing(value)
    assert find_class(value, ["None", "nan", "NaT", "<NA>", "NaN"]) is None
    with pytest.raises(ValueError, match="Field 'a' is missing"):
        text_of(value, "Field 'a'")
    with pytest.raises(ValueError, match="Choice 1 of the field 'a' is missing"):
        texts_of(["x", value], "field 'a'")
    with pytest.raises(ValueError, match="The field 'a' is missing"):
        texts_of(value, "field 'a'")
    with pytest.raises(ValueError, match="means that an example has none: name it"):
        label_name(value)


@pytest.mark.parametrize("value", NOT_TEXTS)
def test_not_a_text(value):
    assert not is_missing(value)
    with pytest.raises(ValueError, match=r"Field 'a' is a \w+, .*: expected a text or a number"):
        text_of(value, "Field 'a'")


@pytest.mark.parametrize(("value", "text"), TEXTS_OF_VALUES)
def test_texts(value, text):
    found = text_of(value, "Field 'a'")
    assert (type(found), found) == (str, text)
    assert not is_missing(value)
    assert label_name(value) == text


def test_texts_of_an_enum():
    assert text_of(Kind.YES, "Field 'a'") == "yes"
    assert find_class(Kind.YES, ["no", "yes"]) == 1


@pytest.mark.parametrize(
    "values",
    [
        ["1", "b"],
        ("1", "b"),
        np.array(["1", "b"]),
        pd.Series(["1", "b"], index=[7, 3]),
        pd.Index(["1", "b"]),
        pyarrow.array(["1", "b"]),
        datasets.Dataset.from_dict({"a": ["1", "b"]})["a"],
        [1, "b"],
    ],
)
def test_lists_of_texts(values):
    assert texts_of(values, "field 'a'") == ["1", "b"]
    assert texts_of(values, "field 'a'") == ["1", "b"]  # it can be read again


@pytest.mark.parametrize(
    "values",
    ["1b", b"1b", {"1": "b"}, {"1", "b"}, {"1": "b"}.keys(), iter("1b"), pd.DataFrame({"1": ["b"]}), 1, np.eye(2)],
)
def test_what_is_not_a_list_of_texts(values):
    with pytest.raises(ValueError, match=r"The field 'a' is a .*: expected a list of choices"):
        texts_of(values, "field 'a'")


class TestNames:
    @pytest.mark.parametrize("convert", INTEGER_TYPES.values(), ids=INTEGER_TYPES)
    @pytest.mark.parametrize(
        "names",
        [["1", "0"], ["-1", "0", "1"], ["1", "2", "3", "4", "5"], ["1.0", "0.0"], ["x", "0", "1"], ["10", "1"]],
        ids=str,
    )
    def test_a_name_in_any_type(self, names, convert):
        for index, name in enumerate(names):
            if name != "x":
                assert find_class(convert(int(float(name))), names) == index

    @pytest.mark.parametrize("names", [["True", "False"], ["false", "true"], ["x", "TRUE", "FALSE"]], ids=str)
    @pytest.mark.parametrize(
        "convert",
        [bool, np.bool_, torch.tensor, np.array, str, lambda value: str(value).upper()],
        ids=["bool", "NumPy", "tensor", "array", "text", "capitals"],
    )
    def test_truth_values(self, names, convert):
        folded = [name.lower() for name in names]
        assert [find_class(convert(value), names) for value in (True, False)] == [
            folded.index("true"),
            folded.index("false"),
        ]

    def test_the_exact_name_wins(self):
        with pytest.raises(ValueError, match=r"ambiguous: it may be each of \['true', 'TRUE'\]"):
            find_class(True, ["true", "TRUE"])
        assert [find_class(value, ["true", "True"]) for value in (True, "true")] == [1, 0]
        assert [find_class(value, ["1", "1.0"]) for value in (1, 1.0, "1", "1.0")] == [0, 1, 0, 1]
        with pytest.raises(ValueError, match=r"ambiguous: it may be each of \['1', '1\.0'\]"):
            find_class(decimal.Decimal("1.00"), ["1", "1.0"])

    @pytest.mark.parametrize(
        ("label", "names"),
        [
            ("maybe", ["yes", "no"]),
            (2, ["yes", "no"]),
            (-1, ["yes", "no"]),
            (1.5, ["yes", "no"]),
            ("0", ["yes", "no"]),
            (True, ["yes", "no"]),
            (True, ["0", "1"]),
            ("1.10", ["1.1", "2"]),
            (b"yes", ["yes", "no"]),
            (["yes"], ["yes", "no"]),
            ({"label": "yes"}, ["yes", "no"]),
            (np.array([0, 1]), ["yes", "no"]),
        ],
    )
    def test_no_class(self, label, names):
        with pytest.raises(ValueError, match=r"Label .* is not one of the task's: expected one of \["):
            find_class(label, names)

    def test_integers_that_pandas_made_floats(self):
        with pytest.raises(ValueError, match=r"Label 1\.0 is not .*astype\('Int64'\)"):
            find_class(1.0, ["yes", "no"])


class TestPlaces:
    @pytest.mark.parametrize("convert", [INTEGER_TYPES[name] for name in PLACE_TYPES], ids=PLACE_TYPES)
    def test_where_no_name_is_a_number(self, convert):
        names = ["Cyrillic", "Greek", "1st"]
        assert [find_class(convert(number), names) for number in range(3)] == [0, 1, 2]
        assert [find_class(convert(number), ["no", "true"]) for number in range(2)] == [0, 1]

    @pytest.mark.parametrize(
        ("label", "names"),
        [
            (0, ["1", "2", "3"]),
            (3, ["-1", "0", "1"]),
            (0, ["Greek", "1"]),
            (0, ["0.5", "1.5"]),
            (1, ["True", "False"]),
            (2, ["true", "false", "unknown"]),
        ],
    )
    def test_ambiguous_where_names_are_numbers(self, label, names):
        with pytest.raises(ValueError, match=r"Label \d is not one of .* ambiguous.*integer_labels='place'"):
            find_class(label, names)

    def test_settings(self):
        names = ["1", "0", "x"]
        assert [find_class(number, names, "place") for number in range(3)] == [0, 1, 2]
        assert [find_class(name, names, "place") for name in names] == [0, 1, 2]
        assert find_class(10, ["10", "11"], "place") == 0
        with pytest.raises(ValueError, match="or a number from 0 to 2"):
            find_class(3, names, "place")
        assert find_class(1, names, "name") == 0
        with pytest.raises(ValueError, match="Label 0 is not one of the task's"):
            find_class(0, ["yes", "no"], "name")
        assert [find_class(number, ["b", "a"], ["a", "b"]) for number in range(2)] == [1, 0]
        assert [find_class(number, ["2", "1"], ["1", "2"]) for number in range(2)] == [1, 0]
        assert find_class("a", ["b", "a"], ["a", "b"]) == 1
        assert [find_class(number, ["1", "0"], ["neg", "pos"]) for number in range(2)] == [1, 0]
        with pytest.raises(ValueError, match=r"Label 1 \('c'\) is not one of the task's.*integer_labels='place'"):
            find_class(1, ["b", "a"], ["a", "c"])
        with pytest.raises(ValueError, match=r"Label 2 has no name: integer_labels has 2 names, \['a', 'b'\]"):
            find_class(2, ["b", "a"], ["a", "b"])

    def test_choices_of_an_example(self):
        assert [find_class(label, ["Rome", "Paris"], own=True) for label in (0, 1, "Paris")] == [0, 1, 1]
        assert [find_class(label, ["0", "7"], own=True) for label in (0, "7", 7)] == [0, 1, 1]
        with pytest.raises(ValueError, match=r"Label 1 is ambiguous among .*: a name and a place"):
            find_class(1, ["1", "Rome"], own=True)
        assert find_class(1, ["1", "Rome"], "place", own=True) == 1
        assert find_class(1, ["1", "Rome"], "name", own=True) == 0


NAMES = st.one_of(
    st.lists(st.sampled_from(["a", "b", "yes", "1st", "Ω"]), min_size=2, max_size=4, unique=True),
    st.lists(st.integers(-3, 6).map(str), min_size=2, max_size=5, unique=True),
    st.permutations(["True", "False"]),
    st.permutations(["x", "1", "0"]),
)


@given(NAMES, st.integers(-4, 7))
def test_an_integer_means_the_same_in_every_type_or_nothing(names, number):
    """No type of an integer gives another class: it is the class of that name, the same place, or refused."""

    def found(value):
        try:
            return find_class(value, names)
        except ValueError:
            return "refused"

    expected = found(number)
    assert all(found(INTEGER_TYPES[name](number)) == expected for name in PLACE_TYPES)
    named = str(number) in names
    assert {found(convert(number)) for convert in INTEGER_TYPES.values()} <= {
        expected if named else "refused",
        expected,
    }
    assert not named or expected == names.index(str(number))


@given(NAMES, st.data())
def test_names_numpy_pandas_and_class_labels_agree(names, data):
    order = data.draw(st.permutations(names))
    labels = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=5))
    expected = [names.index(label) for label in labels]
    forms = [
        labels,
        np.array(labels),
        np.array(labels, dtype=object),
        pd.Series(labels, index=range(len(labels), 0, -1)),
        pd.Series(labels, dtype="category"),
        pd.Series(labels, dtype="string"),
    ]
    for form in forms:
        assert [find_class(label, names) for label in form] == expected
    integers = datasets.ClassLabel(names=order).str2int(labels)
    assert [find_class(label, names, order) for label in integers] == expected
