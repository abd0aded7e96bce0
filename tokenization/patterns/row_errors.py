"""Say in words which row of a batch an error is about."""

from collections.abc import Collection, Mapping
from typing import Any

REMOVED_COLUMNS = (
    "None of the fields is there. Did Trainer remove them? Say TrainingArguments(remove_unused_columns=False)."
)


def name_row(number: int, feature: Mapping[str, Any]) -> str:
    """Name an example by its number in the batch and by what it holds, because the caller's rows are not known here."""
    shown = repr(dict(feature))
    return f"Example {number} of the batch ({shown if len(shown) <= 200 else shown[:197] + '...'})"


def tell(number: int, feature: Mapping[str, Any], error: ValueError, read: Collection[str]) -> ValueError:
    """
    Return the error of an example with its name, and a hint if Trainer removed the fields.

    Args:
        number: Its number in the batch.
        feature: Its fields.
        error: What is wrong with it.
        read: The names of the fields that are read.
    """
    # Trainer leaves only what the model's forward method takes, and the labels.
    hint = "" if set(read) & set(feature) or not read else f" {REMOVED_COLUMNS}"
    return ValueError(f"{name_row(number, feature)}: {error}{hint}")


__all__ = ["REMOVED_COLUMNS", "name_row", "tell"]
