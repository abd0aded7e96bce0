"""Fixtures for the tests of conversion."""

import pytest

from modeling_glm import convert_checkpoint
from modeling_glm.checkpoints.files import CheckpointError
from tests.support.checkpoints import snapshot
from tests.support.models import tiny_config


@pytest.fixture
def refuse(tmp_path):
    """Check that converting fails with a message, and leaves everything as it was."""

    def refuse(source, message: str, error=CheckpointError, target="glm", **options):
        before = snapshot(tmp_path)
        with pytest.raises(error, match=message):
            convert_checkpoint(source, tmp_path / target, **{"config": tiny_config(), **options})
        assert snapshot(tmp_path) == before

    return refuse
