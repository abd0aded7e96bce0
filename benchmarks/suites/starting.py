"""Measure how long the import, the command line and `from_pretrained` take, and the peak memory of loading."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from modeling_glm import GLMForConditionalGeneration

from ..harness.measuring import ROOT, PeakMemory, run_alone, take_turns
from ..harness.peers import GPT2, build_peer
from ..harness.results import Memory, Result, Speed, Value
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, TINY, Shape, build_glm

IMPORT = "import modeling_glm"
# The classes of Transformers that ours inherit from, which a program with any model imports.
CLASSES = "from transformers import AutoModel, AutoTokenizer, Pipeline, Trainer"
# What a program imports at least that loads a model and its tokenizer and generates with them.
BARE = (
    "import torch; from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationMixin, "
    "Pipeline, PreTrainedModel, PreTrainedTokenizerFast"
)
BARE_PEER = "a process that imports its classes of torch and Transformers, and nothing else"
# Whole processes, by the work they do.
COMMANDS = {
    "modeling-glm fill, one text with glm-tiny, whole process": (
        *("-m", "modeling_glm_command", "fill", "examples/glm-tiny"),
        "The time 19:20 has the hour [MASK] and the minute [MASK].",
    ),
    "modeling-glm --help, whole process": ("-m", "modeling_glm_command", "--help"),
}
TIMED = """
import time
start = time.perf_counter()
{first}
middle = time.perf_counter()
{second}
print(middle - start, time.perf_counter() - middle)
"""


@dataclass(frozen=True)
class ImportTimes:
    """Median seconds of two statements, one after the other."""

    first: float
    second: float


def time_imports(first: str, second: str, rounds: int) -> ImportTimes:
    """Time two statements one after the other, in a new interpreter in each round."""
    seconds = []
    for _ in range(rounds):
        code = TIMED.format(first=first, second=second)
        completed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        seconds.append([float(number) for number in completed.stdout.split()])
    return ImportTimes(*map(statistics.median, zip(*seconds, strict=True)))


def load(folder: str, auto_class: str) -> dict[str, float]:
    """Load a folder, and measure the time and by how much the process grows. Call it in a separate process."""
    auto = {"causal": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM}[auto_class]
    torch.ones(64, 64) @ torch.ones(64, 64)  # loads what torch loads on first use
    with PeakMemory() as memory:
        start = time.perf_counter()
        model = auto.from_pretrained(folder, dtype=torch.float32)
        seconds = time.perf_counter() - start
        total = sum(float(parameter.detach().sum()) for parameter in model.parameters())  # touches every page
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return {"seconds": seconds, "grown": memory.grown, "weights": weights, "sum": total}


def run(settings: RunSettings) -> list[Result]:
    rounds = 1 if settings.quick else max(5, settings.rounds)
    return [
        *measure_loading(TINY if settings.quick else BASE, rounds),
        *measure_commands(rounds),
        *measure_imports(rounds),
    ]


def run_python(*arguments: str):
    """Run a new interpreter to its end. As where a package is installed, modules are compiled once and not every time."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, check=True)


def measure_commands(rounds: int) -> list[Result]:
    """Compare whole processes of the command line with one that only imports. They take turns."""
    runs = {name: partial(run_python, *arguments) for name, arguments in {BARE_PEER: ("-c", BARE), **COMMANDS}.items()}
    seconds = take_turns(runs, rounds)
    return [Speed.from_seconds(work, BARE_PEER, seconds[work], seconds[BARE_PEER]) for work in COMMANDS]


def measure_imports(rounds: int) -> list[Result]:
    after_classes = time_imports(CLASSES, IMPORT, rounds)
    after_library = time_imports("import transformers", IMPORT, rounds)
    classes = "the classes of torch and Transformers that it uses"
    return [
        Value(work=f"{IMPORT}, after {classes}", value=after_classes.second, unit="s"),
        Value(work=f"import {classes}", value=after_classes.first, unit="s"),
        Value(work=f"{IMPORT} with them, after `import transformers`", value=after_library.second, unit="s"),
    ]


def measure_loading(shape: Shape, rounds: int) -> list[Result]:
    """Compare `from_pretrained` with GPT-2's, and its peak memory with the size of the weights."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as name:
        glm, gpt2 = Path(name, "glm"), Path(name, "gpt2")
        build_glm(GLMForConditionalGeneration, shape).save_pretrained(glm)
        build_peer(GPT2, shape).save_pretrained(gpt2)
        for _ in range(rounds):
            ours.append(run_alone(load, os.fspath(glm), "seq2seq"))
            theirs.append(run_alone(load, os.fspath(gpt2), "causal"))
    work = f"{shape.name}, from_pretrained of safetensors"
    grown = statistics.median(loaded["grown"] for loaded in ours)
    return [
        Speed.from_seconds(work, GPT2, *([loaded["seconds"] for loaded in several] for several in (ours, theirs))),
        Memory(work=work, peer="the weights", ours=grown, theirs=ours[0]["weights"]),
    ]
