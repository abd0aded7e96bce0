"""Where examples come from: files, published data, few shots, examples that are held out."""

import json
import random
from collections import Counter

import pytest

from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.sources import ClozeData, few_shot, hold_out, load_files, load_published

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


def test_a_tenth_is_held_out_whatever_the_order():
    examples = toy(a=60, b=43)
    kept, held_out = hold_out(examples)
    assert (len(kept), len(held_out)) == (93, 10)
    assert [example for example in examples if example in kept] == kept
    shuffled = random.Random(0).sample(examples, len(examples))
    assert {example["text"] for example in hold_out(shuffled)[1]} == {example["text"] for example in held_out}
    assert hold_out([]) == ([], [])


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

    def test_superglue_needs_its_files(self):
        with pytest.raises(ValueError, match="Task 'rte' needs data_dir"):
            load_published("rte")
