"""
Decide what a value of an example means: a text, a class, or nothing at all.

Examples come from dicts, files, NumPy, pandas, PyTorch and `datasets`. All of cloze reads their values here, so that a value
means the same for a collator, a classifier, a file and a metric.
"""

import datetime
import math
import re
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from numbers import Integral, Number
from typing import Any, Literal

import numpy as np

# What an integer means as a label; see `find_class`.
IntegerLabels = Literal["auto", "name", "place"] | Sequence[str]

_WITH_TEXT = (Number, datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
_WHOLE = re.compile(r"(-?\d+)\.0+")  # an integer that was written as a float
_REMEDY = "Give the name as a text, or say PatternVerbalizer(..., integer_labels='place')."


def is_missing(value: Any) -> bool:
    """
    Return whether a value says that there is none: None, NaN, `pandas.NA` and `NaT`, also as NumPy or PyTorch scalars.

    Neither an empty text nor 0 is missing.
    """
    value = _scalar(value)
    # pandas is not a dependency, so its values are known by the names of their types.
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    if isinstance(value, Decimal):  # must not be compared if its NaN signals
        return value.is_nan()
    return isinstance(value, Number) and bool(value != value)


def text_of(value: Any, name: str) -> str:
    """
    Return a value of an example as a text: texts as they are; numbers, truth values and dates as Python writes them.

    Args:
        value: The value.
        name: What it is, for error messages: "Field 'premise'".

    Raises:
        ValueError: For a missing value, and for bytes, lists, dicts, arrays and all else that is not a text.
    """
    plain = _scalar(value)
    if is_missing(plain):
        raise ValueError(f"{name} is missing ({value!r}): expected a text.")
    if isinstance(plain, str):
        return str.__str__(plain)  # an Enum of texts would write its own name
    if isinstance(plain, _WITH_TEXT):
        return str(plain)
    hint = " Decode it first." if isinstance(plain, bytes | bytearray) else ""
    raise ValueError(f"{name} is a {type(value).__name__}, {_short(value)}: expected a text or a number.{hint}")


def texts_of(values: Any, name: str) -> list[str]:
    """
    Return a list of choices as texts.

    Args:
        values: A list, tuple, array, Series or column.
        name: What it is, for error messages: "field 'options'".

    Raises:
        ValueError: For a missing value, for what has no order or can be read only once (a text, a dict, a set, a
            generator), for a table, and for a choice that `text_of` refuses.
    """
    if is_missing(values):
        raise ValueError(f"The {name} is missing ({values!r}): expected a list of choices.")
    refused = isinstance(values, str | bytes | bytearray | Mapping | Set) or hasattr(values, "__next__")
    if refused or not hasattr(values, "__iter__") or getattr(values, "ndim", 1) != 1:
        raise ValueError(f"The {name} is a {type(values).__name__}, {_short(values)}: expected a list of choices.")
    return [text_of(value, f"Choice {number} of the {name}") for number, value in enumerate(values)]


def label_name(label: Any) -> str:
    """
    Return the name of the class that a key of a verbalizer stands for: 1, "1" and `numpy.int64(1)` are "1".

    Raises:
        ValueError: For a missing value, which means "no label", and for a value that is not a text.
    """
    if is_missing(label):
        raise ValueError(f"The verbalizer has the label {label!r}, which means that an example has none: name it.")
    return text_of(label, "A label of the verbalizer")


def find_class(label: Any, names: Sequence[str], integers: IntegerLabels = "auto", own: bool = False) -> int | None:
    """
    Return the class that a label means, or None for a missing value, which means "no label".

    - A value of any type whose text is a name is that class: 1, "1", 1.0 and `numpy.int64(1)` are the class "1".
    - True and False, also as texts, are the names "True", "false" and so on, in any case. They are never places.
    - Another integer is the place of a class, from 0, if no name is a number. With names such as "1" or "True" it might
      mean two classes, so it is refused.

    Args:
        label: The label: a Python, NumPy, pandas or PyTorch scalar.
        names: The names of the classes in their order, or the texts of the choices of an example.
        integers: What integers mean. "auto" is the rule above. "name" takes no integer for a place. "place" takes every
            integer from 0 to the number of classes for a place, even if it is a name. A list of names, such as those of a
            `datasets.ClassLabel`, says which name an integer stands for. If none is a name of the task, the integer
            may be one.
        own: Whether `names` are the choices of an example. Then an integer is refused that is the text of one choice and
            the place of another.

    Raises:
        ValueError: For a label that is not one of the classes, or might be two of them.
    """
    names, value = list(names), _scalar(label, one_entry=True)
    if is_missing(value):
        return None
    if not isinstance(value, (str, *_WITH_TEXT)):
        raise _unknown(label, names)
    if isinstance(value, bool):
        return _find_name(str(value), names, label)
    if not isinstance(value, Integral):
        return _find_name(text_of(value, "The label"), names, label)
    if not isinstance(integers, str):
        return _find_called(int(value), names, integers)
    return _find_integer(int(value), names, integers, own)


def _find_integer(label: int, names: list[str], integers: str, own: bool) -> int:
    place = label if 0 <= label < len(names) else None
    if integers == "place" and place is not None:
        return place
    named = _named(str(label), names)
    if len(named) == 1 and (not own or integers == "name" or place in (None, named[0])):
        return named[0]
    if named:
        raise ValueError(f"Label {label!r} is ambiguous among {names}: a name and a place. {_REMEDY}")
    if integers == "name":
        raise _unknown(label, names)
    if integers == "auto" and (any(map(_is_number, names)) or not _truths_in_place(names)):
        raise ValueError(
            f"Label {label!r} is not one of the task's: expected one of {names}. As the place of a class it would be "
            f"ambiguous, because names stand for numbers too. {_REMEDY}"
        )
    if place is None:
        raise _unknown(label, names, f", or a number from 0 to {len(names) - 1}")
    return place


def _find_name(text: str, names: list[str], label: Any) -> int:
    found = _named(text, names)
    if len(found) > 1:
        raise ValueError(f"Label {label!r} is ambiguous: it may be each of {[names[index] for index in found]}.")
    if not found:
        is_whole = isinstance(label, float) and label.is_integer()
        hint = " (pandas makes floats of integers beside missing values: astype('Int64') keeps them)"
        raise _unknown(label, names, hint if is_whole else "")
    return found[0]


def _find_called(label: int, names: list[str], called: Sequence[str]) -> int:
    if not 0 <= label < len(called):
        raise ValueError(f"Label {label} has no name: integer_labels has {len(called)} names, {list(called)}.")
    found = _named(called[label], names)
    if not any(_named(name, names) for name in called):
        # The names are others than the task's, which may call its classes by these integers: {0: "bad", 1: "good"}.
        found = _named(str(label), names)
    if len(found) != 1:
        raise ValueError(
            f"Label {label} ({called[label]!r}) is not one of the task's: expected one of {names}. If both have the same "
            "order, say PatternVerbalizer(..., integer_labels='place')."
        )
    return found[0]


def _named(text: str, names: list[str]) -> list[int]:
    """
    Return the first class with this name. Or else all whose name means the same: the integers "1" and "1.0", and the truth
    values "true" and "TRUE", which CSV files write in other cases than JSON.
    """
    if text in names:
        return [names.index(text)]
    if text.lower() in ("true", "false"):
        return [index for index, name in enumerate(names) if name.lower() == text.lower()]
    return [index for index, name in enumerate(names) if _as_integer(name) == _as_integer(text)]


def _as_integer(text: str) -> str:
    """Return a text without the decimals of an integer that was written as a float: `"1.0" -> "1"`."""
    match = _WHOLE.fullmatch(text)
    return str(int(match.group(1))) if match else text


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _truths_in_place(names: list[str]) -> bool:
    """Return whether the classes "false" and "true", as far as there are any, have the places 0 and 1."""
    folded = [name.lower() for name in names]
    return all(folded.index(name) == place for place, name in enumerate(("false", "true")) if name in folded)


def _unknown(label: Any, names: list[str], more: str = "") -> ValueError:
    return ValueError(f"Label {_short(label)} is not one of the task's: expected one of {names}{more}.")


def _scalar(value: Any, one_entry: bool = False) -> Any:
    """
    Return what an array without dimensions holds, and NumPy's texts, integers and truth values as Python's.

    NumPy's floats stay, because their texts are shorter: "0.1" of float32. With `one_entry`, arrays of one entry count too.
    """
    if hasattr(value, "as_py"):  # a scalar of Arrow
        value = value.as_py()
    if isinstance(value, np.generic):
        return value.item() if isinstance(value, np.bool_ | np.integer | np.str_ | np.bytes_) else value
    if value is np.ma.masked or not (hasattr(value, "shape") and hasattr(value, "item")):
        return value
    shape = tuple(value.shape)
    if shape == () or (one_entry and math.prod(shape) == 1):
        return _scalar(value.reshape(-1)[0] if isinstance(value, np.ndarray) else value.item())
    return value


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())  # tables have several lines
    return text if len(text) <= 80 else f"{text[:77]}..."


__all__ = ["IntegerLabels", "find_class", "is_missing", "label_name", "text_of", "texts_of"]
