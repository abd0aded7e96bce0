"""`fill_blanks`: the scores and the order of fillings, the same for any batch, and what is refused."""

import copy
import inspect
import itertools
import re
import typing
from functools import cache
from itertools import chain

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import (
    BlankConstraint,
    BlankText,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    choose,
    fill_blanks,
    score_fillings,
)
from modeling_glm.constraints import closed_set
from modeling_glm.filling import jobs
from modeling_glm.filling.fill import Filler
from modeling_glm.tokenization.blanks import answer_forms, decode_piece, encode_text, forms_of_answers
from modeling_glm.utils.rows import RowError
from tests.support.containers import CONTAINERS
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
            assert filling.mean_log_prob == pytest.approx(filling.log_prob / sum(map(len, found)))


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


@pytest.mark.parametrize(
    "more", [{"use_cache": False}, {"cache_implementation": "static"}, {"repetition_penalty": 1.0}]
)
def test_further_arguments_of_generate_change_no_answer(model, tokenizer, more):
    expected = fill(model, tokenizer, TEXTS)
    for (one,), (other,) in zip(expected, fill(model, tokenizer, TEXTS, **more), strict=True):
        assert one.text == other.text
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)


def test_given_answers_are_read_and_not_scored(model, tokenizer):
    text = TEXTS[1]
    wanted = [None, BlankConstraint(answer="capital"), None]
    (filling,) = fill(model, tokenizer, text, constraints=wanted)
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
        assert nothing_left.log_prob == nothing_left.mean_log_prob == 0.0
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


def test_greedy_answers_are_those_of_generate(tokenizer):
    """Without constraints, with a model that ends most of its answers before the limit."""
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    end = model.get_input_embeddings().weight[tokenizer.eop_token_id]
    with torch.no_grad():  # raises the logit of the end by 10
        model.glm.transformer.final_layernorm.bias += 10 * end / end.norm() ** 2
    ends = {tokenizer.eop_token_id, tokenizer.eos_token_id, tokenizer.sop_token_id}
    generated = model.generate(
        **tokenizer(TEXTS, return_tensors="pt", padding=True),
        suppress_tokens=[token_id for token_id in tokenizer.all_special_ids if token_id not in ends],
        max_new_tokens_per_blank=20,
    )
    expected = tokenizer.decode_blanks(generated)
    found = [filling for (filling,) in fill_blanks(model, tokenizer, TEXTS, max_new_tokens_per_blank=19)]
    short = [all(len(answer.token_ids) < 19 for answer in filling.answers) for filling in found]
    assert sum(short) >= 3
    for filling, answers, is_short in zip(found, expected, short, strict=True):
        assert not is_short or [answer.text for answer in filling.answers] == answers


def test_any_form_of_many_texts(model, tokenizer):
    short = {"max_new_tokens_per_blank": 1}
    expected = fill(model, tokenizer, TEXTS, **short)
    for name, make in CONTAINERS.items():
        assert fill(model, tokenizer, make(TEXTS), **short) == expected, name
    assert [fill(model, tokenizer, make([])) for make in CONTAINERS.values()] == [[]] * len(CONTAINERS)
    assert fill(model, tokenizer, {"id": 7, "text": TEXTS[0]}, **short)[0].text == expected[0][0].text


@pytest.mark.parametrize("batch_size", [1, 3])
def test_bad_texts_stand_in_their_places(model, tokenizer, batch_size):
    rows = [TEXTS[0], "No blank.", None, TEXTS[2], "fox " * 90 + "[MASK]", ValueError("The text is broken."), TEXTS[3]]
    draws = {"do_sample": True, "seed": 5, "batch_size": batch_size, "first_number": 10}
    found = fill(model, tokenizer, iter(rows), on_error="record", **draws)
    good = fill(model, tokenizer, [TEXTS[0]] * 3 + [TEXTS[2]] * 3 + [TEXTS[3]], **draws)
    assert [found[place][0].text for place in (0, 3, 6)] == [good[place][0].text for place in (0, 3, 6)]
    errors = [found[place] for place in (1, 2, 4, 5)]
    assert [type(error) for error in errors] == [RowError] * 4
    assert [error.row for error in errors] == [11, 12, 14, 15]
    assert errors[0].reason.startswith("The text has no blank to fill")
    assert str(errors[3]) == "Text 15 is broken."
    with pytest.raises(RowError, match="Text 11 has no blank"):
        fill(model, tokenizer, rows, **draws)


def test_constraints_belong_to_their_rows(model, tokenizer):
    only = [BlankConstraint(answer=word) for word in "abc"]
    of_texts = [[only[0]], [only[1]], [only[2]]]
    for constraints in (of_texts, tuple(of_texts), iter(of_texts), pd.Series(of_texts, index=[2, 1, 0])):
        found = fill(model, tokenizer, pd.Series(["[MASK]"] * 3, index=[2, 0, 1]), constraints=constraints)
        assert [fillings[0].text for fillings in found] == ["a", "b", "c"]
    wrong = [*of_texts[:2], [only[0], only[1]]]
    found = fill(model, tokenizer, ["[MASK]"] * 3, constraints=wrong, on_error="record")
    assert [fillings[0].text for fillings in found[:2]] == ["a", "b"]
    assert "but 2 constraints" in found[2].reason


def test_a_single_text_may_be_recorded_too(model, tokenizer):
    assert fill(model, tokenizer, "No blank.", on_error="record").row == 0
    assert fill(model, tokenizer, TEXTS[0], on_error="record") == fill(model, tokenizer, TEXTS[0])
    with pytest.raises(ValueError, match="on_error='skip': expected one of 'raise', 'record'"):
        fill(model, tokenizer, TEXTS[0], on_error="skip")


def test_editors_see_all_settings():
    """The overloads have the parameters and defaults of the function itself."""
    for function in (fill_blanks, choose):
        parameters = inspect.signature(function).parameters
        for overload in typing.get_overloads(function):
            shown = inspect.signature(overload).parameters
            assert list(shown) == list(parameters)
            assert [p.default for p in shown.values()] == [p.default for p in parameters.values()]
            assert [p.kind for p in shown.values()] == [p.kind for p in parameters.values()]
    assert set(jobs.FillingSettings.__dataclass_fields__) <= set(inspect.signature(fill_blanks).parameters)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"texts": ["A [MASK].", "None here."]}, r"Text 1 has no blank to fill: put one of \[MASK\]"),
        ({"texts": "word " * 80 + "[MASK]"}, r"Text 0 has \d+ tokens, but the position table holds 65"),
        ({"texts": ["A [MASK].", "b " * 80 + "[MASK]"], "first_number": 5}, "Text 6 has"),
        ({"num_answers": 0}, "num_answers=0: expected at least 1"),
        ({"max_new_tokens": 3}, "fill_blanks sets max_new_tokens itself"),
        ({"constraints": [BlankConstraint()]}, "Text 0 has 2 blanks, but 1 constraints"),
        ({"constraints": BlankConstraint(answer="a [MASK]")}, "have blanks of their own"),
        ({"constraints": BlankConstraint(regex="[0-9]{40}", max_new_tokens=3)}, "asks for at least"),
        ({"constraints": BlankConstraint(choices=["fox"], forbidden_words=["fox"])}, "None of the choices"),
        (
            {"order": "confident-first", "guidance_scale": 1.5},
            "knows no guidance: leave guidance_scale or the order out",
        ),
    ],
    ids=str,
)
def test_what_is_refused(model, tokenizer, asked, message):
    with pytest.raises(ValueError, match=message):
        fill_blanks(model, tokenizer, **{"texts": "The [MASK] fox [MASK].", **asked})


FAMILIES = ["own", "gpt2", "roberta", "bert", "chinese"]


@pytest.fixture(scope="module")
def model_of(of_family):
    """A small model for each vocabulary."""

    @cache
    def make(family: str) -> GLMForConditionalGeneration:
        tokenizer = of_family(family)
        return make_model(
            GLMForConditionalGeneration,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            vocab_size=len(tokenizer),
            max_position_embeddings=64,
            **tokenizer.special_token_ids,
        )

    return make


WORDS = st.lists(st.sampled_from(["The", "fox", "(", "x=", "12", "北京", "é", "-", "“", "it's"]), max_size=3).map(
    " ".join
)
SPACES = st.sampled_from(["", " ", "  ", "\n", "\u3000"])


@st.composite
def twins(draw, most: int = 3) -> tuple[str, str, int]:
    """Two texts that differ only in the white space before their blanks, and the number of these."""
    count = draw(st.integers(1, most))
    words = draw(st.lists(WORDS, min_size=count + 1, max_size=count + 1))
    texts = []
    for _ in range(2):
        text = words[0]
        for word in words[1:]:
            text += draw(SPACES) + "[MASK]" + word
        texts.append(text)
    return texts[0], texts[1], count


def same_ids(tokenizer, one: str, other: str) -> bool:
    return tokenizer(one)["input_ids"] == tokenizer(other)["input_ids"]


def outside(tokenizer, text: str) -> list[str]:
    """The user's own text between the blanks, without the white space that a mask takes."""
    *parts, last = tokenizer.split_at_blanks(text)
    return [*(part.rstrip() for part in parts), last]


@pytest.mark.parametrize("search", [{}, {"num_answers": 2}, {"order": "confident-first"}], ids=str)
@pytest.mark.parametrize(
    "family", [pytest.param(family, marks=() if family == "own" else pytest.mark.slow) for family in FAMILIES]
)
@settings(max_examples=8)
@given(texts=twins())
def test_a_filled_text_is_what_the_ids_say(model_of, of_family, family, search, texts):
    """
    Of texts with the same ids: the same text, answers and numbers; the user's own text around the decoded pieces; and
    what was found is scored as it was found.
    """
    model, tokenizer = model_of(family), of_family(family)
    one, other, _ = texts
    assert same_ids(tokenizer, one, other)
    found = fill_blanks(model, tokenizer, one, max_new_tokens_per_blank=3, **search)
    assert found == fill_blanks(model, tokenizer, other, max_new_tokens_per_blank=3, **search)
    for filling in found:
        pieces = [decode_piece(tokenizer, answer.token_ids) for answer in filling.answers]
        assert [answer.text for answer in filling.answers] == pieces
        assert [filling.text[a.start : a.end] for a in filling.answers] == pieces
        assert filling.text == tokenizer.fill(one, pieces)
        start = 0
        for part, piece in zip(outside(tokenizer, one), [*pieces, None], strict=True):
            assert filling.text.startswith(part, start)
            start += len(part)
            if piece is not None:
                # At the start of a text, some vocabularies decode no space.
                shown = piece.literal if filling.text.startswith(piece.literal, start) else piece.literal.lstrip()
                assert filling.text.startswith(shown, start)
                assert shown == piece.literal or not filling.text[:start].strip()
                start += len(shown)
        assert start == len(filling.text)
        if "order" not in search:
            for text in (one, other):
                (scored,) = score_fillings(model, tokenizer, text, [[answer.text for answer in filling.answers]])
                assert scored.text == filling.text
                assert scored.log_prob == pytest.approx(filling.log_prob, abs=1e-3)
                assert [a.token_ids for a in scored.answers] == [a.token_ids for a in filling.answers]


GIVEN = st.text("abdgioxABФ北-'9 ", min_size=1, max_size=7).filter(lambda answer: answer.strip() == answer)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8)
@given(texts=twins(most=2), data=st.data())
def test_a_given_answer_is_the_word_however_it_is_spaced(model_of, of_family, family, texts, data):
    """Scoring, closed sets and choices take the likelier form, or both, of a word; white space in front is literal."""
    model, tokenizer = model_of(family), of_family(family)
    one, other, count = texts
    rows = data.draw(st.lists(st.lists(GIVEN, min_size=count, max_size=count), min_size=1, max_size=3))
    scored = score_fillings(model, tokenizer, one, rows)
    assert scored == score_fillings(model, tokenizer, other, rows)
    literal = score_fillings(model, tokenizer, one, [[f" {answer}" for answer in row] for row in rows])
    for row, filling, spaced in zip(rows, scored, literal, strict=True):
        forms = [answer_forms(tokenizer, answer) for answer in row]
        assert all(a.token_ids in of_answer for a, of_answer in zip(filling.answers, forms, strict=True))
        assert [answer.text for answer in filling.answers] == row
        assert [answer.token_ids for answer in spaced.answers] == [of_answer[0] for of_answer in forms]
        assert filling.log_prob >= spaced.log_prob - 1e-4
        # A likelier form was found among all of them, which can be given back.
        each = [[BlankText(answer, "", "", form) for form in of] for answer, of in zip(row, forms, strict=True)]
        every = score_fillings(model, tokenizer, one, list(itertools.product(*each)))
        assert filling.log_prob == pytest.approx(max(f.log_prob for f in every), abs=1e-3)
    # A closed set ranks as scoring does, and lists an answer once.
    asked = [BlankConstraint(choices=[row[blank] for row in rows]) for blank in range(count)]
    ranked = fill_blanks(model, tokenizer, one, 9, constraints=asked)
    assert ranked == fill_blanks(model, tokenizer, other, 9, constraints=asked)
    assert len({tuple(answer.text for answer in filling.answers) for filling in ranked}) == len(ranked)
    expected = {tuple(row): filling.log_prob for row, filling in zip(rows, scored, strict=True)}
    listed = {tuple(answer.text for answer in filling.answers): filling.log_prob for filling in ranked}
    assert {row: listed[row] for row in expected} == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8)
@given(texts=twins(most=1), choices=st.lists(GIVEN, min_size=1, max_size=3, unique=True))
def test_choices_add_up_their_forms(model_of, of_family, family, texts, choices):
    model, tokenizer = model_of(family), of_family(family)
    one, other, _ = texts
    ranked = choose(model, tokenizer, one, choices)
    assert ranked == choose(model, tokenizer, other, choices)
    for choice in ranked:
        forms = answer_forms(tokenizer, choice.text)
        alone = choose(model, tokenizer, one, [BlankText(choice.text, "", "", form) for form in forms])
        total = torch.tensor([form.log_prob for form in alone]).logsumexp(0)
        assert choice.log_prob == pytest.approx(total.item(), abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8)
@given(texts=twins(), data=st.data())
def test_a_given_answer_is_read_as_the_user_wrote_it(model_of, of_family, family, texts, data):
    model, tokenizer = model_of(family), of_family(family)
    text, _, count = texts
    answers = data.draw(st.lists(GIVEN | st.just("") | GIVEN.map(" {}".format), min_size=count, max_size=count))
    wanted = [BlankConstraint(answer=answer) for answer in answers[:-1]] + [None]
    (filling,) = fill_blanks(model, tokenizer, text, constraints=wanted, max_new_tokens_per_blank=3)
    written = text
    for answer in answers[:-1]:
        before, _, after = written.partition("[MASK]")
        keeps = answer and not answer.startswith(" ")
        written = (before if keeps else before.rstrip()) + answer + after
    (alone,) = fill_blanks(model, tokenizer, written, max_new_tokens_per_blank=3)
    assert filling.text == alone.text
    assert filling.log_prob == pytest.approx(alone.log_prob, abs=1e-4)
    assert [filling.text[a.start : a.end] for a in filling.answers[:-1]] == [answer.strip() for answer in answers[:-1]]


def test_special_tokens_of_a_text_do_not_become_structure(model, tokenizer):
    text = "The <|startofpiece|> fox [CLS] <|endoftext|> [MASK] <|endofpiece|> dog."
    (filling,) = fill(model, tokenizer, text)
    before, after = text.split(" [MASK]")
    assert filling.text == f"{before}{filling.answers[0].text.literal}{after}"
    (context,) = encode_text(tokenizer, [text])
    assert len(set(context) & set(tokenizer.all_special_ids)) == 3  # start, blank and end
    (scores,) = naive_log_probs(model, context, [0], [filling.answers[0].token_ids])
    assert filling.log_prob == pytest.approx(sum(scores), abs=1e-4)
    (scored,) = score_fillings(model, tokenizer, text, [filling.answers[0].text])
    assert scored.log_prob == pytest.approx(sum(scores), abs=1e-4)
    wanted = BlankConstraint(answer="<|startofpiece|>")
    (nothing_left,) = fill(model, tokenizer, "a [MASK]", constraints=wanted)
    assert nothing_left.text == "a <|startofpiece|>"


@pytest.mark.parametrize("search", [{}, {"num_beams": 3}, {"do_sample": True}, {"order": "confident-first"}], ids=str)
def test_settings_of_generate_look_at_all_answers(model, tokenizer, search):
    def repeats(**settings) -> list[int]:
        found = fill(model, tokenizer, TEXTS, **settings)
        rows = [[token for answer in filling.answers for token in answer.token_ids] for (filling,) in found]
        return [len(row) - len(set(row)) for row in rows]

    assert repeats(no_repeat_ngram_size=1, **search) == [0] * len(TEXTS)
    assert sum(repeats(**search)) > 0


@pytest.mark.parametrize("settings", [{}, {"do_sample": True, "num_answers": 2}, {"num_answers": 2}], ids=str)
def test_parts_are_filled_as_the_whole(settings, model, tokenizer, monkeypatch):
    """A service or command fills texts as they come, and prepares a large closed set once."""
    made = []
    monkeypatch.setattr(closed_set, "forms_of_answers", lambda *given: made.append(given) or forms_of_answers(*given))
    asked = BlankConstraint(choices=[f"{word}{number}" for word in ("a", "b", "c") for number in range(200)])
    whole = fill_blanks(model, tokenizer, TEXTS, constraints=asked, **settings)
    filler = Filler(model, tokenizer, jobs.FillingSettings.read(settings))
    parts = [filler.fill(TEXTS[:2], asked, first_number=0), filler.fill(TEXTS[2:], asked, first_number=2)]
    assert [[f.text for f in fillings] for fillings in chain(*parts)] == [
        [f.text for f in fillings] for fillings in whole
    ]
    assert len(made) == 2


def test_settings_are_those_of_the_call():
    read = jobs.FillingSettings.read({"num_answers": 2, "repetition_penalty": 1.5})
    assert (read.num_answers, read.generate_kwargs) == (2, {"repetition_penalty": 1.5})


@pytest.mark.parametrize("how", [{}, {"order": "confident-first"}, {"num_beams": 2}], ids=str)
@pytest.mark.parametrize(
    "saved",
    [{"use_cache": False}, {"return_dict_in_generate": True}, {"num_return_sequences": 2, "num_beams": 2}],
    ids=str,
)
def test_settings_that_a_model_was_saved_with_change_no_answer(model, tokenizer, saved, how):
    texts = [text for text in TEXTS for _ in range(2)]  # enough rows to leave the batch
    expected = fill(model, tokenizer, texts, **how)
    other = copy.deepcopy(model)
    other.generation_config.update(**saved)
    found = fill(other, tokenizer, texts, **how)
    assert [filling.text for (filling,) in found] == [filling.text for (filling,) in expected]


def test_no_time_limit(model, tokenizer):
    expected = fill(model, tokenizer, TEXTS, order="confident-first")
    assert fill(model, tokenizer, TEXTS, order="confident-first", max_time=None) == expected


def test_models_that_do_not_fill(model, tokenizer):
    for wrong in (make_model(GLMForMultipleChoice), model.glm, tokenizer):
        with pytest.raises(
            ValueError, match=f"The model is a {type(wrong).__name__}: expected a GLMForConditionalGener"
        ):
            fill_blanks(wrong, tokenizer, TEXTS[0])
    with pytest.raises(
        ValueError, match="The model is a GLMModel: expected a GLMForConditionalGeneration or a GLMForM"
    ):
        score_fillings(model.glm, tokenizer, TEXTS[0], [["fox", "dog"]])


@pytest.mark.parametrize("on_error", ["raise", "record"])
@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ([{"regex": "[0-9]+"}] * 5, "{'regex': '[0-9]+'} is no constraint: expected a BlankConstraint"),
        ([["yes", "no"]] * 5, "'yes' is no constraint: expected a BlankConstraint"),
        ([5, 5, 5, 5, 5], "5 is no constraint: expected a BlankConstraint"),
        (5, "constraints=5: expected a BlankConstraint, a list"),
        ("fox", "constraints='fox': expected a BlankConstraint, a list"),
        ({"regex": "a"}, "constraints={'regex': 'a'}: expected a BlankConstraint, a list"),
    ],
)
def test_constraints_of_other_types_are_refused(model, tokenizer, constraints, message, on_error):
    if isinstance(constraints, list) and on_error == "record":
        assert all(
            message in found.reason
            for found in fill(model, tokenizer, TEXTS, constraints=constraints, on_error=on_error)
        )
    else:
        with pytest.raises(ValueError, match=re.escape(message)):
            fill(model, tokenizer, TEXTS, constraints=constraints, on_error=on_error)
