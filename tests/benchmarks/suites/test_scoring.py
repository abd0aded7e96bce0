"""The scoring suite."""

import pytest
import torch

from benchmarks.harness.naive_glm import NaiveGLM
from benchmarks.harness.results import Speed
from benchmarks.harness.shapes import TINY, build_glm, draw_ids, find_blank, make_contexts
from benchmarks.suites import scoring
from modeling_glm import GLMForMultipleChoice


def test_packed_choices_are_laid_out_as_worked_by_hand():
    packed = scoring.pack_choices(torch.tensor([[1, 3, 2]]), torch.tensor([[[10, 11], [20, 21]]]), 1, sop_token_id=4)
    assert packed.input_ids.tolist() == [[1, 3, 2, 4, 10, 4, 20]]
    assert packed.position_ids.tolist() == [[[0, 1, 2, 1, 1, 1, 1], [0, 0, 0, 1, 2, 1, 2]]]
    assert packed.columns.tolist() == [[3, 4], [5, 6]]
    assert packed.mask[0, 0].long().tolist() == [
        *[[1, 1, 1, 0, 0, 0, 0]] * 3,
        [1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0, 1, 0],
        [1, 1, 1, 0, 0, 1, 1],
    ]


def test_packed_choices_have_the_same_scores():
    model = build_glm(GLMForMultipleChoice, TINY)
    contexts, choices = make_contexts(model.config, 2, 30), draw_ids(TINY.vocabulary, 2, 5, 3)
    blank = find_blank(model.config, contexts)
    packed = scoring.pack_choices(contexts, choices, blank, model.config.sop_token_id)
    found = scoring.score_packed(NaiveGLM(model).eval(), packed)
    torch.testing.assert_close(scoring.score_together(model, contexts, choices), found, atol=1e-4, rtol=1e-4)


@pytest.mark.slow  # models of three million parameters
def test_suite_runs(quick):
    results = scoring.run(quick)
    assert {type(result) for result in results} == {Speed}
    # Of the one round.
    assert all(0 < result.low == result.ratio == result.high == result.theirs / result.ours for result in results)
    assert [result.peer for result in results] == ["one forward pass per choice", "naive GLM, choices packed"] * 2
