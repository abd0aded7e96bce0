"""Describe one cloze pattern with its words, before anything is tokenized."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..blanks import WHITE_SPACE
from ..patterns.syntax import (
    BlankElement,
    Element,
    FieldElement,
    SoftElement,
    field_names,
    fill_template,
    parse,
    parse_pattern,
)
from ..patterns.values import IntegerLabels, text_of

Words = str | Sequence[str]


@dataclass(frozen=True)
class ClozePattern:
    """
    One way to ask: a pattern with the words of every label, or with the templates of an example's own choices.

    Args:
        text: The pattern.
        verbalizer: For every label its words.
        choices: Instead of a verbalizer: one field that holds a list of choices, or one template per choice.
        label_field: Field with the right label.
        integer_labels: What integers mean there; see `find_class`.

    Raises:
        ValueError: For a malformed pattern, or one without exactly one blank; without a verbalizer or choices, or with
            both; for fewer than two labels, a label without words, and choices without a field.
    """

    text: str
    verbalizer: Mapping[str, tuple[str, ...]] | None = None
    choices: tuple[str, ...] | None = None
    label_field: str = "label"
    integer_labels: IntegerLabels = "auto"
    elements: list[Element] = field(init=False, compare=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "elements", parse_pattern(self.text))  # the dataclass is frozen
        if (self.verbalizer is None) == (self.choices is None):
            raise ValueError(
                f"Pattern {self.text!r} needs either a verbalizer (words for every label) or choices (fields of the "
                "example that hold them)."
            )
        if self.verbalizer is None:
            for choice in self.choices or ():
                if not field_names(parse(choice)):
                    raise ValueError(f"{choice!r} is not a choice of an example: write its field in braces.")
            if len(self.choices or ()) == 1 and len(parse(self.choices[0])) > 1:  # type: ignore[index]
                raise ValueError(
                    f"choices={self.choices[0]!r} holds more than the field with the list of choices: write that field alone, "  # type: ignore[index]
                    "or the template of every choice."
                )
            return
        if len(self.verbalizer) < 2:
            raise ValueError(f"The verbalizer names {list(self.verbalizer)}: expected at least two labels.")
        for label, words in self.verbalizer.items():
            if not words or not all(word.strip() for word in words):
                raise ValueError(f"Label {label!r} has the words {list(words)}: expected at least one, none empty.")

    @property
    def choice_fields(self) -> set[str]:
        """Names of the fields that the choices read."""
        return set().union(*(field_names(parse(choice)) for choice in self.choices or ()))

    @property
    def fields(self) -> set[str]:
        """Names of the fields that the pattern and its choices read."""
        return field_names(self.elements) | self.choice_fields

    @property
    def soft_tokens(self) -> int:
        """Number of prompt tokens in the pattern."""
        return sum(element.count for element in self.elements if isinstance(element, SoftElement))

    @property
    def text_before_blank(self) -> str:
        """The text that the author wrote in front of the blank; empty if a field, or nothing, stands there."""
        # The text of a field does not count: the words must have the same tokens for all examples.
        before = ["", *self.elements][[isinstance(element, BlankElement) for element in self.elements].index(True)]
        return before if isinstance(before, str) else ""

    def names_of_integers(self, examples: Any) -> list[str] | None:
        """
        Return the names that integer labels of a `datasets.ClassLabel` column stand for.

        None if the examples have no such column, or if the pattern says what integers mean.
        """
        if self.integer_labels != "auto":
            return None
        features = getattr(examples, "features", None)
        feature = features.get(self.label_field) if isinstance(features, Mapping) else None
        return list(getattr(feature, "names", None) or []) or None

    def read_words(self, example: Mapping[str, Any]) -> list[list[str]]:
        """Return the words of every label or choice as they were given: `[["great", "good"], ["bad"]]`."""
        if self.verbalizer is not None:
            return [list(words) for words in self.verbalizer.values()]
        return [[word] for word in self.read_choices(example)]

    def words(self, example: Mapping[str, Any]) -> list[list[str]]:
        """Return the words of every label or choice as the pattern shows them: `[[" great", " good"], [" bad"]]`."""
        # The blank takes the space on its left with it, so the word brings it: "It was [MASK]" -> " great".
        space = " " if self.text_before_blank[-1:] in {*WHITE_SPACE} else ""
        return [
            [word if word.startswith(" ") else f"{space}{word}" for word in words]
            for words in self.read_words(example)
        ]

    def read_choices(self, example: Mapping[str, Any]) -> list[str]:
        """Return the example's own choices. Raises a `ValueError` if it has none."""
        assert self.choices is not None
        if len(self.choices) > 1:
            return [fill_template(choice, example) for choice in self.choices]
        (holder,) = (element for element in parse(self.choices[0]) if isinstance(element, FieldElement))
        found = holder.read_list(example)
        if not found:
            raise ValueError(f"Field {holder.name!r} holds no choices: {dict(example)!r}.")
        return found


def as_tuple(words: Words) -> tuple[str, ...]:
    """Return words as a tuple of texts; a text or a number is one word. Raises a `ValueError` for missing values."""
    if isinstance(words, str | bytes | Mapping) or not hasattr(words, "__iter__") or getattr(words, "ndim", 1) == 0:
        return (text_of(words, "A word of the verbalizer"),)
    return tuple(text_of(word, "A word of the verbalizer") for word in words)


def plain(words: Mapping[str, tuple[str, ...]] | tuple[str, ...]) -> Any:
    """Undo `as_tuple` for JSON: a tuple of one becomes a string, a longer one a list."""
    if isinstance(words, Mapping):
        return {label: plain(row) for label, row in words.items()}
    return words[0] if len(words) == 1 else list(words)
