"""Where examples come from: files, published data, few shots, examples that are held out."""

import json
import random
from collections import Counter

import datasets
import numpy as np
import pytest

from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.sources import ClozeData, few_shot, is_labelled, load_files, load_published

TASK = PatternVerbalizer("{both|shorten} [MASK]", {"a": "x", "b": "y"}, derived={"both": "{text} {more}"}, name="toy")


def toy(**counts: int) -> list[dict]:
    return [{"text": f"{label} number {i}", "label": label} for label, count in counts.items() for i in range(count)]


def labels(examples: list[dict]) -> Counter:
    return Counter(example["label"] for example in examples)


class TestFewShot:
    def test_depends_on_the_seed_alone(self):
        examples = toy(a=50, b=50, c=50)
        first = few_shot(examples, 30, seed=3)
        random.seed(0)
        others = [few_shot(examples, 30, seed=seed) for seed in range(3)]
        random.random()
        assert few_shot(examples, 30, seed=3) == first
        assert all(other != first for other in others)
        assert len({str(other) for other in others}) == 3

    def test_is_balanced(self):
        examples = toy(a=500, b=40, c=60)
        assert len(few_shot(examples)) == 32
        for shots in (3, 30, 32, 100):
            chosen = few_shot(examples, shots, seed=1)
            assert len(chosen) == shots == len({example["text"] for example in chosen})
            assert max(labels(chosen).values()) - min(labels(chosen).values()) <= 1
        assert labels(few_shot(toy(a=100, b=4), 20)) == {"a": 16, "b": 4}
        assert Counter(map(str, few_shot(examples, len(examples)))) == Counter(map(str, examples))
        left_over = {frozenset(labels(few_shot(examples, 31, seed)).most_common(1)) for seed in range(20)}
        assert len(left_over) == 3  # the odd one has another label for another seed

    def test_another_label_field(self):
        examples = [{"text": str(number), "answer": number % 2} for number in range(20)]
        chosen = few_shot(examples, 6, seed=0, label_field="answer")
        assert Counter(example["answer"] for example in chosen) == {0: 3, 1: 3}

    def test_labels_of_several_types(self):
        examples = [{"text": str(number), "label": label} for number, label in enumerate([1, "1", np.int64(1), 0] * 5)]
        chosen = few_shot(examples, 10, seed=0)
        assert Counter(str(example["label"]) for example in chosen) == {"1": 5, "0": 5}
        with pytest.raises(ValueError, match=r"Label 'label' is missing \(nan\)"):
            few_shot([*examples, {"text": "x", "label": float("nan")}], 10)

    @pytest.mark.parametrize("shots", [0, -1, 11])
    def test_refuses(self, shots):
        with pytest.raises(ValueError, match=rf"{shots} shots from 10 examples"):
            few_shot(toy(a=5, b=5), shots)

    def test_of_data(self):
        data = ClozeData("toy", TASK, toy(a=20, b=20), toy(a=10, b=3), toy(a=2, b=2))
        shots = data.take_shots(8, seed=1)
        assert (labels(shots.train), labels(shots.validation)) == ({"a": 4, "b": 4}, {"a": 5, "b": 3})
        assert (shots.test, shots.task, shots.name) == (data.test, data.task, data.name)
        assert data.take_shots(20, seed=1).validation == data.validation


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path):
        lines = ["text,more,label", *(f"text {number},more,{'ab'[number % 2]}" for number in range(20))]
        (tmp_path / "data.csv").write_text("\n".join(lines), encoding="utf-8")
        return tmp_path / "data.csv"

    def test_all_files(self, path):
        data = load_files(TASK, path, train=path, validation=path, unlabelled=path)
        assert data.name == "toy"
        assert [len(part) for part in (data.train, data.validation, data.test, data.unlabelled)] == [20] * 4
        assert data.train[1] == {"text": "text 1", "more": "more", "label": "b"}

    def test_validation_is_held_out(self, path):
        data = load_files(TASK, path, train=path)
        assert [len(part) for part in (data.train, data.validation, data.test, data.unlabelled)] == [18, 2, 20, 0]
        alone = load_files(PatternVerbalizer("{text} [MASK]", {"a": "x", "b": "y"}), path)
        assert (alone.name, alone.train, alone.validation) == ("data", [], [])

    @pytest.mark.parametrize(
        ("name", "lines", "message"),
        [
            (
                "x.csv",
                ["text,label", "t,a", "t,c"],
                r"line 3: Label 'c' is not one of the task's: expected one of \['a'",
            ),
            ("x.tsv", ["text\tlabel", "t\ta", "t\t"], r"line 3: Label '' is not one of the task's"),
            (
                "x.jsonl",
                ['{"text": "t", "label": "a"}', "", '{"text": "t", "label": 5}'],
                "line 3: Label 5 is not one",
            ),
            ("x.jsonl", ['{"text": "t", "label": null}'], r"line 1: The label 'label' is missing \(None\)"),
            ("x.jsonl", ['{"text": "t", "label": NaN}'], r"line 1: The label 'label' is missing \(nan\)"),
            ("x.jsonl", ['{"text": "t", "label": ["a"]}'], r"line 1: Label \['a'\] is not one"),
            ("x.jsonl", ['{"text": null, "label": "a"}'], r"line 1: Field 'text' is missing \(None\)"),
            ("x.jsonl", ['{"text": {"a": 1}, "label": "a"}'], r"line 1: Field 'text' is a dict"),
            ("x.csv", ["txt,label", "t,a"], r"line 2: The pattern asks for a field 'text', .*\['label', 'txt'\]"),
            (
                "x.csv",
                ["text,kind", "t,a"],
                r"line 2: The example has no 'label', but \['kind', 'text'\].*--label_field",
            ),
        ],
    )
    @pytest.mark.parametrize("part", ["train", "validation", "test"])
    def test_fields_and_labels_are_checked_with_file_and_line(self, path, tmp_path, part, name, lines, message):
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        task = PatternVerbalizer("{text|shorten} [MASK]", {"a": "x", "b": "y"})
        with pytest.raises(ValueError, match=rf"{name}, {message}"):
            load_files(task, **{"test": path, "train": path, part: tmp_path / name})

    def test_labels_of_what_is_to_be_predicted_are_not_read(self, path, tmp_path):
        (tmp_path / "new.jsonl").write_text('{"text": "t", "more": "", "label": "?"}\n{"text": "t", "more": 3}')
        assert len(load_files(TASK, path, unlabelled=tmp_path / "new.jsonl").unlabelled) == 2

    def test_bad_lines_of_what_is_to_be_predicted_cost_no_good_line(self, tmp_path):
        (tmp_path / "new.jsonl").write_text('{"text": "t", "more": ""}\n\n{"text": \n{"text": "u", "more": ""}\n')
        data = load_files(TASK, unlabelled=tmp_path / "new.jsonl")
        assert (list(data.lines), data.name) == ([1, 3, 4], "toy")
        assert [row["text"] for row in data.unlabelled if not isinstance(row, ValueError)] == ["t", "u"]
        assert str(data.unlabelled[1]).startswith("The line is not JSON")

    def test_some_file_is_needed(self):
        with pytest.raises(ValueError, match="There is no file: expected one to train on, to report on or to predict"):
            load_files(TASK)

    @pytest.mark.parametrize("keys", [(1, 0), ("1", "0"), (-1, 1), (5, 4)])
    def test_tables_and_json_lines_mean_the_same_classes(self, tmp_path, keys):
        """CSV has texts, JSON has numbers."""
        task = PatternVerbalizer("{text} [MASK]", dict(zip(keys, ("Greek", "Cyrillic"), strict=True)))
        labels = [keys[number % 2] for number in range(4)]
        lines = {
            "x.csv": ["text,label", *(f"t,{label}" for label in labels)],
            "float.csv": ["text,label", *(f"t,{float(label)}" for label in labels)],
            "x.jsonl": [json.dumps({"text": "t", "label": int(label)}) for label in labels],
            "text.jsonl": [json.dumps({"text": "t", "label": str(label)}) for label in labels],
            "float.jsonl": [json.dumps({"text": "t", "label": float(label)}) for label in labels],
        }
        for name, content in lines.items():
            (tmp_path / name).write_text("\n".join(content), encoding="utf-8")
            examples = load_files(task, tmp_path / name).test
            assert [task.label_index(example) for example in examples] == [0, 1, 0, 1]

    def test_missing_columns(self, path):
        task = PatternVerbalizer("{text} [MASK]", {"a": "x", "b": "y"}, label_field="kind")
        with pytest.raises(ValueError, match=r"data\.csv, line 2: The example has no 'kind'.*--label_field"):
            load_files(task, path)


class TestPublished:
    @pytest.fixture
    def folder(self, tmp_path):
        row = {"premise": "It rained.", "hypothesis": "It was wet."}
        for name, labelled in (("train", True), ("val", True), ("test", False)):
            rows = [{**row, "idx": i, **({"label": "entailment"} if labelled else {})} for i in range(10)]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        (tmp_path / "AX-g.jsonl").write_text(json.dumps({**row, "idx": 0, "label": "entailment"}))
        return tmp_path

    def test_superglue(self, folder):
        data = load_published("rte", [0, 2], folder)
        assert [len(part) for part in (data.train, data.validation, data.test, data.unlabelled)] == [9, 1, 10, 10]
        assert len(data.task.patterns) == 2
        assert load_published("rte", data_dir=folder, p_tuning=True).task.soft_tokens == 9
        (folder / "test.jsonl").unlink()
        assert load_published("rte", data_dir=folder).unlabelled == []

    def test_both_orders_of_the_choices_are_on_one_side(self, tmp_path):
        """COPA has each training example twice."""
        rows = [
            {
                "premise": f"It {i}.",
                "choice1": f"a {i}",
                "choice2": f"b {i}",
                "question": "cause",
                "label": 0,
                "idx": i,
            }
            for i in range(40)
        ]
        for name in ("train", "val"):
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        data = load_published("copa", data_dir=tmp_path)
        assert (len(data.train), len(data.validation)) == (72, 8)
        assert not {row["premise"] for row in data.train} & {row["premise"] for row in data.validation}
        assert data.submits
        assert not load_files(TASK, test=None, unlabelled=tmp_path / "val.jsonl").submits

    def test_diagnostic_sets_have_nothing_to_learn_from(self, folder):
        data = load_published("axg", data_dir=folder)
        assert (data.train, data.validation) == ([], [])
        assert data.test == data.unlabelled
        assert len(data.test) == 1

    @pytest.mark.parametrize(
        ("splits", "sizes"),
        [
            (("train", "test"), [9, 1, 5, 0]),
            (("train", "dev", "test"), [9, 1, 5, 5]),
            (("train", "val"), [9, 1, 5, 0]),
        ],
    )
    def test_rows_of_files(self, tmp_path, splits, sizes):
        for split in splits:
            rows = [{"text": f"Good {i}", "label": i % 2} for i in range(10 if split == "train" else 5)]
            (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        data = load_published("yelp_polarity", data_dir=tmp_path)
        assert [len(part) for part in (data.train, data.validation, data.test, data.unlabelled)] == sizes

    @pytest.mark.parametrize(
        ("split", "message"), [("val", "no 'train' among the splits"), ("train", "neither 'valid")]
    )
    def test_missing_splits(self, tmp_path, split, message):
        (tmp_path / f"{split}.jsonl").write_text('{"text": "a", "label": 1}')
        with pytest.raises(ValueError, match=message):
            load_published("yelp_polarity", data_dir=tmp_path)

    @pytest.mark.parametrize("missing", ["null", "NaN", "-1", "-1.0"])
    def test_rows_without_a_label_are_not_learned_from(self, tmp_path, missing):
        lines = [f'{{"text": "Good {i}", "label": {missing if i == 3 else i % 2}}}' for i in range(11)]
        for split in ("train", "val"):
            (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
        data = load_published("yelp_polarity", data_dir=tmp_path)
        assert len(data.train) + len(data.validation) == 10
        assert [is_labelled(data.task, example) for example in data.test] == [i != 3 for i in range(11)]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ('{"text": "a", "label": 2}', "line 2: Label 2 is not one of the task's"),
            ('{"text": null, "label": 0}', "line 2: Field 'text' is missing"),
            ('{"label": 0}', "line 2: The pattern asks for a field 'text'"),
        ],
    )
    def test_rows_are_checked_with_file_and_line(self, tmp_path, row, message):
        (tmp_path / "train.jsonl").write_text(f'{{"text": "a", "label": 1}}\n{row}')
        with pytest.raises(ValueError, match=rf"train\.jsonl, {message}"):
            load_published("yelp_polarity", data_dir=tmp_path)

    def test_rows_of_datasets_are_checked(self, monkeypatch):
        rows = datasets.Dataset.from_list([{"text": "a", "label": 1}, {"text": "b", "label": 7}])
        monkeypatch.setattr(datasets, "load_dataset", lambda *args: {"train": rows})
        with pytest.raises(ValueError, match=r"^Split 'train', row 1: Label 7 is not one of the task's"):
            load_published("yelp_polarity")

    def test_numbers_of_class_labels_are_places(self, monkeypatch):
        """CLUE's classes are called "100" and so on, and numbered from 0 in the dataset of the hub."""
        rows = datasets.Dataset.from_list([{"sentence": str(number), "label": number} for number in range(15)])
        monkeypatch.setattr(datasets, "load_dataset", lambda *args: {"train": rows, "test": rows})
        data = load_published("tnews")
        assert [data.task.label_index(example) for example in data.test] == list(range(15))
        assert data.task.label_index({"label": "116"}) == data.task.label_index({"label": 116}) == 14

    def test_files_of_the_authors(self, tmp_path):
        """Read as they are distributed, with cleaned texts: a CSV without names, and a table in which quotes are letters."""
        lines = "".join(f'"{1 + i % 4}","Title {i}","It’s\\news {i}"\n' for i in range(20))
        for name in ("train.csv", "test.csv"):
            (tmp_path / name).write_text(lines, encoding="utf-8")
        data = load_published("agnews", data_dir=tmp_path)
        assert [len(part) for part in (data.train, data.validation, data.test, data.unlabelled)] == [18, 2, 20, 0]
        assert (data.test[1]["label"], data.test[1]["text"]) == ("Sports", "It's news 1")
        for name in ("train.tsv", "dev.tsv"):
            (tmp_path / name).write_text("sentence\tlabel\n" + '"half\t1\n' * 20)
        (tmp_path / "test.tsv").write_text('index\tsentence\n0\t"half\n')
        data = load_published("sst2", data_dir=tmp_path)
        assert [example["sentence"] for example in data.unlabelled] == ['"half']
        assert {example["label"] for example in data.train} == {"1"}

    def test_superglue_needs_its_files(self):
        with pytest.raises(ValueError, match="Task 'rte' needs data_dir"):
            load_published("rte")
