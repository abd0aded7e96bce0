"""Write typographic quotes and dashes in ASCII, as the originals do with the texts of their tasks."""

from collections.abc import Iterator, Mapping
from typing import Any

# Where an example keeps the texts that were changed when it was read, by field.
ORIGINAL_TEXTS = "original_texts"

STANDARD = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-"})


def standardize_punctuation(text: str) -> str:
    """
    Replace “ ” by ", ‘ ’ by ' and the en dash – by -.

    Every character becomes one character, so offsets into the text stay right. Other typographic characters stay, as in the
    originals: the em dash, the ellipsis, low and angle quotes.

    Example:

    ```python
    >>> standardize_punctuation("“Mira’s” boat – at sea")
    '"Mira\\'s" boat - at sea'
    ```
    """
    return text.translate(STANDARD)


def standardize_all(value: Any) -> Any:
    """Return a value with `standardize_punctuation` applied to all texts in it, inside of lists and dicts too."""
    if isinstance(value, str):
        return standardize_punctuation(value)
    if isinstance(value, Mapping):
        return {name: standardize_all(inner) for name, inner in value.items()}
    return [standardize_all(inner) for inner in value] if isinstance(value, list) else value


def keep_originals(example: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """
    Return an example that remembers the texts before `standardize_punctuation`, for predictions to show.

    Args:
        example: Its fields with changed texts.
        given: The same fields, or any other value, with the texts as they were given.
    """
    before: dict[str, str] = {}
    for text in _texts_in(given):
        before.setdefault(standardize_punctuation(text), text)

    def restore(value: Any) -> Any:
        if isinstance(value, str):
            return before.get(value, value)
        return [restore(inner) for inner in value] if isinstance(value, list) else value

    restored = {name: restore(value) for name, value in example.items()}
    changed = {name: value for name, value in restored.items() if value != example[name]}
    return {**example, ORIGINAL_TEXTS: changed} if changed else dict(example)


def with_original_texts(example: Mapping[str, Any]) -> dict[str, Any]:
    """Return an example with the texts as they were given, before they were cleaned for a pattern."""
    return {
        **{name: value for name, value in example.items() if name != ORIGINAL_TEXTS},
        **(example.get(ORIGINAL_TEXTS) or {}),
    }


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts_in(inner)


__all__ = ["keep_originals", "standardize_all", "standardize_punctuation", "with_original_texts"]
