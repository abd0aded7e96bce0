"""Texts that belong to others, and texts to measure on, are not in the repository: not in code, docs, tests or fixtures."""

import json
import re
from collections.abc import Iterator

import pytest

from examples.corpora.archives.catalog import read_catalog
from examples.corpora.archives.folder import data_folder
from tests.support.paths import ROOT

# This many words of a row are looked for: fewer are also in sentences of everybody's.
WORDS = 12
OURS = ("benchmarks", "docs", "examples", "modeling_glm", "tests", "tokenization")
ENDINGS = (".json", ".jsonl", ".md", ".py", ".tsv", ".csv", ".txt", ".yaml")
NOTICES = ("LICENSE", "README", "_README_", "METADATA")
FOREIGN = [archive for archive in read_catalog() if archive.use != "any"]


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def strings_in(value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings_in(inner)


def rows_of(path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    yield from strings_in(json.loads(text)) if path.suffix == ".json" else text.splitlines()


def row_ends(path) -> set[tuple[str, ...]]:
    """Return the last words of the rows that have enough of them."""
    return {tuple(words[-WORDS:]) for words in map(words_of, rows_of(path)) if len(words) >= WORDS}


def windows(text: str) -> Iterator[tuple[str, ...]]:
    words = words_of(text)
    return zip(*(words[start:] for start in range(WORDS)), strict=False)


def test_windows_and_ends_meet(tmp_path):
    row = "0.5\tA film that nobody has ever made, about an owl which counts to ten and back."
    (tmp_path / "rows.txt").write_text(f"{row}\ntoo short\n", encoding="utf-8")
    (tmp_path / "rows.json").write_text(json.dumps({"rows": [{"text": row}, 1, None]}), encoding="utf-8")
    ends = row_ends(tmp_path / "rows.txt")
    assert ends == row_ends(tmp_path / "rows.json")
    assert len(ends) == 1
    quoted = "row = 'Nobody HAS ever made,\nabout an owl which counts to ten; and back again'"
    assert ends.intersection(windows(quoted))
    assert not ends.intersection(windows(quoted.replace("ten", "nine")))
    assert not ends.intersection(windows("which counts to ten and back"))


@pytest.mark.slow
@pytest.mark.skipif(
    not any((data_folder() / archive.package).is_dir() for archive in FOREIGN), reason="make data was not run"
)
def test_repository_has_no_text_of_others():
    foreign: dict[tuple[str, ...], str] = {}
    for archive in FOREIGN:
        for file in archive.files:
            path = data_folder() / archive.package / file.name
            if path.is_file() and not file.name.startswith(NOTICES):
                foreign |= dict.fromkeys(row_ends(path), f"{archive.package}/{file.name}")
    assert foreign
    paths = [path for folder in OURS for path in (ROOT / folder).rglob("*") if path.suffix in ENDINGS]
    found = [
        f"{path.relative_to(ROOT)} has text of {foreign[window]}: {' '.join(window)}"
        for path in [*paths, *ROOT.glob("*.md")]
        for window in windows(path.read_text(encoding="utf-8", errors="replace"))
        if window in foreign
    ]
    assert not found
