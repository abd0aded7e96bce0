"""Files of lines and JSON: what is read, and what messages name."""

import pytest

from modeling_glm.tokenization.seq2seq.readers.reading import Reading, member, read_json_file, read_text_lines


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\n b \r\nc", ["a", "b", "c"]),
        (b"a\rb", ["a", "b"]),
        (b"\xef\xbb\xbfa\n\n\n", ["a", "", ""]),
        ("a\u2028b\x0c\n".encode(), ["a\u2028b"]),
    ],
)
def test_lines(tmp_path, content, lines):
    (tmp_path / "x").write_bytes(content)
    assert read_text_lines(tmp_path / "x") == lines


@pytest.mark.parametrize("content", ["", "\n", " \n\t\n"])
def test_a_file_without_texts(tmp_path, content):
    (tmp_path / "train.source").write_text(content)
    with pytest.raises(ValueError, match=r"train\.source has no texts: every line is empty"):
        read_text_lines(tmp_path / "train.source")


@pytest.mark.parametrize("read", [read_text_lines, read_json_file])
def test_files_that_cannot_be_read(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*dev\.json"):
        read(tmp_path / "dev.json")
    (tmp_path / "x").write_bytes("a\né".encode("latin-1"))
    with pytest.raises(ValueError, match=r"x is not UTF-8: byte 2 \(line 2\)"):
        read(tmp_path / "x")


def test_broken_json(tmp_path):
    (tmp_path / "train.json").write_text('{"data": [\n  {"title": "a",,}\n]}')
    with pytest.raises(
        ValueError, match=r"train\.json, line 2 is not JSON: .* at column 17\. Download the file again"
    ):
        read_json_file(tmp_path / "train.json")
    (tmp_path / "train.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match=r"train\.json.*nested too deeply"):
        read_json_file(tmp_path / "train.json")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], r"f: data\[0\] is \[\]: expected an object with 'qas'"),
        ({"qa": 1}, r"f: data\[0\] has no 'qas': there are \['qa'\]"),
        ({"qas": "x"}, r"f: data\[0\]\.qas is 'x': expected a list"),
    ],
)
def test_members(value, message):
    with pytest.raises(ValueError, match=message):
        member(value, "qas", list, "f: data[0]")
    assert member({"qas": [1]}, "qas", list, "f") == [1]


def test_records_and_references_of_the_originals():
    assert Reading("xsum", "dev", []).record(3, {"ref": "r"}, "a", "b") == {}
    record = Reading("xsum", "dev", [], original=True, faults=True).record(3, {"ref": "r"}, "a", "b")
    assert record == {"original": {"uid": "dev-3", "text_a": "a", "text_b": "b", "meta": {"ref": "r"}}}
    assert Reading("xsum", "dev", []).round_trip("A , b") == "A , b"
