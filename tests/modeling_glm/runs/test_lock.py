"""One run per folder: a second one is refused, and a crash gives the folder back."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modeling_glm.runs import lock
from modeling_glm.runs.lock import FolderInUseError, hold_folder, hold_run, require_folder
from modeling_glm.tokenization import saving


@contextmanager
def holder(folder: Path) -> Iterator[int]:
    """A process that holds the folder until it is killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with hold_folder(folder):
            os.write(writer, b"held")
            time.sleep(600)
    assert os.read(reader, 4) == b"held"
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def test_another_process_is_refused_until_the_first_is_killed(tmp_path):
    folder = tmp_path / "new" / "run"
    with holder(folder) as process:
        for hold in (hold_folder, hold_run):
            with pytest.raises(FolderInUseError, match=rf"{folder} is in use by process {process}: wait until"):
                hold(folder).__enter__()
    with hold_folder(folder):
        assert {path.name for path in folder.iterdir()} == {"_run.lock", "_run.owner"}
    assert {path.name for path in folder.iterdir()} == {"_run.lock"}


def test_what_a_killed_run_has_left_is_deleted(tmp_path):
    for name in ("_run.json-0123abcd.partial", "_a-b_c.txt-00000000.partial", "_x.partial", "_run.json-01.partial"):
        (tmp_path / name).write_text("half")
    (tmp_path / "_run-89abcdef.partial").mkdir()
    (tmp_path / "_run-89abcdef.partial" / "tokenizer.json").write_text("half")
    held = saving.hold(tmp_path / "_run.json-0123abcd.partial")  # somebody writes it
    with hold_folder(tmp_path):
        left = {path.name for path in tmp_path.glob("*.partial")}
    saving.release(held)
    assert left == {"_run.json-0123abcd.partial", "_x.partial", "_run.json-01.partial"}


def test_the_message_names_this_process(tmp_path):
    with hold_folder(tmp_path), pytest.raises(FolderInUseError, match=f"by process {os.getpid()}: wait"):
        hold_folder(tmp_path).__enter__()
    with hold_folder(tmp_path):
        pass


def test_a_run_holds_its_folder_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with hold_run("run"), hold_run(tmp_path / "run"), hold_run(tmp_path / "other"):
        pass
    with hold_run("run"):
        pass


def test_another_thread_is_another_run(tmp_path):
    refused = []

    def run():
        try:
            with hold_run(tmp_path):
                pass
        except FolderInUseError as error:
            refused.append(str(error))

    with hold_run(tmp_path):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_a_forked_child_has_no_part_in_the_lock(tmp_path):
    """Workers that load data may end some seconds after the run."""
    reader, writer = os.pipe()
    with hold_folder(tmp_path):
        child = os.fork()
        if child == 0:
            os.read(reader, 1)
            os._exit(0)
    with hold_folder(tmp_path):
        os.write(writer, b"x")
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    "owner", ["", "damaged", "[]", '{"pid": 999999999, "host": "HOST"}'], ids=["empty", "damaged", "list", "dead"]
)
def test_an_owner_that_is_gone_is_waited_for(tmp_path, monkeypatch, owner):
    """The lock may be held by what a killed run leaves for a moment."""
    monkeypatch.setattr(lock, "PATIENCE", 0.2)
    with hold_folder(tmp_path):
        (tmp_path / "_run.owner").write_text(owner.replace("HOST", socket.gethostname()))
        started = time.monotonic()
        with pytest.raises(FolderInUseError, match=r"is in use by (another process|process 999999999):"):
            hold_folder(tmp_path).__enter__()
        assert time.monotonic() - started > 0.2


def test_an_owner_on_another_machine_is_named(tmp_path):
    with hold_folder(tmp_path):
        (tmp_path / "_run.owner").write_text('{"pid": 12, "host": "elsewhere"}')
        with pytest.raises(FolderInUseError, match="is in use by process 12 on elsewhere: wait"):
            hold_folder(tmp_path).__enter__()


def test_a_file_in_the_way(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^output_dir file is a file, expected a folder"):
        require_folder("file")
    for path, message in (
        ("file", r"--output_dir .*file is a file, expected a folder"),
        ("file/a/b", r"--output_dir .*file/a/b is in .*/file, which is a file, expected a folder"),
    ):
        with pytest.raises(ValueError, match=message):
            require_folder(tmp_path / path, "--output_dir")
        with pytest.raises(ValueError, match="is a file"):
            hold_run(tmp_path / path).__enter__()
    assert require_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()
