"""One cloze pattern with its words: what a task asks, before anything is tokenized."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .syntax import Element, Field, Soft, fill_template, parse, parse_pattern, space_before_blank

Words = str | Sequence[str]


@dataclass(frozen=True)
class ClozePattern:
    """One way to ask: a pattern, and the words of every label or else where the example names its choices."""

    text: str
    verbalizer: Mapping[str, tuple[str, ...]] | None = None
    choices: tuple[str, ...] | None = None
    label_field: str = "label"
    elements: list[Element] = field(init=False, compare=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "elements", parse_pattern(self.text))
        if (self.verbalizer is None) == (self.choices is None):
            raise ValueError(
                f"Pattern {self.text!r} needs either a verbalizer (words for every label) or choices (fields of the "
                "example that hold them)."
            )
        if self.verbalizer is None:
            for choice in self.choices or ():
                if not any(isinstance(element, Field) for element in parse(choice)):
                    raise ValueError(f"{choice!r} is no choice of an example: write its field in braces.")
            return
        if len(self.verbalizer) < 2:
            raise ValueError(f"The verbalizer names {list(self.verbalizer)}: expected at least two labels.")
        for label, words in self.verbalizer.items():
            if not words or not all(word.strip() for word in words):
                raise ValueError(f"Label {label!r} has the words {list(words)}: expected at least one, none empty.")

    @property
    def fields(self) -> set[str]:
        """Names of the fields that the pattern and its choices read."""
        elements = [*self.elements, *(element for choice in self.choices or () for element in parse(choice))]
        return {element.name for element in elements if isinstance(element, Field)}

    @property
    def soft_tokens(self) -> int:
        return sum(element.count for element in self.elements if isinstance(element, Soft))

    def words(self, example: Mapping[str, Any]) -> list[list[str]]:
        """For every label or choice its words, as they are tokenized."""
        if self.verbalizer is not None:
            found = [list(words) for words in self.verbalizer.values()]
        else:
            found = [[word] for word in self.read_choices(example)]
        space = space_before_blank(self.elements)
        return [[f" {word}" if space and not word.startswith(" ") else word for word in words] for words in found]

    def read_choices(self, example: Mapping[str, Any]) -> list[str]:
        assert self.choices is not None
        if len(self.choices) > 1:
            return [fill_template(choice, example) for choice in self.choices]
        (field,) = (element for element in parse(self.choices[0]) if isinstance(element, Field))
        found = field.read_list(example)
        if not found:
            raise ValueError(f"Field {field.name!r} holds no choices: {dict(example)!r}.")
        return found


def as_tuple(words: Words) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


def plain(words: Mapping[str, tuple[str, ...]] | tuple[str, ...]) -> Any:
    """Tuples of one as a string, of several as a list."""
    if isinstance(words, Mapping):
        return {label: plain(row) for label, row in words.items()}
    return words[0] if len(words) == 1 else list(words)
