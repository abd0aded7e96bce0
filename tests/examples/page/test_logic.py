"""Answers of the page, without a browser."""

import math

import matplotlib.pyplot as plt
import pytest

from examples.page.logic import Page, Question
from modeling_glm import choose, score_fillings
from tests.support.paths import ROOT

EMBEDDED = ROOT / "examples" / "glm-tiny"
TEXT = "The number [MASK] is written four thousand [MASK] hundred and thirty-six."


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(str(EMBEDDED), "cpu")


@pytest.fixture(scope="module")
def result(page):
    return page.fill(ask(TEXT))


def ask(text: str, **settings) -> Question:
    return Question(text=text, **settings)


def test_fillings_are_ranked_and_scored(page, result):
    assert len(result.fillings) == 3
    assert result.chosen == 0
    given = [[answer.text for answer in filling.answers] for filling in result.fillings]
    scored = score_fillings(page.model, page.tokenizer, TEXT, given)
    assert [f.log_prob for f in result.fillings] == pytest.approx([f.log_prob for f in scored], abs=1e-4)
    assert [f.log_prob for f in result.fillings] == sorted((f.log_prob for f in result.fillings), reverse=True)


def test_alternatives_have_the_probability_given_the_answers_before(page, result):
    kept = [answer.text for answer in result.fillings[0].answers]
    for blank, alternatives in enumerate(result.alternatives):
        assert 1 <= len(alternatives) <= 5
        assert kept[blank] not in [a.text for a in alternatives]
        assert [a.probability for a in alternatives] == sorted((a.probability for a in alternatives), reverse=True)
        others = [[*kept[:blank], a.text, *kept[blank + 1 :]] for a in alternatives]
        scored = score_fillings(page.model, page.tokenizer, TEXT, others)
        expected = [math.exp(filling.answers[blank].log_prob) for filling in scored]
        assert [a.probability for a in alternatives] == pytest.approx(expected, rel=1e-3)


def test_another_filling_has_its_own_alternatives(page, result):
    other = page.choose_filling(result, 1)
    assert other.fillings is result.fillings
    assert other.chosen == 1
    chosen = [answer.text for answer in other.fillings[1].answers]
    assert all(answer not in [a.text for a in found] for answer, found in zip(chosen, other.alternatives, strict=True))
    assert other.alternatives != result.alternatives


def test_an_alternative_is_set_and_released(page, result):
    alternative = result.alternatives[1][0].text
    changed = page.put_alternative(result, 1, 0)
    assert changed.question.given == {1: alternative}
    assert all(filling.answers[1].text == alternative for filling in changed.fillings)
    assert all(filling.answers[1].given and not filling.answers[0].given for filling in changed.fillings)
    for released in (page.release(changed, 1), page.release(changed)):
        assert [f.text for f in released.fillings] == [f.text for f in result.fillings]


def test_all_answers_set(page, result):
    both = page.put_alternative(page.put_alternative(result, 0, 0), 1, 0)
    assert set(both.question.given) == {0, 1}
    with pytest.raises(ValueError, match="You have set all answers"):
        page.draw(both)


def test_draws_repeat_with_their_seed(page):
    drawn = [page.fill(ask(TEXT, sample=True, temperature=2.0, seed=seed)) for seed in (1, 1, 2)]
    texts = [[filling.text for filling in result.fillings] for result in drawn]
    assert texts[0] == texts[1] != texts[2]


def test_answers_match_the_pattern(page):
    found = page.fill(ask("The time 19:20 has the hour [MASK] and the minute [MASK].", pattern="[0-9]{2}"))
    texts = [a.text for f in found.fillings for a in f.answers] + [
        a.text for blank in found.alternatives for a in blank
    ]
    assert all(len(text) == 2 and text.isdigit() for text in texts)


def test_choices_are_those_of_choose(page):
    text = "HTTP status 404 is Not Found, a [MASK]."
    shares = page.choose(text, " client error\nserver error\n\nsuccess\nsuccess")
    expected = choose(page.model, page.tokenizer, text, ["client error", "server error", "success"])
    assert shares == {choice.text: choice.probability for choice in expected}


def test_the_picture_is_of_the_chosen_filling(page, result):
    figure = page.draw(result)
    labels = " ".join(text.get_text() for axes in figure.axes for text in [*axes.texts, *axes.get_yticklabels()])
    assert "[MASK]" in labels
    assert "Part B" in labels
    plt.close(figure)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"text": "no blank"}, r"no blank: write \[MASK\] or \[sMASK\] or \[gMASK\]"),
        ({"text": "[MASK] " + "word " * 2000}, "tokens, but the model reads"),
        ({"text": TEXT, "pattern": "[0-9"}, r"'\[0-9' is not a regular expression"),
        ({"text": TEXT, "pattern": "[0-9]{60}", "longest": 3}, "can match the pattern"),
    ],
)
def test_what_cannot_be_answered_says_what_to_do(page, settings, told):
    with pytest.raises(ValueError, match=told):
        page.fill(ask(**settings))


def test_choices_that_cannot_be_compared(page):
    with pytest.raises(ValueError, match="has 2 blanks: leave one"):
        page.choose(TEXT, "a\nb")
    with pytest.raises(ValueError, match="There are 1 choices: write two or more"):
        page.choose("One [MASK].", "a\n\na")
    with pytest.raises(ValueError, match="no blank"):
        page.choose("None.", "a\nb")
    with pytest.raises(ValueError, match="Fill a text first"):
        page.draw(None)
