"""The suites that `python -m benchmarks run` runs, one module each, with a function `run(settings) -> results`."""

import importlib
from types import ModuleType

SUITES = (
    "training",
    "scoring",
    "decoding",
    "quantization",
    "exporting",
    "filling",
    "cloze",
    "seq2seq",
    "evaluation",
    "starting",
    "data",
    "growth",
    "memory",
)
GPU_SUITES = ("training", "scoring", "decoding")


def load_suite(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def describe_suite(name: str) -> str:
    """Return the first sentence of a suite's docstring."""
    return " ".join((load_suite(name).__doc__ or "").strip().split("\n\n")[0].split())
