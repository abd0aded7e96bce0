"""
The sample of held-out blanks that comes with the repository, so that a model can be measured without other files.

    python -m examples.corpora.measuring.sample      # makes the sample anew; needs the files that make data fetches

Every blank has the answer of the back-off n-gram, which was trained on the texts of its family and knows the number of words.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from modeling_glm.utils.files import write_whole

from ..documents import Document
from .baselines import BackoffNgramBaseline
from .blanks import HeldOutBlank, make_blanks

SAMPLE = Path(__file__).parent / "held_out.jsonl"
COUNT, SEED = 300, 1
# The longest text to make blanks in. The embedded checkpoint has few positions.
MOST_WORDS, MOST_LETTERS = 70, 400
WORDNET = ("wordnet", "wordnet_rare")


@dataclass(frozen=True, kw_only=True)
class SampledBlank:
    """
    A held-out blank.

    Attributes:
        blank: The blank.
        ngram: The answer of the back-off n-gram.
    """

    blank: HeldOutBlank
    ngram: str


def read_sample(path: Path = SAMPLE) -> dict[str, list[SampledBlank]]:
    """Return the blanks of every family."""
    families: dict[str, list[SampledBlank]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        ngram = row.pop("ngram")
        blank = HeldOutBlank(**{**row, "others": tuple(row["others"])})
        families.setdefault(blank.family, []).append(SampledBlank(blank=blank, ngram=ngram))
    return families


def write_sample(blanks: Iterable[SampledBlank], path: Path) -> None:
    """Write blanks as JSON lines."""
    rows = (asdict(sampled.blank) | {"ngram": sampled.ngram} for sampled in blanks)
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def draw(
    sources: Sequence[tuple[Sequence[Document], Callable[[], list[HeldOutBlank]]]],
) -> list[SampledBlank]:
    """
    Draw the blanks of families and let the n-gram answer them.

    Args:
        sources: For each family the documents that the n-gram learns from, and a function that makes the blanks.
    """
    drawn = []
    fitted: list[tuple[Sequence[Document], BackoffNgramBaseline]] = []
    for training, make in sources:
        ngram = next((known for texts, known in fitted if texts is training), None)
        if ngram is None:
            ngram = BackoffNgramBaseline().fit(training)
            fitted.append((training, ngram))
        drawn += [SampledBlank(blank=blank, ngram=ngram.predict(blank)) for blank in make()]
    return drawn


def blanks_of(name: str, documents: Iterable[Document], count: int) -> list[HeldOutBlank]:
    """Make blanks in documents that are neither very short nor longer than the embedded checkpoint can read."""
    fitting = [
        document
        for document in documents
        if 3 < len(document.text.split()) <= MOST_WORDS and len(document.text) <= MOST_LETTERS
    ]
    return [replace(blank, family=name) for blank in make_blanks(fitting, count=count, seed=SEED)]


def build_sample(count: int) -> list[SampledBlank]:
    """
    Make the sample.

    Raises:
        FileNotFoundError: If files are missing that `make data` fetches.
    """
    from ..groups import load_groups, load_wordnet  # they need the real data, and reading a sample does not
    from ..wordnet.questions import kinds_from_memory, kinds_in_definitions, opposites_from_memory

    groups, wordnet = load_groups(), load_wordnet()
    words = [document for name in WORDNET for document in groups[name].train]
    trained = {document.text for document in words}
    questions = (
        kinds_in_definitions,
        partial(kinds_from_memory, trained=trained),
        partial(opposites_from_memory, trained=trained),
    )
    return draw(
        [
            *(
                (groups[name].train, lambda name=name: blanks_of(name, groups[name].held_out, count))
                for name in ("facts", "documentation")
            ),
            (words, lambda: blanks_of("wordnet", [text for name in WORDNET for text in groups[name].held_out], count)),
            *((words, lambda make=make: make(wordnet, count=count, seed=SEED)) for make in questions),
            *(
                (groups[name].train, lambda name=name: blanks_of(name, groups[name].held_out, count))
                for name in ("bible", "austen")
            ),
        ]
    )


def main() -> None:
    """Make the sample anew."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="blanks of each family, by default %(default)s")
    parser.add_argument("--write", type=Path, default=SAMPLE, metavar="FILE")
    arguments = parser.parse_args()
    write_sample(build_sample(arguments.count), arguments.write)


if __name__ == "__main__":
    main()
