"""The embedded cloze tasks: their splits, their labels, and words alone as a baseline."""

import os
import re
import subprocess
import sys
from collections import Counter
from hashlib import sha256

import pytest

from examples.corpora import build_corpus
from examples.corpora import split as split_documents
from examples.corpora.cloze_tasks import EMBEDDED_TASKS, FACTS_SIZES, SPLITS, normalized, spell_duration
from examples.corpora.spelling import cardinal
from modeling_glm import GLMTokenizer
from modeling_glm.cloze.baselines import measure_baselines
from modeling_glm.cloze.sources import ClozeData
from tests.support.paths import ROOT


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
    """Return a text without case, white space and punctuation."""
    return re.sub(r"\W", "", text.lower())


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_examples_fit_the_pattern(tasks: dict[str, ClozeData], name: str) -> None:
    data = tasks[name]
    assert data.name == name
    assert labels(everything(data)).keys() == set(data.task.labels)
    tokenizer = GLMTokenizer.from_pretrained(ROOT / "examples" / "glm-tiny")
    lengths = sorted(len(tokenizer(data.task.fill(example)).input_ids) for example in everything(data))
    assert lengths[len(lengths) * 9 // 10] <= 60
    assert lengths[-1] <= 128


@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_no_example_occurs_twice(tasks: dict[str, ClozeData], name: str) -> None:
    fields = [[value for field, value in example.items() if field != "label"] for example in everything(tasks[name])]
    assert Counter(letters(" ".join(values)) for values in fields).most_common(1)[0][1] == 1


@pytest.mark.slow
def test_another_process_builds_the_same_tasks(tasks: dict[str, ClozeData]) -> None:
    code = (
        "from examples.corpora.cloze_tasks import EMBEDDED_TASKS; import hashlib\n"
        "tasks = [build() for build in EMBEDDED_TASKS.values()]\n"
        "parts = [(data.task.to_dict(), data.train, data.validation, data.test) for data in tasks]\n"
        "print(hashlib.sha256(repr(parts).encode()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    parts = [(data.task.to_dict(), data.train, data.validation, data.test) for data in tasks.values()]
    assert output.strip() == sha256(repr(parts).encode()).hexdigest()


def test_prose_does_not_name_a_module(prose: ClozeData) -> None:
    named = re.compile(rf"(?<![a-z0-9_])({'|'.join(prose.task.labels)})(?![a-z0-9_])")
    assert not [example for example in everything(prose) if named.search(example["sentence"].lower())]


def test_prose_is_balanced_enough(prose: ClozeData) -> None:
    assert len(prose.task.labels) == 8
    assert set(prose.task.labels) <= sys.stdlib_module_names
    assert 1000 < len(prose.train) <= 4000
    assert 100 < len(prose.validation) <= 600
    assert 250 < len(prose.test) <= 1000
    for examples, largest in ((prose.train, 0.25), (prose.validation, 0.3), (prose.test, 0.3)):
        counts = labels(examples)
        assert min(counts.values()) >= 5
        assert max(counts.values()) < largest * counts.total()


def test_prose_to_report_on_is_not_in_the_pretraining_corpus(prose: ClozeData) -> None:
    documents = split_documents(build_corpus(families=["prose"]), held_out=False)
    pretrained = "|".join(letters(document.text) for document in documents)
    assert letters(documents[0].text) in pretrained
    assert any(letters(example["sentence"]) in pretrained for example in prose.train)
    for split in ("validation", "test"):
        seen = [example for example in getattr(prose, split) if letters(example["sentence"]) in pretrained]
        assert not seen


def test_sentences_that_differ_in_case_and_space_count_as_one() -> None:
    assert normalized("Return  the Value.") == normalized("return the\nvalue!")
    assert normalized("Return the value.") != normalized("Return the values.")


def test_facts_are_balanced(facts: ClozeData) -> None:
    for split, size in FACTS_SIZES.items():
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
    assert spell_duration(minutes) == words


@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_words_alone_beat_majority_and_do_not_solve_the_task(tasks: dict[str, ClozeData], name: str) -> None:
    pytest.importorskip("sklearn")
    majority, *words = (metrics["accuracy"] for metrics in measure_baselines(tasks[name]).values())
    assert majority + 0.2 < min(words) <= max(words) < 0.95
