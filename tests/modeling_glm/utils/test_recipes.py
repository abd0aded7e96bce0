"""Recipes by path and by name, and what is wrong with others."""

import pytest

from modeling_glm.utils.recipes import read_recipe_file


def test_by_path_and_by_name(tmp_path):
    (tmp_path / "small.yaml").write_text("max_steps: 3\n")
    (tmp_path / "empty.yaml").write_text("")
    path = tmp_path / "small.yaml"
    assert read_recipe_file(str(path)) == read_recipe_file("small", tmp_path) == (path, {"max_steps": 3})
    assert read_recipe_file("empty", tmp_path)[1] == {}


def test_errors(tmp_path):
    (tmp_path / "a.yaml").write_text("{")
    (tmp_path / "b.yaml").write_text("")
    with pytest.raises(FileNotFoundError, match=r"^There is no recipe c: give a YAML file or one of a, b\.$"):
        read_recipe_file("c", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no recipe c\.yaml: give a YAML file\.$"):
        read_recipe_file("c.yaml")
    with pytest.raises(ValueError, match=r"a\.yaml is not YAML: "):
        read_recipe_file("a", tmp_path)
