"""Partial results: an interrupted run resumes with what it had, and never with results of another one."""

import json
import multiprocessing
import os
import signal

import pytest
import torch

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.evaluation.partial_results import (
    PartialResults,
    digest_model,
    digest_texts,
    evaluate_items,
    keep_results,
)
from modeling_glm.evaluation.perplexity import compute_perplexity
from tests.support.models import make_model, make_text_model
from tests.support.paths import EXAMPLES

IDENTITY = {"measure": "squares", "numbers": [1, 2]}
ITEMS = [5, 3, 9, 1, 7]


class Squares:
    """Compute squares, count the calls, and fail at a call if asked to."""

    def __init__(self, fail_at: int | None = None):
        self.fail_at = fail_at
        self.batches: list[list[int]] = []

    def __call__(self, numbers: list[int]) -> list[dict[str, int]]:
        if len(self.batches) == self.fail_at:
            raise KeyboardInterrupt
        self.batches.append(numbers)
        return [{"square": number * number} for number in numbers]


def run(compute, partial=None):
    model = torch.nn.Linear(1, 1)
    return evaluate_items(
        model, ITEMS, compute, length=lambda number: number, batch_size=2, title="squares", partial=partial
    )


EXPECTED = [{"square": number * number} for number in ITEMS]


def test_batches_are_sorted_by_length_and_results_are_not():
    compute = Squares()
    assert run(compute) == EXPECTED
    assert compute.batches == [[1, 3], [5, 7], [9]]


def test_an_interrupted_run_resumes(tmp_path):
    path = tmp_path / "deep" / "result.partial"
    with pytest.raises(KeyboardInterrupt):
        run(Squares(fail_at=2), PartialResults(path, IDENTITY))
    compute, partial = Squares(), PartialResults(path, IDENTITY)
    assert run(compute, partial) == EXPECTED
    assert compute.batches == [[9]]
    assert run(Squares(fail_at=0), partial) == EXPECTED
    partial.delete()
    partial.delete()
    assert not path.exists()


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_kill_at_any_byte_costs_one_batch_at_most(tmp_path, cut):
    path = tmp_path / "partial"
    run(Squares(), PartialResults(path, IDENTITY))
    path.write_bytes(path.read_bytes()[:-cut])
    compute = Squares()
    assert run(compute, PartialResults(path, IDENTITY)) == EXPECTED
    assert len(compute.batches) == 1
    assert run(Squares(fail_at=0), PartialResults(path, IDENTITY)) == EXPECTED


def test_a_kill_while_the_first_line_is_written(tmp_path):
    path = tmp_path / "partial"
    path.write_text('{"measure": "squ')
    assert run(Squares(), PartialResults(path, IDENTITY)) == EXPECTED


def _run_until_killed(path):
    def compute(numbers):
        if numbers == [9]:
            os.kill(os.getpid(), signal.SIGKILL)
        return Squares()(numbers)

    run(compute, PartialResults(path, IDENTITY))


def test_what_a_killed_process_had_is_there(tmp_path):
    path = tmp_path / "partial"
    process = multiprocessing.get_context("fork").Process(target=_run_until_killed, args=(path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    compute = Squares()
    assert run(compute, PartialResults(path, IDENTITY)) == EXPECTED
    assert compute.batches == [[9]]


def test_results_of_another_evaluation_are_refused(tmp_path):
    path = tmp_path / "partial"
    run(Squares(), PartialResults(path, IDENTITY))
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"partial holds partial results with numbers=\[1, 2\], but this run has numbers=\[3\]"
    ):
        run(Squares(), PartialResults(path, {**IDENTITY, "numbers": [3]}))
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["a text\n", "[1, 2]\n", '{"measure": "squares", "numbers": [1, 2]}\n{"x": 1}\n'])
def test_files_of_something_else_are_refused_and_left(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"notes\.txt does not hold partial results"):
        run(Squares(), PartialResults(path, IDENTITY))
    assert path.read_text() == content


def test_two_runs_do_not_share_a_file(tmp_path):
    path = tmp_path / "partial"
    with PartialResults(path, IDENTITY), pytest.raises(ValueError, match="Another run is writing"):
        run(Squares(), PartialResults(path, IDENTITY))
    assert run(Squares(), PartialResults(path, IDENTITY)) == EXPECTED


def test_a_digest_knows_texts_apart():
    assert len({digest_texts(texts) for texts in (["ab"], ["a", "b"], ["b", "a"], [], ["a", "b", ""])}) == 5


def test_a_digest_knows_models_apart():
    assert digest_model(make_model_of(1)) == digest_model(make_model_of(1))
    assert digest_model(make_model_of(1)) != digest_model(make_model_of(2))
    assert digest_model(make_model_of(1)) != digest_model(make_model_of(1).to(torch.bfloat16))


def make_model_of(seed: int) -> torch.nn.Module:
    return make_model(GLMForConditionalGeneration, seed=seed)


def test_perplexity_resumes_to_the_same_number(tmp_path, monkeypatch):
    tokenizer = GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")
    model, path = make_text_model(tokenizer), tmp_path / "partial"
    texts = ["The cat sat on the mat, and the dog ran.", "Rain fell on the green for nine days."]
    expected = compute_perplexity(model, tokenizer, texts, window=6, stride=2)
    forward, calls = model.glm.forward, []

    def fail_later(*args, **kwargs):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(1)
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.glm, "forward", fail_later)
    options = {"window": 6, "stride": 2, "batch_size": 2, "partial_file": path}
    with pytest.raises(KeyboardInterrupt):
        compute_perplexity(model, tokenizer, texts, **options)
    monkeypatch.undo()
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 1 + 2 * 3
    resumed = compute_perplexity(model, tokenizer, texts, **options)
    assert resumed.log_prob == pytest.approx(expected.log_prob, abs=1e-3)
    assert resumed.counts() == expected.counts()
    with pytest.raises(ValueError, match="stride=2, but this run has stride=3"):
        compute_perplexity(model, tokenizer, texts, **{**options, "stride": 3})
    with pytest.raises(ValueError, match="holds partial results with texts="):
        compute_perplexity(model, tokenizer, texts[:1], **options)


def test_what_is_measured_decides_whose_results_a_file_holds(tmp_path):
    model, file = torch.nn.Linear(2, 2), tmp_path / "a.partial"
    settings = {"window": 8}
    kept = keep_results(file, "squares", model=model, texts=["a", "b"], settings=settings)
    assert kept.identity == {
        "measure": "squares",
        "window": 8,
        "texts": digest_texts(["a", "b"]),
        "model": digest_model(model),
    }


def test_without_a_file_nothing_is_digested():
    def texts():
        raise AssertionError("read")
        yield

    assert keep_results(None, "squares", model=torch.nn.Linear(2, 2), texts=texts(), settings={}) is None
