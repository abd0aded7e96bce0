"""The sample of held-out blanks."""

from examples.corpora import Document
from examples.corpora.measuring.blanks import MASK, HeldOutBlank, exact_match
from examples.corpora.measuring.sample import (
    MOST_LETTERS,
    MOST_WORDS,
    SampledBlank,
    blanks_of,
    draw,
    read_sample,
    write_sample,
)

TEXTS = [Document(family="toy", key=f"k:{n}", text=f"There are {n} little dogs on the mat.") for n in range(20)]


def test_what_is_written_is_read(tmp_path):
    blanks = [
        SampledBlank(blank=HeldOutBlank(family=family, text=f"{n} is {MASK}.", answer="é", others=("b",)), ngram="c d")
        for n, family in enumerate(("x", "y", "x"))
    ]
    write_sample(blanks, tmp_path / "sample.jsonl")
    families = read_sample(tmp_path / "sample.jsonl")
    assert families == {"x": [blanks[0], blanks[2]], "y": [blanks[1]]}


def test_blanks_are_in_texts_that_are_neither_short_nor_long():
    long = Document(family="toy", key="k:long", text="word " * (MOST_WORDS + 1))
    wide = Document(family="toy", key="k:wide", text=f"a b c {'d' * MOST_LETTERS}")
    short = Document(family="toy", key="k:short", text="too short now")
    blanks = blanks_of("name", [long, wide, short, *TEXTS], 50)
    assert {blank.family for blank in blanks} == {"name"}
    texts = {document.text for document in TEXTS}
    assert {blank.text.replace(MASK, blank.answer) for blank in blanks} <= texts


def test_the_ngram_answers_from_the_texts_of_the_family():
    blank = HeldOutBlank(family="toy", text=f"There are 99 {MASK} on the mat.", answer="little dogs")
    (drawn,) = draw([(TEXTS, lambda: [blank])])
    assert drawn == SampledBlank(blank=blank, ngram="little dogs")


def test_the_sample_of_the_repository():
    families = read_sample()
    assert len(families) == 8
    assert {len(blanks) for blanks in families.values()} == {300}
    for blanks in families.values():
        assert all(one.blank.text.count(MASK) == 1 and one.blank.answer for one in blanks)
        assert all(len(one.ngram.split()) == one.blank.words for one in blanks)
    shares = {
        name: exact_match([one.ngram for one in blanks], [one.blank for one in blanks])
        for name, blanks in families.items()
    }
    assert 0.2 < shares["bible"] < 0.3
    assert shares["kind of, from memory"] < 0.1
