"""Ask cloze questions: classification as filling a blank (paper section 2.3; Schick and Schütze 2021)."""

import inspect
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from ..original_vocabularies import read_json
from ..patterns.encoding import Truncation, encode_context
from ..patterns.syntax import BlankElement, Segment, SoftElement, field_names, fill_segments, fill_template, parse
from ..patterns.values import IntegerLabels, find_class, is_missing, label_name
from ..saving import write_whole
from ..tokenization_glm import CLOZE_FILE, GLMTokenizer
from .pattern import ClozePattern, Words, as_tuple, plain
from .published import read_task, with_original_spaces, with_prompt_tokens
from .words import WordForms, encode_forms, encode_words, warn_of_twins


class PatternVerbalizer:
    """
    Ask a classification task as cloze questions.

    A pattern turns an example (a dict of fields) into a text with one blank. A verbalizer names the words of every label.
    The label whose words fill the blank best is the answer (paper section 2.3; "pattern-verbalizer pair" of Schick and
    Schütze 2021). In patterns, fields stand in braces, `|shorten` marks those that may be cut, and `[MASK]` is the blank;
    `modeling_glm.tokenization.patterns.syntax` describes all of the syntax.

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
        patterns: One pattern or several, whose answers are averaged: strings, or dicts with a "pattern" and a
            "verbalizer", "choices", "label_field" or "integer_labels" of its own.
        verbalizer: For every label one word or several; a word may have several tokens. The probability of a label is the
            sum over its words. The order of the labels is the order of the classes.
        choices: Instead of a verbalizer, if every example has its own choices: a field that holds a list,
            `"{options}"`, or one template per choice, `["{choice1}", "{choice2}"]`.
        derived: Further fields, as templates of others; each may be shortened as a whole.
        label_field: Field with the right label: its name, as a value of any type, or its place. A bool is "true" or
            "false" in any case. If examples have choices, it is the text or the place of the right one. None and NaN mean
            that an example has no label.
        integer_labels: What an integer means as a label. "auto": the name, if it is one ("1" for 1); else the place of
            the class, from 0, if no name is a number; else an error. "place": always the place. "name": only the name. Or
            a list with the name that every integer stands for, such as `dataset.features["label"].names`.
        metric: Metric of the task; see `modeling_glm.cloze.metrics`.
        name: Name of the task.
        end_of_piece: Whether the end of the piece is scored behind every word. The originals do so for words of several
            tokens.
        words_alone: Whether a word is encoded on its own in training, as the originals do and so the tasks of `from_task`.
            It makes a difference for SentencePiece, where a word on its own is one behind a space.
        calibration: A `Calibration` as a dict, saved with the task.
        answer_rule: An `AnswerRule` as a dict, saved with the task. It belongs to the calibration.

    Raises:
        ValueError: For a pattern without exactly one blank, a label without words, and malformed patterns.
    """

    def __init__(
        self,
        patterns: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
        verbalizer: Mapping[str, Words] | None = None,
        choices: Words | None = None,
        *,
        derived: Mapping[str, str] | None = None,
        label_field: str = "label",
        integer_labels: IntegerLabels = "auto",
        metric: str = "accuracy",
        name: str | None = None,
        end_of_piece: bool = False,
        words_alone: bool = False,
        calibration: Mapping[str, Any] | None = None,
        answer_rule: Mapping[str, Any] | None = None,
    ):
        given = [patterns] if isinstance(patterns, str | Mapping) else list(patterns)
        if not given:
            raise ValueError("A task needs at least one pattern.")
        if verbalizer is not None and choices is not None:
            raise ValueError("Give either a verbalizer or choices: the labels are the same for all examples or not.")
        self.derived = dict(derived or {})
        for template in self.derived.values():
            if any(isinstance(element, BlankElement | SoftElement) for element in parse(template)):
                raise ValueError(f"The derived field {template!r} has a blank: only patterns have one.")
        self.label_field = label_field
        self.integer_labels = _read_integer_labels(integer_labels)
        self.metric = metric
        self.name = name
        self.end_of_piece = end_of_piece
        self.words_alone = words_alone
        self.calibration = dict(calibration) if calibration else None
        self.answer_rule = dict(answer_rule) if answer_rule else None
        self.patterns = [self._pattern(entry, verbalizer, choices) for entry in given]

    def _pattern(
        self, entry: str | Mapping[str, Any], verbalizer: Mapping[str, Words] | None, choices: Words | None
    ) -> ClozePattern:
        entry = {"pattern": entry} if isinstance(entry, str) else entry
        if unknown := set(entry) - {"pattern", "verbalizer", "choices", "label_field", "integer_labels"}:
            raise ValueError(f"Unknown keys {sorted(unknown)} of pattern {entry.get('pattern')!r}.")
        if "pattern" not in entry:
            raise ValueError(f"{dict(entry)!r} has no 'pattern'.")
        if "verbalizer" in entry or "choices" in entry:
            verbalizer, choices = entry.get("verbalizer"), entry.get("choices")
        return ClozePattern(
            entry["pattern"],
            None if verbalizer is None else _read_verbalizer(verbalizer),
            None if choices is None else as_tuple(choices),
            entry.get("label_field", self.label_field),
            _read_integer_labels(entry.get("integer_labels", self.integer_labels)),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, patterns={[pattern.text for pattern in self.patterns]!r})"

    @property
    def labels(self) -> list[str]:
        """
        The labels in the order of the classes; empty if the choices come from the example.

        Raises:
            ValueError: If the patterns have different labels.
        """
        verbalizers = [pattern.verbalizer for pattern in self.patterns]
        found = {tuple(verbalizer) if verbalizer is not None else () for verbalizer in verbalizers}
        if len(found) > 1:
            raise ValueError(
                f"The patterns have different labels, {sorted(found)}: select those that go together "
                "(`task.select([0, 1])`)."
            )
        return list(found.pop())

    @property
    def fields(self) -> set[str]:
        """Names of the fields of an example that the task reads; a derived field counts as the fields of its template."""
        names = set().union(*(pattern.fields for pattern in self.patterns))
        # A template may read derived fields above it, so the last one is replaced first.
        for name, template in reversed(self.derived.items()):
            if name in names:
                names = names - {name} | field_names(parse(template))
        return names

    @property
    def text_fields(self) -> set[str]:
        """Names of the fields that hold one text in every example: all but those that hold a list of choices."""
        lists = [pattern.choice_fields for pattern in self.patterns if len(pattern.choices or ()) == 1]
        return self.fields - set().union(*lists)

    @property
    def soft_tokens(self) -> int:
        """The largest number of prompt tokens in a pattern."""
        return max(pattern.soft_tokens for pattern in self.patterns)

    def select(self, patterns: Sequence[int]) -> "PatternVerbalizer":
        """Return the task with some of its patterns, by their numbers, and without a calibration and what belongs to it."""
        if not patterns or not set(patterns) <= set(range(len(self.patterns))):
            raise ValueError(f"patterns={list(patterns)}: the task has the patterns 0 ... {len(self.patterns) - 1}.")
        selected = self.with_calibration(None).to_dict()  # it was fitted for all patterns
        selected["patterns"] = [selected["patterns"][index] for index in patterns]
        return self.from_dict(selected)

    def with_calibration(self, calibration: Mapping[str, Any] | None) -> "PatternVerbalizer":
        """Return the task with another calibration (a `Calibration` as a dict), or with none. Its answer rule goes."""
        return self.from_dict({**self.to_dict(), "calibration": calibration, "answer_rule": None})

    def with_answer_rule(self, answer_rule: Mapping[str, Any] | None) -> "PatternVerbalizer":
        """Return the task with another answer rule (an `AnswerRule` as a dict), or with none."""
        return self.from_dict({**self.to_dict(), "answer_rule": answer_rule})

    def attach(self, tokenizer: GLMTokenizer) -> GLMTokenizer:
        """
        Return a copy of a tokenizer that carries the task.

        Every way to save the copy writes the task to `cloze.json` beside the vocabulary: `save_pretrained`, `push_to_hub`
        and `Trainer(processing_class=...)`. `ClozeClassifier` and `pipeline("cloze-classification")` read it there. The
        tokenizer itself does not change. Add prompt tokens (`add_soft_tokens`) before.

        Args:
            tokenizer: A `GLMTokenizer`.

        Raises:
            ValueError: If the tokenizer is of another class, which would not save the task.

        Example:

        ```python
        >>> task.attach(tokenizer).save_pretrained(folder)
        >>> trainer = Trainer(model, arguments, processing_class=task.attach(tokenizer))
        ```
        """
        if not hasattr(tokenizer, "with_cloze"):
            raise ValueError(f"A {type(tokenizer).__name__} cannot carry a task: expected a GLMTokenizer.")
        return tokenizer.with_cloze(self.to_dict())

    def parts(self, example: Mapping[str, Any], pattern: int = 0) -> list[Segment]:
        """Return the segments of a pattern for one example."""
        return fill_segments(self.patterns[pattern].elements, self._with_derived(example))

    def fill(self, example: Mapping[str, Any], pattern: int = 0) -> str:
        """Return the text with its blank that `encode` tokenizes. Prompt tokens that are learned do not show."""
        return "".join(segment.text for segment in self.parts(example, pattern))

    def choices(self, example: Mapping[str, Any], pattern: int = 0) -> list[list[str]]:
        """Return the words of every label (or choice of the example), with the space that they begin with."""
        return self.patterns[pattern].words(self._with_derived(example))

    def label_index(
        self, example: Mapping[str, Any], pattern: int = 0, integer_labels: IntegerLabels | None = None
    ) -> int | None:
        """
        Return the class of an example.

        Args:
            example: Its fields.
            pattern: The number of the pattern whose label field is read.
            integer_labels: What integers mean, instead of what the task says.

        Returns:
            The number of the class. None without a label: if the field is not there, None or NaN.

        Raises:
            ValueError: For a label outside the task, and for one that might be two of its classes.
        """
        chosen = self.patterns[pattern]
        label = example.get(chosen.label_field)
        if is_missing(label):
            return None
        own = chosen.verbalizer is None
        names = chosen.read_choices(self._with_derived(example)) if own else list(chosen.verbalizer or ())
        return find_class(label, names, integer_labels or chosen.integer_labels, own)

    def check(self, example: Mapping[str, Any], labelled: bool = False):
        """
        Check that an example can be asked, before a long run finds out.

        Args:
            example: Its fields.
            labelled: Whether it must have a label, too.

        Raises:
            ValueError: For a missing field, a value that is not a text, and a label that is not one of the task's.
        """
        for number in range(len(self.patterns)):
            self.parts(example, number)
            self.choices(example, number)
        field = self.patterns[0].label_field
        if labelled and field not in example:
            raise ValueError(
                f"The example has no {field!r}, but {sorted(map(str, example))}: say which field has the label, "
                "label_field= (--label_field on the command line)."
            )
        if labelled and self.label_index(example) is None:
            raise ValueError(f"The label {field!r} is missing ({example[field]!r}): expected one for every example.")

    def content_free(self, example: Mapping[str, Any], text: str) -> dict[str, Any]:
        """
        Return the example with `text` in every field that a pattern reads.

        Its own choices stay, and so do derived fields that are parts of the pattern, because they read no field.
        """
        constant = {name for name, template in self.derived.items() if not field_names(parse(template))} - set(example)
        example = self._with_derived(example)
        for pattern in self.patterns:
            kept = pattern.choice_fields | constant
            example.update(dict.fromkeys(field_names(pattern.elements) - kept, text))
        return example

    def encode(
        self,
        example: Mapping[str, Any],
        tokenizer: GLMTokenizer,
        max_length: int | None = None,
        truncation: Truncation = "longest",
        *,
        forms: WordForms | None = None,
        cut_fields: bool = False,
    ) -> dict[str, Any]:
        """
        Compute the ids of an example under every pattern.

        Args:
            example: Its fields.
            tokenizer: A `GLMTokenizer`.
            max_length: Most tokens of a context together with the longest choice behind it.
            truncation: Where tokens are removed, one by one, from the ends of fields marked `|shorten`. "longest" removes
                from the longest of them. "last" removes from the last that has any, as the originals do within a part
                of their patterns. The blank, the words and all other text stay.
            forms: Lists the ids that a word can have behind a blank. `functools.partial(answer_forms, tokenizer)` of
                `modeling_glm.tokenization.blanks` lists the word behind a space and glued to what stands before, as
                `ClozeClassifier` asks for it; a word with a space in front is literal. By default a word has the one form
                that the pattern shows, as in training.
            cut_fields: Whether tokens of all other fields may be removed too, once those marked have none left.

        Returns:
            `input_ids` (patterns, context) and `choice_ids` (patterns, choices, words, tokens), lists of different
            lengths, and `labels`, the class, if the example has a label.

        Raises:
            ValueError: For a field that is missing or not a text, a label outside the task, a word without tokens, an
                example that does not fit `max_length`, and prompt tokens that the vocabulary lacks.
        """
        self.labels  # noqa: B018  # raises if the patterns do not go together
        example = self._with_derived(example)
        contexts, choices = [], []
        for number, pattern in enumerate(self.patterns):
            words = self._encode_words(number, example, tokenizer, forms)
            longest = max(len(ids) for row in words for ids in row)
            room = None if max_length is None else max_length - longest
            segments = fill_segments(pattern.elements, example)
            contexts.append(encode_context(segments, tokenizer, room, truncation, pattern.text, cut_fields))
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
        self, number: int, example: Mapping[str, Any], tokenizer: GLMTokenizer, forms: WordForms | None
    ) -> list[list[list[int]]]:
        # Words of labels are the same for all examples, but ids that are kept would be wrong once the tokenizer has new
        # tokens: tokenizing them again takes about 0.1 ms.
        pattern = self.patterns[number]
        if forms:
            encoded = encode_forms(pattern.read_words(example), forms)
        else:
            before = "" if self.words_alone else pattern.text_before_blank
            encoded = encode_words(pattern.words(example), tokenizer, before)
        if pattern.verbalizer is not None:
            warn_of_twins(list(pattern.verbalizer), encoded)
        # The end of the piece is scored like a token of the word.
        end = [tokenizer.eop_token_id] if self.end_of_piece else []
        return [[[*tokens, *end] for tokens in ids] for ids in encoded]

    def to_dict(self) -> dict[str, Any]:
        """Return the whole task as JSON can hold it; `from_dict` reads it."""
        shared = self.patterns[0]
        data: dict[str, Any] = {"name": self.name, "metric": self.metric, "label_field": self.label_field}
        if self.integer_labels != "auto":
            data["integer_labels"] = self.integer_labels
        if self.derived:
            data["derived"] = dict(self.derived)
        if self.end_of_piece:
            data["end_of_piece"] = True
        if self.words_alone:
            data["words_alone"] = True
        if self.calibration:
            data["calibration"] = dict(self.calibration)
        if self.answer_rule:
            data["answer_rule"] = dict(self.answer_rule)
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
            if pattern.integer_labels != self.integer_labels:
                entry["integer_labels"] = pattern.integer_labels
            data["patterns"].append(entry if len(entry) > 1 else pattern.text)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PatternVerbalizer":
        """Read what `to_dict` wrote. Raises a `ValueError` without 'patterns'."""
        if "patterns" not in data:
            raise ValueError(f"No 'patterns' among {sorted(data)}: this is not a cloze task.")
        known = set(inspect.signature(cls).parameters) - {"patterns"}
        return cls(data["patterns"], **{key: value for key, value in data.items() if key in known})

    def save_pretrained(self, save_directory: str | os.PathLike) -> Path:
        """Write the task to `cloze.json` in a folder, where `from_pretrained` and the pipeline find it."""
        path = Path(save_directory) / CLOZE_FILE
        write_whole(path, json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")
        return path

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any) -> "PatternVerbalizer":
        """
        Read `cloze.json` from a folder or a repository of the hub.

        Args:
            pretrained_model_name_or_path: The folder or the repository.
            kwargs: As for the library's `from_pretrained` (`revision`, `token`, ...).

        Raises:
            OSError: If there is no such file.
            ValueError: If it is not JSON, or does not describe a task.
        """
        path = cached_file(str(pretrained_model_name_or_path), CLOZE_FILE, **kwargs)
        return cls.from_dict(read_json(str(path)))

    @classmethod
    def from_task(cls, name: str, p_tuning: bool = False, original_spaces: bool = False) -> "PatternVerbalizer":
        """
        Return one of the tasks of the originals: SuperGLUE, GLUE, and several of CLUE and others.

        Args:
            name: See `available_tasks`.
            p_tuning: Whether the patterns have prompt tokens to be learned, where the originals had them.
            original_spaces: Whether to ask without spaces where the originals lack them, as in "It was [MASK].Cold soup". Use
                it for checkpoints that the originals' code fine-tuned on AG News, Yahoo, Yelp, MNLI, MRPC or QQP.

        Raises:
            ValueError: For an unknown name, and for a task without places for prompt tokens.
        """
        data = {"words_alone": True, **read_task(name)}
        if original_spaces:
            data = with_original_spaces(data)
        return cls.from_dict(with_prompt_tokens(data) if p_tuning else data)


def _read_verbalizer(verbalizer: Mapping[Any, Words]) -> dict[str, tuple[str, ...]]:
    read = {label_name(label): as_tuple(words) for label, words in verbalizer.items()}
    if len(read) < len(verbalizer):
        raise ValueError(f"The verbalizer has two labels of one name: {list(verbalizer)}.")
    return read


def _read_integer_labels(integer_labels: IntegerLabels) -> IntegerLabels:
    if not isinstance(integer_labels, str):
        return [label_name(name) for name in integer_labels]
    if integer_labels not in ("auto", "name", "place"):
        raise ValueError(
            f"integer_labels={integer_labels!r}: expected 'auto', 'name', 'place', or a list with the name of every integer."
        )
    return integer_labels


__all__ = ["PatternVerbalizer"]
