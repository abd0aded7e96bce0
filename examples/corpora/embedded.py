"""The corpora as `03_pretrain.py` takes them by name: their texts, and what a model card says about them."""

from collections.abc import Sequence
from functools import partial

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.pretraining.arguments import RunArguments
from modeling_glm.pretraining.data import EmbeddedCorpora, TextSplits

from .build import build_splits
from .groups import GROUPS, load_groups
from .measuring.families import FamilyRow, format_families, measure_families
from .measuring.held_out import HeldOutRow, error_ratio, measure_held_out
from .measuring.sample import read_sample

PYTHON = "python"  # facts and documentation together, which need no other files
DESCRIPTIONS = {
    PYTHON: "English sentences that state facts of Python's standard library (numbers in words, dates, Unicode names, HTTP "
    "status codes, time zones and the like) and prose of its documentation, made by `examples/corpora`. One fact in "
    "twenty is held out by a hash of its subject, so that no training text states it.",
    "facts": "English sentences that state facts of Python's standard library, as numbers in words, dates, Unicode names, HTTP "
    "status codes and time zones.",
    "documentation": "Prose of the documentation of Python's standard library.",
    "wordnet": "Small documents about the English words that are in use, made of WordNet 3.1 (Princeton University, "
    "WordNet license): definitions, kinds, opposites, examples.",
    "wordnet_rare": "The same about words that are little used.",
    "kinds": "The short ones of `wordnet` that say what a word is a kind of, read more often.",
    "opposites": "The short ones of `wordnet` that name opposites, read more often.",
    "bible": "The World English Bible (public domain).",
    "austen": "Six novels of Jane Austen (public domain).",
}


def build_python() -> TextSplits:
    """Return the texts that come with Python: facts and documentation."""
    train, held_out = build_splits()
    return TextSplits(train=[document.text for document in train], held_out=[document.text for document in held_out])


def build_group(name: str) -> TextSplits:
    """
    Return the texts of a group.

    Raises:
        FileNotFoundError: If files are missing that `make data` fetches.
    """
    group = load_groups()[name]
    return TextSplits(
        train=[document.text for document in group.train], held_out=[document.text for document in group.held_out]
    )


def describe(names: Sequence[str]) -> str:
    """Return what a model card says about these corpora."""
    if list(names) == [PYTHON]:
        return DESCRIPTIONS[PYTHON]
    lines = "\n".join(f"- `{name}`: {DESCRIPTIONS[name]}" for name in names)
    return (
        f"{lines}\n\nOne fact, synset or chapter in twenty is held out by a hash of its subject. No training text shares a "
        "whole text or a window of 13 words with a held-out one."
    )


def measure(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, args: RunArguments) -> dict[str, str]:
    """Measure a model on held-out blanks, and return the sections of its card with figures and limits."""
    limits = {"limits": _limits(args.max_length)}
    if not args.blanks:
        return limits
    if args.corpus == [PYTHON]:
        rows = measure_held_out(model, tokenizer, args.blanks)
        return {"figures": _figures(rows, args.blanks), **limits}
    return {"figures": _figures_by_family(measure_families(model, tokenizer, read_sample())), **limits}


def _figures_by_family(rows: Sequence[FamilyRow]) -> str:
    return f"""## Figures

Exact match on held-out blanks of one to three words, and on questions about words:

{format_families(rows)}

The n-gram knows the number of missing words. With "length told", the model knows it, too. Questions "from memory" ask for what
the training texts say; all others are about held-out texts. `python -m examples.corpora.measuring.families FOLDER` measures
this."""


def _figures(rows: Sequence[HeldOutRow], blanks: int) -> str:
    table = "".join(
        f"| {row.name} | {row.all:.1%} | {row.facts:.1%} | {row.prose:.1%} | {row.loss:.2f} |\n" for row in rows
    )
    return f"""## Figures

The model makes {1 - error_ratio(rows):.0%} fewer errors than the best baseline, on {blanks} held-out blanks of one to three words:

| | exact match | in facts | in prose | nats per token |
|---|---|---|---|---|
{table}
The baselines know the number of missing words; the model does not. The loss of the model includes the end of the answer,
the loss of the baselines does not. `make demo` measures the same on fewer blanks."""


def _limits(max_length: int) -> str:
    return f"""## Limits

This is a toy for trying the code of modeling-glm: it knows its corpus and nothing else about the world. A text may have up
to {max_length} tokens. The model is too small for prose. Where it does not know an answer, it gives another one of the same
kind: other digits, another name. Use it only to try things out."""


EMBEDDED = EmbeddedCorpora(
    builders={PYTHON: build_python, **{name: partial(build_group, name) for name in GROUPS}},
    describe=describe,
    measure=measure,
    card={"license": "apache-2.0", "language": "en"},
)
