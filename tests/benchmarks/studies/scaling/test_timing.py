"""Constants of measurements, and predictions for more processes."""

import pytest

from benchmarks.studies.scaling.collectives import ALL_REDUCE, GLOO_PASSES, Fabric
from benchmarks.studies.scaling.timing import (
    CPU,
    StepTimes,
    best,
    fit_fabric,
    predict_cpu,
    predict_local,
    predict_more,
    read_times,
)

FOUND = {
    "times": {
        "passes": [3.0, 2.6, 2.8],
        "update": [0.5, 0.4, 0.6],
        "local passes": [2.0, 2.2, 2.1],
        "collectives": [1.2, 1.0, 1.1],
    },
    "cpu": {"passes": [2.5], "update": [0.3], "local passes": [1.9], "collectives": [0.5]},
    "bucket times": [1.4, 2.8],
    "bucket bytes": [300, 100],
}


def test_times_are_the_best_of_the_rounds():
    times = read_times(FOUND)
    assert (times.passes, times.update, times.local, times.collectives) == (2.6, 0.4, 2.0, 1.0)
    assert times.whole == 3.0
    # Moments are scaled from passes of 2.8 seconds to passes of 2.0 seconds.
    assert times.buckets == (pytest.approx((1.0, 300)), pytest.approx((2.0, 100)))
    assert read_times(FOUND, clock=CPU).local == 1.9
    assert best([3.0, 1.0, 2.0]) == 1.0


def test_passes_of_ddp_stand_for_those_of_sharded_strategies():
    sharded = {
        **FOUND,
        "times": {name: FOUND["times"][name] for name in ("passes", "update", "collectives")},
        "bucket times": [],
        "bucket bytes": [],
    }
    assert read_times(sharded, FOUND).local == 2.0
    assert read_times(sharded, FOUND).buckets == ()


def test_share_of_communication():
    alone = StepTimes(passes=2.5, update=0.5, local=2.0, collectives=1.0)
    assert StepTimes(passes=4.0, update=1.0, local=2.0, collectives=1.0).share(alone) == 0.5
    assert StepTimes(passes=1.0, update=0.5, local=2.0, collectives=1.0).share(alone) == 0.0


def make_times(passes: float) -> StepTimes:
    """Three quarters of a second of communication can be hidden, and a quarter comes after the passes."""
    return StepTimes(passes=passes, update=0.4, local=2.0, collectives=1.0, buckets=((1.0, 300), (2.0, 100)))


def test_overlap_by_hand():
    assert make_times(2.25).overlap == 1.0
    assert make_times(3.0).overlap == 0.0
    assert make_times(2.625).overlap == pytest.approx(0.5)
    assert make_times(9.0).overlap == 0.0
    assert make_times(2.0).overlap == 1.0


def test_overlap_is_none_if_nothing_can_be_hidden():
    last = StepTimes(passes=2.5, update=0.4, local=2.0, collectives=1.0, buckets=((2.0, 400),))
    assert last.overlap == 0.0


def test_fabric_gives_the_times_that_it_is_fitted_on():
    messages = {"1000": [0.003, 0.002], "1000000": [0.5, 0.4], "100000000": [2.002, 3.0]}
    fabric = fit_fabric(messages, 2, cores=2)
    assert fabric.latency == pytest.approx(0.001)
    assert fabric.seconds(ALL_REDUCE, 100000000, 2) == pytest.approx(2.002)
    assert fabric.seconds(ALL_REDUCE, 0, 2) == pytest.approx(0.002)
    assert dict(fabric.passes) == GLOO_PASSES


ALONE = StepTimes(passes=3.5, update=0.4, local=3.5, collectives=0.0)  # half a second, and three for all rows


def test_passes_have_a_fixed_part():
    found = [predict_local(ALONE, make_times(3.0), 2, more) for more in (1, 2, 4, 8)]
    assert found == pytest.approx([0.5 + 3.0 / more for more in (1, 2, 4, 8)])


def test_same_rows_on_the_same_cores():
    """Four processes on two cores compute at half the speed, and send three times as slowly."""
    fabric = Fabric(per_machine=64, bandwidth=400.0, latency=0.0, cores=2, passes=tuple(GLOO_PASSES.items()))
    few = make_times(3.0)  # no overlap
    four = predict_more(ALONE, few, 2, 4, fabric)
    assert (four.local, four.update) == pytest.approx((2.5, 0.8))
    assert four.collectives == pytest.approx(3.0)
    assert four.whole == pytest.approx(2.5 + 3.0 + 0.8)
    hidden = predict_more(ALONE, make_times(2.25), 2, 4, fabric)
    assert hidden.local < hidden.passes < four.passes
    assert predict_more(ALONE, few, 2, 2, fabric).whole == pytest.approx(few.whole)


def test_cpu_time_of_more_processes():
    four = predict_cpu(ALONE, make_times(3.0), 2, 4)
    assert (four.local, four.update, four.collectives) == pytest.approx((1.25, 0.4, 1.5))
    assert four.whole == pytest.approx(3.15)
