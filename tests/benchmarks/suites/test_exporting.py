"""The exporting suite."""

from functools import partial

import pytest

from benchmarks.harness.embedded import load_tokenizer
from benchmarks.harness.results import Memory, Quality, Speed
from benchmarks.harness.shapes import TINY
from benchmarks.suites import exporting


@pytest.mark.slow  # exports a model, and starts processes
def test_suite_runs(quick, monkeypatch, tmp_path):
    """With two of its four runs, because the others differ only in int8, and one small model for all."""
    pytest.importorskip("transformers.exporters")
    tokenizer = load_tokenizer()
    exporting.build_model(TINY.with_vocabulary(len(tokenizer)), tokenizer).save_pretrained(tmp_path)
    monkeypatch.setattr(exporting, "EMBEDDED", tmp_path)
    monkeypatch.setattr(exporting, "PAIRS", ((exporting.ORT, exporting.TORCH),))
    monkeypatch.setattr(exporting, "take_turns", partial(exporting.take_turns, warm_up=False))
    made, export_all = [], exporting.export_all
    monkeypatch.setattr(exporting, "export_all", lambda *args: (made or made.append(export_all(*args)) or made)[0])
    results = exporting.run(quick)
    assert [type(result) for result in results] == [Speed] * 5 + [Memory] + [Quality]
    process, same = results[-2:]
    assert process.work.endswith("new process to its first answer, onnxruntime fp32")
    assert process.ours < process.theirs  # without torch
    assert same.loss == pytest.approx(same.peer_loss, abs=1e-4)
    assert same.exact == same.peer_exact
    table, quality = exporting.make_summary(results).split("\n\n")
    assert len(table.splitlines()) == 2 + 6
    assert len(quality.splitlines()) == 2 + 1


@pytest.mark.slow
def test_rounded_models_answer(monkeypatch, tmp_path):
    pytest.importorskip("transformers.exporters")
    monkeypatch.setattr(exporting, "PAIRS", ((exporting.ORT_INT8, exporting.TORCH_INT8),))
    tokenizer = load_tokenizer()
    model = exporting.build_model(TINY.with_vocabulary(len(tokenizer)), tokenizer)
    folders = exporting.export_all(model, tokenizer, tmp_path)
    assert list(folders) == [exporting.TORCH_INT8, exporting.ORT_INT8]
    for name, folder in folders.items():
        fill, choose = exporting.make_runs(name, folder, tokenizer, ["The answer is [MASK]."], ["one", "two"])
        assert len(fill()) == len(choose()) == 1


def test_a_process_that_fails_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match=r"onnxruntime fp32 failed:[\s\S]*No module named 'ort_filler'"):
        exporting.answer_once(exporting.ORT, str(tmp_path), {})


def test_summary_by_hand():
    speeds = [
        Speed.from_seconds(f"Base, fill 1 text, {ours}", theirs, [1.0], [float(number)])
        for number, (ours, theirs) in enumerate(exporting.PAIRS, start=1)
    ]
    memory = [
        Memory(work=f"Base, start, {ours}", peer=theirs, ours=number, theirs=4)
        for number, (ours, theirs) in enumerate(exporting.PAIRS, start=1)
    ]
    quality = Quality(work="int8", blanks=40, loss=0.61, peer_loss=0.6, exact=0.725, peer_exact=0.75)
    header, _, *rows = exporting.make_summary([*speeds, *memory, quality]).splitlines()
    assert header == (
        "| times as fast, or share of the memory | onnxruntime fp32 against torch fp32 | onnxruntime int8 against torch "
        "fp32 | torch int8 against torch fp32 | onnxruntime int8 against torch int8 |"
    )
    assert rows[:2] == [
        "| Base, fill 1 text | 1.00 | 2.00 | 3.00 | 4.00 |",
        "| Base, start, memory | 25% | 50% | 75% | 100% |",
    ]
    assert rows[-1] == "| int8 | 40 | 72.5% | 75.0% | 0.610 | 0.600 |"
