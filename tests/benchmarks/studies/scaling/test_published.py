"""Published runs: their numbers, and how the model is fitted and checked."""

from collections import Counter

import pytest

from benchmarks.studies.scaling import published
from benchmarks.studies.scaling.published import (
    CHECKS,
    DAY,
    GLM_LARGE_LOAD,
    ONE_V100,
    REFERENCES,
    bert_load,
    deepspeed,
    fit_shares,
    throughput,
    without_recompute,
)
from benchmarks.studies.sizing import read_recipe, row_size

GLM = CHECKS[0]


def test_glm_large_is_the_run_of_the_paper():
    (load, steps), *others = GLM.phases
    assert not others
    assert (GLM.gpus, steps, GLM.gpus * load.rows, GLM.seconds) == (64, 200_000, 1024, 2.5 * DAY)
    assert load.recompute
    assert load.row_length == row_size(read_recipe("glm-large")).row


def test_batches_are_those_of_the_recipes():
    """BERT-Large has 65,536 rows of 128 in a step, and 32,768 rows of 512."""
    expected = {128: 65_536, 512: 32_768}
    runs = [run for run in (*CHECKS, *REFERENCES.values()) if run.name not in ("GLM-Large", "RoBERTa-Large")]
    found = {(load.row_length, run.gpus * load.rows * load.accumulation) for run in runs for load, _ in run.phases}
    assert found == set(expected.items())


def test_throughput_becomes_the_seconds_of_a_step():
    run = throughput("a run", GLM.cluster, 8, bert_load(4, 512, 10), rows_per_second=64)
    assert run.seconds == 8 * 4 * 10 / 64


def test_fitted_share_gives_the_published_time():
    for run in REFERENCES.values():
        share = run.fit_utilization(0.5)
        assert run.predict(share, 0.5) == pytest.approx(run.seconds, rel=1e-6)
    # 33 rows per second on one V100, at 1.1e12 operations of a row.
    assert fit_shares(0.5)[ONE_V100] == pytest.approx(33 * bert_load(1, 512).flops() / 125e12, rel=1e-6)


def test_no_check_is_fitted_on_itself():
    fitted = {(run.name, run.gpus, run.seconds) for run in REFERENCES.values()}
    assert not fitted & {(run.name, run.gpus, run.seconds) for run in CHECKS}
    assert {run.fitted_on for run in CHECKS} <= set(REFERENCES)
    for run in CHECKS:
        assert REFERENCES[run.fitted_on].gpus < run.gpus
    assert Counter(run.same_code for run in CHECKS) == {True: 13, False: 2}


def test_scaled_runs_are_predicted_within_a_third():
    for overlap in (0.0, 1.0):
        shares = fit_shares(overlap)
        for run in CHECKS:
            error = run.predict(shares[run.fitted_on], overlap) / run.seconds - 1
            assert (-0.33 if run.same_code else -0.8) < error < 0.05, run


def test_predictions_depend_on_overlap_and_checkpointing():
    assert GLM.predict(0.3, 1.0) < GLM.predict(0.3, 0.5) < GLM.predict(0.3, 0.0)
    assert without_recompute(GLM).predict(0.3, 1.0) < 0.8 * GLM.predict(0.3, 1.0)
    assert without_recompute(GLM).phases[0][0].rows == GLM_LARGE_LOAD.rows


def test_more_gpus_take_less_time():
    seconds = [deepspeed(gpus, 1.0).predict(0.5, 1.0) for gpus in (16, 64, 256, 1024)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] / seconds[-1] < 64
    assert published.HOUR * 24 == DAY
