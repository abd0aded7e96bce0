"""Answers of a GLM that is told how many words are missing, as the baselines are."""

from collections.abc import Sequence

from modeling_glm import BlankConstraint, GLMForConditionalGeneration, GLMTokenizer, fill_blanks
from modeling_glm.utils.numbers import check_whole_number

# A word of a held-out blank: no quote or bracket before it, and no punctuation behind it.
_FIRST, _LAST, _ONLY = r"""[^\s("']""", r"""[^\s.,:;!?)"']""", r"""[^\s.,:;!?()"']"""
_WORD = rf"({_FIRST}\S*{_LAST}|{_ONLY})"


def words_pattern(count: int) -> str:
    """Return a regular expression for `count` words, as in the blanks of `make_blanks`."""
    return rf" ?{_WORD}( {_WORD}){{{count - 1}}}"


def answer_with_length(
    model: GLMForConditionalGeneration,
    tokenizer: GLMTokenizer,
    texts: Sequence[str],
    words: Sequence[int],
    *,
    batch_size: int = 64,
    num_beams: int = 1,
    max_new_tokens: int = 24,
) -> list[str]:
    """
    Fill the blank of each text with as many words as it is told.

    Args:
        model, tokenizer: The model and its vocabulary.
        texts: Texts with one blank each.
        words: (texts,) the number of words of each answer, at least 1.
        batch_size: Number of texts in a forward pass. It does not change the answers.
        num_beams: 1 takes the likeliest token at each step. More find likelier answers, in about as many times the time.
        max_new_tokens: Longest answer in tokens.

    Returns:
        (texts,) the answers; "" where the beams found none of that length.

    Raises:
        ValueError: For another number of lengths than texts, a length below 1, a text with another number of blanks than one,
            and an answer that cannot have so many words in `max_new_tokens`.
    """
    if len(words) != len(texts):
        raise ValueError(f"There are {len(texts)} texts and {len(words)} lengths: give one for each text.")
    counts = [check_whole_number(f"words[{row}]", count, least=1) for row, count in enumerate(words)]
    constraints = {
        count: BlankConstraint(regex=words_pattern(count), max_new_tokens=max_new_tokens) for count in set(counts)
    }
    found = fill_blanks(
        model,
        tokenizer,
        list(texts),
        constraints=[[constraints[count]] for count in counts],
        num_beams=num_beams,
        batch_size=batch_size,
    )
    return [str(fillings[0].answers[0].text) if fillings else "" for fillings in found]


__all__ = ["answer_with_length", "words_pattern"]
