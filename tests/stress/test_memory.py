"""
Memory stays flat: over mixed calls, over training steps, and when models and tokenizers are dropped.

Flat means, after a warm-up of a third: the memory of the process grows by less than 1 KiB per call or step, as a line
through its measurements says, and the number of Python objects by less than 1 for every 10.
"""

import copy
import gc
import random
import weakref
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from transformers import Trainer, TrainerCallback, TrainingArguments, pipeline

from benchmarks.harness.memory_meter import MemoryMeter
from modeling_glm import (
    BlankConstraint,
    BlankIteratorStreamer,
    ClozeClassifier,
    DataCollatorForBlankInfilling,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMTokenizer,
    PatternVerbalizer,
    choose,
    fill_blanks,
    score_fillings,
)
from tests.support.models import make_model
from tests.support.random_texts import draw_text

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 128}
PATTERNS = ["[0-9]{4}", "[a-z]+", "(19|20)[0-9]{2}", "[A-Z][a-z]*", "a|b|c", r"\d+"]


def check(meter: MemoryMeter):
    assert len(meter.steps) >= 12, "too few measurements"
    shown = [
        f"{size / 2**20:.1f} MiB, {objects:,} objects"
        for size, objects in zip(meter.memory, meter.objects, strict=True)
    ]
    assert meter.objects_each < 0.1, shown
    assert meter.bytes_each < 1024, shown


@pytest.fixture(scope="module")
def calls(tokenizer) -> list[Callable[[random.Random, str], Any]]:
    """Everything public that a service calls, by the text that it is called with."""
    settings = {"vocab_size": len(tokenizer), **SIZES, **tokenizer.special_token_ids}
    model = make_model(GLMForConditionalGeneration, **settings)
    scorer = make_model(GLMForMultipleChoice, **settings)
    task = PatternVerbalizer("{text|shorten} It was [MASK].", {"good": "great", "bad": "poor"})
    classifier = ClozeClassifier(scorer, tokenizer, task).calibrate("contextual")
    filler = pipeline("blank-infilling", model=model, tokenizer=tokenizer, device="cpu")
    labeller = pipeline("cloze-classification", model=scorer, tokenizer=tokenizer, device="cpu")
    short = {"max_new_tokens_per_blank": 3}

    def fill(**given: Any) -> Callable[[random.Random, str], Any]:
        return lambda draw, text: fill_blanks(model, tokenizer, [text, "[MASK]"], **short, **given)

    def fill_with_pattern(draw: random.Random, text: str):
        constraint = BlankConstraint(regex=draw.choice(PATTERNS), max_new_tokens=6)
        fill_blanks(model, tokenizer, text, constraints=constraint)

    def fill_from_choices(draw: random.Random, text: str):
        choices = [f"{draw.randrange(10**6)}" for _ in range(20)]
        fill_blanks(model, tokenizer, text, constraints=BlankConstraint(choices=choices))

    def fail(draw: random.Random, text: str):
        with pytest.raises(ValueError, match="blank"):
            fill_blanks(model, tokenizer, [text, "no blank"])

    def record(draw: random.Random, text: str):
        fill_blanks(model, tokenizer, [text, "", None, "\ud800"], on_error="record", **short)

    def stream(draw: random.Random, text: str):
        inputs, streamer = tokenizer(text, return_tensors="pt"), BlankIteratorStreamer(tokenizer, timeout=30)
        thread = Thread(target=model.generate, kwargs={**inputs, **short, "streamer": streamer})
        thread.start()
        if draw.random() < 0.5:
            list(streamer)
        else:
            next(iter(streamer))  # and nobody reads the rest
        thread.join()

    def abandon(draw: random.Random, text: str):
        next(iter(filler((text for _ in range(10)), batch_size=2, **short)))

    def train(draw: random.Random, text: str):
        inputs = tokenizer([text], return_tensors="pt")
        inputs = tokenizer.build_inputs_for_generation(inputs, targets=["an answer"])
        model.train()
        model(**inputs).loss.backward()
        model.zero_grad()
        model.eval()

    def copy_tokenizer(draw: random.Random, text: str):
        copied = task.attach(copy.deepcopy(tokenizer))
        copied.fill(text, ["x"] * (len(copied.split_at_blanks(text)) - 1))
        fill_blanks(model, copied, text, constraints=BlankConstraint(forbidden_words=["the"]), **short)

    return [
        fill(),
        fill(num_answers=2),
        fill(num_answers=2, do_sample=True),
        fill(order="confident-first"),
        fill(constraints=BlankConstraint(forbidden_words=["the"])),
        fill(cache_implementation="static"),
        fill_with_pattern,
        fill_from_choices,
        fail,
        record,
        stream,
        abandon,
        train,
        copy_tokenizer,
        lambda draw, text: choose(
            scorer, tokenizer, "[MASK] " + text.replace("[MASK]", ""), ["a", "b c", f"{draw.random()}"]
        ),
        lambda draw, text: score_fillings(
            model, tokenizer, text, [[f"{draw.random()}"] * (len(tokenizer.split_at_blanks(text)) - 1)]
        ),
        lambda draw, text: classifier.predict([text, "plain"]),
        lambda draw, text: classifier.calibrate("pmi", domain_premise="[MASK]").predict([text]),
        lambda draw, text: labeller(text, candidate_labels=["a", f"{draw.random()}"], hypothesis_template="It is {}."),
        lambda draw, text: tokenizer.decode(tokenizer(text, split_special_tokens=True)["input_ids"]),
        lambda draw, text: model.generate(**tokenizer(text, return_tensors="pt"), num_beams=2, **short),
        lambda draw, text: model.generate(**tokenizer(text, return_tensors="pt"), guidance_scale=1.5, **short),
    ]


def test_memory_stays_flat_over_mixed_calls(stress, tokenizer, calls):
    meter = MemoryMeter()
    number = 0
    for case in stress.cases(1200, smoke=0):
        with case:
            draw = case.random
            text = draw_plain_text(draw, tokenizer)
            draw.choice(calls)(draw, text)
            number = case.number + 1
        if number % 40 == 0:
            meter.measure(number)
    check(meter)


def draw_plain_text(draw: random.Random, tokenizer: GLMTokenizer) -> str:
    """Draw a text that everything can read: with one blank or two, and no special tokens."""
    words = " ".join(
        draw.choice(["the", "fox", "1987", "数字", "naïve"]) + str(draw.randrange(1000)) for _ in range(4)
    )
    return f"{words} [MASK] {draw.randrange(1000)}" + " and [MASK]." * draw.randint(0, 1)


class Measuring(TrainerCallback):
    """Measure at every tenth step."""

    def __init__(self, meter: MemoryMeter):
        self.meter = meter

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % 10 == 0:
            self.meter.measure(state.global_step)


def test_memory_stays_flat_over_training_steps(stress, tokenizer, tmp_path):
    for case in stress.cases(1, smoke=0, seconds=600):
        with case:
            model = make_model(
                GLMForConditionalGeneration, vocab_size=len(tokenizer), **SIZES, **tokenizer.special_token_ids
            )
            texts = [draw_text(case.random, tokenizer, 0) + " the quick brown fox" for _ in range(64)]
            rows = [{"input_ids": ids} for ids in tokenizer(texts)["input_ids"]]
            meter = MemoryMeter()
            arguments = TrainingArguments(
                output_dir=str(tmp_path / str(case.number)),
                max_steps=500,
                per_device_train_batch_size=4,
                logging_steps=50,
                save_strategy="steps",
                save_steps=100,
                save_total_limit=2,
                report_to="none",
                use_cpu=True,
                disable_tqdm=True,
                remove_unused_columns=False,
            )
            Trainer(
                model,
                arguments,
                train_dataset=rows,
                data_collator=DataCollatorForBlankInfilling(tokenizer, seed=case.number),
                callbacks=[Measuring(meter)],
            ).train()
            check(meter)


def test_what_is_dropped_is_freed(tokenizer):
    """No cache, hook or thread keeps a model or a tokenizer that nobody else has."""
    own = copy.deepcopy(tokenizer)
    model = make_model(GLMForConditionalGeneration, vocab_size=len(own), **SIZES, **own.special_token_ids)
    text = "The quick [MASK] jumps over [MASK]."
    found = fill_blanks(model, own, text, num_answers=2, max_new_tokens_per_blank=3)
    constraint = BlankConstraint(regex="[0-9]+", forbidden_words=["the"], max_new_tokens=3)
    fill_blanks(model, own, [text, "[MASK]"], constraints=constraint)
    score_fillings(model, own, text, [["a", "b"]])
    choose(model, own, "[MASK] fox", ["a", "b c"])
    own.fill(text, ["a", "b"])
    next(iter(pipeline("blank-infilling", model=model, tokenizer=own, device="cpu")(iter([text] * 3))))
    streamer = BlankIteratorStreamer(own, timeout=30)
    model.generate(**own(text, return_tensors="pt"), streamer=streamer, max_new_tokens_per_blank=3)
    next(iter(streamer))
    with pytest.raises(ValueError, match="no blank"):
        fill_blanks(model, own, ["no blank"])
    references = [weakref.ref(value) for value in (own, own._tokenizer, model, model.glm.word_embeddings.weight)]
    del own, model, streamer, found
    gc.collect()
    assert [reference() for reference in references] == [None] * 4
