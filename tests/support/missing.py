"""All that other libraries have in the place of a value that is not there, and values that are not texts."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
import torch

MISSING = [
    pytest.param(value, id=name)
    for name, value in {
        "None": None,
        "nan": float("nan"),
        "np.float32": np.float32("nan"),
        "np.float64": np.float64("nan"),
        "np.array": np.array(np.nan),
        "np.object": np.array(None),
        "np.datetime64": np.datetime64("NaT"),
        "np.masked": np.ma.masked,
        "pd.NA": pd.NA,
        "pd.NaT": pd.NaT,
        "torch": torch.tensor(float("nan")),
        "Decimal": decimal.Decimal("NaN"),
        "signalling": decimal.Decimal("sNaN"),
    }.items()
]
NOT_TEXTS = [
    pytest.param(value, id=type(value).__name__)
    for value in (
        b"text",
        bytearray(b"text"),
        ["text"],
        ("text",),
        {"other": "x"},
        {"text"},
        np.array(["text"]),
        pd.Series(["text"]),
        pd.DataFrame({"a": ["text"]}),
        torch.tensor([1]),
        object(),
        iter(["text"]),
    )
]
# Each with the text that it is read as.
TEXTS_OF_VALUES = [
    ("text", "text"),
    ("", ""),
    ("nan", "nan"),
    (np.str_("text"), "text"),
    (np.array("text"), "text"),
    (3, "3"),
    (3.0, "3.0"),
    (np.int64(3), "3"),
    (np.float32(0.1), "0.1"),
    (torch.tensor(3), "3"),
    (decimal.Decimal("1.50"), "1.50"),
    (True, "True"),
    (np.bool_(False), "False"),
    (torch.tensor(True), "True"),
    (datetime.date(2020, 1, 2), "2020-01-02"),
    (pd.Timestamp("2020-01-02"), "2020-01-02 00:00:00"),
    (np.datetime64("2020-01-02"), "2020-01-02"),
]
