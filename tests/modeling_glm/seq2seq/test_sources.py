"""Sources and targets from files and datasets, and errors of rows that cannot be used."""

import json

import datasets
import pytest

from modeling_glm.seq2seq.sources import Columns, Seq2SeqData, load_files, load_hub_dataset

ROWS = [{"id": number, "text": f"text {number}", "title": f"title {number}"} for number in range(30)]
COLUMNS = Columns(source="text", targets=("title",))


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class TestColumns:
    @pytest.mark.parametrize(
        ("columns", "pattern"),
        [
            (Columns(), "{source|shorten} [gMASK]"),
            (Columns(source="text"), "{text|shorten} [gMASK]"),
            (Columns(pattern="[sMASK] Content: {source}", source="text"), "[sMASK] Content: {text}"),
            (
                Columns(pattern="{ source|shorten} {sources} {{source}} [MASK]", source="a"),
                "{ a|shorten} {sources} {{a}} [MASK]",
            ),
        ],
    )
    def test_pattern(self, columns, pattern):
        assert columns.pattern_for("[gMASK]") == pattern
        assert columns.pattern_for(None) == pattern.replace("[gMASK]", "[MASK]")

    def test_targets(self):
        row = {"source": "x", "a": "one", "b": 2}
        several = Columns(pattern="{source} [MASK] [MASK]", targets=("a", "b"))
        assert several.check(row) == {**row, "a + b": ["one", "2"]}
        assert several.references(several.check(row)) == [["one"], ["2"]]
        listed = Columns(pattern="{source} [MASK] [MASK]", targets=("a",))
        assert listed.references(listed.check({"source": "x", "a": ["one", "two"]})) == [["one"], ["two"]]
        one_blank = Columns(targets=("a",))
        assert one_blank.references(one_blank.check({"source": "x", "a": ["one", "two"]})) == [["one", "two"]]
        assert one_blank.check({"source": "x"}, labelled=False) == {"source": "x"}
        assert Columns(pattern="{q}? {source} [MASK]").source_text({"q": "why", "source": "so"}) == "why so"

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"a": "x"}, r"no column 'text': there are \['a'\]. Name the columns with --source"),
            ({"text": "x"}, r"no column 'title': .* with --target"),
            ({"text": " ", "title": "x"}, "has an empty source: text"),
            ({"text": "x", "title": " "}, "has an empty target 'title'"),
            ({"text": "x", "title": []}, "has an empty target 'title'"),
            ({"text": "x", "title": ["a", ""]}, "has an empty target 'title'"),
            ({"text": "x", "title": None}, "Field 'title' is missing"),
            ({"text": None, "title": "x"}, "Field 'text' is missing"),
            ({"text": "x", "title": {"a": "b"}}, "Field 'title' is a dict"),
            ({"text": b"x", "title": "x"}, "Field 'text' is a bytes"),
        ],
    )
    def test_refuses(self, row, message):
        with pytest.raises(ValueError, match=message):
            COLUMNS.check(row)


def test_one_text_for_several_blanks():
    with pytest.raises(ValueError, match="The line has one text in 'x', but the pattern has 2 blanks: name a column"):
        Columns(pattern="{a} [MASK] and [MASK]", targets=("x",)).check({"a": "b", "x": "c"})


class TestFiles:
    def test_all_files(self, tmp_path):
        train, test = write_lines(tmp_path / "train.jsonl", ROWS), write_lines(tmp_path / "test.jsonl", ROWS[:3])
        new = tmp_path / "new.csv"
        new.write_text("text\na\nb,c\n\nd\n")
        data = load_files(COLUMNS, train=train, test=test, unlabelled=new)
        assert (data.name, len(data.train), len(data.validation), len(data.test)) == ("train", 27, 3, 3)
        assert sorted(row["id"] for row in data.train + data.validation) == list(range(30))
        assert data.lines == [2, 3, 5]
        assert [isinstance(row, ValueError) for row in data.unlabelled] == [False, True, False]
        assert data.to_report == ("test", data.test)
        assert load_files(COLUMNS, train=train).to_report == ("validation", data.validation)
        given = load_files(COLUMNS, train=train, validation=test)
        assert (given.train, given.validation) == (ROWS, ROWS[:3])

    def test_take(self):
        data = Seq2SeqData(name="x", columns=COLUMNS, train=ROWS, test=ROWS, unlabelled=ROWS, lines=[*range(30)])
        taken = data.take(2)
        assert (taken.train, taken.validation, taken.test) == (ROWS[:2], [], ROWS[:2])
        assert (taken.unlabelled, taken.lines) == (ROWS[:2], [0, 1])

    def test_errors_name_the_line(self, tmp_path):
        path = write_lines(tmp_path / "x.jsonl", [*ROWS[:2], {"text": "x", "title": " "}])
        with pytest.raises(ValueError, match=r"x\.jsonl, line 3 has an empty target 'title'"):
            load_files(COLUMNS, train=path)
        with pytest.raises(ValueError, match=r"x\.jsonl, line 1 has no column 'source'"):
            load_files(Columns(), test=path)
        with pytest.raises(FileNotFoundError, match=r"no file owner/name. Name a dataset of the hub with --dataset"):
            load_files(COLUMNS, train="owner/name")
        with pytest.raises(ValueError, match="There is no file: expected one"):
            load_files(COLUMNS)


class TestDatasets:
    def test_splits(self, tmp_path):
        made = {"train": ROWS, "dev": ROWS[:2], "test": ROWS[:4]}
        saved = datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name, rows in made.items()})
        saved.save_to_disk(tmp_path / "news")
        data = load_hub_dataset(COLUMNS, str(tmp_path / "news"))
        assert (data.name, data.train, data.validation, data.test) == ("news", ROWS, ROWS[:2], ROWS[:4])

    def test_one_split(self, tmp_path):
        datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "news")
        data = load_hub_dataset(COLUMNS, str(tmp_path / "news"))
        assert (len(data.train), len(data.validation), data.test) == (27, 3, [])

    def test_errors(self, tmp_path):
        datasets.DatasetDict({"other": datasets.Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "a")
        with pytest.raises(ValueError, match=r"has the splits \['other'\]: expected train"):
            load_hub_dataset(COLUMNS, str(tmp_path / "a"))
        datasets.Dataset.from_list([*ROWS, {"id": 0, "text": "x", "title": ""}]).save_to_disk(tmp_path / "b")
        with pytest.raises(ValueError, match="Split 'train', row 30: It has an empty target 'title'"):
            load_hub_dataset(COLUMNS, str(tmp_path / "b"))
