"""How words of WordNet stand in a sentence."""

import pytest

from examples.corpora.wordnet.database import Synset, read_wordnet
from examples.corpora.wordnet.english import (
    everyday_kind,
    is_presentable,
    is_sentence,
    named,
    sentence,
)
from tests.support.wordnet_files import write_wordnet_files


def synset(word: str, definition: str, pos: str = "n", **options) -> Synset:
    return Synset(id=f"{pos}1", words=(word,), definition=definition, **options)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (synset("dog", "an animal that barks"), "a dog"),
        (synset("hound", "any of several dogs"), "a hound"),
        (synset("water", "clear liquid"), "water"),
        (synset("Rome", "a city"), "Rome"),
        (synset("walk", "go on foot", "v"), "to walk"),
        (synset("hot", "having a high temperature", "a"), "hot"),
    ],
)
def test_articles(given, expected):
    assert named(given, given.words[0]) == expected


def test_names_of_ranks_and_signs_are_left_out():
    assert is_presentable(synset("dog", "an animal"))
    assert is_presentable(synset("family", "people who are related"))
    assert not is_presentable(synset("genus Canis", "dogs", category=5))
    assert not is_presentable(synset("Canis", "type genus of the Canidae", category=5))
    assert not is_presentable(synset("1000", "a number"))
    assert not is_presentable(synset("one of a very long kind", "a thing"))


def test_the_everyday_kind_is_the_one_in_use(tmp_path):
    wordnet = read_wordnet(write_wordnet_files(tmp_path))
    assert wordnet.descendants["n00000010"] == 9
    assert wordnet.descendants["n00000050"] == 0
    assert everyday_kind(wordnet, wordnet["n00000050"]).words[0] == "dog"
    assert everyday_kind(wordnet, wordnet["n00000010"]) is None


def test_sentences():
    assert is_sentence("The river thundered below")
    assert not is_sentence("hot stove")
    assert not is_sentence("a very long and winding road")
    assert sentence("a dog barks") == "A dog barks."
    assert sentence("Who is it?") == "Who is it?"
