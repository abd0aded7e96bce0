"""Folders are whole or absent, whoever ends the writing and whenever."""

import os
import threading
from pathlib import Path

import pytest

from modeling_glm.utils import files
from modeling_glm.utils.files import is_free, require_no_file, whole_folder, write_json_lines
from tests.support.kills import Kill, start, watch

NAMES = ("a", "b/c")


def write(target, interrupt: BaseException | None = None):
    with whole_folder(target) as folder:
        (folder / "a").write_text("new" if interrupt else "old")
        if interrupt:
            raise interrupt


def write_names(target: Path, content: str, two_steps: bool = False, overwrite: bool = True):
    if two_steps:  # in a child that ends with the test
        files._exchange = lambda one, other: False
    with whole_folder(target, overwrite) as folder:
        for name in NAMES:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)


def read_names(target: Path) -> set[str]:
    assert {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()} == set(NAMES)
    return {(target / name).read_text() for name in NAMES}


@pytest.fixture(params=["one step", "two steps"])
def steps(request, monkeypatch) -> str:
    """Both ways to replace a folder: exchange two names, or rename twice."""
    if request.param == "two steps":
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    return request.param


@pytest.mark.usefixtures("steps")
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


@pytest.mark.usefixtures("steps")
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


@pytest.mark.usefixtures("steps")
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


@pytest.mark.usefixtures("steps")
def test_what_appears_meanwhile_is_replaced_if_it_may_be(tmp_path, monkeypatch):
    target, place = tmp_path / "model", files._place

    def write_first(*paths):
        monkeypatch.setattr(files, "_place", place)
        write(target)
        place(*paths)

    monkeypatch.setattr(files, "_place", write_first)
    write_names(target, "ours")
    assert read_names(target) == {"ours"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("moment", [1, 2])
def test_an_interruption_between_the_old_folder_and_the_new(tmp_path, monkeypatch, moment):
    """Where two names cannot be exchanged."""
    target = tmp_path / "model"
    write(target)
    rename, calls = Path.rename, []

    def interrupted(self, other):
        calls.append(self)
        if len(calls) == moment:
            raise KeyboardInterrupt
        return rename(self, other)

    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(target)
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "a").read_text() == "old"


@pytest.mark.slow
@pytest.mark.parametrize("two_steps", [False, True], ids=["one step", "two steps"])
@pytest.mark.parametrize("before", ["nothing", "folder", "link"])
def test_a_kill_at_every_write(tmp_path, two_steps, before):
    """The old folder or the new one is there, and the next call leaves nothing else beside it."""
    root = tmp_path / "root"

    def prepare() -> Path:
        target = root / "model"
        root.mkdir()
        if before == "link":
            write_names(tmp_path / "linked", "old")
            target.symlink_to(tmp_path / "linked")
        elif before == "folder":
            write_names(target, "old")
        elif before == "empty folder":
            target.mkdir()
        return target

    def clear():
        files.delete(root)
        files.delete(tmp_path / "linked")

    target = prepare()
    whole = watch(write_names, target, "new", two_steps, root=tmp_path)
    assert whole.code == 0, whole.output
    assert list(root.iterdir()) == [target]
    restored = 0
    for number in range(len(whole.writes)):
        clear()
        target = prepare()
        assert watch(write_names, target, "new", two_steps, root=tmp_path, kill=Kill(write=number)).killed
        absent = before in ("folder", "link") and not target.exists()
        restored += absent
        if target.exists() and any(target.iterdir()):
            assert read_names(target) <= {"old", "new"}
        with pytest.raises(KeyboardInterrupt):
            write(target, KeyboardInterrupt())
        assert not absent or read_names(target) == {"old"}
        assert [path.name for path in root.iterdir()] in (["model"], [])
        write_names(target, "next")
        assert read_names(target) == {"next"}
        assert list(root.iterdir()) == [target]
    # Only two steps have a moment without the folder.
    assert restored == (two_steps and before in ("folder", "link"))


@pytest.mark.parametrize("two_steps", [False, True], ids=["one step", "two steps"])
def test_a_kill_at_a_random_time(tmp_path, two_steps):
    target = tmp_path / "model"
    write_names(target, "old")
    for seconds in (0.001, 0.002, 0.004, 0.008):
        watch(write_often, target, two_steps, root=tmp_path, kill=Kill(seconds=seconds))
        write_names(target, "old")
        assert read_names(target) == {"old"}
        assert list(tmp_path.iterdir()) == [target]


def write_often(target: Path, two_steps: bool, count: int = 50):
    for number in range(count):
        write_names(target, str(number), two_steps)


def test_processes_that_write_one_folder(tmp_path):
    """Nobody deletes what the other is building, and a reader always finds a whole folder."""
    target = tmp_path / "model"
    write_names(target, "old")
    children = [start(write_often, target, False, root=tmp_path) for _ in range(2)]
    found = 0
    while any(child.process.exitcode is None for child in children):
        found += (target / "a").exists()
        assert target.exists()
    for child in children:
        ended = child.wait()
        assert ended.code == 0, ended.output
    assert found
    assert read_names(target) == {"49"}
    assert list(tmp_path.iterdir()) == [target]


def test_threads_that_write_one_folder(tmp_path):
    target = tmp_path / "model"
    threads = [threading.Thread(target=write_often, args=(target, False, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_names(target) == {"9"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("name", ["x" * 255, "[a]*", "漢字", "-"])
def test_names_of_all_kinds(tmp_path, name):
    for content in ("one", "two"):
        write_names(tmp_path / name, content)
    assert read_names(tmp_path / name) == {"two"}
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("kind", ["file", "dangling", "file/below", "file/deep/below"])
def test_a_target_that_is_no_folder(tmp_path, kind):
    """It is said before anything is computed."""
    (tmp_path / "file").write_text("kept")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"This is not a folder.*(file|dangling)'"):
        require_no_file(tmp_path / kind)
    with pytest.raises(NotADirectoryError, match="This is not a folder"), whole_folder(tmp_path / kind):
        pytest.fail("the work began")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "dangling"}
    assert (tmp_path / "file").read_text() == "kept"


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    write(tmp_path / "linked")
    (tmp_path / "model").symlink_to("linked")
    write_names(tmp_path / "model", "new")
    assert read_names(tmp_path / "model") == {"new"}
    assert (tmp_path / "linked" / "a").read_text() == "old"


def test_the_working_directory(tmp_path, monkeypatch):
    target = tmp_path / "model"
    write(target)
    monkeypatch.chdir(target)
    write_names(Path("."), "new")
    assert read_names(target) == {"new"}


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


def test_content_is_on_the_disk_before_the_folder_moves(tmp_path, monkeypatch):
    done = []
    fsync, place = os.fsync, files._place
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("sync"), fsync(descriptor)))
    monkeypatch.setattr(files, "_place", lambda *paths: (done.append("move"), place(*paths)))
    write_names(tmp_path / "model", "new")
    assert done == ["sync"] * 4 + ["move", "sync"]  # two files, two folders; the folder above


def test_json_lines_are_whole_or_absent(tmp_path):
    path = tmp_path / "x.jsonl"
    write_json_lines(path, [{"a": "é\n", "b": tmp_path}, {}])
    assert path.read_text(encoding="utf-8") == f'{{"a": "é\\n", "b": "{tmp_path}"}}\n{{}}\n'

    def rows():
        yield {"a": 1}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_json_lines(path, rows())
    assert "é" in path.read_text(encoding="utf-8")
