"""The documents that are made of WordNet."""

from collections import defaultdict

import pytest

from examples.corpora.documents import is_held_out
from examples.corpora.wordnet import documents as module
from examples.corpora.wordnet.database import read_wordnet
from examples.corpora.wordnet.documents import FAMILIES, key_of, opposites_key, wordnet_documents
from tests.support.wordnet_files import write_wordnet_files


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    return read_wordnet(write_wordnet_files(tmp_path_factory.mktemp("wordnet")))


@pytest.fixture
def texts(wordnet):
    found = defaultdict(list)
    for document in wordnet_documents(wordnet):
        found[document.family].append(document.text)
    return found


def test_families(texts):
    assert set(texts) <= set(FAMILIES)
    assert "A beagle is a kind of dog." in texts["kind_of"]
    assert "A beagle is a kind of dog, and a dog is a kind of animal." in texts["kind_of"]
    assert "The opposite of hot is cold." in texts["opposites"]
    assert "The opposite of cold is hot. The opposite of hot is cold." in texts["opposites"]
    assert texts["examples"] == ["We go home every day."]


def test_a_word_in_use_has_more_documents(wordnet, texts):
    described = [text for text in texts["wordnet"] if "having a high temperature" in text]
    assert len(described) == 3
    assert not any("having a high temperature" in text for text in texts["wordnet_rare"])
    assert sum("use one's feet" in text for text in texts["wordnet_rare"]) == 1


def test_names_of_ranks_are_left_out(texts):
    assert not any("Canis" in text for family in texts.values() for text in family)


def test_the_documents_are_the_same_every_time(wordnet):
    assert list(wordnet_documents(wordnet)) == list(wordnet_documents(wordnet))


def test_a_document_has_the_key_of_what_it_reveals_and_is_held_out(wordnet, monkeypatch):
    """If a pair of opposites is held out, so are all documents that name both words as opposites."""
    pair = opposites_key("hot", "cold")
    assert pair == opposites_key("Cold", "hot")
    monkeypatch.setattr(module, "is_held_out", lambda key: key == pair)
    revealing = [document for document in wordnet_documents(wordnet) if "opposite of" in document.text]
    assert revealing
    assert {document.key for document in revealing} == {pair}


def test_a_chain_does_not_tell_what_a_held_out_word_is_a_kind_of(wordnet, monkeypatch):
    dog = key_of(wordnet["n00000030"])
    monkeypatch.setattr(module, "is_held_out", lambda key: key == dog)
    told = [document for document in wordnet_documents(wordnet) if "dog is a kind of animal" in document.text]
    assert told
    assert {document.key for document in told} == {dog}


def test_keys_do_not_depend_on_offsets(wordnet):
    """So that the held-out synsets stay the same if WordNet's files are written anew."""
    assert key_of(wordnet["n00000040"]) == "synset:n:any of several dogs that hunt"
    assert isinstance(is_held_out(key_of(wordnet["n00000040"])), bool)
