"""Find the small checkpoint that comes with the package."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# In a wheel the checkpoint is package data. A clone keeps it among the examples, and maps that folder in setup.cfg.
_PLACES = (_PACKAGE / "glm_tiny", _PACKAGE.parent / "examples" / "glm-tiny")


def embedded_checkpoint() -> str:
    """
    Return the folder of the small GLM that comes with the package. It works without network, right after installation.

    It is a toy for tests and demonstrations. Its card, `README.md` in the folder, says what it was trained on.

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
    for folder in _PLACES:
        if (folder / "config.json").is_file():
            return str(folder)
    places = " and ".join(map(str, _PLACES))
    raise FileNotFoundError(
        f"The embedded checkpoint is missing, looked for in {places}: install modeling-glm again, or name another GLM."
    )


def is_embedded(name: str) -> bool:
    """Return whether a folder, or the name of a repository, is the folder of the embedded checkpoint."""
    return any(folder == Path(name).resolve() for folder in _PLACES)


__all__ = ["embedded_checkpoint", "is_embedded"]
