"""The baselines that fill blanks."""

import math

import pytest

from examples.corpora import Document
from examples.corpora.measuring.baselines import BackoffNgramBaseline, NeighbourBaseline, NgramLoss, UnigramBaseline
from examples.corpora.measuring.blanks import HeldOutBlank, exact_match, make_blanks


@pytest.mark.slow
def test_more_context_predicts_better(training: list[Document], held_out: list[Document]):
    families = {"number_words", "dates", "unicode_case", "clock"}
    seen = [document for document in training if document.family in families]
    blanks = make_blanks([document for document in held_out if document.family in families], count=500, seed=0)
    kinds = (UnigramBaseline, NeighbourBaseline, BackoffNgramBaseline)
    scores = [exact_match([*map(kind().fit(seen).predict, blanks)], blanks) for kind in kinds]
    assert 0 < scores[0] <= scores[1] <= scores[2] < 1


def test_baselines_on_a_handful():
    texts = ("a cat sat on the mat.", "a dog sat on the mat.", "a dog ran on the road.")
    seen = [Document(family="toy", key=f"closed:{text}", text=text) for text in texts]
    blank = HeldOutBlank(family="toy", text="one [MASK] ran on.", answer="dog")
    assert UnigramBaseline().fit(seen).predict(blank) == "a"
    near = HeldOutBlank(family="toy", text="a [MASK] sat on the mat.", answer="cat")
    assert NeighbourBaseline().fit(seen).predict(near) == "cat"
    assert BackoffNgramBaseline().fit(seen).predict(blank) == "dog"
    long = HeldOutBlank(family="toy", text="a dog sat [MASK] mat.", answer="on the")
    assert BackoffNgramBaseline().fit(seen).predict(long) == "on the"


def test_loss_by_hand():
    """Witten and Bell with single tokens: 0 twice, 1 once, of 4 tokens: (count + 2 kinds / 4) / (3 + 2 kinds)."""
    loss = NgramLoss(1, 4).fit([[0, 0, 1]])
    assert loss([], [0]) == pytest.approx(-math.log((2 + 2 / 4) / (3 + 2)))
    assert loss([], [1, 3]) == pytest.approx(-math.log((1 + 0.5) / 5) - math.log(0.5 / 5))
