"""Where the real data are, and what to do if a file is missing."""

from pathlib import Path

import pytest

from examples.corpora.archives.folder import data_folder, require


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("GLM_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return tmp_path / "home"


def test_folder_is_in_the_home_folder(home):
    assert data_folder() == home / ".cache" / "modeling-glm" / "data"


def test_folder_of_caches_can_be_chosen(home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert data_folder() == tmp_path / "caches" / "modeling-glm" / "data"


@pytest.mark.parametrize("empty", ["GLM_DATA", "XDG_CACHE_HOME"])
def test_empty_variable_counts_as_unset(home, monkeypatch, empty):
    monkeypatch.setenv(empty, "")
    assert data_folder() == home / ".cache" / "modeling-glm" / "data"


def test_glm_data_comes_first(home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("GLM_DATA", "~/data")
    assert data_folder() == home / "data"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLM_DATA", "here")
    assert data_folder() == Path.cwd() / "here"


def test_file_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("GLM_DATA", str(tmp_path))
    path = tmp_path / "package" / "folder" / "file.txt"
    path.parent.mkdir(parents=True)
    path.write_text("text", encoding="utf-8")
    assert require("package", "folder/file.txt") == path


def test_missing_file_is_named_with_the_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GLM_DATA", str(tmp_path))
    (tmp_path / "package" / "file.txt").mkdir(parents=True)  # a folder is not a file
    with pytest.raises(FileNotFoundError, match=r"file\.txt is missing\. Run make data, .*package.*GLM_DATA"):
        require("package", "file.txt")
