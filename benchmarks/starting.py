"""From nothing to a model: import of the package, and `from_pretrained`: time and peak memory."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .measuring import ROOT, Line, PeakMemory, compare, run_alone
from .settings import Settings
from .shapes import BASE, TINY, build_glm, build_peer

# What a program with a model of Transformers imports: the classes that ours are made of.
LIBRARY = "from transformers import AutoModel, AutoTokenizer, Pipeline, Trainer"
TIMED = "import time\nstart = time.perf_counter()\n{before}\nmiddle = time.perf_counter()\n{after}\nend = time.perf_counter()\nprint(middle - start, end - middle)"


def time_imports(before: str, after: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds that two statements take, one behind the other, each round in a new interpreter."""
    firsts, seconds = [], []
    for _ in range(rounds):
        code = TIMED.format(before=before, after=after)
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        first, second = map(float, ran.stdout.split())
        firsts.append(first)
        seconds.append(second)
    return firsts, seconds


def load(folder: str) -> dict[str, float]:
    """How long loading a folder takes, and by how much the process grows; called in a process of its own."""
    import time

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    import modeling_glm  # noqa: F401

    auto = AutoModelForCausalLM if AutoConfig.from_pretrained(folder).model_type == "gpt2" else AutoModelForSeq2SeqLM
    torch.ones(64, 64) @ torch.ones(64, 64)  # what libraries load at first use
    with PeakMemory() as memory:
        start = time.perf_counter()
        model = auto.from_pretrained(folder, dtype=torch.float32)
        seconds = time.perf_counter() - start
        total = sum(float(parameter.sum()) for parameter in model.parameters())  # all of it is read
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return {"seconds": seconds, "grown": memory.grown, "weights": weights, "sum": total}


def run(settings: Settings) -> list[Line]:
    rounds = 2 if settings.quick else max(5, settings.rounds)
    lines = _imports(rounds)
    shape = TINY if settings.quick else BASE
    with tempfile.TemporaryDirectory() as name:
        folders = {"GLM": Path(name, "glm"), "GPT-2": Path(name, "gpt2")}
        build_glm(shape).save_pretrained(folders["GLM"])
        build_peer("GPT-2", shape).save_pretrained(folders["GPT-2"])
        lines += _loading(folders, shape.name, rounds)
    return lines


def _imports(rounds: int) -> list[Line]:
    classes, ours = time_imports(LIBRARY, "import modeling_glm", rounds)
    bare, beyond = time_imports("import transformers", "import modeling_glm", rounds)
    return [
        Line(
            suite="starting",
            work="import modeling_glm, beyond the classes of Transformers and torch that it is made of",
            ratio=0.3 / statistics.median(ours),
            low=0.3 / max(ours),
            high=0.3 / min(ours),
            ours=statistics.median(ours),
            theirs=statistics.median(classes),
            peer="0.3 s",
            goal=1.0,
        ),
        Line(
            suite="starting",
            work="import modeling_glm, beyond `import transformers`, which imports none of them",
            ours=statistics.median(beyond),
            theirs=statistics.median(bare),
        ),
    ]


def _loading(folders: dict[str, Path], shape: str, rounds: int) -> list[Line]:
    found: dict[str, list[dict]] = {name: [] for name in folders}
    for _ in range(rounds):
        for name, folder in folders.items():
            found[name].append(run_alone("starting", "load", os.fspath(folder)))
    seconds = {name: [one["seconds"] for one in several] for name, several in found.items()}
    work = f"{shape}, from_pretrained of safetensors"
    return [
        Line(suite="starting", work=work, peer="GPT-2", **compare(seconds, "GLM", "GPT-2")),
        _peak(work, found["GLM"]),
    ]


def _peak(work: str, found: Sequence[dict]) -> Line:
    shares = [one["grown"] / one["weights"] for one in found]
    middle = statistics.median(shares)
    return Line(
        suite="starting",
        work=f"{work}, peak memory",
        peer="1.15 times the weights",
        ratio=1.15 / middle,
        low=1.15 / max(shares),
        high=1.15 / min(shares),
        ours=statistics.median(one["grown"] for one in found) / 2**30,
        theirs=found[0]["weights"] / 2**30,
        unit="GiB",
        goal=1.0,
        note=f"{middle:.2f} times the weights",
    )
