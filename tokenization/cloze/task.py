"""Cloze questions: classification as filling a blank (paper section 2.3; Schick and Schütze 2021)."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils import cached_file

from ..tokenization_glm import CLOZE_FILE
from .encoding import Truncation, encode_context, encode_words, warn_of_twins
from .pattern import ClozePattern, Words, as_tuple, plain
from .syntax import Blank, Field, Piece, Soft, fill_pieces, fill_template, parse


class PatternVerbalizer:
    """
    A classification task as cloze questions: patterns turn an example (a dict of fields) into a text with one blank, and
    a verbalizer names the words of every label; the label whose words fill the blank best is the answer (paper
    section 2.3; "pattern-verbalizer pair" of Schick and Schütze 2021). How patterns are written is told in
    `pattern_syntax`: fields in braces, `|shorten` for those that may be cut, `[MASK]` for the blank.

    Example:

    ```python
    >>> task = PatternVerbalizer(
    ...     "{premise|shorten}? [MASK], {hypothesis}",
    ...     {"entailment": "Yes", "not_entailment": ["No", "Maybe"]},
    ... )
    >>> task.fill({"premise": "It rained all day", "hypothesis": "the grass is wet."})
    'It rained all day?[MASK], the grass is wet.'
    ```

    Args:
        patterns: One pattern or several, whose answers are averaged: strings, or dicts with "pattern" and a "verbalizer",
            "choices" or "label_field" of its own.
        verbalizer: For every label one word or several; they may have several tokens. A label's probability is the sum
            of those of its words. The order of the labels is the order of the classes.
        choices: In place of a verbalizer, where every example has its own choices: a field that holds a list,
            `"{options}"`, or one template each, `["{choice1}", "{choice2}"]`.
        derived: Further fields, as templates of others; they may be shortened as a whole.
        label_field: Field with the right label: its name, or its number (a bool is "true" or "false", whatever the case).
            Where examples have choices, the number of the right one or its text.
        metric: What the task is measured by; see `modeling_glm.cloze.metrics`.
        name: Name of the task.
        end_of_piece: Whether a word must be followed by the end of the piece to count, as in the originals' scores of
            words of several tokens.
        calibration: What [`~modeling_glm.Calibration`] has found, kept with the task.

    Raises:
        ValueError: for a pattern without a blank or with two, patterns of different labels, a label without words, and
            what `pattern_syntax` refuses.
    """

    def __init__(
        self,
        patterns: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
        verbalizer: Mapping[str, Words] | None = None,
        choices: Words | None = None,
        *,
        derived: Mapping[str, str] | None = None,
        label_field: str = "label",
        metric: str = "accuracy",
        name: str | None = None,
        end_of_piece: bool = False,
        calibration: Mapping[str, Any] | None = None,
    ):
        given = [patterns] if isinstance(patterns, str | Mapping) else list(patterns)
        if not given:
            raise ValueError("A task needs at least one pattern.")
        if verbalizer is not None and choices is not None:
            raise ValueError("Give either a verbalizer or choices: the labels are the same for all examples or not.")
        self.derived = dict(derived or {})
        for template in self.derived.values():
            if any(isinstance(element, Blank | Soft) for element in parse(template)):
                raise ValueError(f"The derived field {template!r} has a blank: only patterns have one.")
        self.label_field = label_field
        self.metric = metric
        self.name = name
        self.end_of_piece = end_of_piece
        self.calibration = dict(calibration) if calibration else None
        self.patterns = [self._pattern(entry, verbalizer, choices) for entry in given]
        self._encoded_words: dict[int, tuple[PreTrainedTokenizerBase, list[list[list[int]]]]] = {}

    def _pattern(
        self, entry: str | Mapping[str, Any], verbalizer: Mapping[str, Words] | None, choices: Words | None
    ) -> ClozePattern:
        entry = {"pattern": entry} if isinstance(entry, str) else entry
        if unknown := set(entry) - {"pattern", "verbalizer", "choices", "label_field"}:
            raise ValueError(f"Unknown keys {sorted(unknown)} of pattern {entry.get('pattern')!r}.")
        if "pattern" not in entry:
            raise ValueError(f"{dict(entry)!r} has no 'pattern'.")
        if "verbalizer" in entry or "choices" in entry:
            verbalizer, choices = entry.get("verbalizer"), entry.get("choices")
        return ClozePattern(
            entry["pattern"],
            None if verbalizer is None else {str(label): as_tuple(words) for label, words in verbalizer.items()},
            None if choices is None else as_tuple(choices),
            entry.get("label_field", self.label_field),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_encoded_words": {}}  # a cache, which copies and workers build anew

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, patterns={[pattern.text for pattern in self.patterns]!r})"

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the classes; none where the choices come from the example."""
        verbalizers = [pattern.verbalizer for pattern in self.patterns]
        found = {tuple(verbalizer) if verbalizer is not None else () for verbalizer in verbalizers}
        if len(found) > 1:
            raise ValueError(
                f"The patterns have different labels, {sorted(found)}: select those that go together "
                "(`task.select([0, 1])`)."
            )
        return list(found.pop())

    @property
    def soft_tokens(self) -> int:
        """The largest number of prompt tokens in a pattern."""
        return max(pattern.soft_tokens for pattern in self.patterns)

    def select(self, patterns: Sequence[int]) -> "PatternVerbalizer":
        """The same task with some of its patterns, by their numbers."""
        if not patterns or not set(patterns) <= set(range(len(self.patterns))):
            raise ValueError(f"patterns={list(patterns)}: the task has the patterns 0 ... {len(self.patterns) - 1}.")
        selected = {**self.to_dict(), "calibration": None}  # which was fitted for all of them
        selected["patterns"] = [selected["patterns"][index] for index in patterns]
        return self.from_dict(selected)

    def parts(self, example: Mapping[str, Any], pattern: int = 0) -> list[Piece]:
        """The pieces of a pattern for one example."""
        return fill_pieces(self.patterns[pattern].elements, self._with_derived(example))

    def fill(self, example: Mapping[str, Any], pattern: int = 0) -> str:
        """The text with its blank, of which `encode` gives the ids. Prompt tokens that are learned do not show."""
        return "".join(piece.text for piece in self.parts(example, pattern))

    def choices(self, example: Mapping[str, Any], pattern: int = 0) -> list[list[str]]:
        """For every label (or choice of the example) its words, with the space that they begin with."""
        return self.patterns[pattern].words(self._with_derived(example))

    def label_index(self, example: Mapping[str, Any], pattern: int = 0) -> int | None:
        """The class of an example, None where its label is missing. Raises a `ValueError` for a label outside the task."""
        chosen = self.patterns[pattern]
        label = example.get(chosen.label_field)
        if label is None:
            return None
        if chosen.verbalizer is not None:
            names = list(chosen.verbalizer)
        else:
            names = chosen.read_choices(self._with_derived(example))
        if isinstance(label, str) and label in names:
            return names.index(label)
        if isinstance(label, bool):
            folded = [name.lower() for name in names]
            if str(label).lower() in folded:
                return folded.index(str(label).lower())
        elif hasattr(label, "__index__") and 0 <= int(label) < len(names):
            return int(label)
        raise ValueError(
            f"Label {label!r} is none of the task's: expected one of {names}, or a number from 0 to {len(names) - 1}."
        )

    def content_free(self, example: Mapping[str, Any], text: str) -> dict[str, Any]:
        """The example with `text` in place of every field that a pattern reads, and its own choices."""
        example = self._with_derived(example)
        for pattern in self.patterns:
            read = {element.name for element in pattern.elements if isinstance(element, Field)}
            kept = {
                element.name
                for choice in pattern.choices or ()
                for element in parse(choice)
                if isinstance(element, Field)
            }
            example.update(dict.fromkeys(read - kept, text))
        return example

    def encode(
        self,
        example: Mapping[str, Any],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None = None,
        truncation: Truncation = "longest",
    ) -> dict[str, Any]:
        """
        The ids of an example under every pattern.

        Args:
            example: Its fields.
            tokenizer: A [`GLMTokenizer`].
            max_length: Longest context in tokens together with the longest choice behind it, as it is fed.
            truncation: Where tokens are taken from if that is exceeded, one by one from the end of a field marked
                `|shorten`: "longest" takes from the longest of them, "last" from the last that has any, as the originals
                do within a part of their patterns. The blank, the words and all else stay.

        Returns:
            `input_ids` (patterns, context) and `choice_ids` (patterns, choices, words, tokens), lists of different
            lengths, and `labels`, the class, where the example has a label.

        Raises:
            ValueError: for a field that is missing, a label outside the task, a word without tokens, an example that
                does not fit `max_length`, and prompt tokens that the vocabulary lacks.
        """
        self.labels  # noqa: B018  # the patterns must go together
        example = self._with_derived(example)
        contexts, choices = [], []
        for number, pattern in enumerate(self.patterns):
            words = self._encode_words(number, example, tokenizer)
            longest = max(len(ids) for row in words for ids in row)
            room = None if max_length is None else max_length - longest
            pieces = fill_pieces(pattern.elements, example)
            contexts.append(encode_context(pieces, tokenizer, room, truncation, pattern.text))
            choices.append(words)
        encoded: dict[str, Any] = {"input_ids": contexts, "choice_ids": choices}
        if (label := self.label_index(example)) is not None:
            encoded["labels"] = label
        return encoded

    def _with_derived(self, example: Mapping[str, Any]) -> dict[str, Any]:
        example = dict(example)
        for name, template in self.derived.items():
            if name not in example:
                example[name] = fill_template(template, example)
        return example

    def _encode_words(
        self, number: int, example: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase
    ) -> list[list[list[int]]]:
        pattern = self.patterns[number]
        known, encoded = self._encoded_words.get(number, (None, None))
        if encoded is not None and known is tokenizer:
            return encoded
        words = pattern.words(example)
        encoded = encode_words(words, tokenizer, self.end_of_piece)
        if pattern.verbalizer is not None:
            warn_of_twins(list(pattern.verbalizer), words, encoded)
            self._encoded_words[number] = (tokenizer, encoded)
        return encoded

    def to_dict(self) -> dict[str, Any]:
        """All that makes the task, as JSON can hold it; [`from_dict`] reads it."""
        shared = self.patterns[0]
        data: dict[str, Any] = {"name": self.name, "metric": self.metric, "label_field": self.label_field}
        if self.derived:
            data["derived"] = self.derived
        if self.end_of_piece:
            data["end_of_piece"] = True
        if self.calibration:
            data["calibration"] = self.calibration
        for key in ("verbalizer", "choices"):
            if getattr(shared, key) is not None:
                data[key] = plain(getattr(shared, key))
        data["patterns"] = []
        for pattern in self.patterns:
            entry: dict[str, Any] = {"pattern": pattern.text}
            if (pattern.verbalizer, pattern.choices) != (shared.verbalizer, shared.choices):
                key = "choices" if pattern.verbalizer is None else "verbalizer"
                entry[key] = plain(getattr(pattern, key))
            if pattern.label_field != self.label_field:
                entry["label_field"] = pattern.label_field
            data["patterns"].append(entry if len(entry) > 1 else pattern.text)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PatternVerbalizer":
        """The task that [`to_dict`] wrote."""
        known = {"name", "metric", "label_field", "derived", "end_of_piece", "calibration", "verbalizer", "choices"}
        if "patterns" not in data:
            raise ValueError(f"No 'patterns' among {sorted(data)}: this is no cloze task.")
        return cls(data["patterns"], **{key: value for key, value in data.items() if key in known})

    def save_pretrained(self, save_directory: str | os.PathLike) -> Path:
        """Writes the task to `cloze.json` in a folder, as `from_pretrained` and the pipeline find it."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".json", encoding="utf-8", delete=False) as file:
            json.dump(self.to_dict(), file, indent=2, ensure_ascii=False)
            file.write("\n")
        os.chmod(file.name, 0o644)
        os.replace(file.name, folder / CLOZE_FILE)
        return folder / CLOZE_FILE

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any) -> "PatternVerbalizer":
        """
        Reads `cloze.json` from a folder or a repository of the hub; `kwargs` are those of the library's `from_pretrained`
        (`revision`, `token`, ...). Raises an `OSError` where there is none.
        """
        path = cached_file(str(pretrained_model_name_or_path), CLOZE_FILE, **kwargs)
        return cls.from_dict(json.loads(Path(str(path)).read_text(encoding="utf-8")))

    @classmethod
    def from_task(cls, name: str, p_tuning: bool = False) -> "PatternVerbalizer":
        """
        One of the tasks of the originals: SuperGLUE, and several of CLUE and others.

        Args:
            name: See [`available_tasks`].
            p_tuning: Whether the patterns have prompt tokens to be learned, where the originals had them.

        Raises:
            ValueError: for an unknown name, and for a task without places for prompt tokens.
        """
        data = read_task(name)
        if p_tuning:
            if not data.get("p_tuning"):
                raise ValueError(f"The originals have no prompt tokens for {name!r}: write {{soft:3}} into a pattern.")
            entries = [entry if isinstance(entry, dict) else {"pattern": entry} for entry in data["patterns"]]
            data["patterns"] = [
                {**entry, "pattern": text} for entry, text in zip(entries, data["p_tuning"], strict=False)
            ]
        return cls.from_dict(data)


def available_tasks() -> list[str]:
    """Names of the tasks that come with the package."""
    folder = files(__package__) / "tasks"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def read_task(name: str) -> dict[str, Any]:
    """The data of a task that comes with the package. Raises a `ValueError` for an unknown name."""
    if name not in available_tasks():
        raise ValueError(f"Unknown task {name!r}: there are {available_tasks()}. Or give a pattern and a verbalizer.")
    return json.loads((files(__package__) / "tasks" / f"{name}.json").read_text(encoding="utf-8"))


__all__ = ["PatternVerbalizer", "available_tasks", "read_task"]
