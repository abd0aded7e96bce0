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


@settings(max_examples=100)
@given(
    texts=st.lists(st.tuples(st.lists(WORDS, min_size=1, max_size=4), st.booleans()), min_size=1, max_size=5),
    shares=st.lists(st.integers(0, 3), min_size=3, max_size=3).filter(any),
    ratio=st.floats(0.01, 1),
    mean=st.floats(0.5, 10),
    single=st.sampled_from([0.0, 0.3]),
    whole_words=st.booleans(),
    seed=st.integers(0, 2**40),
)
def test_equals_the_naive_reference(tokenizer, texts, shares, ratio, mean, single, whole_words, seed):
    """Texts of one or several documents, with or without an end, in a batch: each as the reference makes it alone."""
    collator = DataCollatorForBlankInfilling(
        tokenizer,
        objectives=dict(zip(("token", "sentence", "document"), np.array(shares) / sum(shares), strict=True)),
        mask_ratio=ratio,
        sentence_ratio=ratio,
        min_document_ratio=ratio,
        mean_span_length=mean,
        single_span_probability=single,
        whole_words=whole_words,
        seed=seed,
    )
    ids = []
    for docs, ends in texts:
        text = [token for words in docs for token in (tokenizer.cls_token_id, *words, tokenizer.eos_token_id)]
        ids.append((text if ends else text[:-1])[: collator.max_length])
    samples = collator.corrupt([{"input_ids": text, "sample_id": k} for k, text in enumerate(ids)])
    for number, text in enumerate(ids):
        assert lists(samples[number]) == naive_infilling.corrupt(text, number, collator)


WORDS_OF_PROSE = [
    "the",
    "fox",
    "saw",
    "a",
    "dog",
    "in",
    "the",
    "house",
    "and",
    "then",
    "it",
    "ran",
    "over",
    "the",
    "big",
    "field",
    "near",
    "a",
    "river",
]


def prose(rng: np.random.Generator, words: int) -> str:
    """Return random words with punctuation behind some of them."""
    marks = [""] * 9 + [",", ".", ".\n"]
    return " ".join(f"{rng.choice(WORDS_OF_PROSE)}{rng.choice(marks)}" for _ in range(words)) + "."


@pytest.fixture(scope="module")
def pieces(tokenizer) -> tuple[list[str], float, np.ndarray]:
    """The answers of 400 texts with whole words, the share of the tokens in them, and where they begin."""
    rng = np.random.default_rng(0)
    collator = DataCollatorForBlankInfilling(tokenizer, whole_words=True, mask_ratio=0.2, mean_span_length=2.0)
    ids = [tokenizer(prose(rng, 40), add_special_tokens=False)["input_ids"] for _ in range(400)]
    samples = collator.corrupt([{"input_ids": row, "sample_id": k} for k, row in enumerate(ids)])
    row1 = samples.position_ids[1]
    opens = np.flatnonzero(row1 == 1)
    stops = opens + 1 + np.bincount(np.cumsum(row1 == 1)[row1 > 1] - 1, minlength=len(opens))
    answers = [tokenizer.decode(samples.input_ids[a + 1 : b]) for a, b in zip(opens, stops, strict=True)]
    masked = int((row1 > 1).sum())
    sizes = np.repeat(samples.context_lengths, samples.lengths)
    return answers, masked / sum(len(row) + 2 for row in ids), samples.position_ids[0][opens] / sizes[opens]


def test_answers_are_whole_words_without_punctuation(pieces):
    answers, _, _ = pieces
    assert len(answers) > 1200
    assert {word for answer in answers for word in answer.split()} == set(WORDS_OF_PROSE)


def test_whole_words_keep_the_share_and_the_lengths(pieces):
    answers, share, _ = pieces
    assert share == pytest.approx(0.2, abs=0.01)
    # Poisson(2) from 1 on has a mean of 2 / (1 - e^-2) = 2.31; the short runs of these texts shorten some spans.
    assert 1.7 < np.mean([len(answer.split()) for answer in answers]) < 2.31


def test_whole_words_are_hidden_everywhere(pieces):
    _, _, places = pieces
    counts, _ = np.histogram(places, bins=5, range=(0, 1))
    assert counts == pytest.approx(np.full(5, counts.mean()), rel=0.1)


def test_one_run_is_never_hidden_whole(tokenizer):
    collator = DataCollatorForBlankInfilling(tokenizer, whole_words=True, mask_ratio=1.0, mean_span_length=30.0)
    ids = tokenizer("the lazy dog", add_special_tokens=False)["input_ids"]
    samples = collator.corrupt([{"input_ids": ids, "sample_id": k} for k in range(50)])
    assert min(samples.context_lengths) > 3  # [CLS], a blank, an end, and a word
