"""The HTML of the page."""

import re
from html import unescape

import pytest

from examples.page.logic import Page, Question, Result
from examples.page.views import busy_html, message_html, percent, picture_html, result_html, shares_html, summary
from tests.support.paths import ROOT

TIME = "The time 19:20 has the hour [MASK] and the minute [MASK]."


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(str(ROOT / "examples" / "glm-tiny"), "cpu")


@pytest.fixture(scope="module")
def result(page) -> Result:
    return list(page.view(page.fill(Question(text=TIME))))[-1]


def as_text(shown: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", shown))


def test_what_readers_write_is_escaped(page):
    filled = page.fill(Question(text='<script>alert(1)</script> & "two" [MASK]', number=1))
    shown = result_html(filled, 0)
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in shown
    assert "<script>" not in picture_html(page.draw(filled))
    for write in (message_html, busy_html):
        assert "<b>" not in write("<b>")
    assert "<em>" not in shares_html({"<em>": 1.0}, 0)


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.974, "97%"),
        (0.0991, "9.9%"),
        (0.0996, "10%"),
        (0.006, "0.6%"),
        (0.0004, "<0.1%"),
        (0.992, "99.2%"),
        (0.9996, ">99.9%"),
        (1.0, "100%"),
    ],
)
def test_percent(probability, shown):
    assert percent(probability) == shown


def test_answers_that_were_all_set_have_no_probability_of_a_filling(page, result):
    both = page.put_alternative(list(page.view(page.put_alternative(result, 0, 0)))[-1], 1, 0)
    both = list(page.view(both))[-1]
    shown = result_html(both, 0)
    assert "100%" not in shown
    assert ">set</button>" in shown
    assert as_text(shown).count("set by you") == 2
    for view in both.views:
        assert f"{percent(view.probability)}, set by you" in as_text(shown)
    assert "Number 1, set" in summary(both)


def test_buttons_say_what_they_do(result):
    shown = result_html(result, 0)
    names = re.findall(r'<button[^>]*aria-label="([^"]+)"', shown)
    assert len(names) == shown.count("<button")
    other = result.views[1].others[0]
    assert f"Set blank 2 to {other.text}, {percent(other.probability)}" in map(unescape, names)


def test_open_views_are_said_to_be_open(page):
    assert result_html(page.fill(Question(text=TIME)), 0).count("not looked for yet") == 2


def test_notes_stand_behind_the_word(page):
    question = Question(text="The number 43[MASK]6 is even.", number=1, pattern="[0-9]")
    shown = as_text(result_html(page.fill(question), 0))
    assert re.search(r"The number 43\d6[\d.<>]+% is even\.", shown)


def test_equal_results_differ_by_their_run(result):
    assert result_html(result, 1) != result_html(result, 2)


def test_the_picture_shows_positions_and_what_is_seen(page, result):
    layout = page.draw(result)
    shown = picture_html(layout)
    rows = re.findall(r"<tr.*?</tr>", shown)
    assert len(rows) == len(layout.tokens) + 5
    for row, sees in zip(rows[3:-2], layout.mask, strict=True):
        assert len(re.findall(r'class="(?:part-a|colour\d)', row)) == int(sees.sum())
    assert [as_text(row).startswith(f"position {n}") for n, row in enumerate(rows[-2:], start=1)] == [True, True]
    name = unescape(re.search(r'role="img" aria-label="([^"]+)"', shown)[1])
    assert "Part A, [CLS]" in name
    assert "Piece 2" in name
