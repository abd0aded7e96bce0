"""Made-up texts for the ablation, in place of WordNet and prose."""

from dataclasses import replace

from benchmarks.studies.ablation.texts import REAL, SourceTexts
from benchmarks.studies.pretrain_ablation import PRESETS
from examples.corpora.documents import Document

SMALL = replace(
    PRESETS["real"],
    vocab_size=400,
    steps=2,
    hidden_size=32,
    num_hidden_layers=1,
    batch_size=4,
    max_length=64,
    packed_length=96,
    blanks=4,
)
ANIMALS = ("spaniel", "sparrow", "salmon", "beetle", "heifer")


def made_up_sources(families=()) -> dict[str, SourceTexts]:
    """Return three sources of a few documents. Every third document is long, every fifth is held out."""
    sources = {}
    for name, title in REAL.items():
        documents = [
            Document(
                family=name,
                key=f"{name}:{number}",
                text=f"A {animal} is a kind of animal. It is number {number} of {name}; the others are not. "
                + "It runs in the morning and sleeps in the evening, as they all do. " * (number % 3 == 0),
            )
            for number, animal in enumerate(ANIMALS * 6)
        ]
        held_out = [document for number, document in enumerate(documents) if number % 5 in (0, 3)]
        train = [document for document in documents if document not in held_out]
        sources[name] = SourceTexts(title=title, train=train, held_out=held_out)
    return sources
