"""
Check the numbers that callers give: one function for every kind, with errors that say what was found and expected.

A limit follows from the model or from the arithmetic, never from taste: the vocabulary, the position table, float32.
"""

import operator
import sys
from typing import Any

import numpy as np
import torch

# Scores are float32. Divided by less than its precision, they leave the likeliest token alone; divided by more than the
# inverse, they leave no difference between tokens. Far beyond, they overflow.
LOWEST_TEMPERATURE = torch.finfo(torch.float32).eps
HIGHEST_TEMPERATURE = 1 / LOWEST_TEMPERATURE
LONGEST_SHOWN = 80


def shorten(value: Any, most: int = LONGEST_SHOWN) -> str:
    """Show a value in a message: as `repr` writes it, cut after `most` characters."""
    if isinstance(value, str | bytes):
        return repr(value) if len(value) <= most else f"{value[:most]!r}..."
    if isinstance(value, list | tuple):
        value = value[: most + 1]  # do not write a million entries to cut them off
    try:
        shown = repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        shown = f"a number of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__}"
    return shown if len(shown) <= most else f"{shown[:most]}..."


def check_whole_number(name: str, value: Any, *, least: int = 0, most: int | None = None, because: str = "") -> int:
    """
    Check a whole number.

    Args:
        name: The caller's name of the number, for messages.
        value: An int, or a NumPy or torch scalar of an integer type. True and False are none, and neither are fractions.
        least, most: The range. None means that nothing limits the number.
        because: What the range follows from, as the end of a sentence.

    Returns:
        The number as an int.

    Raises:
        ValueError: For another type, and for a number out of range.
    """
    expected = f"at least {least}{because}" if most is None else f"{least} to {most}{because}"
    try:
        if _is_truth(value) or _is_array(value):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{_describe(name, value)}: expected a whole number, {expected}.") from None
    if number < least or (most is not None and number > most):
        raise ValueError(f"{name}={shorten(number)}: expected {expected}.")
    return number


def check_batch_size(name: str, value: Any) -> int:
    """Check a number of rows that are taken at a time. More than the longest list of Python has is all of them."""
    return min(check_whole_number(name, value, least=1), sys.maxsize)


def check_real_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float = -sys.float_info.max,
    most: float = sys.float_info.max,
    because: str = "",
) -> float:
    """
    Check a number that may have a fraction.

    Args:
        name: The caller's name of the number, for messages.
        value: A float or int, or a NumPy or torch scalar. True, False and NaN are no numbers.
        above: A bound that the number must exceed, in place of `least`.
        least, most: The range. Infinity is in it only where a bound is infinite.
        because: What the range follows from, as the end of a sentence.

    Returns:
        The number as a float.

    Raises:
        ValueError: For another type, and for a number out of range.
    """
    limited = most < sys.float_info.max
    if above is not None:
        expected = f"a number above {above:g}{f' and at most {most:g}' if limited else ''}{because}"
    elif least > -sys.float_info.max:
        expected = f"a number from {least:g} to {most:g}{because}" if limited else f"at least {least:g}{because}"
    else:
        expected = f"a finite number{because}"
    is_number = isinstance(value, int | float | np.integer | np.floating | np.ndarray | torch.Tensor)
    if _is_truth(value) or not is_number or _is_array(value):
        raise ValueError(f"{_describe(name, value)}: expected {expected}.")
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # complex numbers, and integers beyond float64
        raise ValueError(f"{_describe(name, value)}: expected {expected}.") from None
    if not ((above is None or above < number) and least <= number <= most):  # NaN is in no range
        raise ValueError(f"{name}={shorten(value)}: expected {expected}.")
    return number


def check_truth_value(name: str, value: Any) -> bool:
    """Check a setting that is on or off. Raises a `ValueError` for anything but True, False, 0 and 1."""
    if _is_truth(value) or (isinstance(value, int | np.integer) and value in (0, 1)):
        return bool(value)
    raise ValueError(f"{_describe(name, value)}: expected True or False.")


def check_temperature(name: str, value: Any) -> float:
    """Check a number by which scores are divided. Raises a `ValueError` where float32 cannot hold the result."""
    because = ", because scores are float32: 1 leaves them as they are"
    return check_real_number(name, value, least=LOWEST_TEMPERATURE, most=HIGHEST_TEMPERATURE, because=because)


def _is_truth(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.dtype == torch.bool and value.ndim == 0
    return isinstance(value, bool | np.bool_)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | torch.Tensor) and value.ndim > 0


def _describe(name: str, value: Any) -> str:
    return f"{name}={shorten(value)} is of type {type(value).__name__}"


__all__ = [
    "check_batch_size",
    "check_real_number",
    "check_temperature",
    "check_truth_value",
    "check_whole_number",
    "shorten",
]
