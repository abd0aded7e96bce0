"""Lines that the commands read: of standard input and of files, and bad ones between good ones."""

import csv
import io
import itertools
import json
import sys

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from modeling_glm.cli.lines import InputFormat, Line, _read_stream, read_lines
from tests.support.command import objects

TINY = "examples/glm-tiny"


@pytest.fixture
def given(monkeypatch):
    def give(content: bytes):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def read(content: bytes, form: InputFormat = InputFormat.auto, text_field: str = "text") -> list[Line]:
    return list(_read_stream(io.BytesIO(content), "x", form, text_field))


def texts(lines) -> list[str]:
    return [line.text if isinstance(line.text, str) else f"{line.number}: {line.text}" for line in lines]


def test_arguments_are_texts():
    assert list(read_lines(["a", "{b"])) == [Line(1, "text 1", "a"), Line(2, "text 2", "{b")]


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_lines_are_texts_or_objects(given, arguments):
    given(b'\xef\xbb\xbfone\r\n\n{"id": 7, "text": "two"}\n')
    first, second = read_lines(arguments)
    assert first == Line(1, "line 1 of standard input", "one")
    assert second == Line(3, "line 3 of standard input", "two", {"id": 7, "text": "two"})


def test_lines_are_read_as_they_are_wanted(monkeypatch):
    class Endless:
        buffer = (b"%d\n" % number for number in itertools.count())

        def isatty(self):
            return False

    monkeypatch.setattr(sys, "stdin", Endless())
    assert texts(itertools.islice(read_lines([]), 3)) == ["0", "1", "2"]


def test_what_passes_through():
    line = Line(1, "line 1", "a", {"id": 7, "text": "a", "choices": ["b"]})
    assert line.passed_on(["choices"]) == {"id": 7, "text": "a"}
    assert Line(1, "line 1", "a").passed_on(["choices"]) == {"text": "a"}


BAD_LINES = [
    (b"\xff\xfe", "The line is not UTF-8"),
    (b"{broken", "The line is not a JSON object"),
    (b'{"text": "a"} {}', "The line is not a JSON object"),
    (b'{"n": ' + b"1" * 5000 + b"}", "The line is not a JSON object"),
    (b"{" + b'"a": {' * 100_000, "The line is not a JSON object"),
    (b'{"id": 3}', 'The line has no "text"'),
    (b'{"text": 5}', "The text is 5, of type int: expected a string"),
    (b'{"text": null}', "The text is None"),
    (b'{"text": ["a"]}', "The text is ['a']"),
    (b'{"text": "a \\ud83d"}', "The text has half of a surrogate pair"),
]


@pytest.mark.parametrize(("content", "problem"), BAD_LINES, ids=[str(number) for number in range(len(BAD_LINES))])
@pytest.mark.parametrize("form", [InputFormat.auto, InputFormat.jsonl])
def test_a_bad_line_costs_no_good_one(form, content, problem):
    good = b'{"text": "good"}'
    found = texts(read(b"\n".join([good, content, b"", good]), form))
    assert found[::2] == ["good", "good"]
    assert found[1].startswith(f"2: {problem}")


def test_lines_of_each_format():
    content = b'{"text": "a"}\n"b"\n[1]\nplain\n'
    assert texts(read(content, InputFormat.lines)) == content.decode().splitlines()
    assert texts(read(content))[1:] == ['"b"', "[1]", "plain"]
    a, b, wrong, broken = texts(read(content, InputFormat.jsonl))
    assert (a, b) == ("a", "b")
    assert wrong == "3: The line is a JSON list: expected an object."
    assert broken.startswith("4: The line is not a JSON object")


TABLES = {
    "csv": b'id,text\r\n1,"a, b"\r\n\r\n2,"two\r\nlines"\r\n3,c\r\n',
    "tsv": b'id\ttext\n1\ta, b\n\n2\t"two\r\nlines"\n3\tc\n',
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_tables(name, mark, tmp_path, given):
    content = mark + TABLES[name]
    path = tmp_path / f"texts.{name.upper()}"
    path.write_bytes(content)
    given(content)
    for lines in (
        read(content),
        read(content, InputFormat(name)),
        read_lines([], path),
        read_lines([str(path)]),
        read_lines([]),
    ):
        lines = list(lines)
        assert texts(lines) == ["a, b", "two\r\nlines", "c"]
        assert [line.fields["id"] for line in lines] == ["1", "2", "3"]
        assert [line.number for line in lines] == [2, 4, 6]
    assert lines[-1].place == "line 6 of standard input"


def test_bad_rows_of_a_table():
    content = b'text,id\n"a",1\nb\nc,2,3\n\xff,4\n"d"e,5\nf,6\n"open,7\ng,8\n'
    assert texts(read(content)) == [
        "a",
        "3: The line has 1 columns, but the first line names 2 (['text', 'id']): put texts with ',' in quotes.",
        "4: The line has 3 columns, but the first line names 2 (['text', 'id']): put texts with ',' in quotes.",
        "5: The line is not UTF-8.",
        "6: The line cannot be read: ',' expected after '\"'.",
        "f",
        "8: The line cannot be read: unexpected end of data.",
    ]


@pytest.mark.parametrize(
    "first", ["text", "the text, and more", "say text,please", "{text,id", "id,name", "text,", "text;id"]
)
def test_a_text_is_not_taken_for_names_of_columns(first):
    assert texts(read(f"{first}\nb\n".encode(), InputFormat.auto))[1] == "b"


def test_another_field(tmp_path):
    assert texts(read(b"n,sentence\n1,a\n", text_field="sentence")) == ["a"]
    assert texts(read(b'{"sentence": "a", "text": 3}', text_field="sentence")) == ["a"]


@pytest.mark.parametrize(
    ("content", "form", "message"),
    [
        (b"", InputFormat.auto, "x is empty"),
        (b"\n \n", InputFormat.auto, "x is empty"),
        (b"", InputFormat.csv, "x is empty"),
        (b"text,id\n", InputFormat.csv, "x is empty"),
        (b"\xff\xfea\x00", InputFormat.auto, "x is UTF-16"),
        (
            b"a,b\n1,2\n",
            InputFormat.csv,
            r"names the columns \['a', 'b'\]: expected 'text' among them, or --text-field",
        ),
        (b"text,text\n1,2\n", InputFormat.csv, r"has several columns \['text'\]"),
        (b'"text\n', InputFormat.csv, "line 1 of x cannot be read"),
    ],
    ids=str,
)
def test_what_cannot_be_read_at_all(content, form, message):
    with pytest.raises(ValueError, match=message):
        read(content, form)


def test_a_terminal_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    with pytest.raises(ValueError, match="There is no text"):
        next(read_lines([]))


@examples(
    st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.integers()), min_size=1, max_size=5)
)
def test_every_form_has_the_same_texts(rows):
    # A line of blanks alone is skipped, and csv has no NUL and writes \n for \r.
    rows = [(f"{text}.".translate({0: None, 13: None}), number) for text, number in rows]
    table = io.StringIO()
    csv.writer(table).writerows([("text", "id"), *rows])
    lines = "".join(json.dumps({"text": text, "id": number}, ensure_ascii=False) + "\n" for text, number in rows)
    for found in (read(table.getvalue().encode()), read(lines.encode())):
        assert [(line.text, str(line.fields["id"])) for line in found] == [
            (text, str(number)) for text, number in rows
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Standard input is empty"),
        (b"\xff\xfe\n", "standard input is UTF-16"),
        (b"a \xff\n", "line 1 of standard input is not UTF-8"),
        (b'{"text": 5}\n', "line 1 of standard input: The text is 5"),
        (b"\n\n{broken\n", "line 3 of standard input is not a JSON object"),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["fill", "generate"])
def test_wrong_lines_are_one_line(run, command, content, message):
    result = run(command, TINY, given=content)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["fill", "generate"])
def test_unknown_keys_pass_through(run, command):
    given = b'{"id": 7, "text": "The number 12 is [MASK].", "tags": ["x"]}\n'
    (told,) = objects(run(command, TINY, given=given))
    assert {**told, "fillings": None} == {**json.loads(given), "fillings": None}
    assert list(told) == ["id", "text", "tags", "fillings"]
