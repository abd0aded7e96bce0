"""Texts from files of several kinds, folders and datasets; and errors that name the place."""

import gzip
import json
import tracemalloc
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modeling_glm.pretraining.documents import Corpus, read_documents

TEXTS = ["The quick brown fox.", "  Paris, the capital\nof France\n", "caf\u00e9 \u732b \U0001f600", "404"]


def read(source: Path, **settings) -> list[str]:
    return list(read_documents(Corpus(source=str(source), **settings)))


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def json_lines(texts: list, column: str = "text") -> str:
    return "".join(json.dumps({"id": i, column: text}) + "\n" for i, text in enumerate(texts))


def write_parquet(path: Path, **columns) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def offline(monkeypatch):
    """Where every name is unknown, as to somebody who mistyped it."""

    def load_dataset(name, *_, **__):
        raise datasets.exceptions.DatasetNotFoundError(f"Dataset {name!r} doesn't exist on the Hub.")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ("lines", ["One.", "  Two,\u2028three.", "Four."]),
        ("blank_lines", ["One.\n  Two,\u2028three.", "Four."]),
        ("files", ["One.\n  Two,\u2028three.\n \n\nFour."]),
    ],
)
def test_documents_of_text_files(tmp_path, documents, expected, ending):
    path = write(tmp_path / f"texts.txt{ending}", "\ufeffOne.\n  Two,\u2028three.\r\n \n\nFour.")
    assert read(path, documents=documents) == expected


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.ndjson", "a.JSONL.gz"])
def test_json_lines_keep_line_breaks(tmp_path, name):
    path = tmp_path / name
    data = json_lines([*TEXTS, None, "", " \n"], "content") + "\n"
    path.write_bytes(gzip.compress(data.encode()) if path.suffix == ".gz" else data.encode())
    assert read(path, text_column="content") == TEXTS


def test_half_a_surrogate_pair_in_json_is_replaced(tmp_path):
    assert read(write(tmp_path / "a.jsonl", '{"text": "a\\ud83db \\ud83d\\ude00"}')) == ["a?b \U0001f600"]


@pytest.mark.parametrize(
    "column", [pa.array([*TEXTS, None]), pa.array(TEXTS, pa.large_string()), pa.array(TEXTS).dictionary_encode()]
)
def test_parquet(tmp_path, column):
    assert read(write_parquet(tmp_path / "a.parquet", text=column, other=column)) == TEXTS


def test_folders_and_patterns_are_read_in_the_order_of_their_paths(tmp_path):
    write(tmp_path / "b.txt", "second\nthird")
    write(tmp_path / "c" / "d.jsonl.gz", json_lines(["fourth"]))
    write(tmp_path / "a" / "x.txt", "first")
    write(tmp_path / "README.md", "nothing")
    write(tmp_path / ".cache" / "a.txt", "nothing")
    write(tmp_path / "empty.txt", "")
    assert read(tmp_path) == read(tmp_path / "**") == ["first", "second", "third", "fourth"]
    assert read(tmp_path / "?.txt") == ["second", "third"]
    assert read(tmp_path / "[ac]") == ["first", "fourth"]


def test_a_name_is_a_dataset(monkeypatch):
    calls = []

    def load_dataset(*arguments, **settings):
        calls.append((arguments, settings))
        return iter([{"body": "one"}, {"body": None}, {"body": "two"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert read("org/corpus:en", text_column="body", split="test") == ["one", "two"]
    assert read("corpus", text_column="body") == ["one", "two"]
    assert calls == [
        (("org/corpus", "en"), {"split": "test", "streaming": True}),
        (("corpus", None), {"split": "train", "streaming": True}),
    ]
    with pytest.raises(ValueError, match="corpus, row 0 of 'train' has no 'text': there are 'body'"):
        read("corpus")


def test_reading_takes_constant_memory(tmp_path):
    path = tmp_path / "long.jsonl"
    with open(path, "w") as file:
        for i in range(2000):
            file.write(json.dumps({"text": f"{i} " * 1000}) + "\n")
    tracemalloc.start()
    assert sum(1 for _ in read_documents(Corpus(source=str(path)))) == 2000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 20


# Errors


@pytest.mark.parametrize("name", ["no.txt", "no/such/folder", "./no", "no*.txt", "~/no-such-file.jsonl"])
def test_missing_files(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"There is no file or folder|No file matches"):
        read_documents(Corpus(source=name))  # at once, not when the first text is asked for


@pytest.mark.usefixtures("offline")
def test_neither_a_file_nor_a_dataset():
    with pytest.raises(FileNotFoundError, match=r"no file or folder org/corpus, and no dataset .* doesn't exist"):
        read("org/corpus")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "a.txt has no text"),
        ("a.txt", " \n\n", "a.txt has no text"),
        ("a.jsonl", '{"text": null}', "a.jsonl has no text"),
        ("a.md", "text", "a.md ends with '.md'. Readable files end with .txt"),
        ("a.txt", b"text\n\x00\x01", "a.txt is not text: byte 5 is NUL"),
        ("a.txt.gz", b"text\n\x00\x01", r"a.txt.gz is not text \(packed in it\): byte 5 is NUL"),
        ("a.txt", b"text\ncaf\xe9\n", r"a.txt is not text in UTF-8: byte 8 \(line 2\) is 0xe9. Save it as UTF-8"),
        ("a.txt", "text".encode("utf-16"), "a.txt is not text: byte 3 is NUL"),
        ("a.jsonl", b'{"text": "caf\xe9"}', r"a.jsonl is not text in UTF-8: byte 13 \(line 1\)"),
        ("a.jsonl", '{"text": "a"}\n\n{"text": "b', 'a.jsonl, line 3 is not JSON .*: \'{"text": "b\''),
        ("a.jsonl", "[" * 100_000, "a.jsonl, line 1 is not JSON"),
        ("a.json", '["a"]', r"a.json, line 1 is '\[\"a\"\]': expected an object with 'text'"),
        ("a.jsonl", '{"body": "a", "id": 1}', "a.jsonl, line 1 has no 'text': there are 'body', 'id'"),
        ("a.jsonl", "{}", "line 1 has no 'text': there are no fields"),
        ("a.jsonl", '{"text": ["a"]}', r"a.jsonl, line 1: 'text' is \['a'\], expected text"),
        ("a.parquet", b"PAR2", "a.parquet cannot be read as Parquet"),
    ],
)
def test_errors_say_where(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path / name, content))


def test_bytes_are_counted_from_the_beginning_of_the_file(tmp_path):
    path = write(tmp_path / "a.txt", "\ufeff\u732b\r\n".encode() * 10 + b"\xff")
    with pytest.raises(ValueError, match=r"byte 80 \(line 11\) is 0xff"):
        read(path)
    with pytest.raises(ValueError, match=r"byte 80 \(line 11\) is 0xff"):
        read(path, documents="files")


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"text " * 1000)[:-10], gzip.compress(b"text")[:12]],
    ids=["other", "truncated", "header only"],  # the bytes hold the time
)
def test_damaged_gzip(tmp_path, content):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a.txt.gz is damaged, or is not a gzip file \(.+\)"):
        read(path)


def test_parquet_without_the_column(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", body=["a"], number=[1])
    with pytest.raises(ValueError, match=r"a.parquet has no column 'text': there are body, number"):
        read(path)
    with pytest.raises(ValueError, match="'number' is of type int64, expected text"):
        read(path, text_column="number")


def test_folder_without_readable_files(tmp_path):
    write(tmp_path / "a.md", "text")
    for source in (tmp_path, tmp_path / "*"):
        with pytest.raises(ValueError, match=r"files, and none of them is readable. Readable files end with .txt"):
            read_documents(Corpus(source=str(source)))


@pytest.mark.parametrize("documents", ["lines", "files", "blank_lines"])
def test_longest_document(tmp_path, documents):
    for content in ("\u732b\u732b", "\u732b\u732b\n", "\u732b\u732b\r\n"):
        path = write(tmp_path / "a.txt", content)
        assert read(path, documents=documents, max_line_bytes=6) == ["\u732b\u732b"]
        with pytest.raises(ValueError, match=r"a.txt.* more than 5 bytes"):
            read(path, documents=documents, max_line_bytes=5)


def test_line_that_is_too_long_is_named(tmp_path):
    path = write(tmp_path / "a.txt", "one\n\ntwo\nthree and a half\n")
    with pytest.raises(ValueError, match=r"a.txt, line 4 has more than 8 bytes: raise max_line_bytes"):
        read(path, max_line_bytes=8)
    path = write(tmp_path / "b.txt", "one\n\ntwo\nthree\nfour\n")
    with pytest.raises(
        ValueError, match=r"b.txt, line 3 begins a document of more than 12 bytes without a blank line"
    ):
        read(path, max_line_bytes=12, documents="blank_lines")


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_without_end_is_not_read_to_its_end(tmp_path, packed):
    path = tmp_path / ("a.jsonl.gz" if packed else "a.jsonl")
    with gzip.open(path, "wb") if packed else open(path, "wb") as file:
        for _ in range(64):
            file.write(b"x" * 2**20)
    tracemalloc.start()
    with pytest.raises(ValueError, match="line 1 has more than 1048576 bytes"):
        read(path, max_line_bytes=2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": ""}, "source is empty"),
        ({"weight": -1.0}, "The weight of a.txt is -1.0"),
        ({"weight": float("nan")}, "The weight of a.txt is nan"),
        ({"documents": "pages"}, "documents is 'pages': expected one of lines, blank_lines, files"),
        ({"max_line_bytes": 0}, "max_line_bytes is 0"),
    ],
)
def test_settings_of_a_corpus(settings, message):
    with pytest.raises(ValueError, match=message):
        Corpus(**{"source": "a.txt", **settings})
