"""The growth suite."""

from dataclasses import replace

import pytest

from benchmarks.harness.shapes import BASE
from benchmarks.suites import growth


def test_exponents_are_slopes_between_logarithms():
    assert growth.fit_exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)


def test_exponent_is_fitted_to_the_best_round(quick, monkeypatch):
    seconds = {"1": [1.0, 9.0], "2": [8.0, 4.0], "4": [16.0, 20.0]}
    monkeypatch.setattr(growth, "take_turns", lambda runs, rounds: {name: seconds[name] for name in runs})
    case = growth.GrowthCase(
        work="w", size="tokens", sizes=[1, 2, 4], make=lambda size: lambda: None, arithmetic=lambda size: size**3
    )
    found = growth.measure_time(quick, case)
    assert found.measured == pytest.approx(2)
    assert found.expected == pytest.approx(3)


def test_arithmetic_of_a_long_text_grows_faster_than_its_length():
    case = growth.growth_cases(replace(BASE, layers=1, vocabulary=1000), quick=False)[0]
    expected = growth.fit_exponent(case.sizes, [case.arithmetic(size) for size in case.sizes])
    assert 1.05 < expected < 1.2


@pytest.mark.slow  # trains and runs models of three million parameters
def test_suite_runs(quick, monkeypatch):
    monkeypatch.setattr(growth, "run_alone", lambda function, *arguments: {"bytes": arguments[-1] ** 1.5})
    results = growth.run(quick)
    assert results[-1].measured == pytest.approx(1.5)
    assert [result.size for result in results] == ["tokens", "texts", "choices", "blanks", "layers", "tokens of a row"]
