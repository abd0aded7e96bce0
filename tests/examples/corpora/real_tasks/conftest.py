"""Made-up files in the form of the archives."""

import pytest

from tests.support.real_tasks import write_real_data


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """The folder of the data, with small made-up files."""
    monkeypatch.setenv("GLM_DATA", str(tmp_path / "data"))
    return write_real_data(tmp_path / "data")
