"""The list of documents that share a text with a task."""

from examples.corpora.asked_texts import _strings, digest, known_leaks
from examples.corpora.documents import Document


def test_the_list_holds_digests():
    known = known_leaks()
    assert 10 < len(known) < 500
    assert {len(one) for one in known} == {24}


def test_a_digest_stands_for_the_text_alone():
    one, other = (Document(family=name, key=f"k:{name}", text="A text.") for name in "ab")
    assert digest(one) == digest(other)
    assert digest(one) != digest(Document(family="a", key="k:a", text="A text!"))


def test_all_strings_of_a_file_are_read():
    assert list(_strings({"a": ["b", {"c": "d"}], "e": 1, "f": None, "g": "h"})) == ["b", "d", "h"]
