"""What the benchmarks compare gives the same numbers, and what they report is what they measured."""

import copy
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import growth, measuring, report, scoring, training
from benchmarks.naive_glm import NaiveGLM, decode, loss_everywhere
from benchmarks.quantization import to_int8
from benchmarks.settings import Settings
from benchmarks.shapes import BASE, TINY, build_glm, build_peer, draw_ids, make_contexts
from modeling_glm import GLMForMultipleChoice
from modeling_glm.layout_glm import compute_position_ids
from tests.support.paths import ROOT

LIMITS = {
    "device": "a machine",
    "threads": 2,
    "torch": "2",
    "computes bf16": False,
    "bandwidth": 2e10,
    "Base float32": 3e11,
}
LINES = [
    measuring.Line(
        suite="training", work="a step", peer="naive", ratio=2.0, low=1.5, high=2.5, ours=1.0, theirs=2.0, goal=1.7
    ),
    measuring.Line(suite="training", work="a step", share=0.5, limit="matmul", goal=0.8, ours=1.0),
    measuring.Line(suite="starting", work="an import", ours=4.0),
]


def test_the_naive_model_has_the_same_loss_and_gradients():
    settings = dict.fromkeys(("hidden_dropout", "attention_dropout", "embedding_dropout"), 0.0)
    model = build_glm(TINY, **settings).train()
    batch = training.make_batch(TINY, 2, 96)
    position_ids = compute_position_ids(batch["input_ids"], model.config)
    found = []
    for loss in (
        lambda: model(**batch).loss,
        lambda: loss_everywhere(NaiveGLM(model).train(), batch["input_ids"], position_ids, batch["labels"]),
    ):
        model.zero_grad()
        value = loss()
        value.backward()
        found.append((value.detach(), [parameter.grad.clone() for parameter in model.parameters()]))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


def test_the_naive_model_fills_the_same():
    model = build_glm(TINY)
    contexts = make_contexts(model.config, TINY, 3, 40)
    blank = int((contexts[0] == model.config.mask_token_id).nonzero()[0])
    expected = model.generate(contexts, attention_mask=torch.ones_like(contexts), max_new_tokens=9, eos_token_id=-1)
    for remember in (True, False):
        assert torch.equal(decode(NaiveGLM(model).eval(), contexts, blank, 9, remember), expected[:, -9:])


def test_packed_choices_have_the_same_scores():
    model = build_glm(TINY, GLMForMultipleChoice)
    contexts, choices = make_contexts(model.config, TINY, 2, 30), draw_ids(TINY, 2, 5, 3)
    blank = int((contexts[0] == model.config.mask_token_id).nonzero()[0])
    layout = scoring.pack_choices(contexts, choices, blank, model.config.sop_token_id)
    found = scoring.score_packed(NaiveGLM(model).eval(), layout, choices)
    with torch.inference_mode():
        torch.testing.assert_close(model(contexts, choice_ids=choices).logits, found, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "times"), [("GPT-2", 1), ("BERT", 1), ("T5", 2), ("T5, half as deep", 1), ("BART", 2)]
)
def test_peers_are_as_deep(name, times):
    shape = replace(TINY, hidden=128, layers=4, vocabulary=1000, positions=64)
    blocks = build_peer(name, shape).num_parameters() - 1000 * 128
    # A decoder that reads an encoder has one attention more.
    assert 0.95 < blocks / shape.block_weights / times < 1.25
    assert build_glm(shape).num_parameters() - 1000 * 128 == pytest.approx(shape.block_weights, rel=0.1)


def test_batches_have_the_share_of_labels():
    batch = training.make_batch(BASE, 2, 512)
    assert batch["input_ids"].shape == (2, 512)
    labelled = (batch["labels"] != -100).sum() / batch["labels"].numel()
    assert 0.15 < labelled < 0.25  # 15% of a text, and a start of piece for every third token of it


def test_runs_take_turns_and_ratios_are_of_rounds():
    order = []
    seconds = measuring.take_turns({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert order == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}
    made = measuring.compare({"a": [1.0, 2.0, 4.0], "b": [3.0, 4.0, 4.0]}, "a", "b")
    assert made == {"ratio": 2.0, "low": 1.0, "high": 3.0, "ours": 2.0, "theirs": 4.0}
    per_work = measuring.compare({"a": [1.0], "b": [1.0]}, "a", "b", per_ours=3.0, per_peer=1.0)
    assert per_work["ratio"] == 3.0


def test_memory_is_what_a_block_takes_at_most():
    with measuring.PeakMemory() as memory:
        block = torch.ones(2**26)  # 256 MiB
        del block
    assert 0.95 * 2**28 < memory.grown < 1.3 * 2**28


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"training.measure_memory\('nothing',.*failed:\n[^$]*KeyError"):
        measuring.run_alone("training", "measure_memory", "nothing", "Tiny", 4096, 1, 32)


def test_exponents_are_slopes_between_logarithms():
    assert growth.fit_exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)


def test_tables_say_what_was_measured(tmp_path):
    tables = report.make_tables(LIMITS, LINES)
    assert "| a step | naive | 2.00 (1.50 to 2.50) | 1.70 ✓ | 1 against 2 s |" in tables
    assert "| a step | limit: matmul | 50% | 80% ✗ | 1 s |" in tables
    assert "300 GFLOP/s (Base float32)" in tables
    report.write_json(tmp_path / "r.json", LIMITS, LINES, {"rounds": 5})
    assert report.read_json(tmp_path / "r.json") == (LIMITS, LINES, {"rounds": 5})
    report.draw(tmp_path / "r.png", LINES)
    assert (tmp_path / "r.png").stat().st_size > 5000


def test_the_page_is_renewed_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- cpu results: begin -->\nold\n<!-- cpu results: end -->\nbehind\n")
    report.renew_page(page, "cpu", r"new \1")
    report.renew_page(page, "cpu", r"newer \1")
    text = page.read_text()
    assert text == "before\n<!-- cpu results: begin -->\n\nnewer \\1\n\n<!-- cpu results: end -->\nbehind\n"
    with pytest.raises(ValueError, match="gpu results: begin"):
        report.renew_page(page, "gpu", "new")
    assert page.read_text() == text


def test_the_page_has_the_figures_of_the_raw_results():
    limits, lines, _ = report.read_json(ROOT / "docs" / "results" / "performance_cpu.json")
    assert report.make_tables(limits, lines) in (ROOT / "docs" / "results" / "performance.md").read_text(
        encoding="utf-8"
    )


def test_a_run_that_is_stopped_leaves_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "measure_limits", lambda *args: LIMITS)
    monkeypatch.setattr("benchmarks.training.run", lambda settings: LINES[:2])
    monkeypatch.setattr("benchmarks.scoring.run", lambda settings: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command.main(["run", "--quick", "--output", str(tmp_path), "--threads", str(torch.get_num_threads())])
    saved = tmp_path / "performance_cpu.json"
    assert [line["work"] for line in json.loads(saved.read_text())["lines"]] == ["a step", "a step"]
    # A suite alone keeps the lines of the others.
    monkeypatch.setattr("benchmarks.starting.run", lambda settings: LINES[2:])
    only = ["run", "--quick", "--only", "starting", "--output", str(tmp_path), "--threads", str(LIMITS["threads"])]
    threads = torch.get_num_threads()
    try:
        command.main(only)
    finally:
        torch.set_num_threads(threads)
    assert report.read_json(saved)[1] == LINES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--only", "nothing"], "--only nothing: expected some of training"),
        (["run", "--suite", "gpu"], "torch finds no GPU"),
        (["run", "--rounds", "0"], "must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stop:
        command.parse(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_int8_reaches_every_projection_and_changes_little():
    model = build_glm(TINY)
    quantized = to_int8(copy.deepcopy(model))
    assert not [name for name, module in quantized.named_modules() if isinstance(module, torch.nn.Linear)]
    contexts = make_contexts(model.config, TINY, 2, 32)
    with torch.inference_mode():
        found, expected = quantized(contexts).logits, model(contexts).logits
    assert 0 < (found - expected).square().mean() < 1e-2 * expected.square().mean()


@pytest.mark.slow
@pytest.mark.parametrize("suite", command.SUITES["cpu"])
def test_every_suite_runs(tmp_path, suite):
    arguments = ["run", "--quick", "--only", suite, "--output", str(tmp_path), "--threads", "1"]
    ran = subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = report.read_json(tmp_path / "performance_cpu.json")[1]
    assert {line.suite for line in lines} == {suite}
    assert all(line.ratio is None or line.ratio > 0 for line in lines)
    assert (tmp_path / "performance_cpu.png").exists()


def test_settings_know_the_device():
    assert not Settings().on_gpu
    assert Settings(device="cuda").on_gpu
