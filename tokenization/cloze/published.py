"""Read the tasks that come with the package: the originals' patterns for SuperGLUE, GLUE, CLUE and others."""

import json
from importlib.resources import files
from typing import Any


def available_tasks() -> list[str]:
    """List the names of the tasks that come with the package."""
    folder = files(__package__) / "tasks"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def read_task(name: str) -> dict[str, Any]:
    """Return the data of a task that comes with the package. Raises a `ValueError` for an unknown name."""
    if name not in available_tasks():
        raise ValueError(f"Unknown task {name!r}: there are {available_tasks()}. Or give a pattern and a verbalizer.")
    return json.loads((files(__package__) / "tasks" / f"{name}.json").read_text(encoding="utf-8"))


def with_prompt_tokens(task: dict[str, Any]) -> dict[str, Any]:
    """
    Return the data of a task with the patterns that have prompt tokens to be learned, where the originals had them.

    Raises:
        ValueError: If the originals have none for the task.
    """
    if not task.get("p_tuning"):
        raise ValueError(
            f"The originals have no prompt tokens for {task['name']!r}: write {{soft:3}} into a pattern of your own."
        )
    entries = [entry if isinstance(entry, dict) else {"pattern": entry} for entry in task["patterns"]]
    patterns = [{**entry, "pattern": text} for entry, text in zip(entries, task["p_tuning"], strict=False)]
    return {**task, "patterns": patterns}


def with_original_spaces(task: dict[str, Any]) -> dict[str, Any]:
    """
    Return the data of a task with the spaces of the originals, which lack some between a template and a field.

    The file of the task says which patterns differ and why. A task without such patterns is returned as it is.
    """
    if (original := task.get("original_spaces")) is None:
        return task
    patterns = list(task["patterns"])
    for number, text in original["patterns"].items():
        entry = patterns[int(number)]
        patterns[int(number)] = {**entry, "pattern": text} if isinstance(entry, dict) else text
    return {**task, "patterns": patterns, "derived": {**task.get("derived", {}), **original.get("derived", {})}}


__all__ = ["available_tasks", "read_task", "with_original_spaces", "with_prompt_tokens"]
