"""Tests of the embedded cloze tasks: their splits, the choice of examples, the baselines."""

import os
import random
import re
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from modeling_glm import GLMTokenizer, PatternVerbalizer

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

import cloze_tasks  # noqa: E402
import corpora  # noqa: E402
from cloze_tasks import EMBEDDED_TASKS, SPLITS, ClozeData, few_shot, majority_baseline, tfidf_baseline  # noqa: E402
from corpora.spelling import cardinal  # noqa: E402


@pytest.fixture(scope="module")
def tasks() -> dict[str, ClozeData]:
    return {name: build() for name, build in EMBEDDED_TASKS.items()}


@pytest.fixture(scope="module")
def prose(tasks: dict[str, ClozeData]) -> ClozeData:
    return tasks["prose"]


@pytest.fixture(scope="module")
def facts(tasks: dict[str, ClozeData]) -> ClozeData:
    return tasks["facts"]


def everything(data: ClozeData) -> list[dict]:
    return data.train + data.validation + data.test


def labels(examples: list[dict]) -> Counter:
    return Counter(example["label"] for example in examples)


def letters(text: str) -> str:
    """What is left of a text without case, white space and punctuation."""
    return re.sub(r"\W", "", text.lower())


def toy(**counts: int) -> list[dict]:
    return [{"text": f"{label} number {i}", "label": label} for label, count in counts.items() for i in range(count)]


@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_examples_fit_the_pattern(tasks: dict[str, ClozeData], name: str) -> None:
    data = tasks[name]
    assert data.name == name
    assert data.pattern.count("[MASK]") == 1
    task = PatternVerbalizer(data.pattern, data.verbalizer)
    assert {example["label"] for example in everything(data)} == set(data.verbalizer)
    tokenizer = GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")
    lengths = sorted(len(tokenizer(task.fill(example)).input_ids) for example in everything(data))
    assert lengths[len(lengths) * 9 // 10] <= 60
    assert lengths[-1] <= 128


@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_no_example_occurs_twice(tasks: dict[str, ClozeData], name: str) -> None:
    fields = [[value for field, value in example.items() if field != "label"] for example in everything(tasks[name])]
    assert Counter(letters(" ".join(values)) for values in fields).most_common(1)[0][1] == 1


def test_another_process_builds_the_same_tasks(tasks: dict[str, ClozeData]) -> None:
    code = (
        "from cloze_tasks import EMBEDDED_TASKS, few_shot; import hashlib\n"
        "tasks = {name: build() for name, build in EMBEDDED_TASKS.items()}\n"
        "chosen = [few_shot(data.train, 32, 1) for data in tasks.values()]\n"
        "print(hashlib.sha256(repr((tasks, chosen)).encode()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=EXAMPLES, env=environment, capture_output=True, text=True, check=True
    ).stdout
    chosen = [few_shot(data.train, 32, 1) for data in tasks.values()]
    assert output.strip() == sha256(repr((tasks, chosen)).encode()).hexdigest()


def test_prose_does_not_name_a_module(prose: ClozeData) -> None:
    named = re.compile(rf"(?<![a-z0-9_])({'|'.join(prose.verbalizer)})(?![a-z0-9_])")
    assert not [example for example in everything(prose) if named.search(example["sentence"].lower())]


def test_prose_is_balanced_enough(prose: ClozeData) -> None:
    assert len(prose.verbalizer) == 8
    assert set(prose.verbalizer) <= sys.stdlib_module_names
    assert 1000 < len(prose.train) <= 4000
    assert 100 < len(prose.validation) <= 600
    assert 250 < len(prose.test) <= 1000
    for examples, largest in ((prose.train, 0.25), (prose.validation, 0.3), (prose.test, 0.3)):
        counts = labels(examples)
        assert min(counts.values()) >= 5
        assert max(counts.values()) < largest * counts.total()


def test_prose_to_report_on_is_not_in_the_pretraining_corpus(prose: ClozeData) -> None:
    documents = corpora.split(corpora.build_corpus(families=["prose"]), held_out=False)
    pretrained = "|".join(letters(document.text) for document in documents)
    assert letters(documents[0].text) in pretrained
    assert any(letters(example["sentence"]) in pretrained for example in prose.train)
    for split in ("validation", "test"):
        seen = [example for example in getattr(prose, split) if letters(example["sentence"]) in pretrained]
        assert not seen


def test_sentences_that_differ_in_case_and_space_count_as_one() -> None:
    assert cloze_tasks.normalized("Return  the Value.") == cloze_tasks.normalized("return the\nvalue!")
    assert cloze_tasks.normalized("Return the value.") != cloze_tasks.normalized("Return the values.")


def test_facts_are_balanced(facts: ClozeData) -> None:
    for split, size in cloze_tasks.FACTS_SIZES.items():
        assert set(labels(getattr(facts, split)).values()) == {size // 4}


def test_facts_hold_out_clock_times(facts: ClozeData) -> None:
    clocks = {split: {example["clock"] for example in getattr(facts, split)} for split in SPLITS}
    assert sum(map(len, clocks.values())) == len(set().union(*clocks.values()))
    assert min(map(len, clocks.values())) > 50


def test_facts_are_right(facts: ClozeData) -> None:
    numbers = {cardinal(number): number for number in range(60)}
    for example in everything(facts):
        hour, minute = map(int, example["clock"].split(":"))
        minutes = 60 * hour + minute
        for count, unit in re.findall(r"([a-z-]+) (hour|minute)s?\b", example["duration"]):
            minutes += numbers[count] * {"hour": 60, "minute": 1}[unit]
        part = ["night", "morning", "afternoon", "evening"][minutes // 60 % 24 // 6]
        assert example["label"] == part


@pytest.mark.parametrize(
    ("minutes", "words"), [(30, "thirty minutes"), (60, "one hour"), (160, "two hours and forty minutes")]
)
def test_durations_are_spelled(minutes: int, words: str) -> None:
    assert cloze_tasks.spell_duration(minutes) == words


def test_few_shot_depends_on_the_seed_alone() -> None:
    examples = toy(a=50, b=50, c=50)
    first = few_shot(examples, 30, seed=3)
    random.seed(0)
    others = [few_shot(examples, 30, seed=seed) for seed in range(3)]
    random.random()
    assert few_shot(examples, 30, seed=3) == first
    assert all(other != first for other in others)
    assert len({str(other) for other in others}) == 3


def test_few_shot_is_balanced() -> None:
    examples = toy(a=500, b=40, c=60)
    assert len(few_shot(examples)) == 32
    for shots in (3, 30, 32, 100):
        chosen = few_shot(examples, shots, seed=1)
        assert len(chosen) == shots == len({example["text"] for example in chosen})
        assert max(labels(chosen).values()) - min(labels(chosen).values()) <= 1
    assert labels(few_shot(toy(a=100, b=4), 20)) == {"a": 16, "b": 4}
    assert Counter(map(str, few_shot(examples, len(examples)))) == Counter(map(str, examples))
    left_over = {frozenset(labels(few_shot(examples, 31, seed)).most_common(1)) for seed in range(20)}
    assert len(left_over) == 3  # no label has the odd one out for every seed


def test_few_shot_reads_another_label_field() -> None:
    examples = [{"text": str(number), "answer": number % 2} for number in range(20)]
    chosen = few_shot(examples, 6, seed=0, label_field="answer")
    assert Counter(example["answer"] for example in chosen) == {0: 3, 1: 3}


@pytest.mark.parametrize("shots", [0, -1, 11])
def test_few_shot_refuses(shots: int) -> None:
    with pytest.raises(ValueError, match=rf"{shots} shots from 10 examples"):
        few_shot(toy(a=5, b=5), shots)


def test_majority_baseline() -> None:
    assert majority_baseline(toy(a=2, b=3), toy(a=1, b=1)) == ["b", "b"]


def test_tfidf_baseline_beats_majority_and_reads_its_fields_only() -> None:
    pytest.importorskip("sklearn")
    generator = random.Random(0)
    words = {"cat": ["purr", "whiskers"], "dog": ["bark", "leash"]}
    examples = [
        {"text": f"it has a {generator.choice(words[label])}", "more": "and so on", "label": label}
        for label in ["cat"] * 30 + ["dog"] * 20
    ]
    truth = [example["label"] for example in examples]
    assert tfidf_baseline(examples[::2], examples, ["more", "text"]) == truth
    assert tfidf_baseline(examples[::2], examples, ["more"]) == majority_baseline(examples[::2], examples) != truth


@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_words_alone_beat_majority_and_do_not_solve_the_task(tasks: dict[str, ClozeData], name: str) -> None:
    pytest.importorskip("sklearn")
    data = tasks[name]
    fields = [field for field in data.test[0] if field != "label"]
    scores = [
        cloze_tasks.accuracy(predicted, data.test)
        for predicted in (
            majority_baseline(data.train, data.test),
            tfidf_baseline(data.train, data.test, fields),
        )
    ]
    assert scores[0] + 0.2 < scores[1] < 0.95
