"""Questions about WordNet."""

import pytest

from examples.corpora.wordnet import documents, questions
from examples.corpora.wordnet.database import read_wordnet
from examples.corpora.wordnet.documents import wordnet_documents
from tests.support.wordnet_files import write_wordnet_files


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    return read_wordnet(write_wordnet_files(tmp_path_factory.mktemp("wordnet")))


def hold_out(monkeypatch, *starts: str):
    for module in (documents, questions):
        monkeypatch.setattr(module, "is_held_out", lambda key: key.startswith(starts))


def test_the_definition_names_the_answer(wordnet, monkeypatch):
    hold_out(monkeypatch, "synset:n:a small", "synset:n:any of")
    (found,) = questions.kinds_in_definitions(wordnet, count=9, seed=0)
    assert found.text == "A beagle is a small short-legged hound. A beagle is a kind of [MASK]."
    assert (found.answer, found.others) == ("hound", ("dog", "domestic dog"))


def test_kinds_from_memory_are_trained_on(wordnet, monkeypatch):
    hold_out(monkeypatch, "synset:n:any of")
    found = {question.text: question for question in questions.kinds_from_memory(wordnet, count=9, seed=0)}
    assert found["A beagle is a kind of [MASK]."].is_right("domestic dog")
    assert "A hound is a kind of [MASK]." not in found
    trained = {document.text for document in wordnet_documents(wordnet) if not document.key.startswith("synset:n:any")}
    assert "A beagle is a kind of dog." in trained


def test_opposites_accept_every_opposite(wordnet, monkeypatch):
    hold_out(monkeypatch, "nothing")
    found = questions.opposites_from_memory(wordnet, count=9, seed=0)
    assert {(question.text, question.answer, question.others) for question in found} == {
        ("The opposite of [MASK] is cold.", "hot", ()),
        ("The opposite of [MASK] is hot.", "cold", ()),
    }


def test_the_seed_chooses(wordnet, monkeypatch):
    hold_out(monkeypatch, "nothing")
    assert len(questions.kinds_from_memory(wordnet, count=2, seed=0)) == 2


def test_only_what_a_training_text_says_is_asked(wordnet, monkeypatch):
    """A document that was left out as a leak answers nothing. The other questions stay as they are."""
    hold_out(monkeypatch, "nothing")
    for ask, gone in (
        (questions.kinds_from_memory, ("A beagle is a kind of dog.", "A beagle is a kind of hound.")),
        (questions.opposites_from_memory, ("The opposite of hot is cold.",)),
    ):
        trained = {document.text for document in wordnet_documents(wordnet)}
        everything = ask(wordnet, count=9, seed=0)
        assert ask(wordnet, count=9, seed=0, trained=trained) == everything
        rest = ask(wordnet, count=9, seed=0, trained=trained.difference(gone))
        assert len(rest) == len(everything) - 1
        assert [question for question in everything if question in rest] == rest
        assert ask(wordnet, count=1, seed=0, trained=trained.difference(gone)) != []
        assert ask(wordnet, count=9, seed=0, trained=()) == []
