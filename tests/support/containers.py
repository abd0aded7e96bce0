"""Everything that can hold texts, made of a list of them: what takes many texts takes all of these alike."""

from collections import UserDict, UserList, deque

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from datasets import Dataset, IterableDataset
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset as TorchIterableDataset
from torch.utils.data import Subset
from transformers.pipelines.pt_utils import KeyDataset


class OnlyPlaces:
    """A sequence by hand: a length and places, nothing more."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        return self.rows[place]


class MapStyle(OnlyPlaces, TorchDataset):
    """A dataset of torch that cannot be iterated."""


class Stream(TorchIterableDataset):
    """A dataset of torch without a length."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


def shuffled_index(values):
    """Labels that are the places of other rows."""
    return list(reversed(range(len(values))))


# Everything that holds texts: a name, and how it is made of a list.
CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "user list": UserList,
    "deque": deque,
    "only places": OnlyPlaces,
    "iterator": iter,
    "generator": lambda texts: (text for text in texts),
    "map": lambda texts: map(str, texts),
    "dict values": lambda texts: dict(enumerate(texts)).values(),
    "array": lambda texts: np.array(texts, dtype=object),
    "array of strings": lambda texts: np.array(texts, dtype=str),
    "column array": lambda texts: np.array(texts, dtype=object).reshape(-1, 1),
    "record array": lambda texts: np.array([(text, 1) for text in texts], dtype=[("text", object), ("n", int)]),
    "series": lambda texts: pd.Series(texts, dtype=object),
    "series of strings": lambda texts: pd.Series(texts, dtype="string"),
    "series, categorical": lambda texts: pd.Series(texts, dtype=object).astype("category"),
    "series, shuffled index": lambda texts: pd.Series(texts, index=shuffled_index(texts), dtype=object),
    "series, string index": lambda texts: pd.Series(
        texts, index=[f"row {i}" for i in range(len(texts))], dtype=object
    ),
    "series, labels of a table": lambda texts: pd.Series(
        texts, index=["columns", "text", "iloc", "dtype", "x"][: len(texts)], dtype=object
    ),
    "series, one label for all": lambda texts: pd.Series(texts, index=[7] * len(texts), dtype=object),
    "series, dates": lambda texts: pd.Series(
        texts, index=pd.date_range("2026-01-01", periods=len(texts)), dtype=object
    ),
    "index": lambda texts: pd.Index(texts, dtype=object),
    "frame": lambda texts: pd.DataFrame({"text": texts}, index=shuffled_index(texts)),
    "frame of two columns": lambda texts: pd.DataFrame({"id": range(len(texts)), "text": texts}),
    "columns": lambda texts: {"text": texts, "id": list(range(len(texts)))},
    "columns of arrays": lambda texts: {"text": np.array(texts, dtype=object), "id": torch.arange(len(texts))},
    "columns of series": lambda texts: {"text": pd.Series(texts, index=shuffled_index(texts), dtype=object)},
    "user dict of columns": lambda texts: UserDict(text=list(texts)),
    "dataset": lambda texts: make_dataset(texts),
    "dataset, pandas format": lambda texts: make_dataset(texts).with_format("pandas"),
    "dataset, arrow format": lambda texts: make_dataset(texts).with_format("arrow"),
    "dataset, numpy format": lambda texts: make_dataset(texts).with_format("numpy"),
    "shuffled dataset": lambda texts: make_dataset(list(reversed(texts))).select(shuffled_index(texts)),
    "iterable dataset": lambda texts: IterableDataset.from_generator(lambda: ({"text": text} for text in texts)),
    "column": lambda texts: make_dataset(texts)["text"],
    "key dataset": lambda texts: KeyDataset(make_dataset(texts), "text"),
    "torch dataset": MapStyle,
    "torch stream": Stream,
    "torch subset": lambda texts: Subset(MapStyle(list(reversed(texts))), shuffled_index(texts)),
    "arrow table": lambda texts: pa.table({"text": pa.array(texts, pa.string())}),
    "arrow array": lambda texts: pa.array(texts, pa.string()),
}
LAZY = {
    "only places", "iterator", "generator", "map", "dataset", "dataset, pandas format", "dataset, arrow format",
    "dataset, numpy format", "shuffled dataset", "iterable dataset", "key dataset", "torch dataset", "torch stream",
    "torch subset",
}  # fmt: skip


def make_dataset(texts) -> Dataset:
    return Dataset(pa.table({"text": pa.array(list(texts), pa.string()), "id": pa.array(range(len(texts)))}))
