"""The texts of the ablation."""

import pytest

from benchmarks.studies.ablation import texts as study_texts
from benchmarks.studies.ablation.texts import READERS, SourceTexts, digest_texts
from examples.corpora.documents import Document
from examples.corpora.groups import Group


def document(text):
    return Document(family="made up", key="a", text=text)


def test_facts_are_families_of_the_embedded_corpus(monkeypatch):
    one, other = (Document(family=name, key="a", text=name) for name in ("ordinals", "years"))
    monkeypatch.setattr(study_texts, "build_splits", lambda: ([one, other], [other, one]))
    facts = READERS["facts"](["years"])["facts"]
    assert (facts.title, list(facts.train), list(facts.held_out)) == ("facts", [other], [other])


def test_real_texts_are_wordnet_and_prose(monkeypatch):
    groups = {name: Group(train=[document(name)], held_out=[]) for name in ("facts", "wordnet", "austen", "bible")}
    monkeypatch.setattr(study_texts, "load_groups", lambda: groups)
    real = READERS["real"]([])
    assert {name: source.title for name, source in real.items()} == {
        "wordnet": "WordNet",
        "austen": "prose",
        "bible": "prose",
    }
    assert [document.text for source in real.values() for document in source.train] == list(real)


def test_the_digest_tells_texts_and_splits_apart():
    def digest(train, held_out):
        parts = [[document(text) for text in part] for part in (train, held_out)]
        return digest_texts({"a": SourceTexts(title="a", train=parts[0], held_out=parts[1])})

    assert digest(["a b"], ["c"]) == digest(["a b"], ["c"])
    assert len({digest(["a b"], ["c"]), digest(["a", "b"], ["c"]), digest(["a b", "c"], []), digest([], [])}) == 4
    with pytest.raises(AssertionError):
        READERS["real"](["years"])
