"""Fillings of texts: their scores, their order, what is the same whatever the batch, and what is refused."""

import itertools
import re
from itertools import chain

import pytest
import torch

from modeling_glm import BlankConstraint, GLMForConditionalGeneration, fill_blanks, score_fillings
from modeling_glm.filling.scoring import Candidates, score_candidates
from tests.support.models import make_model
from tests.support.naive_scoring import naive_log_probs

TEXTS = [
    "The [MASK] fox jumps over the [MASK].",
    "Paris is the capital of [MASK], and Rome is the [MASK] of [MASK], in the year 1987, when the fox was found.",
    "The lazy [sMASK]",
    "The number 404 was [gMASK]",
    "[MASK] is the capital of Italy.",
]
SEARCHES = [
    {},
    {"num_answers": 3},
    {"num_answers": 4, "do_sample": True, "temperature": 0.7, "top_k": 20},
    {"order": "confident-first"},
    {"num_answers": 2, "constraints": BlankConstraint(regex="[a-z ]{1,9}")},
    {"num_answers": 3, "constraints": BlankConstraint(choices=["fox", "the lazy dog", "1987"])},
    {
        "num_answers": 2,
        "constraints": BlankConstraint(choices=["a fox", "the dog", "fox"], min_new_tokens=2),
        "num_beams": 3,
    },
]


@pytest.fixture(scope="module")
def model(tokenizer) -> GLMForConditionalGeneration:
    return make_model(
        GLMForConditionalGeneration,
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        **tokenizer.special_token_ids,
    )


def fill(model, tokenizer, texts, **settings):
    return fill_blanks(model, tokenizer, texts, **{"max_new_tokens_per_blank": 6, **settings})


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_log_probabilities_are_those_of_token_by_token(model, tokenizer, search):
    for text, fillings in zip(TEXTS, fill(model, tokenizer, TEXTS, **search), strict=True):
        assert fillings
        context = tokenizer(text)["input_ids"]
        for filling in fillings:
            pieces = [answer.token_ids for answer in filling.answers]
            orders = [range(len(pieces))]
            if "order" in search:  # it is not told: one of them it was
                orders = list(itertools.permutations(range(len(pieces))))
            naive = []
            for order in orders:
                scores = naive_log_probs(model, context, order, [pieces[blank] for blank in order])
                naive.append([scores[list(order).index(blank)] for blank in range(len(pieces))])
            found = [list(answer.token_log_probs) for answer in filling.answers]
            assert any(
                torch.allclose(torch.tensor([*chain(*found)]), torch.tensor([*chain(*other)]), atol=1e-5, rtol=1e-5)
                for other in naive
            )
            assert filling.log_prob == pytest.approx(sum(map(sum, found)))
            assert filling.score == pytest.approx(filling.log_prob / sum(map(len, found)))


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_answers_stand_where_they_are_said_to(model, tokenizer, search):
    for text, fillings in zip(TEXTS, fill(model, tokenizer, TEXTS, **search), strict=True):
        for filling in fillings:
            answers = [answer.text for answer in filling.answers]
            assert filling.text == tokenizer.fill(text, answers)
            assert [filling.text[answer.start : answer.end] for answer in filling.answers] == answers
        values = [filling.log_prob for filling in fillings]
        assert values == sorted(values, reverse=True)
        assert len({tuple(answer.text for answer in filling.answers) for filling in fillings}) == len(fillings)
        assert len(fillings) <= search.get("num_answers", 1)


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_the_batch_changes_nothing(model, tokenizer, search):
    together = fill(model, tokenizer, TEXTS, **search)
    for batch_size in (1, 2, 3):
        found = fill(model, tokenizer, TEXTS, **search, batch_size=batch_size)
        for one, other in zip(together, found, strict=True):
            assert [filling.text for filling in one] == [filling.text for filling in other]
            torch.testing.assert_close(
                torch.tensor([filling.log_prob for filling in one]),
                torch.tensor([filling.log_prob for filling in other]),
                atol=1e-4,
                rtol=1e-5,
            )


def test_draws_follow_the_seed(model, tokenizer):
    draw = {"num_answers": 4, "do_sample": True}
    found = [fill(model, tokenizer, TEXTS, **draw, seed=seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    # The same text twice is drawn for twice.
    twice = fill(model, tokenizer, [TEXTS[0]] * 2, **draw)
    assert twice[0] != twice[1]


def test_draws_follow_the_distribution(model, tokenizer):
    """The share of every first answer among many draws, against its probability."""
    choices = ["fox", "dog", "cat"]
    only = BlankConstraint(choices=choices)
    text = "The [MASK] jumps."
    exact = {f.answers[0].text: f for f in fill_blanks(model, tokenizer, text, 3, constraints=only)}
    drawn = fill_blanks(
        model, tokenizer, [text] * 600, constraints=only, do_sample=True, temperature=1.0, batch_size=600
    )
    found = [fillings[0].answers[0].text for fillings in drawn]
    # A draw renormalises step by step over what may follow; all three have their own first token.
    first = torch.tensor([exact[choice].answers[0].token_log_probs[0] for choice in choices]).softmax(-1)
    for choice, expected in zip(choices, first.tolist(), strict=True):
        assert abs(found.count(choice) / 600 - expected) < 4 * (expected * (1 - expected) / 600) ** 0.5 + 1e-9


def test_greedy_answers_are_those_of_generate(model, tokenizer):
    """With nothing asked, and answers that end before the limit."""
    only_words = [i for i in range(len(tokenizer)) if i in tokenizer.all_special_ids]
    keep = {tokenizer.eop_token_id, tokenizer.eos_token_id, tokenizer.sop_token_id}
    for text in TEXTS:
        generated = model.generate(
            **tokenizer(text, return_tensors="pt"),
            suppress_tokens=[i for i in only_words if i not in keep],
            max_new_tokens_per_blank=30,
            max_new_tokens=60,
        )
        answers = tokenizer.decode_blanks(generated)[0]
        (filling,) = fill_blanks(model, tokenizer, text, max_new_tokens_per_blank=29)
        if all(len(answer.token_ids) < 29 for answer in filling.answers):
            assert [answer.text for answer in filling.answers] == answers


def test_the_best_of_all_is_found(model, tokenizer):
    """Every sequence of at most two tokens that the expression allows, scored one by one."""
    text, pattern = TEXTS[4], "[a-h]{1,4}"
    texts = {i: tokenizer.decode([i]) for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids}
    usable = [i for i, word in texts.items() if re.fullmatch(" ?[a-h]*", word) and word]
    pieces = [
        list(piece)
        for length in (1, 2)
        for piece in itertools.product(usable, repeat=length)
        if re.fullmatch(f" ?{pattern}", tokenizer.decode(piece))
    ]
    assert len(pieces) > 50
    candidates = Candidates(context=tokenizer(text)["input_ids"], order=[0], pieces=[[piece] for piece in pieces])
    scores = [candidate.pieces[0].log_prob for candidate in score_candidates(model, [candidates])[0]]
    best: dict[str, float] = {}
    for piece, score in zip(pieces, scores, strict=True):
        word = tokenizer.decode(piece).strip()
        best[word] = max(best.get(word, score), score)
    ranking = sorted(best, key=best.__getitem__, reverse=True)[:5]
    asked = BlankConstraint(regex=pattern, max_new_tokens=2)
    found = fill_blanks(model, tokenizer, text, 5, constraints=asked, num_beams=64)
    assert [filling.answers[0].text for filling in found] == ranking
    assert [filling.log_prob for filling in found] == pytest.approx([best[word] for word in ranking], abs=1e-4)


def test_closed_sets_rank_as_one_by_one(model, tokenizer, monkeypatch):
    first, second = ["fox", "dog", "lazy cat"], ["Rome", "the capital of Italy", "1987", "over"]
    constraints = [BlankConstraint(choices=first), BlankConstraint(choices=second)]
    pairs = list(itertools.product(first, second))
    alone = {pair: score_fillings(model, tokenizer, TEXTS[0], [pair])[0].log_prob for pair in pairs}
    ranking = sorted(pairs, key=alone.__getitem__, reverse=True)
    exact = fill_blanks(model, tokenizer, TEXTS[0], len(pairs), constraints=constraints)
    assert [tuple(answer.text for answer in filling.answers) for filling in exact] == ranking
    assert [f.log_prob for f in exact] == pytest.approx([alone[pair] for pair in ranking], abs=1e-4)
    # Searched instead, with beams enough for all.
    monkeypatch.setattr("modeling_glm.filling.jobs.MAX_EXACT", 0)
    searched = fill_blanks(model, tokenizer, TEXTS[0], len(pairs), constraints=constraints, num_beams=24)
    assert [filling.text for filling in searched] == [filling.text for filling in exact]


def test_many_answers_are_scored_in_one_pass(model, tokenizer, monkeypatch):
    calls = []
    forward = model.glm.forward
    monkeypatch.setattr(model.glm, "forward", lambda *args, **kwargs: calls.append(1) or forward(*args, **kwargs))
    words = [f"{letter}{number}" for letter in "abcdefgh" for number in range(8)]
    assert len(score_fillings(model, tokenizer, TEXTS[4], words)) == 64
    assert len(calls) == 1


def watch_batches(model):
    """The batch size of every forward pass from here on."""
    sizes = []
    hook = model.glm.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(args[0] if args else kwargs["input_ids"])), with_kwargs=True
    )
    return sizes, hook


@pytest.mark.parametrize("search", [{}, {"num_answers": 3, "do_sample": True}], ids=str)
def test_filled_rows_leave_the_batch_and_nothing_is_read_again(model, tokenizer, monkeypatch, search):
    monkeypatch.setattr(
        "modeling_glm.filling.search.score_candidates", lambda *args: pytest.fail("All was read again.")
    )
    texts = ["[MASK] is the capital of Italy."] * 5 + [" ".join(["[MASK] fox"] * 4)] * 3
    sizes, hook = watch_batches(model)
    try:
        fill(model, tokenizer, texts, **search)
    finally:
        hook.remove()
    assert sizes[0] == len(texts) * search.get("num_answers", 1)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 2


@pytest.mark.parametrize(
    "more", [{"use_cache": False}, {"cache_implementation": "static"}, {"repetition_penalty": 1.0}]
)
def test_further_arguments_of_generate_change_no_answer(model, tokenizer, more):
    expected = fill(model, tokenizer, TEXTS)
    for (one,), (other,) in zip(expected, fill(model, tokenizer, TEXTS, **more), strict=True):
        assert one.text == other.text
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)


def test_tokens_of_a_draft_are_scored_as_all_others(model, tokenizer):
    text = TEXTS[0]
    (expected,), (drafted,) = fill(model, tokenizer, text), fill(model, tokenizer, text, prompt_lookup_num_tokens=3)
    assert drafted.text == expected.text
    assert drafted.log_prob == pytest.approx(expected.log_prob, abs=1e-4)


def test_given_answers_are_read_and_not_scored(model, tokenizer):
    text = TEXTS[1]
    given = [None, BlankConstraint(answer="capital"), None]
    (filling,) = fill(model, tokenizer, text, constraints=given)
    (other,) = fill(model, tokenizer, text.replace("the [MASK] of", "the capital of"))
    assert filling.text == other.text
    assert [answer.given for answer in filling.answers] == [False, True, False]
    assert filling.answers[1].text == "capital"
    assert filling.answers[1].token_log_probs == ()
    assert filling.log_prob == pytest.approx(other.log_prob, abs=1e-5)
    assert filling.text[filling.answers[1].start : filling.answers[1].end] == "capital"
    # All of them, and an empty one, which takes the space before it away.
    all_given = [[BlankConstraint(answer=answer) for answer in ("", "dog")], None]
    for search in ({}, {"do_sample": True}, {"order": "confident-first"}):
        (nothing_left,), (filled,) = fill(model, tokenizer, TEXTS[:2], constraints=all_given, **search)
        assert nothing_left.text == "The fox jumps over the dog."
        assert nothing_left.log_prob == nothing_left.score == 0.0
        assert all(answer.log_prob < 0 for answer in filled.answers)


def test_length_penalty_ranks_by_it(model, tokenizer):
    choices = BlankConstraint(choices=["fox", "the quick brown fox and the lazy dog", "dog and the cat"])
    for penalty in (0.0, 0.5, 1.0):
        found = fill_blanks(model, tokenizer, TEXTS[0], 9, constraints=choices, length_penalty=penalty)
        values = [f.log_prob / sum(len(a.token_log_probs) for a in f.answers) ** penalty for f in found]
        assert values == sorted(values, reverse=True)


def test_the_model_is_left_as_it_was(model, tokenizer):
    model.train()
    try:
        fill(model, tokenizer, TEXTS[:2], num_answers=2)
        assert model.training
        assert all(module.training for module in model.modules())
    finally:
        model.eval()


def test_a_string_gives_its_fillings(model, tokenizer):
    assert fill(model, tokenizer, TEXTS[0]) == fill(model, tokenizer, [TEXTS[0]])[0]
    assert fill(model, tokenizer, []) == []


def test_progress_is_shown_if_asked_for(model, tokenizer, capsys):
    fill(model, tokenizer, TEXTS)
    assert capsys.readouterr().err == ""
    fill(model, tokenizer, TEXTS, progress=True)
    assert "5/5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"texts": ["A [MASK].", "None here."]}, r"Text 1 has no blank to fill: put one of \[MASK\]"),
        ({"texts": "word " * 80 + "[MASK]"}, r"Text 0 has \d+ tokens, but the position table holds 65"),
        ({"num_answers": 0}, "num_answers=0: expected at least 1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"order": "random"}, "order='random': expected one of 'left-to-right', 'confident-first'"),
        ({"order": "confident-first", "num_answers": 2}, "gives one filling"),
        ({"do_sample": True, "num_beams": 2}, "draws or beams, not both"),
        ({"max_new_tokens": 3}, "fill_blanks sets max_new_tokens itself"),
        ({"max_new_tokens_per_blank": 0}, "max_new_tokens_per_blank=0 must be between 1 and"),
        ({"constraints": [BlankConstraint()]}, "Text 0 has 2 blanks, but 1 constraints"),
        ({"constraints": [[None, None]]}, "constraints holds lists, but there is one text"),
        ({"texts": ["A [MASK]."], "constraints": [[None], [None]]}, "constraints has 2 lists, but there are 1 texts"),
        ({"constraints": BlankConstraint(answer="a [MASK]")}, "have blanks of their own"),
        ({"constraints": BlankConstraint(regex="[0-9]{40}", max_new_tokens=3)}, "asks for at least"),
        ({"constraints": BlankConstraint(choices=["fox"], forbidden_words=["fox"])}, "None of the choices"),
        ({"do_sample": True, "temperature": -1.0}, "temperature"),
    ],
    ids=str,
)
def test_what_is_refused(model, tokenizer, settings, message):
    with pytest.raises(ValueError, match=message):
        fill_blanks(model, tokenizer, **{"texts": "The [MASK] fox [MASK].", **settings})


def test_fillings_to_score_must_fit_the_text(model, tokenizer):
    with pytest.raises(ValueError, match=r"fillings\[1\] has 1 answers, but the text has 2 blanks"):
        score_fillings(model, tokenizer, TEXTS[0], [["a", "b"], ["a"]])
    with pytest.raises(ValueError, match="Text 0 has no blank"):
        score_fillings(model, tokenizer, "None here.", [])
    assert score_fillings(model, tokenizer, TEXTS[0], []) == []
