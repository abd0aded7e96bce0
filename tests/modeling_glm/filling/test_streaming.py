"""Streamers that tell the answers one by one: the same as `decode_blanks` reads out of the result."""

import math
from queue import Empty
from threading import Thread

import pytest
import torch

from modeling_glm import (
    BlankConstraint,
    BlankIteratorStreamer,
    BlankStreamer,
    StreamedAnswer,
    fill_blanks,
)

TEXTS = [
    "The [MASK] fox jumps over the [MASK] dog and the [MASK] cat.",
    "Paris is the capital of [MASK].",
    "The number [gMASK]",
]
LIMIT = 6


class Collector(BlankStreamer):
    def __init__(self, tokenizer):
        super().__init__(tokenizer)
        self.answers, self.ends = [], 0

    def on_answer(self, answer):
        self.answers.append(answer)

    def on_end(self):
        self.ends += 1


def as_rows(answers: list[StreamedAnswer], rows: int) -> list[list[str]]:
    """The answers of every row. Those of a row must come in order."""
    found: list[list[str]] = [[] for _ in range(rows)]
    for answer in answers:
        assert answer.blank == len(found[answer.row])
        found[answer.row].append(answer.text)
    return found


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "settings",
    [
        {"max_new_tokens_per_blank": LIMIT},
        {"max_new_tokens": 9},
        {"max_new_tokens_per_blank": LIMIT, "do_sample": True},
        {"max_new_tokens_per_blank": LIMIT, "do_sample": True, "num_return_sequences": 2},
    ],
    ids=str,
)
def test_the_answers_are_those_of_the_result(model, tokenizer, settings, side):
    inputs = tokenizer(TEXTS, return_tensors="pt", padding=True, padding_side=side)
    streamer = Collector(tokenizer)
    for _ in range(2):  # a streamer can be used again
        streamer.answers.clear()
        torch.manual_seed(3)
        sequences = model.generate(**inputs, streamer=streamer, **settings)
        whole = tokenizer.decode_blanks(sequences)
        streamed = as_rows(streamer.answers, len(whole))
        # A blank that was not reached is not told.
        assert [row + [""] * (len(full) - len(row)) for row, full in zip(streamed, whole, strict=True)] == whole
    assert streamer.ends == 2


def test_an_answer_comes_before_the_next_is_begun(model, tokenizer):
    """Each answer comes right after its last token, not at the end of all."""
    tokens = []

    class Watcher(Collector):
        def put(self, value):
            super().put(value)
            tokens.append((value.flatten().tolist(), len(self.answers)))

    inputs = tokenizer(TEXTS[:1], return_tensors="pt")
    model.generate(**inputs, streamer=Watcher(tokenizer), max_new_tokens_per_blank=LIMIT)
    told = 0
    for ids, count in tokens[1:]:
        told += ids[0] in (tokenizer.sop_token_id, *tokenizer.end_token_ids)
        assert count == told


def test_a_prompt_that_has_begun_goes_on(model, tokenizer):
    ids = tokenizer(TEXTS[:1], return_tensors="pt").input_ids
    answer = tokenizer(" quick brown", add_special_tokens=False, return_tensors="pt").input_ids
    start = torch.tensor([[tokenizer.sop_token_id]])
    prompt = torch.cat([ids, start, answer, start, answer[:, :1]], dim=1)
    streamer = Collector(tokenizer)
    sequences = model.generate(prompt, streamer=streamer, max_new_tokens_per_blank=LIMIT)
    whole = tokenizer.decode_blanks(sequences)[0]
    assert [answer.blank for answer in streamer.answers] == [1, 2]
    assert [answer.text for answer in streamer.answers] == whole[1:]


def test_accepted_drafts_are_read(model, tokenizer):
    inputs = tokenizer(TEXTS[:1], return_tensors="pt")
    streamer = Collector(tokenizer)
    sequences = model.generate(**inputs, streamer=streamer, prompt_lookup_num_tokens=3, max_new_tokens_per_blank=LIMIT)
    assert as_rows(streamer.answers, 1) == tokenizer.decode_blanks(sequences)


def test_answers_reach_another_thread(model, tokenizer):
    inputs = tokenizer(TEXTS, return_tensors="pt", padding=True)
    streamer = BlankIteratorStreamer(tokenizer, timeout=60)
    thread = Thread(target=model.generate, kwargs={**inputs, "streamer": streamer, "max_new_tokens_per_blank": LIMIT})
    thread.start()
    answers = list(streamer)
    thread.join()
    expected = tokenizer.decode_blanks(model.generate(**inputs, max_new_tokens_per_blank=LIMIT))
    assert as_rows(answers, len(TEXTS)) == expected


def test_a_call_that_fails_leaves_nothing_for_the_next(model, tokenizer):
    def fail(*_, **__):
        raise RuntimeError("stopped")

    streamer, fresh = Collector(tokenizer), Collector(tokenizer)
    first = tokenizer(TEXTS[:1], return_tensors="pt")
    with pytest.raises(RuntimeError, match="stopped"):
        model.generate(**first, max_new_tokens=9, streamer=streamer, stopping_criteria=[fail])
    streamer.answers.clear()
    for texts in (TEXTS[1:], TEXTS[:1]):
        inputs = tokenizer(texts, return_tensors="pt", padding=True)
        for each in (streamer, fresh):
            model.generate(**inputs, max_new_tokens_per_blank=LIMIT, streamer=each)
    assert streamer.answers == fresh.answers
    assert streamer.ends == 2


def test_who_waits_too_long_is_told(tokenizer):
    with pytest.raises(Empty):
        next(iter(BlankIteratorStreamer(tokenizer, timeout=0.01)))


def test_the_plain_streamer_prints(model, tokenizer, capsys):
    inputs = tokenizer(TEXTS[:1], return_tensors="pt")
    sequences = model.generate(**inputs, streamer=BlankStreamer(tokenizer), max_new_tokens_per_blank=LIMIT)
    answers = tokenizer.decode_blanks(sequences)[0]
    assert capsys.readouterr().out == "".join(f"0.{blank}: {text}\n" for blank, text in enumerate(answers))


def test_fill_blanks_streams_one_answer_of_one_text(model, tokenizer):
    settings = {"max_new_tokens_per_blank": LIMIT, "do_sample": True, "seed": 5}
    streamer = Collector(tokenizer)
    (filling,) = fill_blanks(model, tokenizer, TEXTS[0], streamer=streamer, **settings)
    assert [answer.text for answer in streamer.answers] == [answer.text for answer in filling.answers]
    assert fill_blanks(model, tokenizer, TEXTS[0], **settings) == [filling]


@pytest.mark.parametrize(
    ("texts", "settings", "message"),
    [
        (TEXTS, {}, "one answer of a single text"),
        (TEXTS[0], {"num_answers": 2}, "one answer of a single text"),
        (TEXTS[0], {"num_beams": 2}, "without beams"),
        (TEXTS[0], {"order": "confident-first"}, "from left to right"),
        (TEXTS[0], {"constraints": BlankConstraint(choices=["a", "b"])}, "nothing is generated"),
    ],
    ids=str,
)
def test_what_cannot_be_streamed_is_refused(model, tokenizer, texts, settings, message):
    with pytest.raises(ValueError, match=message):
        fill_blanks(model, tokenizer, texts, streamer=BlankStreamer(tokenizer), **settings)


@pytest.mark.parametrize("timeout", [-1, math.nan, math.inf, "3", True, 1e300], ids=repr)
def test_a_timeout_is_a_number_of_seconds(timeout, tokenizer):
    with pytest.raises(ValueError, match=r"timeout=.*: expected a number from 0 to"):
        BlankIteratorStreamer(tokenizer, timeout=timeout)
