"""Measure that memory stays flat over fillings and training steps, and compare the peak memory of a step with peers."""

from collections.abc import Callable

import torch

from modeling_glm import BlankConstraint, DataCollatorForBlankInfilling, GLMForConditionalGeneration, fill_blanks

from ..harness.embedded import EMBEDDED, load_tokenizer, training_texts
from ..harness.measuring import run_alone
from ..harness.memory_meter import MEASUREMENTS, repeat
from ..harness.peers import BART, BART_HALF, GPT2
from ..harness.results import Memory, Repetition, Result
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, TINY, Shape
from ..harness.steps import GLM, optimizing
from .filling import make_texts
from .training import describe, measure_memory

FILLINGS, STEPS = 2000, 500
BATCH = 8  # texts of a training step
PATTERNS = ("[0-9]{4}", "[a-z]+", "[A-Z][a-z]*")


def run(settings: RunSettings) -> list[Result]:
    quick = settings.quick
    shape, rows, length = (TINY, 2, 64) if quick else (BASE, 4, 512)
    return [
        measure_repetition("fill a text with glm-tiny", repeat_fillings, 24 if quick else FILLINGS),
        measure_repetition(f"training step of glm-tiny, {BATCH} texts", repeat_steps, 24 if quick else STEPS),
        *compare_peaks(shape, rows, length),
    ]


def measure_repetition(work: str, function: Callable[[int], dict[str, float]], times: int) -> Result:
    """Measure the growth of a separate process that repeats something."""
    found = run_alone(function, times)
    return Repetition(work=work, times=times, bytes_each=found["bytes"], objects_each=found["objects"])


def repeat_fillings(times: int) -> dict[str, float]:
    """Fill texts of different lengths in four ways. Call it in a separate process."""
    tokenizer, model = load_tokenizer(), load_embedded().eval()
    texts = make_texts(100)
    short = {"max_new_tokens_per_blank": 4}
    ways: list[Callable[[int, str], object]] = [
        lambda number, text: fill_blanks(model, tokenizer, text, **short),
        lambda number, text: fill_blanks(model, tokenizer, text, num_answers=2, **short),
        lambda number, text: fill_blanks(
            model, tokenizer, text, constraints=BlankConstraint(regex=PATTERNS[number // 4 % 3], max_new_tokens=4)
        ),
        lambda number, text: fill_blanks(model, tokenizer, [text, "It is [MASK]."], on_error="record", **short),
    ]
    meter = repeat(lambda number: ways[number % len(ways)](number, texts[number % len(texts)]), times)
    return {"bytes": meter.bytes_each, "objects": meter.objects_each}


def repeat_steps(times: int) -> dict[str, float]:
    """Train on new rows of different lengths in every step. Call it in a separate process."""
    tokenizer, model = load_tokenizer(), load_embedded().train()
    batches = max(4, times // MEASUREMENTS)  # the same batch comes before every measurement
    features = [{"input_ids": ids} for ids in tokenizer(training_texts(batches * BATCH))["input_ids"]]
    collate = DataCollatorForBlankInfilling(tokenizer, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step(number: int):
        start = number * BATCH % len(features)
        batch = collate(features[start : start + BATCH])
        optimizing(model, lambda: model(**batch).loss, optimizer=optimizer)()

    meter = repeat(step, times)
    return {"bytes": meter.bytes_each, "objects": meter.objects_each}


def load_embedded() -> GLMForConditionalGeneration:
    return GLMForConditionalGeneration.from_pretrained(EMBEDDED, dtype=torch.float32)


def compare_peaks(shape: Shape, rows: int, length: int) -> list[Result]:
    """Compare the peak memory of GLM and two of its steps with peers, each in a separate process."""
    peaks = {
        name: run_alone(measure_memory, name, shape.name, shape.vocabulary, rows, length)["bytes"]
        for name in (GLM, GPT2, BART, BART_HALF)
    }
    work = describe(shape, rows, length)
    return [
        Memory(work=work, peer=peer, ours=peaks[GLM], theirs=theirs) for peer, theirs in peaks.items() if peer != GLM
    ]
