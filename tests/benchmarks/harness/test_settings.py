"""The settings of a run."""

from dataclasses import replace


def test_settings_know_the_device(quick):
    assert not quick.on_gpu
    assert replace(quick, device="cuda").on_gpu
