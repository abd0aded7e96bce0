"""The tabs of the page over HTTP, with several visitors at a time, without a browser."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from examples.page.logic import MOST_BLANKS, Page
from tests.support.paths import ROOT
from tests.support.visitors import Visitor

gradio = pytest.importorskip("gradio")
EMBEDDED = ROOT / "examples" / "glm-tiny"
SETTINGS = (3, 16, "Likeliest", 8, 1.0, 0, "")
# The output that screen readers read aloud.
STATUS = 2
MANY = "The number [MASK] is even. " * 40


def fill(visitor: Visitor, text: str) -> str:
    return visitor.ask("ask", None, text, *SETTINGS)


def wait_until(reached):
    """Wait until a condition holds."""
    end = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < end, "waited for 30 seconds"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(str(EMBEDDED), "cpu")


@pytest.fixture(scope="module")
def visit(page):
    """A function that makes visitors of a page."""
    from examples.page.layout import build

    blocks = build(page, str(EMBEDDED))
    functions: dict[str, int] = {}
    for number, function in blocks.fns.items():
        if function.fn:
            functions.setdefault(function.fn.__name__, number)  # the first tab fills texts
    _, address, _ = blocks.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", ssr_mode=False)
    yield lambda name: Visitor(address.rstrip("/"), functions, name)
    blocks.close()


def test_fill_shows_fillings(visit):
    shown = fill(visit("fill"), "The number 12 is [MASK].")
    assert "read as" in shown
    assert "3 fillings found" in shown


def test_a_pattern_that_was_never_opened_is_none(visit):
    assert "3 fillings found" in visit("none").ask("ask", None, "The number 12 is [MASK].", *SETTINGS[:-1], None)


def test_a_failure_ends_the_question(visit, page, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(page, "fill", fail)
    monkeypatch.setattr(page, "choose", fail)
    visitor = visit("fails")
    event = visitor.join("ask", None, "[MASK]", *SETTINGS).json()["event_id"]
    assert "The model failed: out of memory" in json.dumps(list(visitor.follow(event)))
    assert "The model failed: out of memory" in visitor.ask("compare", "[MASK]", "a\nb")
    assert not page.turns.visitors


def test_a_problem_is_a_message(visit):
    assert "The text has no blank" in fill(visit("problem"), "no blank")
    strange = visit("problem").ask("ask", None, "The number [MASK].", 3, 2, "Likeliest", 8, 1.0, 0, "[0-9]{40}")
    assert "can match the pattern '[0-9]{40}'" in strange
    assert "Text 0" not in strange


def test_choose_shows_shares_or_a_message(visit):
    text = "HTTP status 404 is Not Found, a [MASK]."
    shown = visit("choose").ask("compare", text, "client error\nsuccess")
    assert "The likeliest choice is client error" in shown
    assert "Write two or more" in visit("choose").ask("compare", text, "client error")


def test_the_picture_needs_a_filling(visit):
    visitor = visit("picture")
    assert "Fill a text first" in visitor.ask("draw", None)
    fill(visitor, "The number 12 is [MASK].")
    assert "Attention layout. Part A" in visitor.ask("draw", None)


@pytest.mark.slow
def test_clicks_go_on_from_the_result_on_the_server(visit):
    visitor = visit("clicks")
    text = "The number [MASK] is written four thousand [MASK] hundred and thirty-six."
    fill(visitor, text)
    assert "Number 2" in visitor.ask("click", None, event_data={"filling": "1"})
    assert "set by you" in visitor.ask("click", None, event_data={"blank": "0", "alternative": "0"})
    assert "set by you" not in visitor.ask("release_all", None)
    assert "There is no filling 10" in visitor.ask("click", None, event_data={"filling": "9"})


@pytest.mark.parametrize(
    "event", [None, {}, [], "x", {"filling": "x"}, {"filling": -1}, {"blank": "0"}, {"blank": [], "alternative": {}}]
)
def test_clicks_that_the_page_does_not_make_are_refused(visit, event):
    assert "The click carries" in visit("odd click").ask("click", None, event_data=event)


@pytest.mark.parametrize("event", [{"filling": "0"}, {"release": 0}, {"blank": "99", "alternative": "0"}])
def test_clicks_before_a_filling_are_refused(visit, event):
    assert "Fill a text first" in visit("early click").ask("click", None, event_data=event)


def test_clicks_on_blanks_that_are_not_there_are_refused(visit):
    visitor = visit("far click")
    fill(visitor, "The number 12 is [MASK].")
    assert "Blank 100 has no answer 1" in visitor.ask("click", None, event_data={"blank": "99", "alternative": "0"})


def test_boxes_without_a_value_are_empty(visit):
    assert "The text has no blank" in visit("no text").ask("ask", None, None, *SETTINGS)
    assert "The text has no blank" in visit("no text").ask("compare", None, None)


@pytest.mark.parametrize(
    ("function", "data", "told"),
    [
        ("ask", (None, "___ " * (MOST_BLANKS + 1), *SETTINGS), f"{MOST_BLANKS + 1} blanks, and this page fills"),
        ("ask", (None, "[MASK]" + "a" * 10_000, *SETTINGS), "characters, and this page takes"),
        ("ask", (None, "[MASK]", *SETTINGS[:-1], "[0-9]{100000}"), "which is the limit"),
        ("ask", (None, "[MASK]", *SETTINGS[:-1], "a" * 300_000), "longer than 262,144 characters"),
        ("compare", ("[MASK]" + "a" * 10_000, "a\nb"), "characters, and this page takes"),
        ("compare", ("[MASK]", "a\n" * 1000), "This page compares"),
    ],
)
def test_the_server_refuses_large_questions(visit, function, data, told):
    refused = visit("large").join(function, *data)
    assert refused.status_code == 422
    assert told in refused.text


@pytest.mark.parametrize("settings", [(1000, *SETTINGS[1:]), (3, 16, "Likeliest", 5000, 1.0, 0, "")])
def test_settings_out_of_range_are_refused(visit, settings):
    visitor = visit("range")
    joined = visitor.join("ask", None, "The number 12 is [MASK].", *settings)
    assert joined.status_code in (400, 422)


def test_many_blanks_do_not_block_other_visitors(visit, page):
    """One visitor asks for 40 blanks. Five others ask short questions meanwhile, and are answered first."""
    long = visit("long")
    with ThreadPoolExecutor(6) as pool:
        asked = pool.submit(fill, long, MANY)
        wait_until(lambda: "fill long" in page.turns.visitors)
        texts = [f"The number 1{number} is written [MASK]." for number in range(5)]
        shorts = list(pool.map(lambda text: fill(visit(text), text), texts))
        assert not asked.done()
        long.join("stop_question")
        shown = asked.result()
    assert all("3 fillings found" in short for short in shorts)
    reached = [int(blank) for blank in re.findall(r"Filling blank (\d+) of 40", shown)]  # not all blanks are told
    assert reached
    assert reached == sorted(reached)
    assert reached[-1] < 40
    assert "Stopped" in shown


@pytest.mark.slow
def test_a_short_question_takes_as_long_as_without_the_others(visit, page):
    """A question waits for no more than a few forward passes of three long ones."""
    text = "The number 12 is written [MASK]."
    fill(visit("alone"), text)  # the first question of a text also fills caches
    start = time.monotonic()
    fill(visit("alone"), text)
    alone = time.monotonic() - start
    visitors = [visit(f"long {number}") for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(fill, visitor, MANY) for visitor in visitors]
        wait_until(lambda: {"fill long 0", "fill long 1", "fill long 2"} <= set(page.turns.visitors))
        start = time.monotonic()
        fill(visit("short"), text)
        waited = time.monotonic() - start
        assert not any(question.done() for question in asked)
        for visitor in visitors:
            visitor.join("stop_question")
        assert all("Stopped" in question.result() for question in asked)
    assert waited < 5 * alone + 5


@pytest.mark.slow
def test_forty_blanks_are_filled(visit):
    shown = visit("patient").ask("ask", None, MANY, 1, 1, "Likeliest", 1, 1.0, 0, "")
    assert "Looking for other answers, blank 40 of 40" in shown
    assert "1 filling found" in shown


@pytest.mark.slow
def test_visitors_do_not_see_each_other(visit):
    """Eight visitors at the same time are answered as each alone. A few forward passes of each are enough to take turns."""
    settings = (1, 8, "Likeliest", 2, 1.0, 0, "")
    texts = [f"The number {number} is written [MASK]." for number in range(11, 19)]

    def last(name: str, text: str) -> str:
        shown = visit(name).ask("ask", None, text, *settings)
        return json.loads(shown)[-1]["output"]["data"][STATUS]["value"]

    alone = [last(f"alone {n}", text) for n, text in enumerate(texts)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda n: last(f"together {n}", texts[n]), range(8)))
    assert together == alone
    assert len(set(alone)) == 8


def test_a_question_is_stopped(visit, page):
    visitor = visit("stops")
    event = visitor.join("ask", None, MANY, *SETTINGS).json()["event_id"]
    seen = []
    for message in visitor.follow(event):
        seen.append(json.dumps(message))
        if "Filling blank" in seen[-1]:
            visitor.join("stop_question")
    assert "Stopped" in "".join(seen[-3:])
    assert "3 fillings found" not in "".join(seen)
    assert "fill stops" not in page.turns.visitors


def test_a_visitor_who_leaves_frees_the_model(visit, page):
    visitor = visit("leaves")
    event = visitor.join("ask", None, MANY, *SETTINGS).json()["event_id"]
    for message in visitor.follow(event):
        if "Filling blank" in json.dumps(message):
            break
    wait_until(lambda: "fill leaves" not in page.turns.visitors)
