"""Held-out facts with hidden words."""

from examples.corpora import build_splits
from examples.corpora.measuring.blanks import MASK
from examples.corpora.measuring.held_out import hide_words


def test_hidden_words_give_the_facts_back():
    texts, truths = hide_words(20, seed=7)
    facts = {document.text for document in build_splits()[1]}
    for text, truth in zip(texts, truths, strict=True):
        parts = text.split(MASK)
        assert len(parts) == len(truth) + 1 <= 4
        assert parts[0] + "".join(word + part for word, part in zip(truth, parts[1:], strict=True)) in facts
        assert f"{MASK} {MASK}" not in text
