"""Answers of the page, without a browser."""

import re

import pytest

from examples.page.logic import MOST_BLANKS, MOST_CHARACTERS, MOST_CHOICES, Page, Question, Result
from modeling_glm import choose, fill_blanks, score_fillings
from tests.support.paths import ROOT

EMBEDDED = ROOT / "examples" / "glm-tiny"
TEXT = "The number [MASK] is written four thousand [MASK] hundred and thirty-six."


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(str(EMBEDDED), "cpu")


@pytest.fixture(scope="module")
def result(page):
    return viewed(page, page.fill(ask(TEXT)))


def viewed(page: Page, result: Result) -> Result:
    return list(page.view(result))[-1]


def ask(text: str, **settings) -> Question:
    return Question(text=text, **settings)


def test_fillings_are_ranked_and_scored(page, result):
    assert len(result.fillings) == 3
    assert result.chosen == 0
    given = [[answer.text for answer in filling.answers] for filling in result.fillings]
    scored = score_fillings(page.model, page.tokenizer, TEXT, given)
    assert [f.log_prob for f in result.fillings] == pytest.approx([f.log_prob for f in scored], abs=1e-4)
    assert [f.log_prob for f in result.fillings] == sorted((f.log_prob for f in result.fillings), reverse=True)


def test_another_filling_has_its_own_views(page, result):
    other = viewed(page, page.choose_filling(result, 1))
    assert other.fillings is result.fillings
    assert other.chosen == 1
    chosen = [answer.text for answer in other.fillings[1].answers]
    assert all(a not in [o.text for o in view.others] for a, view in zip(chosen, other.views, strict=True))
    assert other.views != result.views


def test_an_alternative_is_set_and_released(page, result):
    alternative = result.views[1].others[0].text
    changed = page.put_alternative(result, 1, 0)
    assert changed.question.given == {1: alternative}
    assert all(filling.answers[1].text == alternative for filling in changed.fillings)
    assert all(filling.answers[1].given and not filling.answers[0].given for filling in changed.fillings)
    for released in (page.release(changed, 1), page.release(changed)):
        assert [f.text for f in released.fillings] == [f.text for f in result.fillings]


def test_all_answers_set(page, result):
    both = page.put_alternative(viewed(page, page.put_alternative(result, 0, 0)), 1, 0)
    assert set(both.question.given) == {0, 1}
    with pytest.raises(ValueError, match="You have set all answers"):
        page.draw(both)


def test_draws_repeat_with_their_seed(page):
    drawn = [page.fill(ask(TEXT, sample=True, temperature=2.0, seed=seed)) for seed in (1, 1, 2)]
    texts = [[filling.text for filling in result.fillings] for result in drawn]
    assert texts[0] == texts[1] != texts[2]


def test_answers_match_the_pattern(page):
    text = "The time 19:20 has the hour [MASK] and the minute [MASK]."
    found = viewed(page, page.fill(ask(text, pattern="[0-9]{2}")))
    texts = [a.text for f in found.fillings for a in f.answers] + [o.text for view in found.views for o in view.others]
    assert all(len(text) == 2 and text.isdigit() for text in texts)


def test_choices_are_those_of_choose(page):
    text = "HTTP status 404 is Not Found, a [MASK]."
    shares = page.choose(text, " client error\nserver error\n\nsuccess\nsuccess")
    expected = choose(page.model, page.tokenizer, text, ["client error", "server error", "success"])
    assert shares == {choice.text: choice.probability for choice in expected}


def test_the_picture_is_of_the_chosen_filling(page, result):
    layout = page.draw(result)
    assert layout.tokens.count("[MASK]") == 2
    assert layout.blanks.unique().tolist() == [0, 1, 2]
    set_one = page.put_alternative(result, 1, 0)
    assert page.draw(set_one).tokens.count("[MASK]") == 1


@pytest.mark.parametrize(
    "written",
    [
        "The number ___ is 12, or ________.",
        "The number [mask] is 12, or [Mask].",
        "The number [MASK] is 12, or ___.",
    ],
)
def test_blanks_may_be_written_in_other_ways(page, written):
    expected = "The number [MASK] is 12, or [MASK]."
    assert page.read(written) == expected
    assert page.fill(ask(written)).fillings == page.fill(ask(expected)).fillings


def test_other_masks_keep_their_kind(page):
    assert (
        page.read("[SMASK] [gmask] [smask] __ _a_ [masks] [ mask ]")
        == "[sMASK] [gMASK] [sMASK] __ _a_ [masks] [ mask ]"
    )


def test_choices_take_a_blank_in_other_ways(page):
    choices = "leap\ncommon"
    assert page.choose("1988 is a ___ year.", choices) == page.choose("1988 is a [MASK] year.", choices)


@pytest.mark.parametrize(
    "texts",
    [
        (
            "The number 4836 is written four thousand eight hundred and thirty [MASK].",
            "thirty[MASK]",
            "thirty \n[MASK]",
        ),
        ("The number 12 is[MASK].", "is [MASK]", "is   [MASK]"),
        ("The time 19:20 has the hour [MASK] and the minute [MASK].", "hour[MASK]", "hour  [MASK]"),
    ],
    ids=["glued", "spaced", "two"],
)
def test_white_space_before_a_blank_changes_nothing(page, texts):
    first, *others = texts
    word = re.search(r"(\w+)\s*\[MASK\]", first)
    few = {"number": 2, "beams": 4, "longest": 8}
    expected = viewed(page, page.fill(ask(first, **few)))
    for other in others:
        text = first.replace(word[0], other)
        result = viewed(page, page.fill(ask(text, **few)))
        assert [f.text for f in result.fillings] == [f.text for f in expected.fillings]
        assert result.views == expected.views


def test_the_page_shows_what_fill_blanks_says(page, result):
    expected = fill_blanks(page.model, page.tokenizer, TEXT, 3, num_beams=8, max_new_tokens_per_blank=16)
    assert result.fillings == expected


def test_an_alternative_is_put_as_the_model_spaces_it(page):
    text = "The number 4836 is written four thousand eight hundred and thirty [MASK]."
    result = viewed(page, page.fill(ask(text, number=1, beams=4, longest=4)))
    assert result.fillings[0].text == "The number 4836 is written four thousand eight hundred and thirty-six."
    for number, other in enumerate(result.views[0].others):
        changed = viewed(page, page.put_alternative(result, 0, number))
        expected = page.tokenizer.fill(text, [other.text])
        assert changed.fillings[0].text == expected
        assert changed.views[0].probability >= other.probability * (1 - 1e-4)


@pytest.mark.parametrize("special", ["<|startofpiece|>", "<|endofpiece|>", "[CLS]", "<|endoftext|>"])
def test_special_tokens_in_a_text_are_characters(page, special):
    text = f"The number 12 is {special} written [MASK]."
    result = viewed(page, page.fill(ask(text)))
    assert special in result.fillings[0].text
    assert page.draw(result).tokens.count("<|startofpiece|>") == 1
    assert sum(page.choose(text, "twelve\nten").values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "choices", "told"),
    [
        ("[MASK] " * MOST_BLANKS, "a\nb", ""),
        ("[MASK] ___ " * MOST_BLANKS, "", f"The text has {2 * MOST_BLANKS} blanks, and this page fills {MOST_BLANKS}"),
        ("a" * MOST_CHARACTERS, "", ""),
        ("a" * (MOST_CHARACTERS + 1), "", f"The text has {MOST_CHARACTERS + 1} characters"),
        ("[MASK]", "a\n" * MOST_CHOICES, ""),
        ("[MASK]", "a\n" * (MOST_CHOICES + 1), f"This page compares {MOST_CHOICES} choices"),
        ("[MASK]", "a" * (MOST_CHARACTERS + 1), f"This page compares {MOST_CHOICES} choices"),
    ],
)
def test_large_questions_are_refused(page, text, choices, told):
    assert page.refuse(text, choices).startswith(told)
    assert bool(page.refuse(text, choices)) == bool(told)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"text": "no blank"}, r"no blank: write \[MASK\], \[sMASK\], \[gMASK\] or ___"),
        ({"text": "[MASK] " + "word " * 2000}, "tokens, but the model reads"),
        ({"text": TEXT, "pattern": "[0-9"}, r"'\[0-9' is not a regular expression"),
        ({"text": TEXT, "pattern": "[0-9]{60}", "longest": 3}, "can match the pattern"),
    ],
)
def test_what_cannot_be_answered_says_what_to_do(page, settings, told):
    with pytest.raises(ValueError, match=told):
        page.fill(ask(**settings))


def test_answers_that_are_not_there_are_refused(page, result):
    with pytest.raises(ValueError, match="Blank 2 has no answer 9 to set"):
        page.put_alternative(result, 1, 8)
    with pytest.raises(ValueError, match="There is no filling 4"):
        page.choose_filling(result, 3)
    with pytest.raises(ValueError, match="Blank 1 has no answer 1 to set"):
        page.put_alternative(page.fill(ask(TEXT)), 0, 0)


def test_a_mask_that_the_model_lacks_is_named(page, monkeypatch):
    monkeypatch.setattr(Page, "masks", ["[MASK]"])
    with pytest.raises(ValueError, match=r"This model has no \[gMASK\]: write \[MASK\] instead"):
        page.fill(ask("All that follows is [gMASK]"))


def test_choices_that_cannot_be_compared(page):
    with pytest.raises(ValueError, match="has 2 blanks: leave one"):
        page.choose(TEXT, "a\nb")
    with pytest.raises(ValueError, match=r"Write two or more choices, each on a line of its own\. There is 1\."):
        page.choose("One [MASK].", "a\n\na")
    with pytest.raises(ValueError, match="no blank"):
        page.choose("None.", "a\nb")
    with pytest.raises(ValueError, match="Fill a text first"):
        page.draw(None)
    with pytest.raises(ValueError, match="a picture can show at most"):
        page.draw(page.fill(ask("[MASK] " + "word " * 120)))
