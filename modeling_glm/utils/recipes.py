"""Read recipes: YAML files with the arguments of a script, by their names."""

from pathlib import Path
from typing import Any

from .yaml_text import read_yaml


def read_recipe_file(name: str, recipes: Path | None = None) -> tuple[Path, Any]:
    """
    Read the content of a recipe.

    Args:
        name: A YAML file, or the name of one in `recipes`, without its ending.
        recipes: Folder of the recipes that a script brings along.

    Returns:
        The path of the recipe for messages, and what it holds; an empty file holds `{}`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) or recipes is None else recipes / f"{name}.yaml"
    if not path.is_file():
        known = sorted(recipe.stem for recipe in recipes.glob("*.yaml")) if recipes else []
        raise FileNotFoundError(
            f"There is no recipe {name}: give a YAML file{' or one of ' * bool(known)}{', '.join(known)}."
        )
    try:
        return path, read_yaml(path.read_text(encoding="utf-8")) or {}
    except ValueError as error:
        raise ValueError(f"{path} is not YAML: {error}") from None


__all__ = ["read_recipe_file"]
