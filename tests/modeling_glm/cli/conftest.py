"""The command `modeling-glm` as a fixture of these tests."""

from tests.support.command import run

__all__ = ["run"]
