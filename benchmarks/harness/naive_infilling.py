"""
Blank infilling one token at a time, in plain Python: the reference for the vectorised code.

It draws the same numbers, so its samples must be equal.
"""

import numpy as np

from modeling_glm import DataCollatorForBlankInfilling
from modeling_glm.tokenization.pretraining.objectives import poisson_probabilities
from modeling_glm.tokenization.pretraining.sentence_ends import SentenceEnds


class Numbers:
    """The random numbers of one text: first those of `head`, then one per token in every stream."""

    def __init__(self, seed: int, sample: int, part: int, length: int, streams: int):
        bits = np.random.Philox(key=seed)
        state = bits.state
        state["state"]["counter"][:] = (0, part, sample, 0)
        bits.state = state
        numbers = np.random.Generator(bits).random(8 + streams * length).tolist()
        self.head = numbers[:8]
        self.streams = [numbers[8 + k * length : 8 + (k + 1) * length] for k in range(streams)]


def share(ratio: float, length: int) -> int:
    return max(1, int(ratio * length + 1e-9))


def documents(text: list[int], last_is_kept: bool, cls: int, eos: int) -> list[list[int]]:
    """Return the positions of every document, without its boundaries."""
    found, current = [], []
    for position, token in enumerate(text):
        if token in (cls, eos):
            if current:
                found.append(current)
            current = []
        else:
            current.append(position)
    if current:
        found.append(current)
    if last_is_kept and sum(map(len, found)) > 1 and found[-1][-1] == len(text) - 1:
        found[-1].pop()
        if not found[-1]:
            found.pop()
    return found


def token_spans(
    text: list[int], numbers: Numbers, collator: DataCollatorForBlankInfilling, single: bool
) -> list[tuple[int, int]]:
    runs = documents(text, True, collator.tokenizer.cls_token_id, collator.tokenizer.eos_token_id)
    wanted = 1 if single else share(collator.mask_ratio, len(text))
    cumulative = np.cumsum(poisson_probabilities(collator.mean_span_length)).tolist()
    lengths = []
    while sum(lengths) < wanted:
        number = numbers.streams[0][len(lengths)]
        length = 1
        while length < len(cumulative) and number >= cumulative[length - 1]:
            length += 1
        lengths.append(length)
    # Each span belongs to the document below its middle.
    total, room = sum(lengths), sum(map(len, runs))
    per_run = [[] for _ in runs]
    done = 0
    for index, length in enumerate(lengths):
        place, run = (done + length / 2) / total * room, 0
        while place >= sum(map(len, runs[: run + 1])):
            run += 1
        per_run[run].append((index, length))
        done += length
    spans = []
    for run, drawn in zip(runs, per_run, strict=True):
        limit, fitting, filled = max(1, len(run) - 1), [], 0
        for index, length in drawn:
            length = min(length, limit - filled)
            if length > 0:
                fitting.append((index, length))
            filled += length + 1
        left = len(run) - sum(length for _, length in fitting) - len(fitting) + 2
        points = sorted(int(numbers.streams[1][index] * left) for index, _ in fitting)
        before = 0
        for point, (_, length) in zip(points, fitting, strict=True):
            start = run[0] + point + before
            spans.append((start, start + length))
            before += length + 1
    return spans


def sentence_spans(
    text: list[int], numbers: Numbers, collator: DataCollatorForBlankInfilling
) -> list[tuple[int, int]]:
    ends = SentenceEnds(collator.tokenizer)(np.array(text))
    sentences = []
    for run in documents(text, False, collator.tokenizer.cls_token_id, collator.tokenizer.eos_token_id):
        start = run[0]
        for position in run:
            if ends[position]:
                sentences.append((start, position + 1))
                start = position + 1
        if start <= run[-1]:
            sentences.append((start, run[-1] + 1))
    chosen, covered = [], 0
    for _, (start, stop) in sorted(zip(numbers.streams[0], sentences, strict=False)):
        if covered >= share(collator.sentence_ratio, len(text)):
            break
        chosen.append((start, stop))
        covered += stop - start
    return sorted(chosen)


def document_span(text: list[int], numbers: Numbers, collator: DataCollatorForBlankInfilling) -> tuple[int, int, bool]:
    boundaries = (collator.tokenizer.cls_token_id, collator.tokenizer.eos_token_id)
    longest = max(1, len(text) - 2)
    shortest = min(max(1, int(collator.min_document_ratio * len(text))), longest)
    size = shortest + int(numbers.head[2] * (longest - shortest + 1))
    several = any(token in boundaries for token in text[1:-1])
    if several or len(text) < 3 or numbers.head[3] < collator.suffix_probability:
        return len(text) - size, len(text), True
    start = 1 + int(numbers.head[4] * (len(text) - 1 - size))
    return start, start + size, False


def corrupt(text: list[int], sample: int, collator: DataCollatorForBlankInfilling) -> dict[str, list]:
    """Return what the collator makes of a whole text, without the options that shorten it or replace inputs."""
    tokenizer = collator.tokenizer
    numbers = Numbers(collator.seed, sample, 0, len(text), 3)
    single = numbers.head[0] < collator.single_span_probability
    total, objective = 0.0, "document"
    for name in ("token", "sentence"):
        total += collator.objectives.get(name, 0.0)
        if numbers.head[1] < total:
            objective = name
            break
    objective = "token" if single else objective
    open_end = False
    if objective == "token":
        spans, mask = token_spans(text, numbers, collator, single), tokenizer.mask_token_id
    elif objective == "sentence":
        spans, mask = sentence_spans(text, numbers, collator), tokenizer.smask_token_id
    else:
        start, stop, open_end = document_span(text, numbers, collator)
        spans, mask = [(start, stop)], tokenizer.gmask_token_id
    order = sorted(range(len(spans)), key=lambda k: numbers.streams[2][k])
    return lay_out(
        text, spans, order, open_end, mask, tokenizer.sop_token_id, tokenizer.eop_token_id, tokenizer.cls_token_id
    )


def lay_out(
    text: list[int],
    spans: list[tuple[int, int]],
    order: list[int],
    open_end: bool,
    mask: int,
    sop: int,
    eop: int,
    cls: int,
) -> dict[str, list]:
    """Lay out Part A and Part B. `spans` are in the order of the text, `order` is their order in Part B."""
    ids, row0, row1, labels, blanks = [], [], [], [], {}
    position, starts = 0, {span[0]: span for span in spans}
    while position < len(text):
        span = starts.get(position)
        row0.append(len(ids))
        row1.append(0)
        labels.append(-100)
        if span is not None:
            blanks[span] = len(ids)
            ids.append(mask)
            position = span[1]
        else:
            ids.append(text[position])
            position += 1
    for index in order:
        start, stop = spans[index]
        piece = text[start:stop]
        targets = piece if open_end else [*piece, eop]
        inputs = [sop, *piece][: len(targets)]
        for number, (token, target) in enumerate(zip(inputs, targets, strict=True), start=1):
            ids.append(token)
            row0.append(blanks[spans[index]])
            row1.append(number)
            labels.append(-100 if target == cls else target)
    return {"input_ids": ids, "position_ids": [row0, row1], "labels": labels}
