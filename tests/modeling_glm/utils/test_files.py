"""Folders and files are written atomically."""

import os
from pathlib import Path

import pytest

from modeling_glm.utils.files import is_free, whole_file, whole_folder, write_whole


def write(target, interrupt: BaseException | None = None):
    with whole_folder(target) as folder:
        (folder / "a").write_text("new" if interrupt else "old")
        if interrupt:
            raise interrupt


def test_interrupted_writing_leaves_the_old_folder(tmp_path):
    target = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        write(target, KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []
    write(target)
    with pytest.raises(KeyboardInterrupt):
        write(target, KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "a").read_text() == "old"


def test_the_new_folder_takes_the_place_of_the_old(tmp_path):
    target = tmp_path / "deep" / "model"
    for name in ("a", "b"):
        with whole_folder(target) as folder:
            (folder / name).write_text(name)
    assert [path.name for path in target.iterdir()] == ["b"]
    assert list(target.parent.iterdir()) == [target]


def test_nothing_is_overwritten_against_the_will(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    with whole_folder(target, overwrite=False) as folder:  # an empty folder may be there
        (folder / "a").write_text("first")
    with (
        pytest.raises(FileExistsError, match=r"model exists already.*--overwrite \(overwrite=True"),
        whole_folder(target, overwrite=False),
    ):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="file exists already"), whole_folder(tmp_path / "file", overwrite=False):
        pass
    assert (target / "a").read_text() == "first"


def test_what_appears_meanwhile_is_kept(tmp_path):
    target = tmp_path / "model"

    def write_while_another_does():
        with whole_folder(target, overwrite=False) as folder:
            (folder / "a").write_text("ours")
            write(target)

    with pytest.raises(FileExistsError):
        write_while_another_does()
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "a").read_text() == "old"


@pytest.mark.parametrize("moment", [1, 2])
def test_an_interruption_between_the_old_folder_and_the_new(tmp_path, monkeypatch, moment):
    target = tmp_path / "model"
    write(target)
    rename, calls = Path.rename, []

    def interrupted(self, other):
        calls.append(self)
        if len(calls) == moment:
            raise KeyboardInterrupt
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(target)
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "a").read_text() == "old"


@pytest.mark.parametrize(("content", "expected"), [("漢字\r\n", "漢字\r\n".encode()), (b"\0\xff", b"\0\xff")])
def test_a_file_is_written_in_one_step(tmp_path, monkeypatch, content, expected):
    path = tmp_path / "deep" / "file"
    write_whole(path, content)
    assert path.read_bytes() == expected

    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "new")
    assert path.read_bytes() == expected
    assert list(path.parent.iterdir()) == [path]


def test_a_file_of_many_lines_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file"

    def write_lines(*lines: str):
        with whole_file(path) as file:
            for line in lines:
                file.write(line)
                if line == "stop":
                    raise KeyboardInterrupt

    write_lines("漢字\r\n", "b\n")
    assert path.read_bytes() == "漢字\r\nb\n".encode()
    with pytest.raises(KeyboardInterrupt):
        write_lines("new", "stop")
    assert path.read_bytes() == "漢字\r\nb\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_what_is_free(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    names = ("absent", "empty", "full", "full/file", "dangling")
    assert {name for name in names if is_free(tmp_path / name)} == {"absent", "empty"}


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_are_the_usual_ones(tmp_path, mask):
    before = os.umask(mask)
    try:
        write(tmp_path / "model")
        (tmp_path / "usual").mkdir()
    finally:
        os.umask(before)
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "usual").stat().st_mode
