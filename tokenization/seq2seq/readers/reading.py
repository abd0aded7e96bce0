"""Hold what the readers of the originals' files share: their arguments, files of lines and JSON, and errors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from ...row_files import read_file_text

Row = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """
    Describe the split of a task to read.

    Args:
        task: Name of the task.
        split: "train", "dev" or "test", as the originals number their examples.
        paths: The files of the split.
        original: Whether texts are those that the originals' layout needs, and references those of their metrics.
        faults: Whether to repeat the mistakes of the originals too. Each row then has `original`,
            the record of their example.
        tokenizer: A `GLMTokenizer`, for windows, and for the references of the originals.
        max_source_length: Most tokens of a context, for windows.
        mask_ratio: Share of the words that become blanks.
        seed: Seed of their choice.
    """

    task: str
    split: str
    paths: Sequence[Path]
    original: bool = False
    faults: bool = False
    tokenizer: PreTrainedTokenizerBase | None = None
    max_source_length: int | None = None
    mask_ratio: float = 0.3
    seed: int = 0

    def name(self, number: int) -> str:
        """Return the name of an example, as the originals have it: "train-0"."""
        return f"{self.split}-{number}"

    def record(self, number: int, meta: Row, text_a: str, text_b: str | None = None) -> Row:
        """
        Return what the originals record of an example; nothing if their faults are not read.

        `ref` in `meta` is the reference of their metrics.
        """
        if not self.faults:
            return {}
        return {"original": {"uid": self.name(number), "text_a": text_a, "text_b": text_b, "meta": meta}}

    def round_trip(self, text: str) -> str:
        """Encode and decode a text, as the originals do with references. It is lower case with BERT's vocabulary."""
        if not self.original:
            return text
        assert self.tokenizer is not None
        ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return str(self.tokenizer.decode(ids))


def read_text_lines(path: Path) -> list[str]:
    """
    Return the lines of a text file, without white space around them.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not UTF-8, or has no lines.
    """
    text = _read(path).replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.strip() for line in text.removesuffix("\n").split("\n")]
    if not any(lines):
        raise ValueError(f"{path} has no texts: every line is empty.")
    return lines


def read_json_file(path: Path) -> Any:
    """
    Return the value of a JSON file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not JSON in UTF-8; the message names the line.
    """
    try:
        return json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno} is not JSON: {error.msg} at column {error.colno}. Download the file again."
        ) from error
    except RecursionError as error:
        raise ValueError(f"{path} is not JSON of the expected form: it is nested too deeply.") from error


def member(value: Any, key: str, kind: type, place: str) -> Any:
    """
    Return a member of a JSON object.

    Args:
        value: The object.
        key: Name of the member.
        kind: Type that it must have.
        place: Where the object stands, for error messages: "train.json: data[0]".

    Raises:
        ValueError: If the value is not an object, has no such member, or one of another type.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{place} is {_short(value)}: expected an object with {key!r}.")
    if key not in value:
        raise ValueError(f"{place} has no {key!r}: there are {sorted(map(str, value))}.")
    found = value[key]
    if not isinstance(found, kind):
        raise ValueError(f"{place}.{key} is {_short(found)}: expected a {'text' if kind is str else kind.__name__}.")
    return found


def _read(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    return read_file_text(path)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


__all__ = ["Reading", "Row", "member", "read_json_file", "read_text_lines"]
