"""Fields of the caller stay beside the results."""

from modeling_glm.utils.fields import rename_taken


def test_fields_with_the_name_of_a_result_are_renamed():
    assert rename_taken({"text": 1, "score": 2}, ("score",)) == {"text": 1, "input_score": 2}
    assert rename_taken({"score": 1, "input_score": 2}, ("score",)) == {"input_input_score": 1, "input_score": 2}
    assert rename_taken({"text": 1}, ("score",)) == {"text": 1}
