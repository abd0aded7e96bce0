"""The pretraining example: from texts to a model, resumed, continued, by recipe, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.configuration_glm import PRESETS
from modeling_glm.hub.card import count_parameters
from modeling_glm.pretraining import settings as arguments
from modeling_glm.pretraining.arguments import collator_options
from tests.examples.test_examples import EXAMPLES, run
from tests.support.original_files import write_vocabulary

OBJECTIVES = ("token", "sentence", "document")
SMALL = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "global_batch_size": 8,
    "save_steps": 2,
    "eval_steps": 2,
    "logging_steps": 1,
    "peak_tflops": 0.1,
    "disable_tqdm": "true",
    "bf16": "false",
}


def write_texts(path: Path, count: int = 200) -> Path:
    path.write_text("\n".join(f"{n} times ten is {n}0. And {n} plus one is {n + 1}." for n in range(count)))
    return path


def options(folder: Path, **settings) -> list[str]:
    """The command line of a small run in a folder, whose texts are there."""
    settings = {
        **SMALL,
        "corpus": folder / "texts.txt",
        "output_dir": folder / "run",
        "cache_dir": folder / "cache",
        **settings,
    }
    words = []
    for name, value in settings.items():
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *map(str, values)]
    return words


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path / "texts.txt")
    return tmp_path


def pretrain(folder: Path, **settings):
    """Runs the script in this process; None stands for leaving an argument out."""
    run("03_pretrain.py", *options(folder, **settings))


def test_from_a_text_file_and_on(folder, capsys):
    """Trains, goes on for some steps more, and writes a model that fills blanks, with its card, curve and settings."""
    pretrain(folder, max_steps=4, export=folder / "first")
    pretrain(folder, max_steps=6, export=folder / "second")
    printed = capsys.readouterr().out
    assert "resuming from" in printed
    assert "sample 32" in printed
    assert {p.name for p in (folder / "run").glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    model = GLMForConditionalGeneration.from_pretrained(folder / "second")
    tokenizer = GLMTokenizer.from_pretrained(folder / "second")
    inputs = tokenizer("7 times ten is [MASK].", return_tensors="pt")
    assert len(tokenizer.decode_blanks(model.generate(**inputs, max_new_tokens=3))[0]) == 1
    summary = json.loads((folder / "second" / "training.json").read_text())
    assert summary["arguments"]["max_steps"] == 6
    assert list(summary["validation_loss"]) == ["token", "sentence", "document"]
    assert list(summary["validation_loss"]["token"]) == ["2", "4", "6"]
    assert summary["speed"]["tokens_per_second"] > 0
    assert summary["speed"]["mfu"] > 0
    card = (folder / "second" / "README.md").read_text()
    assert "75% token, 10% sentence, 15% document" in card
    assert "| sentence | " in card
    assert (folder / "second" / "loss.png").stat().st_size > 5000


def test_what_is_finished_is_only_written_out_again(folder, capsys):
    pretrain(folder, max_steps=2, export=folder / "first")
    before = (folder / "run" / "checkpoint-2" / "trainer_state.json").read_bytes()
    pretrain(folder, max_steps=2, export=folder / "second")
    assert (folder / "run" / "checkpoint-2" / "trainer_state.json").read_bytes() == before
    first, second = (load_file(folder / name / "model.safetensors") for name in ("first", "second"))
    assert all((first[name] == second[name]).all() for name in first)
    settings = [json.loads((folder / name / "training.json").read_text()) for name in ("first", "second")]
    assert settings[0]["validation_loss"] == settings[1]["validation_loss"]


def start(folder: Path, **settings) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / "03_pretrain.py"), *options(folder, **settings)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def losses(output_dir: Path) -> list[tuple]:
    """What the log of the newest checkpoint says of every step, without the times."""
    newest = max(output_dir.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
    names = ("step", "loss", "grad_norm", "learning_rate", *(f"eval_{name}_loss" for name in OBJECTIVES))
    return [tuple(entry.get(name) for name in names) for entry in history]


def test_a_killed_run_goes_on_as_if_nothing_had_been(folder):
    """kill -9 in the middle of a step: the rest of the loss curve, and the weights, are the same bit for bit."""
    settings = {"max_steps": 60, "save_steps": 5, "eval_steps": 20, "dropout": 0.1, "hidden_size": 64}
    whole = start(folder, **settings, output_dir=folder / "whole", export=folder / "undisturbed")
    output, _ = whole.communicate(timeout=240)
    assert whole.returncode == 0, output
    killed = start(folder, **settings, output_dir=folder / "killed", export=folder / "resumed")
    deadline = time.monotonic() + 240
    while not (folder / "killed" / "checkpoint-10" / "manifest.json").exists():
        assert killed.poll() is None, killed.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (folder / "resumed").exists()
    again = start(folder, **settings, output_dir=folder / "killed", export=folder / "resumed")
    output, _ = again.communicate(timeout=240)
    assert again.returncode == 0, output
    assert "resuming from" in output
    assert losses(folder / "killed") == losses(folder / "whole")
    first, second = (load_file(folder / name / "model.safetensors") for name in ("undisturbed", "resumed"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_damaged_checkpoint_is_passed_over(folder, capsys):
    pretrain(folder, max_steps=4)
    weights = folder / "run" / "checkpoint-4" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    pretrain(folder, max_steps=6)
    printed = capsys.readouterr().out
    assert "Skipped a checkpoint: " in printed
    assert "model.safetensors" in printed
    assert f"resuming from {folder / 'run' / 'checkpoint-2'}, sample 16" in printed


def test_going_on_from_a_model_with_other_texts(folder, capsys):
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
    first, second = (
        load_file(path / "model.safetensors") for path in (folder / "first", folder / "second_run" / "final")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert "It was trained further from" in (folder / "second_run" / "final" / "README.md").read_text()


def test_reports_to_tensorboard(folder, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(folder / "events"))
    pretrain(folder, max_steps=2, report_to="tensorboard")
    (events,) = (folder / "events").glob("**/events.out.tfevents.*")
    content = events.read_bytes()
    for name in (b"train/mfu", b"train/tokens_per_second", b"eval/token_loss", b"eval/document_loss"):
        assert name in content


@pytest.mark.parametrize("name", [path.stem for path in sorted((EXAMPLES / "recipes").glob("*.yaml"))])
def test_recipes(name, tmp_path, tokenizer):
    """Every published recipe is understood, phase by phase, and its model has the published size."""
    import yaml

    recipe = yaml.safe_load((EXAMPLES / "recipes" / f"{name}.yaml").read_text())
    assert name in PRESETS
    for phase in range(1, 1 + len(recipe.get("phases", [{}]))):
        line = ["--recipe", name, "--phase", str(phase), "--output_dir", str(tmp_path), "--weight_decay", "0.5"]
        args, training = arguments.parse_arguments("", line, recipes=EXAMPLES / "recipes", embedded_corpus="python")
        assert args.preset == name
        assert training.weight_decay == 0.5  # the command line comes first
        assert training.learning_rate < 1e-3
        per_step = training.per_device_train_batch_size * training.gradient_accumulation_steps
        assert per_step == args.global_batch_size
        assert args.max_length <= PRESETS[name]["max_position_embeddings"]
        DataCollatorForBlankInfilling(
            tokenizer,
            objectives=args.shares,
            **collator_options(args),
        )
        rows = -(-args.vocab_size // 128) * 128
        config = GLMConfig.from_preset(name, vocab_size=rows)
        assert count_parameters(config) == count_parameters(GLMConfig.from_preset(name))


def test_all_published_models_have_a_recipe():
    """GLM-Doc is GLM-Large, trained on with other data."""
    assert {path.stem for path in (EXAMPLES / "recipes").glob("*.yaml")} == set(PRESETS) - {"glm-doc"}


def test_defaults_that_depend_on_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(arguments, "has_fast_bf16", lambda: True)
    _, training = arguments.parse_arguments("", [*["--output_dir", str(tmp_path)], "--corpus", "texts.txt"])
    assert training.bf16
    assert training.use_cpu != torch.cuda.is_available()
    _, training = arguments.parse_arguments(
        "", [*["--output_dir", str(tmp_path), "--bf16", "false"], "--corpus", "texts.txt"]
    )
    assert not training.bf16
    (tmp_path / "run.json").write_text('{"bf16": false}')  # what a run began with stays
    _, training = arguments.parse_arguments("", [*["--output_dir", str(tmp_path)], "--corpus", "texts.txt"])
    assert not training.bf16


@pytest.mark.parametrize(
    ("decay", "at_end"),
    [("cosine", 0.1), ("linear", 0.1)],
)
def test_the_learning_rate_ends_at_its_floor(tmp_path, decay, at_end):
    from transformers import get_scheduler

    line = ["--decay", decay, "--min_lr_ratio", str(at_end), "--max_steps", "100", "--warmup_steps", "10"]
    _, training = arguments.parse_arguments("", [*[*line, "--output_dir", str(tmp_path)], "--corpus", "texts.txt"])
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(training.lr_scheduler_type, optimizer, 10, 100, training.lr_scheduler_kwargs)
    rates = []
    for _ in range(120):
        optimizer.step()
        rates.append(scheduler.get_last_lr()[0])
        scheduler.step()
    assert rates[10] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(at_end, abs=0.02)
    assert min(rates[10:100]) >= at_end - 1e-6
    if decay == "linear":  # the original's falls below zero behind the end
        assert rates[110] == pytest.approx(at_end, abs=1e-6)
    middle = (1 + at_end) / 2
    assert rates[55] == pytest.approx(middle, abs=0.01)
    early = arguments.parse_arguments(
        "", [*[*line, "--decay_steps", "50", "--output_dir", str(tmp_path)], "--corpus", "texts.txt"]
    )[1]
    scheduler = get_scheduler(early.lr_scheduler_type, optimizer, 10, 100, early.lr_scheduler_kwargs)
    for _ in range(51):
        scheduler.step()
    assert scheduler.get_last_lr()[0] == pytest.approx(at_end, abs=1e-6)
    assert (abs(rates[30] - (1 - 20 / 90 * (1 - at_end))) < 1e-6) == (decay == "linear")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidden_size": 32}, "model was .* and is"),
        ({"seed": 5}, "seed was 0 and is 5"),
        ({"global_batch_size": 4}, "global_batch_size was 8 and is 4"),
        ({"corpus": "other.txt"}, "corpora was"),
        ({"mask_ratio": 0.5}, "collator was"),
    ],
    ids=str,
)
def test_another_run_does_not_go_on_in_the_folder(folder, changed, message):
    write_texts(folder / "other.txt", 150)
    pretrain(folder, max_steps=2)
    before = sorted(path.name for path in (folder / "run").iterdir())
    with pytest.raises(SystemExit, match=f"holds another run: .*{message}"):
        pretrain(folder, max_steps=4, **changed)
    assert sorted(path.name for path in (folder / "run").iterdir()) == before


@pytest.mark.parametrize("export", ["run", ".", "cache", "texts.txt", "mine"])
def test_a_finished_model_takes_the_place_of_nothing_else(folder, export):
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match=f"--export {export} "):
        pretrain(folder, max_steps=2, export=export)
    assert (folder / "mine" / "notes.txt").read_text() == "mine"
    assert (folder / "texts.txt").is_file()


def test_other_ways_to_give_data(folder):
    """A folder with JSON lines and Parquet, texts to validate on, workers, one text per row, no evaluation on the way."""
    import pyarrow as pa
    import pyarrow.parquet as pq

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
    assert summary["speed"]["padding"] > 0
    assert "validated on `b.jsonl`" in (folder / "run" / "final" / "README.md").read_text()


def test_accumulation_and_compilation_change_nothing(folder):
    """Batches in parts, whose rows are packed anew, give the same weights; so does a compiled model, which is saved as a plain one."""
    weights = []
    for name, settings in (
        ("whole", {}),
        ("parts", {"per_device_train_batch_size": 2}),
        ("compiled", {"torch_compile": "true", "torch_compile_backend": "eager"}),
    ):
        pretrain(folder, max_steps=2, output_dir=folder / name, **settings)
        weights.append(load_file(folder / name / "final" / "model.safetensors"))
    for other in weights[1:]:
        for name, tensor in weights[0].items():
            torch.testing.assert_close(other[name], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corpus": "missing.txt"}, "There is no file or folder missing.txt"),
        ({"corpus": "empty.txt"}, "empty.txt has no text"),
        ({"corpus": "binary.txt"}, "binary.txt"),
        ({"max_length": 64, "max_position_embeddings": 32}, "--max_length 64 is more than the 32 rows"),
        ({"objectives": ["token=0.5", "document=0.4"]}, "must sum to 1"),
        ({"objectives": ["token"]}, "expected NAME=SHARE"),
        ({"recipe": "glm-5b"}, "There is no recipe glm-5b: give a YAML file or one of glm-10b"),
        ({"recipe": "glm-base", "phase": 2}, "has 1 phases: there is no --phase 2"),
        ({"decay": "constant"}, "expected cosine or linear"),
        ({"corpus": ["texts.txt=0.5", "texts.txt=0.4"]}, "sum to 0.9: they must sum to 1"),
        ({"corpus": ["texts.txt=0.5", "texts.txt"]}, "give every corpus a weight, or none"),
        ({"curriculum": ["ten:1"]}, "expected STEP:WEIGHT"),
        ({"held_out": 0.999}, "leaves nothing to train on"),
        ({"vocab_size": 100}, "vocab_size=100 is too small"),
        ({"max_steps": -1}, "--max_steps -1: give the length of a run in steps"),
        ({"gradient_accumulation_steps": 2}, "it follows from --global_batch_size"),
        ({"lr_scheduler_type": "linear"}, "give --decay"),
        ({"model": EXAMPLES / "glm-tiny"}, "--hidden_size is for new models"),
        ({"export_dtype": "int8"}, "expected one of float32, bfloat16, float16"),
    ],
    ids=str,
)
def test_what_is_refused(folder, settings, message):
    (folder / "empty.txt").write_text("\n \n")
    (folder / "binary.txt").write_bytes(b"some\0bytes\n")
    with pytest.raises(SystemExit, match=message):
        pretrain(folder, **{"max_steps": 1, **settings})
    assert not (folder / "run" / "final").exists()


def test_a_vocabulary_without_the_masks_is_refused(folder):
    write_vocabulary("bert", folder / "bert")
    with pytest.raises(SystemExit, match=r"no smask_token .* task_masks=False"):
        pretrain(folder, tokenizer=folder / "bert", max_steps=1)


@pytest.mark.parametrize("words", [["--rec", "glm-base"], ["--num_train", "3"]], ids=str)
def test_abbreviations_are_refused(words, capsys):
    """What is read before the rest, as --recipe, and what is refused would not be found under them."""
    with pytest.raises(SystemExit):
        arguments.parse_arguments("pretraining", words)
    assert f"unrecognized arguments: {' '.join(words)}" in capsys.readouterr().err


def test_an_unknown_key_of_a_recipe_is_refused(folder):
    (folder / "own.yaml").write_text("learning_rat: 1.0e-3\n")
    with pytest.raises(SystemExit, match=r"sets unknown arguments: learning_rat"):
        pretrain(folder, recipe=folder / "own.yaml")


def test_packing_leaves_nearly_no_padding_on_the_embedded_corpus():
    from examples.corpora import build_splits

    tokenizer = GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")
    texts = [document.text for document in build_splits()[0][::25]]
    features = [
        {"input_ids": ids, "sample_id": number}
        for number, ids in enumerate(tokenizer(texts, add_special_tokens=True)["input_ids"])
    ]
    collator = DataCollatorForBlankInfilling(
        tokenizer,
        objectives={"token": 0.75, "sentence": 0.1, "document": 0.15},
        mask_ratio=0.25,
        max_length=256,
        packed_length=512,
        pad_to_multiple_of=8,
    )
    generator = np.random.default_rng(0)
    features = [features[index] for index in generator.permutation(len(features))]
    masks = [collator(features[start : start + 48])["attention_mask"] for start in range(0, len(features) - 47, 48)]
    padding = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
    assert len(masks) > 15
    assert padding < 0.03
