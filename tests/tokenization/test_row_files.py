"""Examples from files, and errors of files that cannot be read."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modeling_glm.tokenization.row_files import read_examples

JSON = '{"a": "é \u2028 x", "label": 1}\n\n{"a": "", "label": null}\n'
EXPECTED = [{"a": "é \u2028 x", "label": 1}, {"a": "", "label": None}]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "X.JSONL"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_lines(tmp_path, name, mark):
    (tmp_path / name).write_text(mark + JSON, encoding="utf-8")
    assert read_examples(tmp_path / name, ["a", "label"]) == EXPECTED


@pytest.mark.parametrize(("name", "delimiter"), [("x.csv", ","), ("x.tsv", "\t")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables(tmp_path, name, delimiter, end):
    lines = ["a,label", '"one, ""two""",x', '"two', 'lines",y', ""]
    (tmp_path / name).write_bytes(end.join(lines).replace(",", delimiter).replace(f"one{delimiter}", "one,").encode())
    read = read_examples(tmp_path / name)
    assert [example["label"] for example in read] == ["x", "y"]
    assert read[0]["a"] == 'one, "two"'
    assert read[1]["a"] == f"two{end}lines"


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\v", "\f", "\x1c"])
def test_separators_of_unicode_do_not_end_a_row(tmp_path, separator):
    (tmp_path / "x.csv").write_text(f"a\none{separator}row\n", encoding="utf-8")
    assert read_examples(tmp_path / "x.csv") == [{"a": f"one{separator}row"}]
    (tmp_path / "x.csv").write_bytes(f"a,label\r\none{separator}row,x\r\nb,y\rc,z".encode())
    assert [row["label"] for row in read_examples(tmp_path / "x.csv")] == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"a", r"ends with '.txt': expected one of .csv, .tsv, .jsonl"),
        ("x.csv", b"", "has no examples"),
        ("x.csv", b"a,label\n", "has no examples"),
        ("x.jsonl", b"\n\n", "has no examples"),
        ("x.csv", b"b,label\nx,y\n", r"line 2 has no 'a': there are \['b', 'label'\]"),
        ("x.jsonl", b'{"a": 1, "label": 2}\n{"label": 1}', r"line 2 has no 'a': there are \['label'\]"),
        ("x.csv", b"a,label,a\n1,2,3\n", r"several columns \['a'\]"),
        ("x.csv", b"a,label\none, two,x\n", "line 2 has 3 columns, but the first line names 2"),
        ("x.csv", b'a,label\n"one" two,x\n', "line 2 cannot be read"),
        ("x.jsonl", b'{"a": 1\n', "line 1 is not JSON"),
        ("x.jsonl", b"[1]\n", "expected an object"),
        ("x.csv", b"a,label\ncaf\xe9,x\n", r"not UTF-8: byte 11 \(line 2\) is 0xe9. Save"),
        (
            "x.csv",
            "a,label\né,x\n".encode() + b"\xe9,y\n",
            r"\(line 3\) is 0xe9. The text before it is UTF-8, so .* mixes",
        ),
        ("x.jsonl", '{"a": 1}'.encode("utf-16"), "is UTF-16"),
    ],
)
def test_errors(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_examples(tmp_path / name, ["a", "label"])


@pytest.mark.parametrize(("name", "line"), [("x.jsonl", 3), ("x.csv", 4)])
def test_rows_are_converted(tmp_path, name, line):
    content = '{"a": 1}\n\n{"a": 2}' if name == "x.jsonl" else 'a\n"1\n"\n2'
    (tmp_path / name).write_text(content)
    assert read_examples(tmp_path / name, convert=lambda row: {"b": int(row["a"])}) == [{"b": 1}, {"b": 2}]

    def refuse(row):
        if int(row["a"]) == 2:
            raise ValueError("2 is too many.")
        return row

    with pytest.raises(ValueError, match=rf"{name}, line {line}: 2 is too many"):
        read_examples(tmp_path / name, convert=refuse)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.csv"):
        read_examples(tmp_path / "none.csv")


class TestParquet:
    def test_rows(self, tmp_path):
        rows = [{"a": "é", "targets": ["x", "y"], "n": 1}, {"a": None, "targets": [], "n": 2}]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet", row_group_size=1)
        assert read_examples(tmp_path / "x.parquet", ["a", "targets"]) == rows

    def test_errors_count_rows(self, tmp_path):
        pq.write_table(pa.Table.from_pylist([{"a": 1}, {"a": 2}]), tmp_path / "x.parquet")

        def refuse_two(row):
            if row["a"] == 2:
                raise ValueError("The line is bad.")
            return row

        with pytest.raises(ValueError, match=r"x\.parquet, line 2 is bad"):
            read_examples(tmp_path / "x.parquet", convert=refuse_two)
        with pytest.raises(ValueError, match="line 1 has no 'b'"):
            read_examples(tmp_path / "x.parquet", ["b"])

    def test_a_damaged_file_and_an_empty_one(self, tmp_path):
        (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing more")
        with pytest.raises(ValueError, match=r"x\.parquet cannot be read as Parquet"):
            read_examples(tmp_path / "x.parquet")
        pq.write_table(pa.table({"a": pa.array([], pa.string())}), tmp_path / "y.parquet")
        with pytest.raises(ValueError, match=r"y\.parquet has no examples"):
            read_examples(tmp_path / "y.parquet")

    def test_without_pyarrow(self, tmp_path, monkeypatch):
        (tmp_path / "x.parquet").write_bytes(b"")
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ImportError, match="pip install pyarrow"):
            read_examples(tmp_path / "x.parquet")
