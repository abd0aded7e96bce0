"""The study that profiles a step."""

import pytest
import torch

from benchmarks.studies import profile_step


def test_profile_finds_the_matmul():
    left, right = torch.ones(512, 512), torch.ones(512, 512)
    found = profile_step.profile_step(lambda: left @ right)
    assert found.operators.keys() >= {"aten::matmul", "aten::mm"}
    assert found.matmuls == found.operators["aten::mm"]
    assert found.total / 2 < found.matmuls <= found.total


def test_profile_is_shown_longest_first():
    found = profile_step.StepProfile(
        seconds=2.0,
        page_faults=1234,
        system_seconds=0.5,
        operators={"aten::add": 0.5, "aten::mm": 1.5, "aten::mul": 0.1},
    )
    assert profile_step.show_profile(found, top=2).splitlines() == [
        "2.00 s, 1,234 page faults, 0.50 s in the kernel",
        "   1.500 s  71.4%  aten::mm",
        "   0.500 s  23.8%  aten::add",
        "   1.500 s  71.4%  all matmuls",
        "   2.100 s 100.0%  all operators",
    ]


@pytest.mark.slow  # a model of three million parameters under the profiler
def test_study_runs(capsys):
    profile_step.main(["--shape", "Tiny", "--rows", "1", "--length", "32"])
    shown = capsys.readouterr().out
    assert shown.startswith("GLM, Tiny, vocabulary 4096, 1 x 32 tokens")
    assert "for the matmuls of GLM at the peak of" in shown
