"""The JSON of SQuAD: questions for CMRC 2018 and for question generation, and errors that name the place."""

import json

import pytest

from modeling_glm.tokenization.seq2seq.readers.questions import read_cmrc, read_question_generation, read_questions
from modeling_glm.tokenization.seq2seq.readers.reading import Reading


def write_questions(path, *questions, context="Anton rang the bells in Lindenau."):
    """Write questions about one passage: each with its answers, as texts."""
    entries = [
        {"question": question, "answers": [{"text": text, "answer_start": context.find(text)} for text in answers]}
        for question, answers in questions
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": entries}]}]}), encoding="utf-8")
    return path


@pytest.fixture
def path(tmp_path):
    return write_questions(
        tmp_path / "x.json", ("Who rang?", ["Anton", "Anton rang", "Anton"]), ("Where?", ["Lindenau"])
    )


def test_questions(path):
    first, second = read_questions(path)
    assert first.answer_texts == ["Anton", "Anton rang"]
    assert [answer.start for answer in first.answers] == [0, 0, 0]
    assert (second.question, second.id, second.context) == ("Where?", None, first.context)
    assert second.place == f"{path}: data[0].paragraphs[0].qas[1]"


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_question_generation(path, split):
    rows = read_question_generation(Reading("squad_generation", split, [path]))
    assert [(row["answer"], row["target"]) for row in rows] == [
        ("Anton", "Who rang?"),
        ("Anton rang", "Who rang?"),
        ("Lindenau", "Where?"),
    ]
    assert all(row["references"] == [row["target"]] for row in rows)
    assert [row["id"] for row in rows] == [f"{split}-{number}" for number in range(3)]


def test_cmrc_learns_every_answer_and_predicts_every_question(path):
    learned = read_cmrc(Reading("cmrc", "train", [path]))
    assert [row["target"] for row in learned] == ["Anton", "Anton rang", "Lindenau"]
    for split in ("dev", "test"):
        asked = read_cmrc(Reading("cmrc", split, [path]))
        assert [(row["question"], row["references"]) for row in asked] == [
            ("Who rang?", ["Anton", "Anton rang"]),
            ("Where?", ["Lindenau"]),
        ]


def test_hidden_answers(tmp_path):
    path = write_questions(tmp_path / "test.json", ("Who rang?", []))
    (row,) = read_cmrc(Reading("cmrc", "test", [path]))
    assert "target" not in row
    with pytest.raises(ValueError, match=r"test\.json: data\[0\]\.paragraphs\[0\]\.qas\[0\] has no answer to learn"):
        read_cmrc(Reading("cmrc", "train", [path]))
    with pytest.raises(ValueError, match=r"qas\[0\] has no answer: expected one that the question asks for"):
        read_question_generation(Reading("squad_generation", "test", [path]))


def test_white_space_around_texts(tmp_path):
    path = write_questions(tmp_path / "x.json", (" Who rang? ", ["Anton "]), context="Anton rang.\n")
    (row,) = read_question_generation(Reading("squad_generation", "train", [path]))
    assert (row["context"], row["target"], row["references"]) == ("Anton rang.", "Who rang?", ["Who rang?"])
    (row,) = read_cmrc(Reading("cmrc", "train", [path]))
    assert (row["context"], row["question"], row["target"]) == ("Anton rang.", "Who rang?", "Anton")


def test_empty_texts(tmp_path):
    with pytest.raises(ValueError, match=r"qas\[0\]: the answer 1 is empty: expected a text"):
        read_cmrc(Reading("cmrc", "dev", [write_questions(tmp_path / "x.json", ("a?", ["Anton", " "]))]))
    with pytest.raises(ValueError, match=r"qas\[1\]: the question is empty: expected a text"):
        read_cmrc(
            Reading("cmrc", "train", [write_questions(tmp_path / "x.json", ("a?", ["Anton"]), (" ", ["Anton"]))])
        )
    with pytest.raises(ValueError, match=r"qas\[0\]: the context is empty: expected a text"):
        read_cmrc(Reading("cmrc", "dev", [write_questions(tmp_path / "x.json", ("a?", ["b"]), context="")]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"x\.json: the file is \[\]: expected an object with 'data'"),
        ({"data": []}, r"x\.json has no questions"),
        ({"data": [{"title": "a"}]}, r"x\.json: data\[0\] has no 'paragraphs': there are \['title'\]"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, r"data\[0\]\.paragraphs\[0\] has no 'context'"),
        ({"data": [{"paragraphs": [{"context": "a", "qas": [{}]}]}]}, r"paragraphs\[0\]\.qas\[0\] has no 'question'"),
        (
            {"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "b", "answers": ["c"]}]}]}]},
            r"qas\[0\]\.answers\[0\] is 'c': expected an object with 'text'",
        ),
        (
            {"data": [{"paragraphs": [{"context": "a", "qas": [{"question": 1}]}]}]},
            r"qas\[0\]\.question is 1: expected a text",
        ),
    ],
)
def test_another_form(tmp_path, content, message):
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_questions(tmp_path / "x.json")
