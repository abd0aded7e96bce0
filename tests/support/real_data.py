"""Tests of the files that `make data` fetches: skipped where they are absent. All else is tested with made-up files."""

import pytest

from examples.corpora.archives.folder import data_folder


def needs_real_data(package: str, *files: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test unless the files of a package have been fetched."""
    present = all((data_folder() / package / file).is_file() for file in files)
    return pytest.mark.skipif(not present, reason=f"{package} is absent: make data fetches it")
