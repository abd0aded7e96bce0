"""Find the small checkpoint that comes with the package, and texts to show what it can do."""

from pathlib import Path
from typing import NamedTuple

_PACKAGE = Path(__file__).resolve().parents[1]
# In a wheel the checkpoint is package data. A clone keeps it among the examples, and maps that folder in setup.cfg.
_PLACES = (_PACKAGE / "glm_tiny", _PACKAGE.parent / "examples" / "glm-tiny")


class ShowcaseTexts(NamedTuple):
    """
    Hold texts that show at a glance what a model can do.

    Attributes:
        fill: Texts with blanks.
        choose: Questions with one blank, and for each the answers to choose from.
        start: Beginnings to continue.
    """

    fill: list[str]
    choose: dict[str, list[str]]
    start: list[str]


# A test checks that the embedded checkpoint answers these as a reader expects.
EMBEDDED_SAMPLES = ShowcaseTexts(
    fill=[
        "The opposite of [MASK] is cold.",
        "A glim is a blue bird that sings at night. A glim is a kind of [MASK].",
        "She is my [MASK], and I am her brother.",
        "The number 4836 is written four thousand [MASK] hundred and [MASK].",
        "The time 19:20 has the hour [MASK] and the minute [MASK].",
        "The price $12.40 is read as [sMASK]",
    ],
    choose={
        "A spaniel is a kind of [MASK].": ["dog", "bird", "tree", "boat"],
        "The time 19:20 is in the [MASK].": ["morning", "evening"],
        "HTTP status 404 is Not Found, a [MASK].": ["client error", "server error", "success", "redirection"],
    },
    start=["The number 4836 is written", "The price $12.40 is read as"],
)
GENERAL_SAMPLES = ShowcaseTexts(
    fill=[
        "Paris is the [MASK] of France.",
        "The sun rises in the [MASK] and sets in the [MASK].",
        "A dog has four [MASK] and one [MASK].",
    ],
    choose={"Water boils at one hundred [MASK].": ["degrees", "meters", "people"], "Ice is [MASK].": ["cold", "hot"]},
    start=["Once upon a time there was a king who"],
)


def embedded_checkpoint() -> str:
    """
    Return the folder of the small GLM that comes with the package. It works without network, right after installation.

    It is for tests and demonstrations. Its card, `README.md` in the folder, says what it was trained on, and how often it is
    right.

    Returns:
        The folder, as `from_pretrained` and `pipeline` take it.

    Raises:
        FileNotFoundError: If somebody took the checkpoint out of the installed package.

    Example:

        >>> from modeling_glm import BlankInfillingPipeline, embedded_checkpoint
        >>> from transformers import pipeline
        >>> fill = pipeline("blank-infilling", model=embedded_checkpoint(), dtype="float32", device="cpu")
        >>> isinstance(fill, BlankInfillingPipeline)
        True
    """
    folder = embedded_folder()
    if not (Path(folder) / "config.json").is_file():
        places = " and ".join(map(str, _PLACES))
        raise FileNotFoundError(
            f"The embedded checkpoint is missing, looked for in {places}: install modeling-glm again, or name another GLM."
        )
    return folder


def embedded_folder() -> str:
    """Return the folder in which the embedded checkpoint is, or should be."""
    return str(next((folder for folder in _PLACES if (folder / "config.json").is_file()), _PLACES[0]))


def is_embedded(name: str) -> bool:
    """Return whether a folder, or the name of a repository, is the folder of the embedded checkpoint."""
    return any(folder == Path(name).resolve() for folder in _PLACES)


def sample_texts(name: str) -> ShowcaseTexts:
    """Return texts that suit a model by its folder or repository: simple ones for the embedded checkpoint."""
    return EMBEDDED_SAMPLES if is_embedded(name) else GENERAL_SAMPLES


__all__ = ["ShowcaseTexts", "embedded_checkpoint", "embedded_folder", "is_embedded", "sample_texts"]
