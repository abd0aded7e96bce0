"""The HTML of the page."""

import pytest

from examples.page.logic import Page, Question
from examples.page.views import message_html, percent, result_html
from tests.support.paths import ROOT


def test_what_readers_write_is_escaped():
    page = Page(str(ROOT / "examples" / "glm-tiny"), "cpu")
    shown = result_html(page.fill(Question(text='<script>alert(1)</script> & "two" [MASK]', number=1)))
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in shown
    assert "<b>" not in message_html("<b>")


@pytest.mark.parametrize(
    ("probability", "shown"), [(0.974, "97%"), (0.0991, "9.9%"), (0.0996, "10%"), (0.006, "0.6%"), (0.0004, "<0.1%")]
)
def test_percent(probability, shown):
    assert percent(probability) == shown
