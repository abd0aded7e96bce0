"""Files appear whole or not at all, whoever ends the writing, and an error of writing says where and why."""

import errno
import os
import resource
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE

from modeling_glm.tokenization import saving
from modeling_glm.tokenization.saving import (
    explain_write_errors,
    hold,
    release,
    save_through,
    staging_folder,
    whole_file,
    write_whole,
)
from tests.support.kills import Kill, watch

BIG = "x" * 100_000


def write_lines(path: Path, *lines: str):
    with whole_file(path) as file:
        for line in lines:
            file.write(line)
            if line == "stop":
                raise KeyboardInterrupt


def stage(target: Path, *names: str):
    with staging_folder(target, inside=True) as staging:
        for name in names:
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_text("new")
        save_through(target, staging, last="main.json")


WRITERS: dict[str, Callable[[Path], None]] = {
    "write_whole": lambda path: write_whole(path, BIG),
    "whole_file": lambda path: write_lines(path, BIG, "b\n"),
}
each_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@pytest.mark.parametrize(
    ("content", "expected"), [("漢字\r\n", "漢字\r\n".encode()), (b"\0\xff", b"\0\xff"), ("", b"")]
)
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
    write_lines(path, "漢字\r\n", "b\n")
    assert path.read_bytes() == "漢字\r\nb\n".encode()
    with pytest.raises(KeyboardInterrupt):
        write_lines(path, "new", "stop")
    assert path.read_bytes() == "漢字\r\nb\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["a b", "漢" * 80, "x" * 255, "[a-z]*", ".hidden", "_kept-00000000.partial", "a\nb", "-", "\udcff"]
)
def test_names_of_all_kinds(tmp_path, name):
    path = tmp_path / name
    write_whole(path, "one")
    write_lines(path, "two")
    assert path.read_text() == "two"
    assert os.listdir(tmp_path) == [name]


@each_writer
def test_the_content_is_on_the_disk_before_its_name(tmp_path, monkeypatch, write):
    done = []
    fsync, replace = os.fsync, os.replace
    kinds = {True: "folder", False: "file"}
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(kinds[stat.S_ISDIR(os.fstat(fd).st_mode)]), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("name"), replace(*names)))
    write(tmp_path / "file")
    assert done == ["file", "name", "folder"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_the_usual_ones(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "one", "")
        write_lines(tmp_path / "two", "")
        (tmp_path / "usual").write_text("")
    finally:
        os.umask(before)
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_no_setting_of_the_process_changes(tmp_path, monkeypatch):
    """Other threads create files meanwhile."""
    monkeypatch.delattr(os, "umask")
    monkeypatch.delattr(os, "chdir")
    write_whole(tmp_path / "one", "")
    stage(tmp_path / "two", "a")


class TestLeftovers:
    """The temporary files of crashed writers go, those of running ones stay."""

    @pytest.mark.parametrize("torn", [None, 5000])
    @each_writer
    def test_the_next_writer_deletes_them(self, tmp_path, write, torn):
        path = tmp_path / "file"
        path.write_text("old")
        whole = watch(WRITERS_BY_FUNCTION[write], path, root=tmp_path)
        assert whole.code == 0, whole.output
        assert len(whole.writes) == 2  # the temporary file and its new name
        for number in range(len(whole.writes)):
            path.write_text("old")
            assert watch(
                WRITERS_BY_FUNCTION[write], path, root=tmp_path, kill=Kill(write=number, torn=torn)
            ).killed or (torn is not None and number == 1)
            assert path.read_text() in ("old", BIG, BIG + "b\n")
            write_whole(path, "next")
            assert [found.name for found in tmp_path.iterdir()] == ["file"]

    def test_a_running_writer_keeps_its_own(self, tmp_path):
        path = tmp_path / "file"
        with whole_file(path) as first, whole_file(path) as second:
            write_whole(path, "third")
            assert path.read_text() == "third"
            assert len(list(tmp_path.iterdir())) == 3
            first.write("first")
            second.write("second")
        assert path.read_text() == "first"  # the one that ended last
        assert list(tmp_path.iterdir()) == [path]

    def test_files_of_others_stay(self, tmp_path):
        names = {"_file-.partial", "_file-0123456g.partial", "_file-2-01234567.partial", "file-01234567.partial"}
        for name in names:
            (tmp_path / name).write_text("")
        (tmp_path / "_file-01234567.partial").write_text("")
        write_whole(tmp_path / "file", "")
        assert {path.name for path in tmp_path.iterdir()} == {*names, "file"}

    def test_a_lock_that_is_taken_before_the_writer_has_it(self, tmp_path, monkeypatch):
        """Another process may find a file between its creation and its lock. Then the writer makes another one."""
        names = iter(["aaaaaaaa", "aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"])
        monkeypatch.setattr(saving.secrets, "token_hex", lambda size: next(names))
        locks = []
        lock_new = saving._lock_new

        def taken(descriptor, path):
            locks.append(hold(path) if "aaaaaaaa" in path.name else None)
            return lock_new(descriptor, path)

        monkeypatch.setattr(saving, "_lock_new", taken)
        write_whole(tmp_path / "file", "whole")
        release(locks[0])
        assert (tmp_path / "file").read_text() == "whole"
        monkeypatch.setattr(saving.secrets, "token_hex", lambda size: "eeeeeeee")
        write_whole(tmp_path / "file", "again")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_a_disk_without_locks(self, tmp_path, monkeypatch):
        """Nothing is known about leftovers there, so they stay."""

        def refuse(*args):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(saving.fcntl, "flock", refuse)
        (tmp_path / "_file-01234567.partial").write_text("")
        write_whole(tmp_path / "file", "whole")
        stage(tmp_path / "folder", "a")
        assert {path.name for path in tmp_path.iterdir()} == {"file", "folder", "_file-01234567.partial"}

    def test_a_system_without_locks(self, tmp_path, monkeypatch):
        monkeypatch.setattr(saving, "fcntl", None)
        write_whole(tmp_path / "file", "whole")
        stage(tmp_path / "folder", "a")
        assert (tmp_path / "file").read_text() == "whole"
        assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


# A child imports the functions by their names.
def write_whole_big(path: Path):
    write_whole(path, BIG)


def write_lines_big(path: Path):
    write_lines(path, BIG, "b\n")


WRITERS_BY_FUNCTION = {WRITERS["write_whole"]: write_whole_big, WRITERS["whole_file"]: write_lines_big}


def test_threads_that_write_one_file(tmp_path):
    path, seen, stop = tmp_path / "file", set(), threading.Event()
    contents = {name * 10_000 for name in "abcdefgh"}
    write_whole(path, "a" * 10_000)

    def write(content: str):
        for _ in range(20):
            write_whole(path, content)

    def read():
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert seen <= contents
    assert list(tmp_path.iterdir()) == [path]


class TestSaveThrough:
    """Several files of one folder."""

    def test_other_files_stay(self, tmp_path):
        (tmp_path / "kept").write_text("kept")
        (tmp_path / "main.json").write_text("old")
        stage(tmp_path, "main.json", "templates/a")
        found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
        assert found == {"kept", "main.json", "templates", "templates/a"}
        assert (tmp_path / "main.json").read_text() == "new"

    def test_a_kill_leaves_the_main_file_last(self, tmp_path):
        names = ("a", "main.json", "z")
        whole = watch(stage, tmp_path / "whole", *names, root=tmp_path)
        assert whole.code == 0, whole.output
        for number in range(len(whole.writes)):
            target = tmp_path / str(number)
            assert watch(stage, target, *names, root=tmp_path, kill=Kill(write=number)).killed
            found = {path.name for path in target.iterdir() if path.is_file()} if target.exists() else set()
            assert "main.json" not in found or found == set(names)
            assert all((target / name).read_text() == "new" for name in found)
            stage(target, *names)
            assert {path.name for path in target.iterdir()} == set(names)


def limit_files(function: Callable, *args, size: int = 10_000):
    """Call a function while no file may grow beyond a size, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        function(*args)
    except OSError as error:
        print(f"{type(error).__name__}: {error}", flush=True)


def lower_rights(function: Callable, *args):
    """Call a function as a user who may write nowhere."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        function(*args)
    except OSError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    finally:
        os.seteuid(user)


def stage_big(target: Path):
    with staging_folder(target, inside=True) as staging:
        (staging / "big").write_text(BIG)
        save_through(target, staging)


def stage_safetensors(target: Path):
    with staging_folder(target, inside=True) as staging:
        safetensors.torch.save_file({"a": torch.zeros(100_000)}, staging / "big")


def stage_vocabulary(target: Path):
    with staging_folder(target, inside=True) as staging:
        Tokenizer(BPE({f"{n:05d}": n for n in range(5000)}, [])).save(str(staging / "big"))


class TestErrors:
    """An error of writing names the target, the reason and the free space. Other errors pass unchanged."""

    @pytest.mark.parametrize(
        "write", [write_whole_big, write_lines_big, stage_big, stage_safetensors, stage_vocabulary]
    )
    def test_a_file_that_may_not_grow(self, tmp_path, write):
        target = tmp_path / "target"
        ended = watch(limit_files, write, target, root=tmp_path)
        assert ended.output.startswith("OSError: [Errno 27] The target was not made, because it could not be written")
        assert "(File too large; " in ended.output
        assert " GB are free on this disk). What was there before is unchanged. Free some space" in ended.output
        assert ended.output.endswith(f": '{target}'\n")
        assert not any(path.is_file() for path in tmp_path.rglob("*"))

    @pytest.mark.parametrize("write", [write_whole_big, write_lines_big, stage_big])
    @pytest.mark.parametrize("deep", ["target", "deep/target"])
    def test_a_folder_that_one_may_not_write_into(self, tmp_path, write, deep):
        for folder in (tmp_path, *list(tmp_path.parents)[:2]):
            folder.chmod(0o755)  # as root, the test becomes another user
        (tmp_path / "shut").mkdir(mode=0o555)
        target = tmp_path / "shut" / deep
        ended = watch(lower_rights, write, target, root=tmp_path)
        assert ended.output.startswith("PermissionError: [Errno 13] The target was not made"), ended.output
        assert ended.output.endswith(f": '{target}'\n")

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
    @each_writer
    def test_a_disk_that_says_so_at_the_end(self, tmp_path, monkeypatch, write, code):
        """Some disks write later, and tell of it at fsync."""
        (tmp_path / "file").write_text("old")

        def full(descriptor):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=rf"could not be written \({os.strerror(code)}") as caught:
            write(tmp_path / "file")
        assert (caught.value.errno, caught.value.filename) == (code, str(tmp_path / "file"))
        assert (tmp_path / "file").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    @each_writer
    def test_a_disk_that_cannot_say_so(self, tmp_path, monkeypatch, write):
        def refuse(descriptor):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        monkeypatch.setattr(os, "fsync", refuse)
        write(tmp_path / "file")
        assert (tmp_path / "file").read_text().startswith(BIG)

    @each_writer
    def test_devices_are_written_directly(self, tmp_path, write):
        device = os.stat("/dev/full").st_rdev
        with pytest.raises(OSError, match=r"No space left on device.*'/dev/full'"):
            write(Path("/dev/full"))
        assert os.stat("/dev/full").st_rdev == device
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        read = []
        thread = threading.Thread(target=lambda: read.append(pipe.read_text()))
        thread.start()
        write(pipe)
        thread.join()
        assert read[0].startswith(BIG)
        assert stat.S_ISFIFO(pipe.stat().st_mode)

    @each_writer
    def test_what_is_no_file_or_no_folder(self, tmp_path, write):
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").write_text("kept")
        with pytest.raises(IsADirectoryError, match=r"This is a folder\. Name a file: '.*/folder'"):
            write(tmp_path / "folder")
        for below in ("a", "a/b"):
            with pytest.raises(NotADirectoryError, match=r"This is not a folder.*: '.*/file'"):
                write(tmp_path / "file" / below)
        assert (tmp_path / "file").read_text() == "kept"

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("a value"),
            FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), "there"),
            FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "source"),
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/somewhere/source"),
            PermissionError(errno.EPERM, os.strerror(errno.EPERM)),
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/cache"),
            OSError(errno.ENOSPC, "The target takes 5 GB", "/somewhere"),
            RuntimeError("No such file or directory (os error 2)"),
        ],
        ids=repr,
    )
    def test_other_errors_pass(self, tmp_path, error):
        with pytest.raises(type(error)) as caught, explain_write_errors(tmp_path / "target"):
            raise error
        assert caught.value is error

    def test_an_error_is_explained_once(self, tmp_path):
        with (
            pytest.raises(OSError, match="inner") as caught,
            explain_write_errors(tmp_path / "outer"),
            explain_write_errors(tmp_path / "outer" / "inner"),
        ):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert str(caught.value).count("The target was not made") == 1
