"""What a chapter is."""

from examples.corpora.literature import Chapter


def test_chapter_is_a_key_and_paragraphs():
    key, paragraphs = Chapter("bible:Ruth 1", ["It happened."])
    assert (key, paragraphs) == ("bible:Ruth 1", ["It happened."])
