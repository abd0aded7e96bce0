"""Measure a model family by family."""

from itertools import islice

from examples.corpora.measuring import families
from examples.corpora.measuring.families import FamilyRow, format_families, measure_families
from examples.corpora.measuring.sample import read_sample


def test_the_exact_match_of_each_family(monkeypatch):
    sample = {name: blanks[:4] for name, blanks in islice(read_sample().items(), 2)}
    right = {one.blank.text: one.blank.answer for blanks in sample.values() for one in blanks}
    first = next(iter(sample.values()))[0].blank.text
    monkeypatch.setattr(families, "answer_blanks", lambda model, tokenizer, texts, **_: [[right[t]] for t in texts])
    monkeypatch.setattr(
        families, "answer_with_length", lambda model, tokenizer, texts, words: [t == first and right[t] for t in texts]
    )
    monkeypatch.setattr(families, "blank_loss", lambda model, tokenizer, blanks: float(len(blanks)))
    rows = measure_families(None, None, sample)
    assert [(row.family, row.blanks, row.exact_match, row.told_length, row.loss) for row in rows] == [
        (name, 4, 1.0, share, 4.0) for name, share in zip(sample, (0.25, 0.0), strict=True)
    ]
    ngram = [one.blank.is_right(one.ngram) for one in next(iter(sample.values()))]
    assert rows[0].ngram == sum(ngram) / 4


def test_the_table():
    row = FamilyRow(family="bible", blanks=300, exact_match=0.1, told_length=0.25, ngram=0.257, loss=1.234)
    assert format_families([row]).splitlines()[2:] == ["| bible | 300 | 10.0% | 25.0% | 25.7% | 1.23 |"]
