"""Windows of SQuAD, their targets, and the answer from all windows of a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_glm.tokenization.seq2seq.readers.reading import Reading
from modeling_glm.tokenization.seq2seq.readers.squad import join_windows, read_squad
from tests.tokenization.seq2seq.readers.test_questions import write_questions

PASSAGE = (
    "Mira planted tulips. " * 3 + "Anton rang the bells. " + "Mira planted tulips. " * 3 + "It rained in Lindenau."
)


@pytest.fixture
def tokenizer(original_tokenizer):
    return original_tokenizer("gpt2")


@pytest.fixture
def path(tmp_path):
    questions = ("Who rang?", ["Anton"]), ("Where did it rain?", ["Lindenau", "in Lindenau"]), ("Why?", [])
    return write_questions(tmp_path / "train-v2.0.json", *questions, context=PASSAGE)


def read(path, tokenizer, *, length=24, split="train", answered_only=()):
    given = Reading("squad", split, [path], tokenizer=tokenizer, max_source_length=length)
    return read_squad(given, answered_only=answered_only)


def test_windows_are_slices_that_cover_the_passage(path, tokenizer):
    rows = [row for row in read(path, tokenizer) if row["question"] == "Who rang?"]
    assert len(rows) > 2
    assert [row["window"] for row in rows] == list(range(len(rows)))
    assert rows[0]["context"].startswith("Mira planted")
    assert rows[-1]["context"].endswith("Lindenau.")
    covered = 0
    for row in rows:
        place = PASSAGE.find(row["context"], max(0, covered - len(row["context"])))
        assert 0 <= place <= covered + 1
        covered = place + len(row["context"])
    assert covered == len(PASSAGE)


def test_questions_without_an_id_are_numbered(path, tokenizer):
    assert {row["id"]: row["question"] for row in read(path, tokenizer)} == {
        "train-0": "Who rang?",
        "train-1": "Where did it rain?",
        "train-2": "Why?",
    }


def test_targets(path, tokenizer):
    for row in read(path, tokenizer):
        expected = {"Who rang?": "Anton", "Where did it rain?": "Lindenau", "Why?": "?"}[row["question"]]
        assert row["target"] == (expected if expected in row["context"] else "N/A")
        assert (
            row["references"]
            == {
                "Who rang?": ["Anton"],
                "Where did it rain?": ["Lindenau", "in Lindenau"],
                "Why?": ["N/A"],
            }[row["question"]]
        )


def test_an_answer_counts_at_its_place(tmp_path, tokenizer):
    """The passage has "tulips" six times: only the window with the first is right."""
    path = write_questions(tmp_path / "x.json", ("What?", ["tulips"]), context=PASSAGE)
    targets = [row["target"] for row in read(path, tokenizer)]
    assert targets[0] == "tulips"
    assert set(targets[1:]) == {"N/A"}


def test_windows_without_an_answer_are_left_out(path, tokenizer):
    train = read(path, tokenizer, answered_only=["train"])
    assert {row["id"] for row in train if row["target"] == "N/A"} == set()
    dev = read(path, tokenizer, split="dev", answered_only=["train"])
    assert len(dev) == len(read(path, tokenizer))


def test_rows_fill_a_source_of_the_length(path, tokenizer):
    """[CLS] question blank "." window <eos>"""
    for row in read(path, tokenizer, length=24):
        parts = [tokenizer(row[name], add_special_tokens=False)["input_ids"] for name in ("question", "context")]
        assert sum(map(len, parts)) + 4 <= 24


def test_a_long_question_skips_nothing(tmp_path, tokenizer):
    path = write_questions(tmp_path / "x.json", ("who " * 16 + "?", ["Anton"]), context=PASSAGE)
    rows = read(path, tokenizer, length=24)
    assert "".join(PASSAGE.split()) == "".join("".join(row["context"].split()) for row in rows)


def test_a_question_without_room(tmp_path, tokenizer):
    path = write_questions(tmp_path / "x.json", ("Who?", ["Anton"]), ("who " * 30, ["Anton"]), context=PASSAGE)
    message = (
        r"x\.json: data\[0\]\.paragraphs\[0\]\.qas\[1\]: the question has \d+ tokens, .* max_source_length=24: expe"
    )
    with pytest.raises(ValueError, match=message):
        read(path, tokenizer, length=24)


def test_an_empty_question(tmp_path, tokenizer):
    path = write_questions(tmp_path / "x.json", (" ", ["Anton"]), context=PASSAGE)
    with pytest.raises(ValueError, match=r"qas\[0\]: the question is empty"):
        read(path, tokenizer)


def test_windows_need_a_tokenizer(path):
    with pytest.raises(ValueError, match="'squad' cuts passages into windows: give tokenizer and max_source_length"):
        read_squad(Reading("squad", "train", [path]))


def window(identity, number):
    return {"id": identity, "window": number, "references": [identity]}


def test_the_first_answer_counts():
    rows = [window("a", 1), window("b", 0), window("a", 0), window("b", 1), window("a", 2)]
    joined = join_windows(rows, ["late", "n / a", "N/A", " N/A ", "later"])
    assert joined == [
        {"id": "a", "prediction": "late", "references": ["a"]},
        {"id": "b", "prediction": "N/A", "references": ["b"]},
    ]


@given(st.lists(st.lists(st.sampled_from(["N/A", "x", "y"]), min_size=1, max_size=4), max_size=4), st.randoms())
def test_order_of_rows_does_not_matter(questions, rng):
    given_rows = [
        (window(str(question), number), prediction)
        for question, predictions in enumerate(questions)
        for number, prediction in enumerate(predictions)
    ]
    rng.shuffle(given_rows)
    joined = join_windows([row for row, _ in given_rows], [prediction for _, prediction in given_rows])
    expected = {
        str(question): next((prediction for prediction in predictions if prediction != "N/A"), "N/A")
        for question, predictions in enumerate(questions)
    }
    assert {row["id"]: row["prediction"] for row in joined} == expected


def test_predictions_for_every_row():
    with pytest.raises(ValueError, match="There are 1 predictions for 2 rows"):
        join_windows([window("a", 0), window("a", 1)], ["x"])
