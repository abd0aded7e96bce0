"""Read many inputs of any type as rows in the order of the caller, and give every row its result or its error."""

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Literal, TypeVar, get_args

import numpy as np
import torch

OnError = Literal["raise", "record"]
TEXT_FIELD = "text"
# They hold several values, but not texts in an order.
NOT_ROWS = bytes | bytearray | memoryview | set | frozenset | torch.Tensor

Good = TypeVar("Good")
Result = TypeVar("Result")


class RowError(ValueError):
    """
    Report what is wrong with one row of the caller's input.

    Args:
        row: The number of the row, from 0, in all that the caller gave.
        reason: A sentence of its own. One that begins with "The text" speaks of "Text 3" in the message.
        kind: What the message calls a row: "Text", "Example", "Row".
    """

    def __init__(self, row: int, reason: str, kind: str = "Row"):
        self.row = row
        self.reason = reason
        self.kind = kind
        super().__init__(self.tell(f"{kind} {row}"))

    def __reduce__(self) -> tuple[type["RowError"], tuple[int, str, str]]:
        return type(self), (self.row, self.reason, self.kind)

    def tell(self, place: str) -> str:
        """Say what is wrong with the row, which is called `place`: "line 3 has no blank", "line 3: No field 'text'"."""
        opening = f"The {self.kind.lower()} "
        if self.reason.startswith(opening):
            return f"{place} {self.reason.removeprefix(opening)}"
        return f"{place}: {self.reason}"

    def as_dict(self) -> dict[str, Any]:
        """Return the record that stands in the place of the row's result: `{"row": 3, "error": reason}`."""
        return {"row": self.row, "error": self.reason}


@dataclass(frozen=True)
class InputRows:
    """
    Hold rows in the order of the caller.

    Attributes:
        source: The rows. Iterating reads them by place, never by an index label.
        single: Whether the caller gave one row and not many.
        lazy: Whether the rows come from a generator or dataset, and should be read as results are taken.
    """

    source: Iterable[Any]
    single: bool = False
    lazy: bool = False

    def __iter__(self) -> Iterator[Any]:
        return iter(self.source)


@dataclass(frozen=True)
class CheckedRows(Generic[Good]):
    """
    Hold rows after a check.

    Attributes:
        good: What the check returned for the rows that passed, in their order.
        numbers: The caller's numbers of these rows.
        errors: The errors of the other rows, by the place of the row.
    """

    good: list[Good]
    numbers: list[int]
    errors: dict[int, RowError]

    def restore(self, results: Iterable[Result]) -> list[Result | RowError]:
        """Put the results of the good rows and the errors of the others into the order of the caller."""
        of_good = iter(results)
        count = len(self.good) + len(self.errors)
        restored = [self.errors[place] if place in self.errors else next(of_good) for place in range(count)]
        if next(of_good, None) is not None:
            raise ValueError(f"There are more results than the {len(self.good)} good rows.")
        return restored


def read_rows(inputs: Any, text_fields: Collection[str] | None = None, *, wide: bool = False) -> InputRows:
    """
    Read what the caller gave as rows.

    One row is a string, or a dict of fields. Many rows are a list, tuple or other sequence, a NumPy array, a pandas Series,
    Index or DataFrame, a DataFrame of polars, a dict of columns, a pyarrow table, a `datasets.Dataset` or a column of one, a
    dataset of torch such as `KeyDataset`, or any iterator. They are read by place: the index of a Series does not matter. The
    rows of a table are dicts.

    Args:
        inputs: One row or many.
        text_fields: The fields that hold one text in every row; by default all. A dict that has a column in each of them
            is a dict of columns. Other fields, such as the choices of an example, may be lists in one row too.
        wide: Whether a row holds several texts, as the rows of a two-dimensional array do; see `read_list`.

    Raises:
        ValueError: If the input is neither, has no order (a set), or is a dict of columns of different lengths.
    """
    if isinstance(inputs, InputRows):
        return inputs
    if isinstance(inputs, str):
        return InputRows([inputs], single=True)
    if isinstance(inputs, NOT_ROWS):
        raise ValueError(
            f"The input is a {type(inputs).__name__}: expected a text, or texts in an order, as in a list."
        )
    if isinstance(inputs, Mapping):
        return _read_mapping(inputs, text_fields)
    if isinstance(inputs, np.ndarray):
        return InputRows(inputs.tolist()) if wide and inputs.ndim == 2 else _read_array(inputs)
    if _is_from(inputs, "pandas") and hasattr(type(inputs), "columns"):  # a Series may have a row of this name
        names = list(inputs.columns)
        return InputRows(_rows_of_columns(names, [inputs.iloc[:, place] for place in range(len(names))]))
    if _is_from(inputs, "pyarrow") and hasattr(inputs, "to_pylist"):
        return InputRows(inputs.to_pylist())
    if hasattr(type(inputs), "columns") and not _is_from(inputs, "pandas"):
        return InputRows(_rows_of_table(inputs))
    if isinstance(inputs, Sequence) or _is_from(inputs, "pandas"):
        return InputRows(inputs)
    return InputRows(_as_iterable(inputs), lazy=not isinstance(inputs, Collection))


def read_text(row: Any) -> str:
    """
    Read a row as one text. A dict has it as "text", or as its only field.

    Raises:
        ValueError: For anything but a string, and for a string that no tokenizer can read. A row that is a `ValueError` is
            raised: whoever reads lines leaves its errors in their places.
    """
    if isinstance(row, ValueError):
        raise row
    row = _as_dict(row)
    if isinstance(row, Mapping):
        name = TEXT_FIELD if TEXT_FIELD in row or len(row) != 1 else next(iter(row))
        if name not in row:
            raise ValueError(
                f'The text is a dict with the fields {list(row)}: expected a string, or "text" among them.'
            )
        row = row[name]
    if not isinstance(row, str):
        shown = repr(row)
        shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
        raise ValueError(f"The text is {shown}, of type {type(row).__name__}: expected a string.")
    try:
        row.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The text has half of a surrogate pair at character {error.start}: expected characters that UTF-8 can encode."
        ) from None
    return str.__str__(row)


def plain_text(text: str) -> str:
    """Return a member of an Enum of texts as its text. `str` and f-strings would write the name of the member."""
    return str.__str__(text) if isinstance(text, Enum) else text


def read_list(row: Any, name: str = "The row") -> list[str]:
    """
    Read a row as several texts: a list of them; or a dict, as the rows of a table are, with one in every column.

    Raises:
        ValueError: For anything but strings in an order, and for none. The message calls the row `name`.
    """
    listed: list[Any] = []
    if isinstance(row, Mapping):
        listed = list(row.values())
    elif isinstance(row, Iterable) and not isinstance(row, str | NOT_ROWS):
        listed = list(read_rows(row))
    if not listed or not all(isinstance(text, str) for text in listed):
        raise ValueError(f"{name} is {row!r}: expected a list with at least one string.")
    return list(map(plain_text, listed))


def read_example(row: Any, fields: Collection[str]) -> Mapping[str, Any]:
    """
    Read a row as an example of a task: a dict or another row of a table, or the value of the field if the task has one.

    Raises:
        ValueError: If the row is not a dict and the task has no field or several.
    """
    row = _as_dict(row)
    if isinstance(row, Mapping):
        return row
    if len(fields) != 1:
        raise ValueError(f"The task reads the fields {sorted(fields)}: give a dict with them in place of {row!r}.")
    return dict.fromkeys(fields, row)


def check_rows(
    rows: Iterable[Any],
    check: Callable[[Any], Good],
    *,
    kind: str = "Row",
    on_error: OnError = "raise",
    first_row: int = 0,
) -> CheckedRows[Good]:
    """
    Check every row.

    Args:
        rows: The rows in the order of the caller.
        check: Returns what is needed of a row, or raises a `ValueError` whose message does not number the row.
        kind: What messages call a row: "Text", "Example", "Row".
        on_error: "raise" to raise the error of the first bad row, "record" to keep the errors of all.
        first_row: The caller's number of the first row, if these rows are a part of theirs.

    Raises:
        RowError: For the first bad row, with "raise".
        ValueError: For another `on_error`.
    """
    check_on_error(on_error)
    good, numbers, errors = [], [], {}
    for place, row in enumerate(rows):
        number = first_row + place
        try:
            good.append(check(row))
            numbers.append(number)
        except ValueError as error:
            numbered = as_row_error(error, number, kind)
            if on_error == "raise":
                raise numbered from error
            errors[place] = numbered
    return CheckedRows(good, numbers, errors)


def as_row_error(error: ValueError, row: int, kind: str = "Row") -> RowError:
    """Say to which row of the caller an error belongs. A `RowError` keeps its reason and gets the number."""
    if isinstance(error, RowError):
        return RowError(row, error.reason, error.kind)
    return RowError(row, str(error), kind)


def check_on_error(on_error: str) -> None:
    """Raise a `ValueError` for a value of `on_error` that does not exist."""
    if on_error not in get_args(OnError):
        raise ValueError(f"on_error={on_error!r}: expected one of {', '.join(map(repr, get_args(OnError)))}.")


def in_batches(rows: Iterable[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
    """Take `size` rows at a time, as they are wanted, with the number of the first row of each batch."""
    remaining, first = iter(rows), 0
    while batch := list(itertools.islice(remaining, min(size, sys.maxsize))):
        yield first, batch
        first += len(batch)


def rename_taken(fields: Mapping[str, Any], taken: Collection[str]) -> dict[str, Any]:
    """Put `input_` in front of the names of fields that results have as well, so that both are written."""
    renamed = {}
    for name, value in fields.items():
        free = name
        while free in taken or (free != name and free in fields):
            free = f"input_{free}"
        renamed[free] = value
    return renamed


@dataclass(frozen=True)
class _PlacedRows:
    """Iterate an object that has a length and places and nothing more: datasets of torch, such as `KeyDataset`."""

    dataset: Any

    def __iter__(self) -> Iterator[Any]:
        return (self.dataset[place] for place in range(len(self.dataset)))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: int) -> Any:
        return self.dataset[place]


def _read_mapping(inputs: Mapping, text_fields: Collection[str] | None) -> InputRows:
    if type(inputs).__name__.endswith("DatasetDict"):
        raise ValueError(f"The input is a {type(inputs).__name__} with the splits {list(inputs)}: give one of them.")
    asked = [name for name in inputs if text_fields is None or name in text_fields]
    if not asked or not all(_is_column(inputs[name]) for name in asked):
        return InputRows([inputs], single=True)
    names, columns = list(inputs), list(inputs.values())
    lengths = {name: len(column) if _is_column(column) else None for name, column in inputs.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {length or 'none'}" for name, length in lengths.items())
        raise ValueError(f"The columns of the input differ in their number of rows: {told}.")
    return InputRows(_rows_of_columns(names, columns))


def _read_array(array: np.ndarray) -> InputRows:
    if array.dtype.names:
        names = list(array.dtype.names)
        return InputRows(_rows_of_columns(names, [array[name].tolist() for name in names]))
    if array.ndim == 0:
        return read_rows(array.item())
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"The input is an array of shape {array.shape}: expected one row per text, shape (rows,).")
    return InputRows(array.tolist())


def _rows_of_columns(names: Sequence[Any], columns: Sequence[Any]) -> list[dict[Any, Any]]:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"The input has two columns with the name {twice[0]!r}: rename one of them.")
    values = [column.tolist() if isinstance(column, np.ndarray) else _as_iterable(column) for column in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _rows_of_table(table: Any) -> list[dict[Any, Any]]:
    """Read a table of another library, which may iterate over its columns: polars names the rows otherwise."""
    if hasattr(table, "iter_rows"):
        return list(table.iter_rows(named=True))
    raise ValueError(
        f"The input is a {type(table).__module__}.{type(table).__name__}, a table whose rows are not known: turn it into a "
        "DataFrame of pandas."
    )


def _as_iterable(inputs: Any) -> Iterable[Any]:
    if _is_from(inputs, "pyarrow") and hasattr(inputs, "to_pylist"):
        return inputs.to_pylist()
    if _is_from(inputs, "datasets") and getattr(inputs, "format", {}).get("type") in ("pandas", "polars", "arrow"):
        inputs = inputs.with_format(None)  # in these formats a row is a table
    if isinstance(inputs, Iterable):
        return inputs
    if hasattr(inputs, "__getitem__") and isinstance(inputs, Sized):
        return _PlacedRows(inputs)
    raise ValueError(f"The input is a {type(inputs).__name__}: expected a text, a dict of fields, or many of them.")


def _as_dict(row: Any) -> Any:
    """Turn a row of a table into a dict: a Series, as `DataFrame.iloc` gives, and a tuple with names. Others stay."""
    if _is_from(row, "pandas") and hasattr(row, "items"):
        return dict(row.items())
    return row._asdict() if isinstance(row, tuple) and hasattr(row, "_asdict") else row


def _is_column(value: Any) -> bool:
    if isinstance(value, str | Mapping | bytes | bytearray | set | frozenset):
        return False
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.ndim > 0
    return isinstance(value, Sized) and hasattr(value, "__getitem__")


def _is_from(value: Any, package: str) -> bool:
    """Return whether the type of a value, or one that it inherits from, is one of a package. The package is not imported."""
    return any(base.__module__.partition(".")[0] == package for base in type(value).__mro__)


__all__ = [
    "CheckedRows",
    "InputRows",
    "OnError",
    "RowError",
    "as_row_error",
    "check_on_error",
    "check_rows",
    "in_batches",
    "plain_text",
    "read_example",
    "read_list",
    "read_rows",
    "read_text",
    "rename_taken",
]
