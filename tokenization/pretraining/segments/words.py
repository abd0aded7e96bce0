"""Find the words of texts, in ids of any vocabulary."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...tokenization_glm import GLMTokenizer
from ..texts import Texts
from .runs import Runs
from .sentence_ends import SentenceEnds

# Marks that stand before or behind a word and are not a part of it. Inside a word they are: don't, 3.14, 12:30.
PUNCTUATION = frozenset(".,:;!?()\"'“”‘’„«»")
# Marks that separate words without white space. "--" and "..." do, too.
SEPARATORS = frozenset("—–…、。〈〉《》「」『』【】！（），：；？")
# First bytes of characters that are words without white space: U+3000 to U+9FFF and U+F000 to U+FFFF in UTF-8.
_IDEOGRAPHIC = frozenset(bytes([byte]) for byte in (*range(0xE3, 0xEA), 0xEF))


@dataclass(frozen=True, kw_only=True)
class Words:
    """
    Words in the order of the texts, without the punctuation around them.

    Attributes:
        start, stop: (words,) int64, first token of each word and the token behind its last one, in `Texts.ids`.
        text: (words,) int64, number of the text.
    """

    start: np.ndarray
    stop: np.ndarray
    text: np.ndarray

    @cached_property
    def runs(self) -> Runs:
        """Stretches of words with nothing between them: punctuation and the ends of documents separate runs."""
        opens = np.ones(len(self.start), dtype=bool)
        opens[1:] = self.start[1:] != self.stop[:-1]
        first = np.flatnonzero(opens)
        return Runs(start=first, length=np.diff(np.append(first, len(opens))), text=self.text[first])


class WordFinder:
    """
    Find the words of texts: what white space separates, without the punctuation before and behind it.

        tokens   `The` `Ġsp` `aniel` `,` `Ġa` `Ġdog` `'s` `Ġfriend` `.`     (byte-level)
        words     0     1     1           2    3      3    4

    A word includes the space before it. Where no white space separates words, each token with a Chinese or Japanese
    character begins one. WordPiece vocabularies do not say where white space is, so there each token without `##` begins a
    word. Special tokens and unknown tokens are not part of words. Marks that are cut into several tokens are not recognized,
    except those that end a sentence.

    Args:
        tokenizer: Any `GLMTokenizer`. Its tokens are read once.
        find_ends: Find the ends of sentences. A character that ends a sentence is not part of a word, even if it is cut
            into several tokens.
    """

    def __init__(self, tokenizer: GLMTokenizer, find_ends: SentenceEnds):
        self.tokenizer = tokenizer
        self.find_ends = find_ends

    def __call__(self, texts: Texts) -> Words:
        """
        Find the words.

        Returns:
            At least one word for each text that has tokens: a text of punctuation only has each of its tokens as a word. The
            last word of a text without an end is left out unless it is the only one, because it may be cut off.
        """
        opens = self._find_openings(texts)
        inside = self._leave_out_punctuation(texts, opens)
        count = np.bincount(texts.numbers[inside], minlength=len(texts.lengths))
        if not count.all():
            bare = (count == 0)[texts.numbers] & ~texts.is_boundary
            inside, opens = inside | bare, opens | bare
        words = _join(texts, inside, opens)
        cut_off = words.stop == texts.offsets[1:][words.text]
        cut_off &= np.bincount(words.text, minlength=len(texts.lengths))[words.text] > 1
        if cut_off.any():
            words = Words(start=words.start[~cut_off], stop=words.stop[~cut_off], text=words.text[~cut_off])
        return words

    def _find_openings(self, texts: Texts) -> np.ndarray:
        """Return (tokens,) bool, True for the tokens that begin a word or stand outside of words."""
        kinds = self._kinds
        separates = kinds.separates[texts.ids] | texts.is_boundary
        # A token and the one behind it. Each text begins with a boundary, so no word goes on in the next text.
        before, after = texts.ids[:-1], texts.ids[1:]
        opens = kinds.opens[texts.ids] | separates
        opens[1:] |= kinds.ideographic[after] & ~kinds.spaces[before]
        opens[1:] |= (kinds.closes[before] | separates[:-1]) & ~kinds.continues[after]
        return opens

    def _leave_out_punctuation(self, texts: Texts, opens: np.ndarray) -> np.ndarray:
        """Return (tokens,) bool, True for the tokens of words."""
        kinds = self._kinds
        chunk = np.cumsum(opens) - 1
        letters = ~kinds.punctuation[texts.ids] & ~texts.is_boundary
        # tokens `"` `dog` `'s` `"`: letters up to each token [0 1 2 2], before it [0 0 1 2], and 2 in the chunk
        upto = np.cumsum(letters)
        first = np.flatnonzero(opens)
        upto -= (upto[first] - letters[first])[chunk]
        total = np.bincount(chunk, weights=letters)
        inside = (upto > 0) & (upto - letters < total[chunk])
        # A space that is a token of its own belongs to the word behind it, if no punctuation comes first.
        inside[:-1] |= kinds.spaces[texts.ids[:-1]] & inside[1:] & ~opens[1:]
        partial = self.find_ends.partial[texts.ids]
        if partial.any():
            ends = self.find_ends(texts.ids) & partial
            inside &= (np.bincount(chunk, weights=ends) == 0)[chunk]
        return inside

    @cached_property
    def _kinds(self) -> "_Kinds":
        tokens = self.find_ends.token_texts
        texts = [data.decode("utf-8", errors="replace") for data in tokens]
        bare = [text.strip() for text in texts]
        ideographic = np.array([data.lstrip()[:1] in _IDEOGRAPHIC for data in tokens])
        spaces = np.array([not text.strip(" ") for text in texts])
        separates = ~spaces & np.array([_separates(text) for text in bare])
        return _Kinds(
            opens=np.array([text[:1].isspace() for text in texts]),
            closes=(np.array([text[-1:].isspace() for text in texts]) & ~spaces) | ideographic,
            ideographic=ideographic,
            spaces=spaces,
            separates=separates,
            continues=np.array([0x80 <= data[0] < 0xC0 for data in tokens]),
            punctuation=separates | np.array([PUNCTUATION.issuperset(text) for text in bare]),
        )


@dataclass(frozen=True, kw_only=True)
class _Kinds:
    """
    Describe each token of a vocabulary, as far as words depend on it: (vocabulary,) bool each.

    Attributes:
        opens: Tokens that begin with white space.
        closes: Tokens that end with white space behind a text, and ideographic ones.
        ideographic: Tokens that begin with a character of a script without white space.
        spaces: Tokens of spaces only.
        separates: Tokens of dashes and the like, of other white space, and without a text.
        continues: Tokens that begin inside of a character.
        punctuation: Tokens of punctuation, and those that separate.
    """

    opens: np.ndarray
    closes: np.ndarray
    ideographic: np.ndarray
    spaces: np.ndarray
    separates: np.ndarray
    continues: np.ndarray
    punctuation: np.ndarray


def _separates(text: str) -> bool:
    """Tell whether words are separate on both sides of a token, given its text without white space."""
    return (
        not text.strip("\0")
        or SEPARATORS.issuperset(text)
        or (len(text) > 1 and text in (len(text) * "-", len(text) * "."))
    )


def _join(texts: Texts, inside: np.ndarray, opens: np.ndarray) -> Words:
    """Make words of the tokens inside of words, (tokens,) bool, and of those that begin one."""
    begins = inside & opens
    begins[1:] |= inside[1:] & ~inside[:-1]
    start = np.flatnonzero(begins)
    length = np.bincount(np.cumsum(begins)[inside] - 1, minlength=len(start))
    return Words(start=start, stop=start + length, text=texts.numbers[start])
