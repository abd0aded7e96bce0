"""The chapters of the novels, from small files of the form of `r-cran-janeaustenr`."""

import gzip
import struct
import zlib

import numpy as np
import pytest
import rdata

from examples.corpora.literature import austen, austen_chapters
from examples.corpora.literature.austen import DATA, INDEX, NOVELS, PACKAGE
from tests.support.real_data import needs_real_data

EMMA = """EMMA

By Nobody

VOLUME I

CHAPTER I

She was _very
happy_,  and said so.

Her friend
was not.
                     ***
CHAPTER II

A walk, declared,* and a rest.

VOLUME II

CHAPTER I

[At this point in the first and
second editions, Volume 1 ends.]

   The last chapter ten
   was short.

*Vide a letter from somebody.

FINIS

A NOTE ON THE TEXT

Set from another edition."""


def in_r(tmp_path, value):
    """Return a value as R serializes it."""
    rdata.write_rds(tmp_path / "value.rds", value)
    return gzip.decompress((tmp_path / "value.rds").read_bytes())


@pytest.fixture
def novels(monkeypatch):
    """Expect three chapters in each novel."""
    monkeypatch.setattr(austen, "NOVELS", dict.fromkeys(NOVELS, 3))


@pytest.fixture
def folder(tmp_path):
    return write_novels(tmp_path, dict.fromkeys(NOVELS, EMMA))


def write_novels(tmp_path, texts):
    folder = tmp_path / PACKAGE
    folder.mkdir()
    stored, places = b"", {}
    for novel, text in texts.items():
        serialized = in_r(tmp_path, np.array(text.splitlines()))
        packed = struct.pack(">i", len(serialized)) + zlib.compress(serialized)
        places[novel] = np.array([len(stored), len(packed)], dtype=np.int32)
        stored += packed
    (folder / DATA).write_bytes(stored)
    (folder / INDEX).write_bytes(gzip.compress(in_r(tmp_path, {"variables": places, "compressed": True})))
    return folder


def test_chapters_are_counted_through_all_volumes(folder, novels):
    chapters = austen_chapters(folder)
    assert [key for key, _ in chapters] == [f"austen:{novel} {number}" for novel in NOVELS for number in (1, 2, 3)]
    assert [paragraphs for _, paragraphs in chapters[:3]] == [
        ["She was very happy, and said so.", "Her friend was not."],
        ["A walk, declared, and a rest."],
        ["The last chapter ten was short."],
    ]


def test_folder_of_the_real_data_is_the_default(folder, novels, tmp_path, monkeypatch):
    monkeypatch.setenv("GLM_DATA", str(tmp_path))
    assert austen_chapters() == austen_chapters(folder)


def test_other_number_of_chapters_is_another_edition(folder):
    with pytest.raises(ValueError, match=r"another edition: expected 50 chapters in sensesensibility, got 3"):
        austen_chapters(folder)


def damage_start(folder):
    stored = (folder / DATA).read_bytes()
    (folder / DATA).write_bytes(stored[:8] + b"damaged" + stored[15:])


def damage_size(folder):
    stored = (folder / DATA).read_bytes()
    (folder / DATA).write_bytes(b"\0\0\0\1" + stored[4:])


def cut(folder):
    stored = (folder / DATA).read_bytes()
    (folder / DATA).write_bytes(stored[: len(stored) // 2])


@pytest.mark.parametrize(
    "damage",
    [
        damage_start,
        damage_size,
        cut,
        lambda folder: (folder / DATA).write_bytes(b""),
        lambda folder: (folder / INDEX).write_bytes(b"not compressed"),
        lambda folder: (folder / INDEX).write_bytes(gzip.compress(b"not of R")),
        lambda folder: (folder / INDEX).write_bytes((folder / INDEX).read_bytes()[:30]),
    ],
)
def test_damaged_files_are_named(folder, damage, novels):
    damage(folder)
    with pytest.raises(ValueError, match=r"Rdata\.rdb and Rdata\.rdx are not the data of .* run make data"):
        austen_chapters(folder)


def test_novel_that_is_missing_is_named(tmp_path, novels):
    folder = write_novels(tmp_path, {"emma": EMMA})
    with pytest.raises(ValueError, match="sensesensibility"):
        austen_chapters(folder)


def test_missing_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GLM_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="make data"):
        austen_chapters()


@needs_real_data(PACKAGE, INDEX, DATA)
def test_real_novels():
    chapters = austen_chapters()
    texts = [paragraph for chapter in chapters for paragraph in chapter.paragraphs]
    assert len(chapters) == len({chapter.key for chapter in chapters}) == 269
    assert sum(len(text.split()) for text in texts) == pytest.approx(716_650, abs=100)
    assert texts[0].startswith("The family of Dashwood had long been settled in Sussex. Their estate was large")
    assert not [text for text in texts if any(mark in text for mark in "_*") or "CHAPTER" in text]
