"""Random texts through everything that takes texts: every good row is answered, whatever the others are."""

import json
import math
import random
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
import torch
from transformers import pipeline

from modeling_glm import (
    BlankConstraint,
    BlankIteratorStreamer,
    ClozeClassifier,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMTokenizer,
    PatternVerbalizer,
    RowError,
    choose,
    fill_blanks,
    score_fillings,
)
from modeling_glm.tokenization.blanks import encode_text
from tests.support.command import run
from tests.support.models import make_model
from tests.support.random_texts import STRUCTURE, WHITE_SPACE, WORDS, draw_bad_row, draw_huge, draw_part, draw_text
from tests.support.stress import why_unclear

__all__ = ["run"]  # a fixture

FAMILIES = ["own", "bert", "roberta", "gpt2", "chinese"]
POSITIONS = 64


@pytest.fixture(scope="module")
def pairs(of_family) -> Callable[[str, type], tuple[Any, GLMTokenizer]]:
    """A model and its tokenizer, by family and class. Each is made once."""
    made: dict[Any, Any] = {}

    def pair(family: str, model_class: type) -> tuple[Any, GLMTokenizer]:
        tokenizer = of_family(family)
        if (family, model_class) not in made:
            sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
            made[family, model_class] = make_model(
                model_class,
                seed=2,
                vocab_size=len(tokenizer),
                max_position_embeddings=POSITIONS,
                **sizes,
                **dict.fromkeys(("smask_token_id", "gmask_token_id", "mask_token_id", "pad_token_id"))
                | tokenizer.special_token_ids,
            ).double()
        return made[family, model_class], tokenizer

    return pair


def draw_family(draw: random.Random) -> str:
    return draw.choice(["own", "own", *FAMILIES])


def draw_rows(draw: random.Random, tokenizer: GLMTokenizer, most_blanks: int = 3) -> list[Any]:
    """Draw good and bad rows, some of them very long."""
    rows: list[Any] = []
    for _ in range(draw.randint(1, 8)):
        kind = draw.random()
        if kind < 0.6:
            rows.append(draw_text(draw, tokenizer, draw.randint(1, most_blanks)))
        elif kind < 0.7:
            rows.append({"text": draw_text(draw, tokenizer, draw.randint(1, most_blanks))})
        elif kind < 0.8:
            rows.append(draw_huge(draw, tokenizer))
        else:
            rows.append(draw_bad_row(draw, tokenizer))
    return rows


def text_of(row: Any) -> str | None:
    """The text of a row, or None if it has none that can be read."""
    if isinstance(row, dict):
        row = row.get("text") if "text" in row or len(row) != 1 else next(iter(row.values()))
    if not isinstance(row, str):
        return None
    try:
        row.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return row


def is_good(row: Any, model: Any, tokenizer: GLMTokenizer, truncation: bool, blanks: int | None = None) -> bool:
    """Whether a row is a text with blanks that the model can read."""
    text = text_of(row)
    found = 0 if text is None else len(tokenizer.split_at_blanks(text)) - 1
    if text is None or not found or (blanks is not None and found != blanks):
        return False
    longest = model.config.max_context_length
    if truncation:
        return found + 2 <= longest
    return len(encode_text(tokenizer, [text])[0]) <= longest


def check_rows(rows: list[Any], found: list[Any], is_good: Callable[[Any], bool], check: Callable[[Any, Any], None]):
    """Check that good rows have answers, and that the others have errors that say why."""
    assert len(found) == len(rows)
    for number, (row, answer) in enumerate(zip(rows, found, strict=True)):
        if is_good(row):
            assert not isinstance(answer, RowError), f"row {number} {row!r:.300}: {answer}"
            check(row, answer)
        else:
            assert isinstance(answer, RowError), f"row {number} {row!r:.300}: {answer!r:.300}"
            assert answer.row == number
            assert len(answer.reason.split()) > 3, answer.reason


def check_filling(tokenizer: GLMTokenizer, text: str, filling: Any):
    """The filling is the text with its answers, and they stand where it says."""
    blanks = len(tokenizer.split_at_blanks(text)) - 1
    assert len(filling.answers) == blanks
    assert math.isfinite(filling.log_prob)
    assert filling.log_prob <= 1e-6
    assert 0 <= filling.probability <= 1 + 1e-6
    filling.text.encode("utf-8")
    for answer in filling.answers:
        assert filling.text[answer.start : answer.end] == answer.text
        assert answer.text == answer.text.strip()
        assert math.isfinite(answer.log_prob)
    assert filling.text == tokenizer.fill(text, [answer.text for answer in filling.answers])
    kept = "".join("".join(tokenizer.split_at_blanks(text)).split())
    last, rest = 0, []
    for answer in filling.answers:
        rest.append(filling.text[last : answer.start])
        last = answer.end
    assert "".join("".join([*rest, filling.text[last:]]).split()) == kept


def draw_settings(draw: random.Random) -> dict[str, Any]:
    settings: dict[str, Any] = {"max_new_tokens_per_blank": draw.randint(1, 4), "truncation": draw.random() < 0.5}
    settings |= draw.choice(
        [
            {},
            {"num_answers": 2},
            {"num_answers": 2, "do_sample": True, "seed": draw.randrange(1000)},
            {"num_beams": 3},
            {"order": "confident-first"},
            {"constraints": BlankConstraint(choices=["a", "b c", "数字", draw_part(draw, 1).strip() or "d"])},
            {"constraints": BlankConstraint(forbidden_words=["the", "a"])},
        ]
    )
    return settings


def test_texts_are_filled(stress, pairs):
    for case in stress.cases(30):
        with case:
            draw = case.random
            model, tokenizer = pairs(draw_family(draw), GLMForConditionalGeneration)
            rows, settings = draw_rows(draw, tokenizer), draw_settings(draw)
            found = fill_blanks(
                model, tokenizer, rows, batch_size=draw.choice([1, 3, 32]), on_error="record", **settings
            )

            def check(row, fillings, tokenizer=tokenizer):
                assert fillings, row
                for filling in fillings:
                    check_filling(tokenizer, text_of(row), filling)

            check_rows(rows, found, lambda row: is_good(row, model, tokenizer, settings["truncation"]), check)  # noqa: B023
            number = draw.randrange(len(rows))
            alone = fill_blanks(
                model, tokenizer, rows[number : number + 1], first_number=number, on_error="record", **settings
            )[0]
            assert summary(alone) == summary(found[number]), f"row {number} {rows[number]!r:.300}"


def summary(found: Any) -> Any:
    return str(found) if isinstance(found, RowError) else [filling.text for filling in found]


def test_choices_are_compared(stress, pairs):
    for case in stress.cases(60):
        with case:
            draw = case.random
            model, tokenizer = pairs(draw_family(draw), GLMForMultipleChoice)
            rows, truncation = draw_rows(draw, tokenizer, most_blanks=2), draw.random() < 0.5
            choices = [
                [draw.choice([draw.choice(WORDS), draw_part(draw, 2), "a", "b c"]) for _ in range(draw.randint(1, 4))]
                for _ in rows
            ]
            found = choose(
                model,
                tokenizer,
                rows,
                choices,
                truncation=truncation,
                batch_size=draw.choice([1, 3, 32]),
                on_error="record",
            )
            for number, (row, of_row, answer) in enumerate(zip(rows, choices, found, strict=True)):
                if not is_good(row, model, tokenizer, truncation, blanks=1):
                    assert isinstance(answer, RowError), f"row {number} {row!r:.300}: {answer}"
                elif isinstance(answer, RowError):  # a choice has no tokens, or too many
                    assert "choice" in answer.reason.lower(), answer.reason
                    assert not all(map(str.strip, of_row)) or unusable(tokenizer, of_row), f"{of_row}: {answer.reason}"
                else:
                    assert sorted(choice.text for choice in answer) == sorted(of_row)
                    assert sum(choice.probability for choice in answer) == pytest.approx(1, abs=1e-5)


def unusable(tokenizer: GLMTokenizer, choices: list[str]) -> bool:
    """Whether a choice has no token of its own, or is longer than the table."""
    lengths = [len(tokenizer(choice, add_special_tokens=False)["input_ids"]) for choice in choices]
    return min(lengths) == 0 or max(lengths) > POSITIONS - 2


def test_given_answers_are_scored(stress, pairs):
    for case in stress.cases(60):
        with case:
            draw = case.random
            model, tokenizer = pairs(draw_family(draw), GLMForConditionalGeneration)
            text = draw_text(draw, tokenizer, draw.randint(1, 3))
            blanks = len(tokenizer.split_at_blanks(text)) - 1
            answers = [[draw_part(draw, 1)[:10] for _ in range(blanks)] for _ in range(draw.randint(1, 3))]
            try:
                scored = score_fillings(model, tokenizer, text, answers, batch_size=draw.choice([1, 32]))
            except ValueError as error:
                refused(error)
                if "longer" not in str(error) and is_good(text, model, tokenizer, False):
                    raise
                continue
            assert len(scored) == len(answers)
            for filling, given in zip(scored, answers, strict=True):
                assert math.isfinite(filling.log_prob)
                assert [answer.text for answer in filling.answers] == [answer.strip() for answer in given]


def refused(error: Exception):
    """Check that an error says what is wrong."""
    if reason := why_unclear(error):
        raise AssertionError(reason) from error


def test_answers_are_streamed(stress, pairs):
    for case in stress.cases(40):
        with case:
            draw = case.random
            model, tokenizer = pairs(draw_family(draw), GLMForConditionalGeneration)
            texts = [draw_text(draw, tokenizer, draw.randint(1, 3)) for _ in range(draw.randint(1, 4))]
            texts = [text for text in texts if is_good(text, model, tokenizer, False)] or [tokenizer.mask_token]
            inputs = tokenizer(texts, return_tensors="pt", padding=True)
            # Special tokens in the texts are structure here: a prompt may have none of its blanks left, or be refused.
            settings = {"max_new_tokens_per_blank": 3, "do_sample": False}
            try:
                expected = tokenizer.decode_blanks(model.generate(**inputs, **settings))
            except ValueError as error:
                refused(error)
                continue
            streamer = BlankIteratorStreamer(tokenizer, timeout=30)
            thread = Thread(target=model.generate, kwargs={**inputs, **settings, "streamer": streamer})
            thread.start()
            streamed = {(answer.row, answer.blank): answer.text for answer in streamer}
            thread.join(30)
            assert not thread.is_alive()
            for (row, blank), text in streamed.items():
                assert expected[row][blank] == text


def field_of(row: Any) -> str | None:
    """The text of a row that is a field. Numbers are texts there, but NaN is a missing one."""
    return str(row) if isinstance(row, int | float) and row == row else text_of(row)


def test_texts_are_classified(stress, pairs):
    patterns = ["{text|shorten} It was [MASK].", "[MASK]: {text|shorten}"]
    for case in stress.cases(50):
        with case:
            draw = case.random
            model, tokenizer = pairs(draw_family(draw), GLMForMultipleChoice)
            task = PatternVerbalizer(
                [pattern.replace("[MASK]", tokenizer.mask_token) for pattern in patterns],
                {"good": "great", "bad": "poor"},
            )
            classifier = ClozeClassifier(model, tokenizer, task, batch_size=draw.choice([1, 3, 32]))
            if draw.random() < 0.3:
                classifier.calibrate("contextual")
            rows = draw_rows(draw, tokenizer)
            readable = [row for row in rows if field_of(row) is not None]
            found = classifier.predict(rows, on_error="record")
            assert len(found) == len(rows)
            for row, label in zip(rows, found, strict=True):
                if field_of(row) is None:
                    assert isinstance(label, RowError), f"{row!r:.300}: {label}"
                    assert len(label.reason.split()) > 3
                else:
                    assert label in ("good", "bad"), f"{row!r:.300}: {label}"
            if readable:
                probabilities = classifier.predict_proba(readable)
                assert probabilities.sum(1) == pytest.approx(1)


@pytest.fixture(scope="module")
def pipelines(pairs):
    """The pipelines, by family. Each is made once."""
    made: dict[str, Any] = {}

    def make(family: str) -> Any:
        if family not in made:
            model, tokenizer = pairs(family, GLMForConditionalGeneration)
            choices, _ = pairs(family, GLMForMultipleChoice)
            made[family] = (
                pipeline("blank-infilling", model=model, tokenizer=tokenizer, device="cpu"),
                pipeline("cloze-classification", model=choices, tokenizer=tokenizer, device="cpu"),
                tokenizer,
            )
        return made[family]

    return make


def test_pipelines_answer_every_good_row(stress, pipelines):
    for case in stress.cases(40):
        with case:
            draw = case.random
            filler, classifier, tokenizer = pipelines(draw_family(draw))
            rows = draw_rows(draw, tokenizer)
            given = draw.choice([lambda: rows, lambda: iter(rows), lambda: (row for row in rows)])()  # noqa: B023
            found = list(filler(given, batch_size=draw.choice([1, 3]), max_new_tokens_per_blank=2, on_error="record"))
            assert len(found) == len(rows)
            for number, (row, answer) in enumerate(zip(rows, found, strict=True)):
                if is_good(row, filler.model, tokenizer, False):
                    assert isinstance(answer, list), f"{row!r:.300}: {answer}"
                    assert isinstance(answer[0]["text"], str)
                    json.dumps(answer, allow_nan=False).encode("utf-8")
                else:
                    assert answer["row"] == number
                    assert len(answer["error"].split()) > 3
            labels = ["a", "b", "数字"]
            texts = [text_of(row)[:40] for row in rows if text_of(row) is not None]
            for label in classifier(
                texts,
                pattern="{text|shorten} " + tokenizer.mask_token,
                verbalizer=dict(zip("xyz", labels, strict=True)),
            ):
                assert label["label"] in "xyz"


@pytest.fixture(scope="module")
def folder(pairs, tmp_path_factory):
    """A folder with a small model, for the command."""
    model, tokenizer = pairs("own", GLMForConditionalGeneration)
    path = tmp_path_factory.mktemp("model")
    model.float().save_pretrained(path)
    model.double()
    tokenizer.save_pretrained(path)
    return path


# Some are good for some commands: "constraints" are for fill alone.
BROKEN_LINES = [
    b"{",
    b'{"text": "[MASK]"',
    b"\x80\xfe\x00[MASK]",
    b'{"text": 7}',
    b'{"words": "[MASK]"}',
    b"[1, 2]",
    b"null",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"text": "\\ud800 [MASK]"}',
    b'{"text": "[MASK]", "constraints": 7}',
    b'{"text": "[MASK]", "constraints": [{"choices": []}]}',
    b'{"text": "[MASK]", "choices": {}}',
    b"1e999",
    b'"' + b"x" * 100_000 + b'"',
]


@pytest.mark.parametrize("command", ["fill", "choose", "generate"])
def test_the_command_answers_every_good_line(stress, run, folder, pairs, command):
    model, tokenizer = pairs("own", GLMForConditionalGeneration)
    for case in stress.cases(6, smoke=1):
        with case:
            draw = case.random
            lines, good = [], []
            for number in range(draw.randint(3, 25)):
                if draw.random() < 0.25:
                    lines.append(draw.choice(BROKEN_LINES))
                    continue
                text = draw_text(draw, tokenizer, 1)
                if is_good(text, model, tokenizer, False):
                    good.append(number)
                lines.append(json.dumps({"id": number, "text": text, "choices": ["a", "b"]}).encode())
            extra = [] if command == "choose" else ["--max-new-tokens", 2]
            arguments = [command, folder, "--input-format", "jsonl", "--batch-size", draw.choice([1, 4, 32]), *extra]
            result = run(*arguments, given=b"\n".join(lines))
            answers = [json.loads(line) for line in result.stdout.split("\n") if line]
            assert len(answers) == len(lines), result.stderr
            answered = [answer["id"] for answer in answers if "id" in answer and "error" not in answer]
            assert answered == good, result.stdout[-2000:]
            assert result.returncode == int(any("error" in answer for answer in answers))
            assert "Traceback" not in result.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_become_ids_and_texts_again(stress, of_family, family):
    """What a byte-level vocabulary reads, it can write. The others write something, without an error."""
    tokenizer = of_family(family)
    for case in stress.cases(40):
        with case:
            draw = case.random
            texts = [draw_text(draw, tokenizer, draw.randint(0, 3)) for _ in range(4)]
            texts += [draw.choice(STRUCTURE), draw.choice(WHITE_SPACE)]
            batch = tokenizer(texts)["input_ids"]
            for text, ids in zip(texts, batch, strict=True):
                assert ids == tokenizer(text)["input_ids"], repr(text)
                assert isinstance(tokenizer.decode(ids), str)
                parts = tokenizer.split_at_blanks(text)
                answers = [draw_part(draw, 1) for _ in parts[1:]]
                filled, offsets = tokenizer.fill_with_offsets(text, answers)
                for answer, (start, end) in zip(answers, offsets, strict=True):
                    assert filled[start:end] == answer.strip()
            words = [draw_part(draw, 3) for _ in range(3)]
            for word in words:
                ids = tokenizer(word, add_special_tokens=False, split_special_tokens=True)["input_ids"]
                # The normalizer of GLM-RoBERTa's authors writes [SEP] for <|endoftext|>.
                if "<|endoftext|>" not in word and family in ("own", "gpt2", "roberta"):
                    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == word.strip(), repr(word)
                assert torch.tensor(ids, dtype=torch.long).lt(len(tokenizer)).all()
