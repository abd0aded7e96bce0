"""The corpus as `03_pretrain.py` takes it: its texts, and what a model card says about them."""

from collections.abc import Sequence

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.pretraining.arguments import RunArguments
from modeling_glm.pretraining.data import EmbeddedCorpus, TextSplits

from .build import build_splits
from .held_out import HeldOutRow, error_ratio, measure_held_out

DESCRIPTION = (
    "English sentences that state facts of Python's standard library (numbers in words, dates, Unicode names, HTTP "
    "status codes, time zones and the like) and prose of its documentation, made by `examples/corpora`. One fact in "
    "twenty is held out by a hash of its subject, so that no training text states it."
)


def build_texts() -> TextSplits:
    """Return the texts of the corpus."""
    train, held_out = build_splits()
    return TextSplits(train=[document.text for document in train], held_out=[document.text for document in held_out])


def measure(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, args: RunArguments) -> dict[str, str]:
    """Measure a model on held-out blanks, and return the sections of its card with figures and limits."""
    rows = measure_held_out(model, tokenizer, args.blanks)
    return {"figures": _figures(rows, args.blanks), "limits": _limits(args.max_length)}


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


PYTHON = EmbeddedCorpus(
    name="python",
    build_splits=build_texts,
    description=DESCRIPTION,
    measure=measure,
    card={"license": "apache-2.0", "language": "en"},
)
