"""Files of BIG-bench: questions with one right answer, and files of another form."""

import json

import pytest

from examples.peers.questions import AnsweredQuestion, ChoiceRow, read_questions


def test_questions_with_one_right_answer(tmp_path):
    file = tmp_path / "a.json"
    examples = [
        {"input": "a ", "target_scores": {"x": 0, "y": 1}},
        {"input": "b", "target_scores": {"x": 0}},
        {"input": "c", "target_scores": {"x": 1}},
        {"input": "d", "target_scores": {"x": 1, "y": 1}},
    ]
    file.write_text(json.dumps({"examples": examples}))
    assert read_questions(file) == [AnsweredQuestion("a ", ["x", "y"], 1)]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"examples": [{"input": "a"}]}', '{"examples": 5}'])
def test_other_files(tmp_path, content):
    file = tmp_path / "a.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"a\.json is not a file of BIG-bench .* Run make data again"):
        read_questions(file)


def test_a_row_has_the_fields_of_the_measurement():
    row = ChoiceRow("Ice is [MASK].", ["cold", "hot"], 0, "ice")
    assert row.fields() == {"text": "Ice is [MASK].", "choices": ["cold", "hot"], "label": 0, "group": "ice"}
