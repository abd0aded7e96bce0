"""Layouts of pieces behind a text, and the probabilities that are looked up there."""

import pytest
import torch

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.branches_glm import PieceLayout, Query, look_up, pad_layouts
from tests.support.models import TOKEN_IDS, make_model, tiny_config, words
from tests.support.naive_scoring import naive_log_probs

CLS, EOS, MASK, GMASK, SOP = (TOKEN_IDS[f"{name}_token_id"] for name in ("cls", "eos", "mask", "gmask", "sop"))


def test_layouts_are_those_of_the_docstring():
    """[CLS] a M b M <eos> | S x | S y z, with the pieces of the second and of the first blank in two branches."""
    config = tiny_config()
    layout = PieceLayout([CLS, 20, MASK, 21, GMASK, EOS], config)
    assert layout.append(1, [SOP, 30]) == range(6, 8)
    assert layout.append(0, [SOP], branch=1) == range(8, 9)
    assert layout.append(0, [31, 32], first=2, branch=1) == range(9, 11)
    assert layout.ids == [CLS, 20, MASK, 21, GMASK, EOS, SOP, 30, SOP, 31, 32]
    assert layout.row0 == [0, 1, 2, 3, 4, 5, 4, 4, 2, 2, 2]
    assert layout.row1 == [0, 0, 0, 0, 0, 0, 1, 2, 1, 2, 3]
    assert layout.branch == [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    inputs = pad_layouts([layout, PieceLayout([CLS, MASK], config)], 9, torch.device("cpu"))
    assert inputs.input_ids[1].tolist() == [9] * 9 + [CLS, MASK]
    assert inputs.attention_mask.sum(1).tolist() == [11, 2]
    assert inputs.position_ids[1].tolist() == [[0] * 9 + [0, 1], [0] * 11]
    assert inputs.branch[0].tolist() == layout.branch


@pytest.mark.parametrize("most", [1, 3, 1024])
def test_scores_are_those_of_one_token_at_a_time(monkeypatch, most):
    """Two layouts of different lengths, one piece each, with the end of the piece."""
    monkeypatch.setattr("modeling_glm.branches_glm.MAX_LOGIT_ROWS", most)
    model = make_model(GLMForConditionalGeneration)
    contexts = [[CLS, *words(3), MASK, EOS], [CLS, MASK, *words(5, seed=1), EOS]]
    pieces = [words(2, seed=2), words(1, seed=3)]
    layouts = [PieceLayout(context, model.config) for context in contexts]
    queries = [
        list(map(Query, layout.append(0, [SOP, *piece]), [*piece, -1]))
        for layout, piece in zip(layouts, pieces, strict=True)
    ]
    with torch.no_grad():
        states = model.glm(**pad_layouts(layouts, 0, model.device)._asdict()).last_hidden_state
        found = look_up(model, states, layouts, queries)
    naive = [
        naive_log_probs(model, *row) for row in zip(contexts, [[0]] * 2, [[piece] for piece in pieces], strict=True)
    ]
    assert found == pytest.approx([score for (scores,) in naive for score in scores], abs=1e-5)
