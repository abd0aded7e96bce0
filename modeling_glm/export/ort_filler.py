"""
Fill, score and choose with a language model that was exported to ONNX, without torch.

`modeling-glm export` copies this file beside the model. It needs onnxruntime, numpy and transformers, and nothing of the
package: the tokenizer is that of the folder.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SETTINGS_FILE = "ort_filler.json"
MODEL_FILE = "model.onnx"
# The longest answer where the caller sets no limit.
DEFAULT_MAX_NEW_TOKENS_PER_BLANK = 64
# The most tokens behind a text in one row, and the most scored places in a run.
MAX_BRANCH_TOKENS, MAX_PLACES = 512, 1024
# Answers of a filling with at most this many combinations of forms are all scored.
MAX_JOINT_FORMS = 16
# With fewer rows, a step costs the same for any number of them.
FEW_ROWS = 4

Ids = Sequence[int]
Cache = list[Any]


@dataclass(frozen=True)
class ORTAnswer:
    """
    Hold the answer of one blank.

    Attributes:
        text: The answer, without white space around it.
        token_ids: Its tokens.
        token_log_probs: The natural logarithm of the probability of every token and, last, of the end of the piece.
    """

    text: str
    token_ids: tuple[int, ...]
    token_log_probs: tuple[float, ...]

    @property
    def log_prob(self) -> float:
        """The natural logarithm of the probability of the whole answer with its end."""
        return sum(self.token_log_probs)


@dataclass(frozen=True)
class ORTFilling:
    """
    Hold a text whose blanks are filled.

    Attributes:
        text: The filled text.
        answers: The answer of every blank, from left to right.
    """

    text: str
    answers: tuple[ORTAnswer, ...]

    @property
    def log_prob(self) -> float:
        """The joint log-probability of all answers."""
        return sum(answer.log_prob for answer in self.answers)


@dataclass(frozen=True)
class ORTChoice:
    """
    Hold a choice.

    Attributes:
        text: The choice as the caller wrote it.
        probability: Its probability among the choices of its text.
        log_prob: The log-probability of its tokens, without the end of the piece.
        index: Its place in the caller's list.
    """

    text: str
    probability: float
    log_prob: float
    index: int


class _Wanted(NamedTuple):
    """A token to score: where it is predicted, and its id. The target -1 stands for the end of a piece."""

    column: int
    target: int


@dataclass
class _TextLayout:
    """The ids, positions and branches of a text and of what follows it: the layout of the paper, section 2.1."""

    ids: list[int]
    blanks: list[int]
    row0: list[int]
    row1: list[int]
    branch: list[int]
    queries: list[_Wanted] = field(default_factory=list)

    def append(self, blank: int, tokens: Ids, first: int = 1, branch: int = 0) -> list[int]:
        """Append tokens of the piece of a blank. Returns their columns."""
        columns = list(range(len(self.ids), len(self.ids) + len(tokens)))
        self.ids += tokens
        self.row0 += [self.blanks[blank]] * len(tokens)
        self.row1 += range(first, first + len(tokens))
        self.branch += [branch] * len(tokens)
        return columns


@dataclass
class _FilledRow:
    """A text that is filled: its layout up to the first start of piece, and its pieces so far."""

    layout: _TextLayout
    pieces: list[tuple[list[int], list[float]]]
    is_done: bool = False


class ORTFiller:
    """
    Fill, score and choose with ONNX Runtime. The answers are those of the model: of `fill_blanks` without further settings,
    `score_fillings` and `choose`.

    Example:

    ```python
    >>> filler = ORTFiller("glm-onnx")
    >>> filler.fill("Paris is the [MASK] of France.").text
    'Paris is the capital of France.'
    >>> filler.choose("Ice is [MASK].", ["cold", "hot"])[0].text
    'cold'
    ```

    Args:
        folder: A folder that `modeling-glm export` made from a language model, with its tokenizer.
        tokenizer: Its `GLMTokenizer`, if it is loaded already. Else it is loaded with the code in the folder.
        num_threads: Threads of a matmul. Without it: one for each core.
        providers: Execution providers of ONNX Runtime. Without it: the CPU.

    Raises:
        ValueError: For a folder of another kind.
        ImportError: If onnxruntime is not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        tokenizer: Any = None,
        *,
        num_threads: int | None = None,
        providers: Sequence[Any] = ("CPUExecutionProvider",),
    ):
        folder = Path(folder)
        if not (folder / SETTINGS_FILE).is_file():
            raise ValueError(
                f"{folder} has no {SETTINGS_FILE}: expected a folder that modeling-glm export --format onnx made from a "
                "GLMForConditionalGeneration."
            )
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                "ORTFiller needs the package onnxruntime: pip install onnxruntime, or 'modeling-glm[export]'."
            ) from error
        settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        self.start: int = settings["start_token_id"]
        self.ends: list[int] = settings["end_token_ids"]
        self.masks = frozenset(settings["mask_token_ids"])
        self.longest_text: int = settings["max_context_length"]
        self.longest_piece: int = settings["max_piece_length"]
        self.length_penalty: float = settings["choice_length_penalty"]
        self._width = settings["num_attention_heads"], settings["head_dim"]
        if tokenizer is None:
            from transformers.dynamic_module_utils import get_class_from_dynamic_module

            # `AutoTokenizer` would ask for the code of the model, and that for torch.
            tokenizer_class: Any = get_class_from_dynamic_module("tokenization_glm.GLMTokenizer", str(folder))
            tokenizer = tokenizer_class.from_pretrained(folder)
        self.tokenizer = tokenizer
        # What white space at a blank means stands beside the class of the tokenizer, wherever that was loaded from.
        self._blanks: Any = import_module(f"{type(tokenizer).__module__.rpartition('.')[0]}.blanks")
        self._words = np.ones(settings["vocab_size"], dtype=bool)
        special = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
        special.update(tokenizer.all_special_ids)
        self._words[[token_id for token_id in special if token_id < len(self._words)]] = False
        self._words[len(tokenizer) :] = False
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads or 0
        self._to_value = onnxruntime.OrtValue.ortvalue_from_numpy
        self.session = onnxruntime.InferenceSession(
            str(folder / MODEL_FILE), sess_options=options, providers=list(providers)
        )
        self._held = [each.name for each in self.session.get_inputs() if "past_key_values" in each.name]
        self._outputs = [each.name for each in self.session.get_outputs()]

    def fill(
        self, texts: str | Sequence[str], *, max_new_tokens_per_blank: int | None = None, batch_size: int = 32
    ) -> Any:
        """
        Fill all blanks of texts greedily, from left to right.

        Args:
            texts: A text with blanks, or several.
            max_new_tokens_per_blank: The longest answer in tokens. The default is 64, or what the position table holds.
            batch_size: The number of texts in a run. It does not change the answers.

        Returns:
            An `ORTFilling` for a single string, else a list of them.

        Raises:
            ValueError: For a text without a blank or longer than the position table, and for a limit out of range.
        """
        most = self.longest_piece - 2
        limit = min(most, DEFAULT_MAX_NEW_TOKENS_PER_BLANK)
        if max_new_tokens_per_blank is not None:
            limit = _check_count("max_new_tokens_per_blank", max_new_tokens_per_blank, most)
        batch_size = _check_count("batch_size", batch_size)
        listed = _as_texts(texts)
        contexts = [self._read(text, number) for number, text in enumerate(listed)]
        order = sorted(range(len(listed)), key=lambda number: len(contexts[number]))
        filled: dict[int, ORTFilling] = {}
        for start in range(0, len(order), batch_size):
            part = order[start : start + batch_size]
            for number, row in zip(part, self._decode([contexts[number] for number in part], limit), strict=True):
                filled[number] = self._build(listed[number], row.pieces)
        results = [filled[number] for number in range(len(listed))]
        return results[0] if isinstance(texts, str) else results

    def score(self, text: str, fillings: Sequence[str | Sequence[str]], *, batch_size: int = 32) -> list[ORTFilling]:
        """
        Score given answers for the blanks of a text, each in its likeliest form, with and without a space in front.

        Args:
            text: A text with blanks.
            fillings: One answer for every blank; for a text with one blank it may be a string.
            batch_size: The number of rows in a run.

        Returns:
            An `ORTFilling` for each filling, in the order given.

        Raises:
            ValueError: As `fill`, and for a filling without one answer for every blank, or too long.
        """
        if not isinstance(text, str):
            raise ValueError(f"The text is {text!r}, of type {type(text).__name__}: expected one string.")
        if not isinstance(fillings, Iterable):
            raise ValueError(f"fillings is {fillings!r}: expected a list of answers.")
        batch_size = _check_count("batch_size", batch_size)
        context = self._read(text, 0)
        blanks = sum(token_id in self.masks for token_id in context)
        scored = []
        for number, filling in enumerate([fillings] if isinstance(fillings, str) else fillings):
            answers = [filling] if isinstance(filling, str) else _as_strings(f"fillings[{number}]", filling)
            if len(answers) != blanks:
                raise ValueError(
                    f"fillings[{number}] has {len(answers)} answers, but the text has {blanks} blanks: {text!r}."
                )
            forms = self._forms(answers, self.longest_piece - 1, f"fillings[{number}]")
            scored.append((answers, forms))
        found = self._score_likeliest(context, [forms for _, forms in scored], batch_size)
        return [self._build(text, pieces, answers) for (answers, _), pieces in zip(scored, found, strict=True)]

    def choose(self, texts: str | Sequence[str], choices: Sequence[Any], *, batch_size: int = 32) -> list[Any]:
        """
        Choose among given answers for the blank of a text.

        Args:
            texts: A text with exactly one blank, or several.
            choices: One list for all texts, or for several texts one list for each.
            batch_size: The number of rows in a run.

        Returns:
            For every text its choices as `ORTChoice`, best first; for a single string one such list.

        Raises:
            ValueError: As `fill`, and for a text with several blanks, no choices, or an empty or too long choice.
        """
        batch_size = _check_count("batch_size", batch_size)
        listed = _as_texts(texts)
        given = list(choices) if isinstance(choices, Iterable) else []
        of_texts = [given] * len(listed) if all(isinstance(choice, str) for choice in given) else given
        if isinstance(choices, str) or not given or len(of_texts) != len(listed):
            raise ValueError(f"choices is {choices!r}: expected a list of strings, or one such list for each text.")
        asked, jobs, forms_of_texts = [], [], []
        for number, (text, of_text) in enumerate(zip(listed, of_texts, strict=True)):
            context = self._read(text, number)
            if (blanks := sum(token_id in self.masks for token_id in context)) != 1:
                raise ValueError(f"Text {number} has {blanks} blanks, but the choices are for one: {text!r}.")
            asked.append(_as_strings(f"choices[{number}]", of_text))
            forms = self._forms(asked[-1], self.longest_piece, f"Text {number}: the choices", least=1)
            forms_of_texts.append(forms)
            jobs.append((context, [[form] for of_choice in forms for form in of_choice]))
        results = []
        found = self._score(jobs, batch_size, score_ends=False)
        for of_text, forms, log_probs in zip(asked, forms_of_texts, found, strict=True):
            sums = iter([sum(pieces[0]) for pieces in log_probs])
            of_forms = [[(next(sums), len(form)) for form in of_choice] for of_choice in forms]
            plain = [float(np.logaddexp.reduce([log_prob for log_prob, _ in each])) for each in of_forms]
            scores = np.array(
                [np.logaddexp.reduce([value / size**self.length_penalty for value, size in each]) for each in of_forms]
            )
            probabilities = np.exp(scores - np.logaddexp.reduce(scores))
            ranking = sorted(range(len(of_text)), key=lambda index: -probabilities[index])
            results.append([ORTChoice(of_text[i], float(probabilities[i]), plain[i], i) for i in ranking])
        return results[0] if isinstance(texts, str) else results

    def _read(self, text: str, number: int) -> list[int]:
        """Encode a text, and check that it has a blank and fits the position table."""
        (context,) = self._blanks.encode_text(self.tokenizer, [text])
        if not self.masks.intersection(context):
            masks = ", ".join(self.tokenizer.convert_ids_to_tokens(sorted(self.masks)))
            raise ValueError(f"Text {number} has no blank: put one of {masks} where text is wanted, in {text!r}.")
        if len(context) > self.longest_text:
            raise ValueError(
                f"Text {number} has {len(context)} tokens, but the position table holds {self.longest_text}: shorten it."
            )
        return list(context)

    def _forms(self, answers: Sequence[str], most: int, name: str, least: int = 0) -> list[list[tuple[int, ...]]]:
        """List the ids that every answer can have, and check their lengths."""
        fitting = []
        for answer, forms in zip(answers, self._blanks.forms_of_answers(self.tokenizer, answers), strict=True):
            fitting.append([form for form in forms if least <= len(form) <= most])
            if not fitting[-1]:
                raise ValueError(f"{name} have {answer!r}: expected {least} to {most} tokens.")
        return fitting

    def _build(
        self, text: str, pieces: Sequence[tuple[Ids, Sequence[float]]], given: Sequence[str] | None = None
    ) -> ORTFilling:
        """Put pieces into a text."""
        if given is None:
            answers = [self._blanks.decode_piece(self.tokenizer, ids) for ids, _ in pieces]
        else:
            answers = [
                self._blanks.read_given(self.tokenizer, answer, ids)
                for answer, (ids, _) in zip(given, pieces, strict=True)
            ]
        filled, _, shown = self._blanks.place_answers(self.tokenizer, text, answers)
        return ORTFilling(
            filled,
            tuple(
                ORTAnswer(answer, tuple(ids), tuple(log_probs))
                for answer, (ids, log_probs) in zip(shown, pieces, strict=True)
            ),
        )

    def _lay_out(self, context: Ids) -> _TextLayout:
        size = len(context)
        blanks = [place for place, token_id in enumerate(context) if token_id in self.masks]
        return _TextLayout(list(context), blanks, list(range(size)), [0] * size, [0] * size)

    def _decode(self, contexts: Sequence[Ids], limit: int) -> list[_FilledRow]:
        """Fill texts together: a prefill, then a token for every row in each step."""
        rows = [_FilledRow(self._lay_out(context), [([], [])]) for context in contexts]
        for row in rows:
            row.layout.append(0, [self.start])
        ids, positions, mask, real = _stack([row.layout for row in rows])
        last = np.arange(len(rows)) * ids.shape[1] + ids.shape[1] - 1
        log_probs, cache = self._run(ids, positions, mask, last, None)
        active = rows
        while True:
            # A row that has ended is fed anything, and nothing reads what follows.
            fed = [self._step(row, scores, limit) for row, scores in zip(active, log_probs, strict=True)]
            left = [number for number, row in enumerate(active) if not row.is_done]
            if not left:
                return rows
            if len(active) > FEW_ROWS and 4 * len(left) <= 3 * len(active):
                active, fed, real = [active[n] for n in left], [fed[n] for n in left], real[left]
                cache = [self._to_value(np.ascontiguousarray(value.numpy()[left])) for value in cache]
            real = np.pad(real, ((0, 0), (0, 1)), constant_values=True)
            tokens, row0, row1 = np.array(fed, dtype=np.int64).T
            positions = np.stack((row0, row1), axis=1)[..., None]
            every = np.arange(len(active))
            log_probs, cache = self._run(tokens[:, None], positions, real[:, None, None], every, cache)

    def _step(self, row: _FilledRow, log_probs: np.ndarray, limit: int) -> tuple[int, int, int]:
        """Take the next token of a row. Returns it as it is fed, with its positions."""
        if row.is_done:
            return self.start, 0, 0
        piece, scores = row.pieces[-1]
        word = int(np.where(self._words, log_probs, -np.inf).argmax())
        of_ends = log_probs[self.ends]
        blank = row.layout.blanks[len(row.pieces) - 1]
        if len(piece) < limit and log_probs[word] >= of_ends.max():
            piece.append(word)
            scores.append(float(log_probs[word]))
            return word, blank, len(piece) + 1
        scores.append(float(np.logaddexp.reduce(of_ends)))
        if len(row.pieces) == len(row.layout.blanks):
            row.is_done = True
            return self.start, 0, 0
        row.pieces.append(([], []))
        return self.start, row.layout.blanks[len(row.pieces) - 1], 1

    def _score_likeliest(
        self, context: Ids, rows: Sequence[list[list[tuple[int, ...]]]], batch_size: int
    ) -> list[list[tuple[Ids, Sequence[float]]]]:
        """Score answers in the likeliest of their forms: jointly, or blank by blank where there are many combinations."""
        for forms in rows:
            for place in range(len(forms)):
                if math.prod(map(len, forms)) <= MAX_JOINT_FORMS:
                    break
                before = [of_blank[0] for of_blank in forms[:place]]
                (scored,) = self._score([(context, [[*before, form] for form in forms[place]])], batch_size)
                best = max(range(len(scored)), key=lambda number: sum(scored[number][-1]))
                forms[place] = [forms[place][best]]
        combined = [list(product(*forms)) for forms in rows]
        found = iter(self._score([(context, [pieces for of_row in combined for pieces in of_row])], batch_size)[0])
        likeliest: list[list[tuple[Ids, Sequence[float]]]] = []
        for of_row in combined:
            joined: list[list[tuple[Ids, Sequence[float]]]] = [
                list(zip(pieces, next(found), strict=True)) for pieces in of_row
            ]
            likeliest.append(max(joined, key=lambda pieces: sum(sum(log_probs) for _, log_probs in pieces)))
        return likeliest

    def _score(
        self, jobs: Sequence[tuple[Ids, Sequence[Sequence[Ids]]]], batch_size: int, score_ends: bool = True
    ) -> list[list[list[list[float]]]]:
        """
        Score candidates, which have one piece for each of the first blanks of their text.

        Returns:
            For every job, candidate and piece the log-probabilities of the tokens and, last, of the end. Without
            `score_ends` that of the last piece is left out.
        """
        layouts, owners = [], []
        for number, (context, candidates) in enumerate(jobs):
            for part in _chunks(candidates):
                layouts.append(self._lay_out_candidates(context, part, score_ends))
                owners.append((number, part))
        results: list[list[list[list[float]]]] = [[] for _ in jobs]
        found = iter(self._look_up(layouts, batch_size))
        for number, part in owners:
            of_row = iter(next(found))
            for pieces in part:
                last = len(pieces) - 1
                results[number].append(
                    [
                        [next(of_row) for _ in range(len(piece) + (score_ends or place < last))]
                        for place, piece in enumerate(pieces)
                    ]
                )
        return results

    def _lay_out_candidates(self, context: Ids, candidates: Sequence[Sequence[Ids]], score_ends: bool) -> _TextLayout:
        """Put candidates side by side behind a text. They share the start of the first piece, in branch 0."""
        layout = self._lay_out(context)
        shared = layout.append(0, [self.start])
        for branch, pieces in enumerate(candidates, start=1):
            for blank, piece in enumerate(pieces):
                has_end = score_ends or blank < len(pieces) - 1
                fed = list(piece if has_end else piece[:-1])
                if blank == 0:
                    columns = [*shared, *layout.append(0, fed, first=2, branch=branch)]
                else:
                    columns = layout.append(blank, [self.start, *fed], branch=branch)
                layout.queries += map(_Wanted, columns, [*piece, -1] if has_end else piece)
        return layout

    def _look_up(self, layouts: Sequence[_TextLayout], batch_size: int) -> list[list[float]]:
        """Find the log-probabilities of the queries of layouts."""
        order = sorted(range(len(layouts)), key=lambda number: len(layouts[number].ids))
        results: dict[int, list[float]] = {}
        while order:
            size = 1
            while size < min(batch_size, len(order)) and (
                sum(len(layouts[number].queries) for number in order[: size + 1]) <= MAX_PLACES
            ):
                size += 1
            part, order = order[:size], order[size:]
            of_part = [layouts[number] for number in part]
            ids, positions, mask, _ = _stack(of_part)
            width = ids.shape[1]
            wanted = np.array(
                [
                    row * width + width - len(layout.ids) + query.column
                    for row, layout in enumerate(of_part)
                    for query in layout.queries
                ]
            )
            places, index = np.unique(wanted, return_inverse=True)
            log_probs, _ = self._run(ids, positions, mask, places, None)
            targets = np.array([query.target for layout in of_part for query in layout.queries])
            of_ends = np.logaddexp.reduce(log_probs[:, self.ends], axis=-1)
            found = iter(np.where(targets < 0, of_ends[index], log_probs[index, targets]).tolist())
            for number, layout in zip(part, of_part, strict=True):
                results[number] = [next(found) for _ in layout.queries]
        return [results[number] for number in range(len(layouts))]

    def _run(
        self, ids: np.ndarray, positions: np.ndarray, mask: np.ndarray, places: np.ndarray, cache: Cache | None
    ) -> tuple[np.ndarray, Cache]:
        """Run the graph. Returns the log-probabilities (places, vocabulary), and what is held now."""
        heads, width = self._width
        if cache is None:
            cache = [self._to_value(np.zeros((len(ids), heads, 0, width), dtype=np.float32)) for _ in self._held]
        inputs = {
            "input_ids": ids.astype(np.int64),
            "attention_mask": mask,
            "position_ids": positions.astype(np.int64),
            "places": places.astype(np.int64),
        }
        values = {name: self._to_value(np.ascontiguousarray(value)) for name, value in inputs.items()}
        outputs = self.session.run_with_ort_values(
            self._outputs, {**values, **dict(zip(self._held, cache, strict=True))}
        )
        named = dict(zip(self._outputs, outputs, strict=True))
        return named.pop("log_probs").numpy(), list(named.values())


def _stack(layouts: Sequence[_TextLayout]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """
    Stack layouts with the padding on the left.

    Returns:
        ids (batch, seq), positions (batch, 2, seq), the mask (batch, 1, seq, seq), True = may attend, and the real tokens
        (batch, seq).
    """
    width = max(len(layout.ids) for layout in layouts)
    ids, row0, row1, branch = (
        np.array([[0] * (width - len(layout.ids)) + getattr(layout, name) for layout in layouts])
        for name in ("ids", "row0", "row1", "branch")
    )
    real = np.array([[place >= width - len(layout.ids) for place in range(width)] for layout in layouts])
    # All see Part A. Part B also sees what comes before it, in branch 0 and in its own branch.
    behind = np.tri(width, dtype=bool) & ((branch[:, None] == 0) | (branch[:, None] == branch[:, :, None]))
    mask = real[:, None] & ((row1 == 0)[:, None] | behind)
    return ids, np.stack((row0, row1), axis=1), mask[:, None], real


def _chunks(candidates: Sequence[Sequence[Ids]]) -> Iterator[Sequence[Sequence[Ids]]]:
    """Split candidates of a text into rows of at most `MAX_BRANCH_TOKENS` tokens."""
    first, size = 0, 0
    for number, pieces in enumerate(candidates):
        added = sum(map(len, pieces)) + len(pieces)
        if number > first and size + added > MAX_BRANCH_TOKENS:
            yield candidates[first:number]
            first, size = number, 0
        size += added
    if first < len(candidates):
        yield candidates[first:]


def _as_texts(texts: Any) -> list[str]:
    """List texts. Raises a `ValueError` for other types."""
    if not isinstance(texts, Iterable):
        raise ValueError(
            f"The text is {texts!r}, of type {type(texts).__name__}: expected a string, or a list of them."
        )
    listed = [texts] if isinstance(texts, str) else list(texts)
    for number, text in enumerate(listed):
        if not isinstance(text, str):
            raise ValueError(f"Text {number} is {text!r}, of type {type(text).__name__}: expected a string.")
    return listed


def _as_strings(name: str, values: Any) -> list[str]:
    """List strings. Raises a `ValueError` for anything else, a single string among it."""
    listed = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else []
    if not listed or not all(isinstance(value, str) for value in listed):
        raise ValueError(f"{name} is {values!r}: expected a list of strings.")
    return listed


def _check_count(name: str, value: Any, most: int | None = None) -> int:
    if type(value) is not int or value < 1 or (most is not None and value > most):
        raise ValueError(f"{name}={value!r}: expected a whole number from 1{'' if most is None else f' to {most}'}.")
    return value


__all__ = ["ORTAnswer", "ORTChoice", "ORTFiller", "ORTFilling"]
