"""The frame itself: the same cases each time, failures with their command, limits that hold."""

import time

import pytest

from tests.support.stress import GIB, Stress, StressOptions, why_unclear


@pytest.fixture
def make(tmp_path):
    return lambda **options: Stress(
        "tests/stress/test_x.py::test_y[a b]", StressOptions(**options), tmp_path / "record"
    )


def draws(stress: Stress, number: int = 4) -> list[float]:
    found = []
    for case in stress.cases(number, smoke=2):
        with case:
            found.append(case.random.random())
    return found


def test_a_smoke_has_few_cases_and_a_scale_has_more(make):
    assert len(draws(make())) == 2
    assert len(draws(make(scale=1))) == 4
    assert len(draws(make(scale=2.5))) == 10
    assert make().is_smoke
    assert not make(scale=1).is_smoke


def test_seconds_end_a_test(make):
    start = time.monotonic()
    assert len(draws(make(seconds=0.05))) > 4
    assert time.monotonic() - start < 5


def test_cases_depend_on_seed_test_and_number_only(make, tmp_path):
    first = draws(make(scale=1))
    assert draws(make(scale=2))[:4] == first
    assert draws(make(case=3)) == first[3:]
    assert not set(draws(make(scale=1, seed=1))) & set(first)
    other = Stress("tests/stress/test_x.py::test_z", StressOptions(scale=1), tmp_path / "record")
    assert not set(draws(other)) & set(first)


def run(stress: Stress, number: int, body, **limits) -> list[int]:
    """Run a body in every case, and return the numbers of the cases."""
    seen = []
    for case in stress.cases(number, **limits):
        with case:
            seen.append(case.number)
            body(case)
    return seen


def fail_where_even(case):
    assert case.number % 2, f"{case.number} is an even number"


def test_failures_are_printed_with_commands_that_repeat_them(make):
    stress = make(scale=1, seed=7)
    with pytest.raises(pytest.fail.Exception) as caught:
        run(stress, 4, fail_where_even)
    message = str(caught.value)
    assert "2 cases failed" in message
    assert "2 is an even number" in message
    command = ".venv/bin/python -m pytest 'tests/stress/test_x.py::test_y[a b]' --stress-seed 7 --stress-case 2"
    assert command in message
    assert stress.command(2) == command


def test_a_case_alone_shows_its_own_error(make):
    with pytest.raises(AssertionError, match="6 is an even number"):
        run(make(case=6), 1, fail_where_even)
    assert run(make(case=5), 1, fail_where_even) == [5]


def test_many_failures_end_a_test(make):
    stress = make(scale=1)
    with pytest.raises(pytest.fail.Exception, match="5 cases failed"):
        run(stress, 100, fail_where_even)
    assert "--stress-case 8" in stress.record.read_text(encoding="utf-8")


def test_the_record_names_the_running_case(make):
    stress = make(scale=1)
    for case in stress.cases(2):
        with case:
            assert stress.record.read_text() == f"{case.command}\n"


def sleep(case):
    time.sleep(30)


def count(case):
    while True:
        pass


@pytest.mark.parametrize("wait", [sleep, count])
def test_a_case_that_hangs_is_stopped(make, wait):
    with pytest.raises(pytest.fail.Exception, match=r"more than 0\.1 seconds"):
        run(make(), 1, wait, smoke=1, seconds=0.1)


def test_a_case_that_takes_memory_is_stopped(make):
    with pytest.raises(pytest.fail.Exception, match="MemoryError"):
        run(make(), 1, lambda case: bytearray(GIB), smoke=1, memory=GIB // 4)
    assert len(bytearray(GIB // 2)) == GIB // 2  # the limit is gone


def test_unclear_errors():
    def caught(function) -> Exception:
        with pytest.raises(Exception) as found:  # noqa: PT011
            function()
        return found.value

    def ours():
        from modeling_glm import GLMConfig

        GLMConfig(num_attention_heads=7, hidden_size=64)

    assert not why_unclear(caught(ours), "num_attention_heads")
    assert "names none of" in why_unclear(caught(ours), "vocab_size")
    assert "neither" in why_unclear(caught(lambda: [][0]))
    assert "depths" in why_unclear(caught(lambda: int("x")))
