"""
Measure a model on blanks of every family of held-out text, and on questions whose answers a reader can check.

    python -m examples.corpora.measuring.families examples/glm-tiny

The back-off n-gram knows how many words are missing. To compare at equal information, the model answers twice: once freely,
and once with the number of words told.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.utils.files import write_whole
from modeling_glm.utils.inference import answer_blanks

from .blanks import exact_match
from .held_out import blank_loss
from .sample import SampledBlank, read_sample
from .told_length import answer_with_length

MAX_NEW_TOKENS = 24


@dataclass(frozen=True, kw_only=True)
class FamilyRow:
    """
    The results of a model and of the n-gram in a family.

    Attributes:
        family: Name of the family.
        blanks: Number of blanks.
        exact_match: Share of blanks that the model fills right.
        told_length: The same, when the model knows the number of words.
        ngram: The same for the back-off n-gram, which knows it too.
        loss: Cross entropy of the first right answers under the model, with their ends, in nats per token.
    """

    family: str
    blanks: int
    exact_match: float
    told_length: float
    ngram: float
    loss: float


def measure_families(
    model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, families: Mapping[str, Sequence[SampledBlank]]
) -> list[FamilyRow]:
    """
    Measure a model on families of blanks.

    Args:
        model, tokenizer: The model.
        families: Blanks of each family, such as `read_sample` returns.
    """
    rows = []
    for name, sampled in families.items():
        blanks = [one.blank for one in sampled]
        texts = [blank.text for blank in blanks]
        free = answer_blanks(model, tokenizer, texts, max_new_tokens_per_blank=MAX_NEW_TOKENS)
        told = answer_with_length(model, tokenizer, texts, [blank.words for blank in blanks])
        rows.append(
            FamilyRow(
                family=name,
                blanks=len(blanks),
                exact_match=exact_match([answer for (answer, *_) in free], blanks),
                told_length=exact_match(told, blanks),
                ngram=exact_match([one.ngram for one in sampled], blanks),
                loss=blank_loss(model, tokenizer, blanks),
            )
        )
    return rows


def format_families(rows: Sequence[FamilyRow]) -> str:
    """Write the rows as a Markdown table."""
    lines = [
        "| family | blanks | GLM | GLM, length told | n-gram, length told | nats per token |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.family} | {row.blanks} | {row.exact_match:.1%} | {row.told_length:.1%} | {row.ngram:.1%} | {row.loss:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure a model on every family, print the table, and write it as JSON lines if asked to."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", help="folder or hub id of a GLM")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the rows to FILE as JSON lines")
    arguments = parser.parse_args()
    model = GLMForConditionalGeneration.from_pretrained(arguments.model, dtype="float32").eval()
    tokenizer = GLMTokenizer.from_pretrained(arguments.model)
    rows = measure_families(model, tokenizer, read_sample())
    print(format_families(rows))
    if arguments.write:
        write_whole(arguments.write, "".join(json.dumps(asdict(row)) + "\n" for row in rows))


if __name__ == "__main__":
    main()
