"""
Blank infilling one token at a time, in plain Python: the reference for the vectorised code.

It draws the same numbers, so its samples must be equal.
"""

import math
from functools import cache

import numpy as np

from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer
from modeling_glm.tokenization.pretraining.objectives import poisson_probabilities
from modeling_glm.tokenization.pretraining.segments.sentence_ends import SentenceEnds
from modeling_glm.tokenization.pretraining.segments.words import PUNCTUATION, SEPARATORS


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


@cache
def find_ends(tokenizer: GLMTokenizer) -> SentenceEnds:
    return SentenceEnds(tokenizer)


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
    lengths = draw_lengths(wanted, numbers, collator)
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
    return [
        (run[0] + start, run[0] + stop)
        for run, drawn in zip(runs, per_run, strict=True)
        for start, stop in place_spans(len(run), max(1, len(run) - 1), drawn, numbers)
    ]


def draw_lengths(wanted: int, numbers: Numbers, collator: DataCollatorForBlankInfilling) -> list[int]:
    cumulative = np.cumsum(poisson_probabilities(collator.mean_span_length)).tolist()
    lengths = []
    while sum(lengths) < wanted:
        number = numbers.streams[0][len(lengths)]
        length = 1
        while length < len(cumulative) and number >= cumulative[length - 1]:
            length += 1
        lengths.append(length)
    return lengths


def place_spans(size: int, limit: int, drawn: list[tuple[int, int]], numbers: Numbers) -> list[tuple[int, int]]:
    """Return where the spans, (number within the text, length), stand in a run of `size`, of which they take `limit`."""
    fitting, filled = [], 0
    for index, length in drawn:
        length = min(length, limit - filled)
        if length > 0:
            fitting.append((index, length))
        filled += length + 1
    left = size - sum(length for _, length in fitting) - len(fitting) + 2
    points = sorted(int(numbers.streams[1][index] * left) for index, _ in fitting)
    spans, before = [], 0
    for point, (_, length) in zip(points, fitting, strict=True):
        spans.append((point + before, point + before + length))
        before += length + 1
    return spans


def words(text: list[int], tokenizer: GLMTokenizer) -> list[list[int]]:
    """Return the positions of the tokens of each word, see `WordFinder`."""
    token_texts, ends = find_ends(tokenizer).token_texts, find_ends(tokenizer)(np.array(text))
    boundaries = (tokenizer.cls_token_id, tokenizer.eos_token_id)
    kept = [position for position, token in enumerate(text) if token not in boundaries]
    chunks = []  # what white space and the like separate
    for position, token in enumerate(text):
        data, before = token_texts[token], token_texts[text[position - 1]] if position else b"\0"
        inner = 0x80 <= data[0] < 0xC0
        if (
            data[:1].isspace()
            or (_is_ideographic(data) and not _is_space(before))
            or _separates(data)
            or (
                not inner
                and (
                    (before[-1:].isspace() and not _is_space(before)) or _is_ideographic(before) or _separates(before)
                )
            )
        ):
            chunks.append([])
        chunks[-1].append(position)
    found = []
    firsts = {chunk[0] for chunk in chunks}
    for chunk in chunks:
        while chunk and _is_punctuation(token_texts[text[chunk[0]]]):
            chunk = chunk[1:]
        while chunk and _is_punctuation(token_texts[text[chunk[-1]]]):
            chunk = chunk[:-1]
        # An end that is cut into several tokens.
        if chunk and not any(ends[k] and not _is_whole(token_texts[text[k]]) for k in chunk):
            space = chunk[0] > 0 and _is_space(token_texts[text[chunk[0] - 1]])
            opens = chunk[0] in firsts
            found.append([chunk[0] - 1, *chunk] if space and not opens else chunk)
    found = found or [[position] for position in kept]
    if len(found) > 1 and found[-1][-1] == len(text) - 1:
        found.pop()
    return found


def _is_whole(data: bytes) -> bool:
    return data.decode(errors="replace").encode() == data


def _is_ideographic(data: bytes) -> bool:
    return data.strip()[:1] in [bytes([byte]) for byte in (*range(0xE3, 0xEA), 0xEF)]


def _is_space(data: bytes) -> bool:
    return data.strip(b" ") == b""


def _separates(data: bytes) -> bool:
    text = data.decode(errors="replace").strip()
    if _is_space(data):
        return False
    return (
        not text.strip("\0")
        or all(mark in SEPARATORS for mark in text)
        or (len(text) > 1 and "" in (text.strip("-"), text.strip(".")))
    )


def _is_punctuation(data: bytes) -> bool:
    text = data.decode(errors="replace").strip()
    return _separates(data) or _is_space(data) or all(mark in PUNCTUATION for mark in text)


def word_spans(
    text: list[int], numbers: Numbers, collator: DataCollatorForBlankInfilling, single: bool
) -> list[tuple[int, int]]:
    found, runs = words(text, collator.tokenizer), []
    for word in found:
        if runs and runs[-1][-1][-1] + 1 == word[0]:
            runs[-1].append(word)
        else:
            runs.append([word])
    tokens = sum(map(len, found))
    wanted = min(share(0.0 if single else collator.mask_ratio, len(text) * len(found) / tokens), len(found))
    lengths = draw_lengths(wanted, numbers, collator)
    # Each span belongs to the run below its middle, from a random word on.
    total, done, per_run = sum(lengths), 0, [[] for _ in runs]
    for index, length in enumerate(lengths):
        middle = math.floor(((done + length / 2) / total + numbers.head[6]) % 1.0 * len(found))
        run = 0
        while middle >= sum(map(len, runs[: run + 1])):
            run += 1
        per_run[run].append((index, length))
        done += length
    spans = []
    for run, drawn in zip(runs, per_run, strict=True):
        limit = max(1, len(run) - (len(runs) == 1))
        for start, stop in place_spans(len(run), limit, drawn, numbers):
            spans.append((run[start][0], run[stop - 1][-1] + 1))
    return spans


def sentence_spans(
    text: list[int], numbers: Numbers, collator: DataCollatorForBlankInfilling
) -> list[tuple[int, int]]:
    ends = find_ends(collator.tokenizer)(np.array(text))
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
        draw = word_spans if collator.whole_words else token_spans
        spans, mask = draw(text, numbers, collator, single), tokenizer.mask_token_id
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
