"""
Agreement of subject and verb: sentences that differ in the number of one verb, "The athlete admires" and "admire".

Every file has another distance or another noun between the two. The blank stands where the verb stands: if both sentences
end alike, the end follows the blank. A GLM reads it before it fills the blank, and a causal model scores it with the verb,
as the whole sentence.
"""

from collections.abc import Iterator

from examples.corpora.archives.folder import require

from .questions import AnsweredQuestion, ChoiceRow, read_questions

# The files, easy ones first: Lakretz et al. (2021), then Linzen et al. (2016) and Gulordava et al. (2018). Short files of
# four lines, and files with the same verbs and another end, are left out.
FILES = (
    "simple_english",
    "adv_english",
    "adv_adv_english",
    "adv_conjunction_english",
    "namepp_english",
    "nounpp_english",
    "nounpp_adv_english",
    "short_nested_outer_english",
    "short_nested_inner_english",
    "long_nested_outer_english",
    "long_nested_inner_english",
    "linzen2016_english",
    "gulordava_nonce_english",
    "frequency_disbalance_nonce_english",
)


def agreement_rows() -> list[ChoiceRow]:
    """Read the pairs of all files as rows with choices. The group is the name of the file."""
    return [row for name in FILES for row in _read_file(name)]


def _read_file(name: str) -> Iterator[ChoiceRow]:
    for question in read_questions(require("bigbench", f"subject_verb_agreement/{name}.json")):
        text, choices = put_blank(question)
        yield ChoiceRow(text, choices, question.label, name.removesuffix("_english"))


def put_blank(question: AnsweredQuestion) -> tuple[str, list[str]]:
    """
    Put a blank in place of the words in which the choices differ.

        The dog | barks at night, bark at night   ->   The dog [MASK] at night | barks, bark
    """
    words = [choice.split(" ") for choice in question.choices]
    common = 0
    while common < min(map(len, words)) - 1 and len({of_choice[-1 - common] for of_choice in words}) == 1:
        common += 1
    end = " ".join(["", *words[0][len(words[0]) - common :]]) if common else ""
    return f"{question.text.rstrip()} [MASK]{end}", [
        " ".join(of_choice[: len(of_choice) - common]) for of_choice in words
    ]


__all__ = ["FILES", "agreement_rows", "put_blank"]
