"""Name the extra that installs a package, where the package is missing."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def from_extra(extra: str, user: str) -> Iterator[None]:
    """
    Import packages of an extra. If one is missing, say how to install the extra.

    Args:
        extra: The extra of setup.cfg that has the packages, such as "train".
        user: What needs the packages, as the beginning of the sentence.

    Raises:
        ImportError: If a package is missing.

    Example:

        >>> with from_extra("page", "The page"):
        ...     import no_such_package
        Traceback (most recent call last):
        ImportError: The page needs the package no_such_package: pip install 'modeling-glm[page]'.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(f"{user} needs the package {error.name}: pip install 'modeling-glm[{extra}]'.") from error


__all__ = ["from_extra"]
