"""Clients of the registries: the commands, real pip without a network, and what is said if they fail."""

import sys

import pytest

from examples.corpora.archives import clients
from examples.corpora.archives.clients import CLIENTS, fetch
from examples.corpora.archives.members import ArchiveError
from tests.support.archives import make_wheel, pin

CONTENT = b"an archive"
ARCHIVE = pin("birds", CONTENT, {}, client="made-up")


def say(code, words="", save=""):
    """Return a client that saves a file, says something and ends."""
    script = (
        f"open({save!r}, 'wb').write({CONTENT!r}) if {save!r} else None; print({words!r}); raise SystemExit({code})"
    )
    return lambda archive, folder: [sys.executable, "-c", script]


@pytest.fixture
def client(monkeypatch):
    return lambda *arguments: monkeypatch.setitem(CLIENTS, "made-up", say(*arguments))


def test_archive_is_saved_in_the_folder(tmp_path, client):
    client(0, "", ARCHIVE.archive)
    assert fetch(ARCHIVE, tmp_path) == tmp_path / ARCHIVE.archive
    assert (tmp_path / ARCHIVE.archive).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("one\ntwo\n\nthree\nfour", "two / three / four"),
        ("", "it said nothing"),
        ("noise\nERROR: No matching version\nnoise", "ERROR: No matching version"),
        ("E: Unable to locate package birds", "E: Unable to locate package birds"),
        ("npm error code E404\nnpm error 404 Not Found\nlog", "npm error code E404 / npm error 404 Not Found"),
        (
            "Failed: [Errno -3] Temporary failure in name resolution\nERROR: none",
            "there is no connection to the registry",
        ),
        ("npm error code ENOTFOUND", "there is no connection to the registry"),
        ("ERROR: [Errno 28] No space left on device", "ERROR: [Errno 28] No space left on device"),
    ],
)
def test_failure_says_why(tmp_path, client, words, reason):
    client(1, words)
    with pytest.raises(ArchiveError) as error:
        fetch(ARCHIVE, tmp_path)
    assert str(error.value) == f"made-up failed: {reason}"


def test_other_file_is_named(tmp_path, client):
    client(0, "saved birds-2.0.tar.gz", "birds-2.0.tar.gz")
    with pytest.raises(ArchiveError, match=r"made-up saved no file birds-1\.0\.tar\.gz: saved birds-2\.0\.tar\.gz"):
        fetch(ARCHIVE, tmp_path)


def test_other_content_is_named(tmp_path, client):
    client(0, "", ARCHIVE.archive)
    other = pin("birds", b"another archive", {}, client="made-up")
    with pytest.raises(ArchiveError, match=f"made-up fetched a file with SHA-256 .*, expected {other.sha256}"):
        fetch(other, tmp_path)


@pytest.mark.parametrize("name", ["npm", "apt"])
def test_absent_client_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ArchiveError, match=r"^(npm|apt-get) is not installed$"):
        fetch(pin("birds", CONTENT, {}, client=name), tmp_path)


def test_commands_pin_the_version(tmp_path):
    wheel = pin("birds", CONTENT, {}, archive="birds-1.0-py3-none-any.whl")
    commands = {name: " ".join(make(wheel, tmp_path)) for name, make in clients.CLIENTS.items() if name != "made-up"}
    assert " pip download -r requirements.txt --dest . --only-binary :all: --no-deps" in commands["pip"]
    assert "npm pack birds@1.0 --pack-destination" in commands["npm"]
    assert commands["apt"].endswith("birds=1.0")
    pinned = (tmp_path / "requirements.txt").read_text(encoding="utf-8")
    assert pinned == f"birds==1.0 --hash=sha256:{wheel.sha256}\n"
    assert "--no-binary :all:" in " ".join(CLIENTS["pip"](ARCHIVE, tmp_path))


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder in which pip looks, and nowhere else."""
    (tmp_path / "index").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


def test_pip_fetches_the_pinned_file(tmp_path, index):
    pytest.importorskip("pip")
    content = make_wheel("glm_test_birds", "1.0", {"birds.txt": b"an owl"})
    wheel = pin("glm-test-birds", content, {}, archive="glm_test_birds-1.0-py3-none-any.whl")
    (index / wheel.archive).write_bytes(content)
    assert fetch(wheel, tmp_path / "out").read_bytes() == content
    changed = make_wheel("glm_test_birds", "1.0", {"birds.txt": b"an elk"})
    (index / wheel.archive).write_bytes(changed)
    (tmp_path / "out" / wheel.archive).unlink()
    with pytest.raises(ArchiveError, match=r"pip failed: .*(?i:hash|mismatch)"):
        fetch(wheel, tmp_path / "out")
