"""Time filling and choosing by ONNX Runtime in fp32 and int8 against torch, with memory, start time and quality."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from examples.corpora.measuring.blanks import exact_match
from modeling_glm import (
    GLMForConditionalGeneration,
    GLMTokenizer,
    ORTFiller,
    choose,
    export_model,
    fill_blanks,
    score_fillings,
    set_precision,
)

from ..harness.embedded import EMBEDDED, compare_quality, held_out_blanks, load_tokenizer
from ..harness.measuring import ROOT, take_turns
from ..harness.report import make_table
from ..harness.results import Memory, Quality, Result, Speed, show_ratio
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, TINY, Shape, build_glm
from .filling import LONGEST, make_candidates, make_texts

Answer = Callable[[], Any]
ORT, ORT_INT8, TORCH, TORCH_INT8 = "onnxruntime fp32", "onnxruntime int8", "torch fp32", "torch int8"
# Which runs are compared: every other one with torch in fp32, and the two with int8 with each other.
PAIRS = ((ORT, TORCH), (ORT_INT8, TORCH), (TORCH_INT8, TORCH), (ORT_INT8, TORCH_INT8))
ANSWER = "new process to its first answer"
# Programs that load a model and fill a text, as their users write them. They print the most memory that they had, in KiB:
# that of the program alone, whereas `getrusage` begins with that of the process that started it.
FILL_AND_PRINT = f"""
print(fill("The answer is [MASK].", max_new_tokens_per_blank={LONGEST}))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
# ONNX Runtime is used where torch is not installed, so an import of torch fails here.
ORT_PROGRAM = """
import sys
sys.modules["torch"] = None
folder = sys.argv[1]
sys.path.insert(0, folder)
from ort_filler import ORTFiller
fill = ORTFiller(folder, num_threads=int(sys.argv[2])).fill
"""
LOAD_WITH_TORCH = """
import sys
from functools import partial
import torch
from modeling_glm import GLMForConditionalGeneration, GLMTokenizer, fill_blanks
torch.set_num_threads(int(sys.argv[2]))
tokenizer = GLMTokenizer.from_pretrained(sys.argv[1])
model = GLMForConditionalGeneration.from_pretrained(sys.argv[1], dtype="float32")
"""
TO_INT8 = """
from modeling_glm import set_precision
set_precision(model, "int8")
"""
FILL_WITH_TORCH = """
fill = partial(fill_blanks, model, tokenizer)
"""
PROGRAMS = {
    ORT: ORT_PROGRAM,
    ORT_INT8: ORT_PROGRAM,
    TORCH: LOAD_WITH_TORCH + FILL_WITH_TORCH,
    TORCH_INT8: LOAD_WITH_TORCH + TO_INT8 + FILL_WITH_TORCH,
}


def run(settings: RunSettings) -> list[Result]:
    shape = TINY if settings.quick else BASE
    tokenizer = load_tokenizer()
    shape = shape.with_vocabulary(len(tokenizer))
    with tempfile.TemporaryDirectory() as name:
        folders = export_all(build_model(shape, tokenizer), tokenizer, Path(name, "shape"))
        results = [
            *compare_speed(settings, shape, tokenizer, folders),
            *compare_processes(shape, folders, settings.rounds),
        ]
        embedded = GLMForConditionalGeneration.from_pretrained(EMBEDDED, dtype=torch.float32).eval()
        folders = export_all(embedded, tokenizer, Path(name, "embedded"))
        return [*results, *measure_quality(embedded, tokenizer, folders, 16 if settings.quick else 1000)]


def build_model(shape: Shape, tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    return build_glm(GLMForConditionalGeneration, shape, **tokenizer.special_token_ids)


def export_all(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, folder: Path) -> dict[str, Path]:
    """Save a model, and export it in fp32 and int8. Returns the folders by the name of each run that is compared."""
    model.save_pretrained(folder / "torch")
    tokenizer.save_pretrained(folder / "torch")
    folders = {TORCH: folder / "torch", TORCH_INT8: folder / "torch", ORT: folder / "fp32", ORT_INT8: folder / "int8"}
    folders = {name: folders[name] for name in folders if any(name in pair for pair in PAIRS)}
    for name, quantize in ((ORT, None), (ORT_INT8, "int8")):
        if name in folders:
            export_model(model, folders[name], tokenizer=tokenizer, quantize=quantize)
    return folders


def make_runs(
    name: str, folder: Path, tokenizer: GLMTokenizer, texts: list[str], candidates: list[str]
) -> tuple[Answer, Answer]:
    """Make the functions that fill texts and choose among candidates, with the runtime that a name says."""
    # Different texts: torch reads equal ones once.
    asked = [f"The answer to question {number} is [MASK]." for number in range(len(texts))]
    if name in (ORT, ORT_INT8):
        filler = ORTFiller(folder, tokenizer, num_threads=torch.get_num_threads())
        return (
            lambda: filler.fill(texts, max_new_tokens_per_blank=LONGEST),
            lambda: filler.choose(asked, candidates),
        )
    model = load_torch(name, folder)
    return (
        lambda: fill_blanks(model, tokenizer, texts, max_new_tokens_per_blank=LONGEST),
        lambda: choose(model, tokenizer, asked, candidates),
    )


def load_torch(name: str, folder: Path) -> GLMForConditionalGeneration:
    model = GLMForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return set_precision(model, "int8") if name == TORCH_INT8 else model


def compare_speed(
    settings: RunSettings, shape: Shape, tokenizer: GLMTokenizer, folders: dict[str, Path]
) -> list[Result]:
    """Compare filling many texts, filling one, and choosing."""
    texts = make_texts(4 if settings.quick else 32)
    candidates = make_candidates(4, "")
    results: list[Result] = []
    for rows in (1, len(texts)):
        runs = {name: make_runs(name, folders[name], tokenizer, texts[:rows], candidates) for name in folders}
        for place, work in enumerate(("fill", "choose among 4 for")):
            seconds = take_turns({name: both[place] for name, both in runs.items()}, settings.rounds)
            shown = f"{shape.name}, {work} {rows} text{'s' if rows > 1 else ''}"
            results += [
                Speed.from_seconds(f"{shown}, {ours}", theirs, seconds[ours], seconds[theirs])
                for ours, theirs in PAIRS
            ]
    return results


def answer_once(name: str, folder: str, memory: dict[str, list[int]]):
    """Run a new process that loads a model and fills a text, and note its peak memory in bytes."""
    program = [sys.executable, "-c", PROGRAMS[name] + FILL_AND_PRINT, folder, str(torch.get_num_threads())]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    completed = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True)
    if completed.returncode:
        raise RuntimeError(f"{name} failed:\n{completed.stderr[-2000:]}")
    memory.setdefault(name, []).append(1024 * int(completed.stdout.split()[-1]))


def compare_processes(shape: Shape, folders: dict[str, Path], rounds: int) -> list[Result]:
    """Compare whole processes, from their start to their first answer: the time, and the peak memory."""
    memory: dict[str, list[int]] = {}
    runs = {name: partial(answer_once, name, os.fspath(folder), memory) for name, folder in folders.items()}
    seconds = take_turns(runs, rounds)
    work = f"{shape.name}, {ANSWER}"
    return [
        *(Speed.from_seconds(f"{work}, {ours}", theirs, seconds[ours], seconds[theirs]) for ours, theirs in PAIRS),
        *(
            Memory(work=f"{work}, {ours}", peer=theirs, ours=min(memory[ours]), theirs=min(memory[theirs]))
            for ours, theirs in PAIRS
        ),
    ]


def measure_quality(
    model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, folders: dict[str, Path], count: int
) -> list[Result]:
    """Measure loss and exact match of the embedded checkpoint in blanks of held-out texts."""
    blanks = held_out_blanks(count)
    measured = {}
    for name in folders:
        if name in (ORT, ORT_INT8):
            filler = ORTFiller(folders[name], tokenizer, num_threads=torch.get_num_threads())
            filled = filler.fill([blank.text for blank in blanks], max_new_tokens_per_blank=24)
            scored = [filler.score(blank.text, [blank.answer])[0] for blank in blanks]
        else:
            changed = load_torch(name, folders[name])
            found = fill_blanks(changed, tokenizer, [blank.text for blank in blanks], max_new_tokens_per_blank=24)
            filled = [best for best, *_ in found]
            scored = [score_fillings(changed, tokenizer, blank.text, [blank.answer])[0] for blank in blanks]
        tokens = sum(len(answer.token_log_probs) for filling in scored for answer in filling.answers)
        exact = exact_match([filling.answers[0].text for filling in filled], blanks)
        measured[name] = -sum(filling.log_prob for filling in scored) / tokens, exact
    reference = measured.pop(TORCH)
    return [*compare_quality(measured, reference, count)]


def make_summary(results: Sequence[Result]) -> str:
    """
    Make one table of all results, for the guide: a row for each work, a column for each pair of runs.

    Args:
        results: What `run` returned.
    """
    columns = [f"{ours} against {theirs}" for ours, theirs in PAIRS]
    rows: dict[str, dict[str, str]] = {}
    for result in results:
        if isinstance(result, Quality):
            continue
        assert isinstance(result, Speed | Memory)
        work, _, ours = result.work.rpartition(", ")
        shown = f"{work}, memory" if isinstance(result, Memory) else work
        value = f"{result.ours / result.theirs:.0%}" if isinstance(result, Memory) else show_ratio(result.ratio)
        rows.setdefault(shown, {})[f"{ours} against {result.peer}"] = value
    speeds = make_table(
        ("times as fast, or share of the memory", *columns),
        [(work, *(cells[column] for column in columns)) for work, cells in rows.items()],
    )
    qualities = [result for result in results if isinstance(result, Quality)]
    return f"{speeds}\n\n{make_table(Quality.columns, [result.cells for result in qualities])}"
