"""Runs from texts to a model: resumed, continued from another model, with several kinds of data, and refused."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.hub.trainer import HubCallback
from modeling_glm.pretraining import run as run_module
from modeling_glm.pretraining.multitask import MultiTaskOrder
from modeling_glm.runs.lock import hold_folder
from tests.support.original_files import write_vocabulary
from tests.support.paths import EXAMPLES
from tests.support.pretraining_runs import OBJECTIVES, one_thread, pretrain, read_losses


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_run_resumes_and_is_written_out(folder, capsys):
    """Train, resume for some more steps, and write a model that fills blanks, with its card, curve and settings."""
    pretrain(folder, max_steps=4, export=folder / "first")
    pretrain(folder, max_steps=6, export=folder / "second")
    assert f"resuming from {folder / 'run' / 'checkpoint-4'}, sample 32" in capsys.readouterr().out
    assert {path.name for path in (folder / "run").glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    model = GLMForConditionalGeneration.from_pretrained(folder / "second")
    tokenizer = GLMTokenizer.from_pretrained(folder / "second")
    inputs = tokenizer("7 times ten is [MASK].", return_tensors="pt")
    assert len(tokenizer.decode_blanks(model.generate(**inputs, max_new_tokens=3))[0]) == 1
    summary = json.loads((folder / "second" / "training.json").read_text())
    assert summary["arguments"]["max_steps"] == 6
    assert summary["arguments"]["objectives"] == {"token": 0.75, "sentence": 0.1, "document": 0.15}
    assert list(summary["validation_loss"]) == list(OBJECTIVES)
    assert list(summary["validation_loss"]["token"]) == ["2", "4", "6"]
    tokens_per_second, mfu = summary["speed"]["tokens_per_second"], summary["speed"]["mfu"]
    # SMALL says that the device reaches 10^11 operations per second. A token needs 6 for each of about 9,000 weights.
    assert 2e4 < mfu * 1e11 / tokens_per_second < 2e5
    card = (folder / "second" / "README.md").read_text()
    assert "75% token, 10% sentence, 15% document" in card
    assert "| sentence | 2 | " in card
    assert (folder / "second" / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_finished_run_is_only_written_out_again(folder):
    pretrain(folder, max_steps=2, export=folder / "first")
    before = (folder / "run" / "checkpoint-2" / "trainer_state.json").read_bytes()
    pretrain(folder, max_steps=2, export=folder / "second", export_code=False)
    assert (folder / "run" / "checkpoint-2" / "trainer_state.json").read_bytes() == before
    first, second = (read_weights(folder / name) for name in ("first", "second"))
    assert all((first[name] == second[name]).all() for name in first)
    settings = [json.loads((folder / name / "training.json").read_text()) for name in ("first", "second")]
    assert settings[0]["validation_loss"] == settings[1]["validation_loss"]
    assert (folder / "first" / "modeling_glm.py").exists()
    assert not list((folder / "second").glob("*.py"))
    assert all("auto_map" not in path.read_text() for path in (folder / "second").glob("*config.json"))
    GLMForConditionalGeneration.from_pretrained(folder / "second")


@pytest.mark.slow
def test_a_damaged_checkpoint_is_skipped(folder, capsys):
    pretrain(folder, max_steps=4)
    weights = folder / "run" / "checkpoint-4" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    pretrain(folder, max_steps=6)
    printed = capsys.readouterr().out
    assert f"Skipped a checkpoint: {weights} has " in printed
    assert f"resuming from {folder / 'run' / 'checkpoint-2'}, sample 16" in printed


@pytest.mark.slow
def test_a_finished_run_is_written_out_with_its_best_model(folder, monkeypatch):
    """The run is stopped before the model is written."""
    settings = {
        "max_steps": 4,
        "load_best_model_at_end": "true",
        "metric_for_best_model": "token_loss",
        "greater_is_better": "true",  # the first one
    }
    pretrain(folder, **settings, export=folder / "whole")
    pretrain(folder, **settings, export=folder / "again")
    best = read_weights(folder / "run" / "checkpoint-2")
    for name in ("whole", "again"):
        weights = read_weights(folder / name)
        assert all(torch.equal(weights[key], best[key]) for key in weights), name


def test_a_folder_in_use_is_refused(folder):
    with hold_folder(folder / "run"), pytest.raises(SystemExit, match=rf"run is in use by process {os.getpid()}:"):
        pretrain(folder, max_steps=1)
    assert {path.name for path in (folder / "run").iterdir()} == {"_run.lock"}


@pytest.mark.slow
def test_training_a_model_further_on_other_texts(folder):
    """Several corpora with weights and a curriculum, from the weights and the vocabulary of another run."""
    pretrain(folder, max_steps=2, export=folder / "first")
    (folder / "more.jsonl").write_text("".join(json.dumps({"text": f"{n} is a number."}) + "\n" for n in range(90)))
    pretrain(
        folder,
        model=folder / "first",
        **dict.fromkeys(("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")),
        corpus=[f"{folder / 'texts.txt'}=0.25", f"{folder / 'more.jsonl'}=0.75"],
        curriculum=["1:0.5,0.5"],
        output_dir=folder / "second_run",
        learning_rate=0.0,
        max_steps=2,
        decay="linear",
    )
    final = folder / "second_run" / "final"
    first, second = read_weights(folder / "first"), read_weights(final)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert "It was trained further from" in (final / "README.md").read_text()


def test_reports_to_tensorboard(folder, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(folder / "events"))
    pretrain(folder, max_steps=2, report_to="tensorboard")
    (events,) = (folder / "events").glob("**/events.out.tfevents.*")
    content = events.read_bytes()
    for name in (b"train/mfu", b"train/tokens_per_second", b"eval/token_loss", b"eval/document_loss"):
        assert name in content


def test_several_kinds_of_data(folder):
    """A folder with JSON lines and Parquet, texts to validate on, workers, one text per row, no validation on the way."""
    data = folder / "data"
    data.mkdir()
    pq.write_table(pa.table({"body": [f"{n} is a number." for n in range(60)]}), data / "a.parquet")
    (data / "b.jsonl").write_text("".join(json.dumps({"body": f"{n} is one."}) + "\n" for n in range(60)))
    pretrain(
        folder,
        corpus=data,
        validation=data / "b.jsonl",
        text_column="body",
        packed_length=0,
        dataloader_num_workers=2,
        eval_strategy="no",
        objectives=["token=1", "sentence=0"],
        max_steps=2,
    )
    summary = json.loads((folder / "run" / "final" / "training.json").read_text())
    assert summary["train_texts"] == 120
    assert summary["validation_texts"] == 60
    assert summary["validation_loss"] == {"token": {}}
    assert 0.02 < summary["speed"]["padding"] < 0.9
    assert "validated on `b.jsonl`" in (folder / "run" / "final" / "README.md").read_text()


@pytest.mark.slow
def test_accumulation_and_compilation_change_nothing(folder):
    """Batches in parts, packed into other rows, give the same weights. A compiled model does, and is saved as a plain one."""
    weights = []
    for name, settings in (
        ("whole", {}),
        ("parts", {"per_device_train_batch_size": 2}),
        ("compiled", {"torch_compile": "true", "torch_compile_backend": "eager"}),
    ):
        pretrain(folder, max_steps=2, output_dir=folder / name, eval_strategy="no", **settings)
        weights.append(read_weights(folder / name / "final"))
    for other in weights[1:]:
        for name, tensor in weights[0].items():
            torch.testing.assert_close(other[name], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_the_trainer_pushes_with_the_callback_of_the_hub(folder, monkeypatch):
    """Every push gets code and card, because the trainer of a run has our callback, once."""
    trainers = []

    class Spy(run_module.PretrainingTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            trainers.append(self)

    monkeypatch.setattr(run_module, "PretrainingTrainer", Spy)
    pretrain(folder, max_steps=1, eval_strategy="no")
    (trainer,) = trainers
    assert [type(callback) for callback in trainer.callback_handler.callbacks].count(HubCallback) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corpus": "missing.txt"}, "There is no file or folder missing.txt"),
        ({"corpus": "empty.txt"}, "empty.txt has no text"),
        ({"corpus": "binary.txt"}, "binary.txt"),
        ({"max_length": 64, "max_position_embeddings": 32}, "--max_length 64 is more than the 32 rows"),
        ({"objectives": ["token=0.5", "document=0.4"]}, "must sum to 1"),
        ({"corpus": ["texts.txt=0.5", "texts.txt=0.4"]}, "sum to 0.9: they must sum to 1"),
        ({"corpus": ["texts.txt=0.5", "texts.txt"]}, "give every corpus a weight, or none"),
        ({"curriculum": ["ten:1"]}, "expected STEP:WEIGHT"),
        ({"held_out": 0.999}, "leaves nothing to train on"),
        ({"vocab_size": 100}, "vocab_size=100 is too small"),
        ({"tokenizer": "bert"}, r"no smask_token .* task_masks=False"),
        ({"model": EXAMPLES / "glm-tiny", "tokenizer": "bert"}, r"no smask_token"),
    ],
    ids=str,
)
def test_refused(folder, settings, message):
    (folder / "empty.txt").write_text("\n \n")
    (folder / "binary.txt").write_bytes(b"some\0bytes\n")
    write_vocabulary("bert", folder / "bert")
    if "model" in settings:
        settings |= dict.fromkeys(("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"))
    with pytest.raises(SystemExit, match=message):
        pretrain(folder, **{"max_steps": 1, **settings})
    assert not (folder / "run" / "final").exists()


def test_a_vocabulary_larger_than_the_model_is_refused(folder):
    pretrain(folder, max_steps=1, eval_strategy="no")
    new = dict.fromkeys(("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"))
    with pytest.raises(SystemExit, match=r"The vocabulary has 8192 tokens, .*final has 384"):
        pretrain(
            folder, **new, model=folder / "run/final", tokenizer=EXAMPLES / "glm-tiny", output_dir=folder / "other"
        )


def write_tasks(folder: Path) -> Path:
    """Write a cloze task and one from source to target, of numbers."""
    reviews = [{"text": f"{n} is odd" if n % 2 else f"{n} is even", "label": n % 2} for n in range(30)]
    sums = [{"text": f"{n} plus one", "sum": f"is {n + 1}"} for n in range(30)]
    for name, rows in (("odd", reviews), ("sums", sums)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    cloze = {"pattern": "{text|shorten} [MASK].", "verbalizer": {"0": "even", "1": "odd"}}
    entries = [
        {"name": "odd", "train_file": str(folder / "odd.jsonl"), **cloze},
        {
            "name": "sums",
            "train_file": str(folder / "sums.jsonl"),
            "pattern": "{text|shorten} [sMASK]",
            "target": "sum",
        },
    ]
    path = folder / "tasks.yaml"
    path.write_text(json.dumps(entries), encoding="utf-8")  # JSON is YAML
    return path


@pytest.mark.slow
def test_a_run_with_tasks_resumes_bit_for_bit(folder, capsys):
    """
    Examples of tasks among the texts: a run that was stopped has the losses and weights of one that was not. With other
    tasks it is another run.
    """
    settings = {"multi_task": write_tasks(folder), "max_length": 32, "warmup_steps": 1, "decay_steps": 6}
    mixed = {**settings, "multi_task_ratio": 0.5}
    with one_thread():
        pretrain(folder, output_dir=folder / "whole", export=folder / "first", max_steps=6, **mixed)
        pretrain(folder, export=folder / "ignored", max_steps=4, **mixed)
        pretrain(folder, export=folder / "second", max_steps=6, **mixed)
    printed = capsys.readouterr().out
    assert "50.0% of the steps are of tasks: odd 50.0% (27 samples), sums 50.0% (27 samples)" in printed
    assert f"resuming from {folder / 'run' / 'checkpoint-4'}, sample 32" in printed
    first, second = (read_weights(folder / name) for name in ("first", "second"))
    assert all((first[name] == second[name]).all() for name in first)
    losses = read_losses(folder / "run")
    assert losses == read_losses(folder / "whole")
    steps = {step for step, loss, *_ in losses if loss is not None}
    order = MultiTaskOrder(0.5, "step", 8, 0)
    assert {order(8 * (step - 1)).is_task for step in steps} == {True, False}
    summary = json.loads((folder / "second" / "training.json").read_text())
    assert list(summary["validation_loss"]) == [*OBJECTIVES, "tasks"]
    assert list(summary["validation_loss"]["tasks"]) == ["2", "4", "6"]
    assert "50% of the steps were of tasks: " in (folder / "second" / "README.md").read_text()
    with pytest.raises(SystemExit, match=r"holds another run: multi_task was .*'ratio': 0.5.* and is .*'ratio': 0.25"):
        pretrain(folder, max_steps=8, multi_task_ratio=0.25, **settings)
    with pytest.raises(SystemExit, match=r"holds another run: multi_task was .* and is None"):
        pretrain(folder, max_steps=8, max_length=32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"multi_task": "rte=x"}, r"--multi_task_ratio 0: give the share of the tasks, between 0 and 1"),
        ({"multi_task": "rte=x", "multi_task_ratio": 1.5}, r"--multi_task_ratio 1.5: give the share"),
        ({"multi_task_ratio": 0.1}, r"--multi_task_ratio 0.1 has no tasks: name some with --multi_task"),
        (
            {"multi_task": "rte=x", "multi_task_ratio": 0.1},
            r"There is no folder x: give the one with RTE's train.jsonl",
        ),
        ({"multi_task": "odd", "multi_task_ratio": 0.1}, r"Unknown task 'odd': there are the cloze tasks"),
    ],
)
def test_tasks_that_are_refused(folder, settings, message):
    with pytest.raises(SystemExit, match=message):
        pretrain(folder, max_steps=2, **settings)
