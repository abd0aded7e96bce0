"""The tabs of the page and what their buttons call, without a browser."""

import pytest

from examples.page.logic import Page
from tests.support.paths import ROOT

pytest.importorskip("gradio")
EMBEDDED = ROOT / "examples" / "glm-tiny"


@pytest.fixture(scope="module")
def functions() -> dict:
    from examples.page.layout import build

    blocks = build(Page(str(EMBEDDED), "cpu"), str(EMBEDDED))
    return {function.fn.__name__: function.fn for function in blocks.fns.values() if function.fn}


def test_fill_shows_fillings_or_a_message(functions):
    settings = (3, 16, "Likeliest", 8, 1.0, 0, "")
    result, message, shown, reset = functions["ask"]("The number 12 is [MASK].", *settings)
    assert len(result.fillings) == 3
    assert not message.visible
    assert result.fillings[0].answers[0].text in shown.value
    assert not reset.interactive
    result, message, shown, _ = functions["ask"]("no blank", *settings)
    assert result is None
    assert "The text has no blank" in message.value
    assert not shown.visible


def test_choose_shows_a_chart_or_a_message(functions):
    text = "HTTP status 404 is Not Found, a [MASK]."
    message, chart = functions["compare"](text, "client error\nsuccess")
    assert not message.visible
    assert {entry["label"] for entry in chart.value["confidences"]} == {"client error", "success"}
    assert chart.value["label"] == "client error"
    message, chart = functions["compare"](text, "client error")
    assert "write two or more" in message.value
    assert not chart.visible


def test_the_picture_needs_a_filling(functions):
    message, picture = functions["draw"](None)
    assert "Fill a text first" in message.value
    assert not picture.visible
