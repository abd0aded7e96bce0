"""The objectives: by hand, equality with the naive reference, and the distributions of single draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.harness import naive_infilling
from modeling_glm import DataCollatorForBlankInfilling
from modeling_glm.tokenization.pretraining.draws import Draws, TokenStream
from modeling_glm.tokenization.pretraining.objectives import (
    DocumentObjective,
    SentenceObjective,
    TokenObjective,
    find_runs,
    find_sentences,
    poisson_probabilities,
)
from modeling_glm.tokenization.pretraining.spans import SpanPlaces
from modeling_glm.tokenization.pretraining.texts import Texts

CLS, EOS, STOP = 2, 1, 9


def draw(objective, rows: list[list[int]], chosen: list[bool] | None = None) -> SpanPlaces:
    texts = Texts.join([np.array(row) for row in rows], (CLS, EOS))
    number = len(rows)
    draws = Draws(0, range(number), [0] * number, texts.lengths.tolist(), TokenStream.VARIANTS)
    return objective.draw(texts, np.array(chosen or [True] * number), draws)


def test_runs_by_hand():
    """Documents without their boundaries, and without the last token of a text that has no end, unless it is the only one."""
    texts = Texts.join([np.array(row) for row in ([2, 10, 11, 1, 2, 12, 1], [2, 10, 11, 12], [2, 10])], (CLS, EOS))
    runs = find_runs(texts)
    assert runs.start.tolist() == [1, 5, 8, 12]
    assert runs.length.tolist() == [2, 1, 2, 1]
    assert runs.text.tolist() == [0, 0, 1, 2]


def test_sentences_by_hand():
    texts = Texts.join([np.array(row) for row in ([2, 10, STOP, 11, 1, 2, 12], [2, 13, STOP, 1])], (CLS, EOS))
    sentences = find_sentences(texts, texts.ids == STOP)
    assert sentences.start.tolist() == [1, 3, 6, 8]
    assert sentences.length.tolist() == [2, 1, 1, 2]
    assert sentences.text.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "objective",
    [
        TokenObjective(ratio=0.15, mean_length=3.0),
        SentenceObjective(ratio=0.15, find_ends=lambda ids: ids == STOP),
        DocumentObjective(min_ratio=0.5, suffix_probability=0.5),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_only_chosen_texts_get_spans(objective):
    rows = [[CLS, *range(10, 10 + size), EOS] for size in (5, 30, 80, 12)]
    spans = draw(objective, rows, [True, False, True, True])
    assert set(spans.text.tolist()) == {0, 2, 3}
    every = draw(objective, rows)
    kept = every.take(np.flatnonzero(every.text != 1))
    assert kept.start.tolist() == spans.start.tolist()  # and they do not depend on the others
    assert kept.stop.tolist() == spans.stop.tolist()


def test_no_share_means_one_span():
    spans = draw(TokenObjective(ratio=0.0, mean_length=3.0), [[CLS, *range(10, 90), EOS]] * 50)
    assert spans.text.tolist() == list(range(50))
    assert len(set((spans.stop - spans.start).tolist())) > 3


def test_poisson_probabilities():
    probabilities = poisson_probabilities(3.0)
    assert len(probabilities) == 39
    assert probabilities.sum() == pytest.approx(1)
    # P(k) = 3^k / k! / (e^3 - 1) for k = 1, 2, 3
    assert probabilities[:3] == pytest.approx(np.array([3, 4.5, 4.5]) / (np.exp(3) - 1))


WORDS = st.lists(st.integers(20, 346), min_size=1, max_size=60)


def lists(sample) -> dict[str, list]:
    return {name: values.tolist() for name, values in sample.items()}


@settings(max_examples=300)
@given(
    texts=st.lists(st.tuples(st.lists(WORDS, min_size=1, max_size=4), st.booleans()), min_size=1, max_size=5),
    shares=st.lists(st.integers(0, 3), min_size=3, max_size=3).filter(any),
    ratio=st.floats(0.01, 1),
    mean=st.floats(0.5, 10),
    single=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**40),
)
def test_equals_the_naive_reference(tokenizer, texts, shares, ratio, mean, single, seed):
    """Texts of one or several documents, with or without an end, in a batch: each as the reference makes it alone."""
    collator = DataCollatorForBlankInfilling(
        tokenizer,
        objectives=dict(zip(("token", "sentence", "document"), np.array(shares) / sum(shares), strict=True)),
        mask_ratio=ratio,
        sentence_ratio=ratio,
        min_document_ratio=ratio,
        mean_span_length=mean,
        single_span_probability=single,
        seed=seed,
    )
    ids = []
    for docs, ends in texts:
        text = [token for words in docs for token in (tokenizer.cls_token_id, *words, tokenizer.eos_token_id)]
        ids.append((text if ends else text[:-1])[: collator.max_length])
    samples = collator.corrupt([{"input_ids": text, "sample_id": k} for k, text in enumerate(ids)])
    for number, text in enumerate(ids):
        assert lists(samples[number]) == naive_infilling.corrupt(text, number, collator)
