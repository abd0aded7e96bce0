"""Write typographic quotes and dashes in ASCII, as the originals do with the texts of their tasks."""

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


__all__ = ["standardize_punctuation"]
