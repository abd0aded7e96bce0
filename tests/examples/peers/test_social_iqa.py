"""SocialIQA as lm-evaluation-harness writes it."""

import pytest

from examples.peers.questions import ChoiceRow
from examples.peers.social_iqa import social_iqa_rows
from tests.support.real_data import needs_real_data


def test_the_text_is_that_of_the_harness(questions):
    first = ChoiceRow("Q: Ada lent Bo a book. What will Bo do?\nA:", ["read it", "eat it", "fly"], 0, "social_iqa")
    assert social_iqa_rows()[0] == first


def test_a_missing_file(tmp_path, monkeypatch):
    monkeypatch.setenv("GLM_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"social_iqa\.json is missing\. Run make data"):
        social_iqa_rows()


@needs_real_data("bigbench", "social_iqa.json")
def test_all_questions():
    rows = social_iqa_rows()
    assert len(rows) == 1954
    assert {len(row.choices) for row in rows} == {2, 3}  # four questions have the same answer twice
