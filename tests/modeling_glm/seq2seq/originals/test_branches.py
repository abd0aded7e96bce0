"""Branches of a row beside each other: the log-probabilities of each as if it were alone."""

import pytest
import torch

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.seq2seq.originals.branches import BranchDecoder, Prefill, prefill
from tests.support.models import TOKEN_IDS, make_model, pad_rows, words

SOP = TOKEN_IDS["sop_token_id"]
ROWS = [[2, *words(5, 1), 3, 1, SOP], [2, *words(2, 2), 3, SOP], [2, 3, *words(9, 3), 1, SOP]]


@pytest.fixture(scope="module")
def model():
    return make_model(GLMForConditionalGeneration)


def log_probs_alone(model, row, written):
    with torch.no_grad():
        return model(torch.tensor([[*row, *written]])).logits[0, -1].log_softmax(-1)


def test_branches_change_places(model):
    ids, mask = pad_rows(ROWS, "left"), pad_rows([[1] * len(row) for row in ROWS], "left")
    with torch.no_grad():
        start = prefill(model, ids, mask)
        for number, row in enumerate(ROWS):
            torch.testing.assert_close(start.log_probs[number], log_probs_alone(model, row, []))
        decoder = BranchDecoder(model, start)
        written = [[[], []] for _ in ROWS]
        kept = list(range(len(ROWS)))
        # Two branches of one; then both go on with the second, change places, and a row leaves the batch.
        for step, parents in enumerate([(0, 0), (1, 1), (1, 0), (1, 0)]):
            if step == 2:
                decoder.keep(torch.tensor([0, 2]))
                kept, written = [0, 2], [written[0], written[2]]
            tokens = torch.tensor([words(2, 10 * step + number) for number in kept])
            positions = start.positions_of(step)[kept, :, None].expand(-1, -1, 2)
            log_probs = decoder.feed(tokens, torch.tensor([parents] * len(kept)), positions)
            for place, number in enumerate(kept):
                written[place] = [
                    [*written[place][parent], token]
                    for parent, token in zip(parents, tokens[place].tolist(), strict=True)
                ]
                for branch, ids_of_branch in enumerate(written[place]):
                    expected = log_probs_alone(model, ROWS[number], ids_of_branch)
                    torch.testing.assert_close(log_probs[place, branch], expected)


def test_positions_continue_what_is_given(model):
    ids = torch.tensor([ROWS[0]])
    positions = compute_position_ids(ids, model.config)
    visible = torch.ones_like(ids, dtype=torch.bool)
    start = Prefill(torch.empty(1, 64), None, visible, positions)
    assert [start.positions_of(step)[0].tolist() for step in range(3)] == [[6, 2], [6, 3], [6, 4]]
    longer = Prefill(torch.empty(1, 64), None, visible, torch.cat((positions, positions[..., -1:] * 0 + 9), dim=-1))
    assert [longer.positions_of(step)[0].tolist() for step in range(3)] == [[9, 9], [9, 10], [9, 11]]
