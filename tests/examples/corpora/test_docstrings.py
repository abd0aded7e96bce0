"""The embedded tasks from source to target: their splits, and that the answer is not in the source."""

import re
from collections import Counter

import pytest

from examples.corpora import build_corpus
from examples.corpora import split as split_documents
from examples.corpora.cloze_tasks import letters
from examples.corpora.docstrings import EMBEDDED_TASKS, MOST_WORDS_OF_A_NAME, words_of
from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMTokenizer
from modeling_glm.seq2seq.baselines import measure_baselines
from modeling_glm.seq2seq.sources import Seq2SeqData
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def tasks() -> dict[str, Seq2SeqData]:
    return {name: build() for name, build in EMBEDDED_TASKS.items()}


def everything(data: Seq2SeqData) -> list[dict]:
    return data.train + data.validation + data.test


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("get_content_type", ["get", "content", "type"]),
        ("getMessage", ["get", "message"]),
        ("HTMLParser", ["html", "parser"]),
        ("_private_name", ["private", "name"]),
        ("S_ISDIR", []),
        ("add2", []),
        ("a_b_c", []),
        ("one_two_three_four_five", []),
    ],
)
def test_names_are_words(name, words):
    assert words_of(name) == words


@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_rows_fit_the_pattern(tasks, name):
    data = tasks[name]
    tokenizer = GLMTokenizer.from_pretrained(ROOT / "examples" / "glm-tiny")
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, data.columns.pattern, target=data.columns.target)
    lengths = [len(collator.encode(data.columns.check(row))["input_ids"]) for row in everything(data)]
    assert max(lengths) < 256
    assert data.name == name
    assert len(data.train) > 800
    assert len(data.validation) > 100
    assert len(data.test) > 200


@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_no_source_is_in_two_splits(tasks, name):
    data = tasks[name]
    sources = Counter(letters(data.columns.source_text(row)) for row in everything(data))
    assert sources.most_common(1)[0][1] == 1


def test_names_are_not_in_their_docstrings(tasks):
    for row in everything(tasks["names"]):
        words = row["name"].split()
        assert 1 <= len(words) <= MOST_WORDS_OF_A_NAME
        if len(words) > 1:
            assert "_".join(words) not in re.findall(r"\w+", row["docstring"])


def test_rows_to_report_on_are_not_in_the_pretraining_corpus(tasks):
    documents = split_documents(build_corpus(families=["prose"]), held_out=False)
    pretrained = "|".join(letters(document.text) for document in documents)
    for data in tasks.values():
        seen = [letters(data.columns.source_text(row)) in pretrained for row in data.validation + data.test]
        assert not any(seen)


@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_baselines_do_not_solve_the_task(tasks, name):
    scores = measure_baselines(tasks[name])
    assert scores.keys() == {"lead words", "nearest neighbour"}
    assert all(5 < of_method["rouge1"] < 40 for of_method in scores.values())
