"""Time filling and choosing by ONNX Runtime in fp32 and int8 against torch, with memory, start time and quality."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from examples.corpora.measuring.blanks import exact_match
from modeling_glm import GLMForConditionalGeneration, GLMTokenizer, choose, fill_blanks, score_fillings
from modeling_glm.export.ort_filler import ORTFiller
from modeling_glm.export.save import export_model

from ..harness.embedded import EMBEDDED, compare_quality, held_out_blanks, load_tokenizer
from ..harness.measuring import PeakMemory, run_alone, take_turns
from ..harness.results import Memory, Result, Speed
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, TINY, Shape, build_glm
from .filling import LONGEST, make_candidates, make_texts
from .quantization import to_int8

Answer = Callable[[], Any]
ORT, ORT_INT8, TORCH, TORCH_INT8 = "onnxruntime fp32", "onnxruntime int8", "torch fp32", "torch int8"
# Which runs are compared: every other one with torch in fp32, and the two with int8 with each other.
PAIRS = ((ORT, TORCH), (ORT_INT8, TORCH), (TORCH_INT8, TORCH), (ORT_INT8, TORCH_INT8))


def run(settings: RunSettings) -> list[Result]:
    shape = TINY if settings.quick else BASE
    tokenizer = load_tokenizer()
    shape = shape.with_vocabulary(len(tokenizer))
    with tempfile.TemporaryDirectory() as name:
        folders = export_all(build_model(shape, tokenizer), tokenizer, Path(name, "shape"))
        results = [
            *compare_speed(settings, shape, tokenizer, folders),
            *compare_starting(shape, folders, 1 if settings.quick else 3),
        ]
        embedded = GLMForConditionalGeneration.from_pretrained(EMBEDDED, dtype=torch.float32).eval()
        folders = export_all(embedded, tokenizer, Path(name, "embedded"))
        return [*results, *measure_quality(embedded, tokenizer, folders, 16 if settings.quick else 1000)]


def build_model(shape: Shape, tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    return build_glm(GLMForConditionalGeneration, shape, **tokenizer.special_token_ids)


def export_all(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, folder: Path) -> dict[str, Path]:
    """Save a model, and export it in fp32 and int8. Returns the folders by the name of the run."""
    model.save_pretrained(folder / "torch")
    for name, quantize in (("fp32", None), ("int8", "int8")):
        export_model(model, folder / name, tokenizer=tokenizer, quantize=quantize)
    return {TORCH: folder / "torch", TORCH_INT8: folder / "torch", ORT: folder / "fp32", ORT_INT8: folder / "int8"}


def make_runs(
    name: str, folder: Path, tokenizer: GLMTokenizer, texts: list[str], candidates: list[str]
) -> tuple[Answer, Answer]:
    """Make the functions that fill texts and choose among candidates, with the runtime that a name says."""
    asked = "The answer is [MASK]."
    if name in (ORT, ORT_INT8):
        filler = ORTFiller(folder, tokenizer, num_threads=torch.get_num_threads())
        return (
            lambda: filler.fill(texts, max_new_tokens_per_blank=LONGEST),
            lambda: filler.choose([asked] * len(texts), candidates),
        )
    model = load_torch(name, folder)
    return (
        lambda: fill_blanks(model, tokenizer, texts, max_new_tokens_per_blank=LONGEST),
        lambda: choose(model, tokenizer, [asked] * len(texts), candidates),
    )


def load_torch(name: str, folder: Path) -> GLMForConditionalGeneration:
    model = GLMForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return to_int8(model) if name == TORCH_INT8 else model


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


def start(name: str, folder: str) -> dict[str, float]:
    """Load a model and fill one text, and measure the time and by how much the process grows. Call it in a process."""
    tokenizer = load_tokenizer()
    torch.ones(64, 64) @ torch.ones(64, 64)  # loads what torch loads on first use
    with PeakMemory() as memory:
        began = time.perf_counter()
        fill, _ = make_runs(name, Path(folder), tokenizer, ["The answer is [MASK]."], ["a"])
        seconds = time.perf_counter() - began
        fill()
    return {"seconds": seconds, "grown": memory.grown}


def compare_starting(shape: Shape, folders: dict[str, Path], rounds: int) -> list[Result]:
    """Compare loading, and the memory of loading and filling a text."""
    runs = {
        name: [run_alone(start, name, os.fspath(folder)) for _ in range(rounds)] for name, folder in folders.items()
    }
    seconds = {name: [each["seconds"] for each in several] for name, several in runs.items()}
    grown = {name: min(each["grown"] for each in several) for name, several in runs.items()}
    speeds = [
        Speed.from_seconds(f"{shape.name}, load, {ours}", theirs, seconds[ours], seconds[theirs])
        for ours, theirs in PAIRS
    ]
    memories = [
        Memory(work=f"{shape.name}, load and fill a text, {ours}", peer=theirs, ours=grown[ours], theirs=grown[theirs])
        for ours, theirs in PAIRS
    ]
    return [*speeds, *memories]


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
    compared = {name: measured[name] for name in (ORT, ORT_INT8, TORCH_INT8)}
    return [*compare_quality(compared, measured[TORCH], count)]
