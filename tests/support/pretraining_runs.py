"""Small pretraining runs, in this process or in one of their own."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from modeling_glm.pretraining import run
from modeling_glm.pretraining.settings import parse_arguments
from tests.support.kills import Child, start
from tests.support.paths import EXAMPLES
from tests.support.scripts import run_script

RECIPES = EXAMPLES / "recipes"
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


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch, so that losses of runs compare bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_texts(path: Path, count: int = 200) -> Path:
    path.write_text("\n".join(f"{n} times ten is {n}0. And {n} plus one is {n + 1}." for n in range(count)))
    return path


def options(folder: Path, **settings) -> list[str]:
    """Return the command line of a small run on `texts.txt` of a folder. None leaves an argument out."""
    defaults = {"corpus": folder / "texts.txt", "output_dir": folder / "run", "cache_dir": folder / "cache"}
    words = []
    for name, value in {**SMALL, **defaults, **settings}.items():
        if value is not None:
            words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return words


def pretrain(folder: Path, **settings):
    """Run a pretraining in this process."""
    run.pretrain(*parse_arguments("", options(folder, **settings), recipes=RECIPES))


def start_script(folder: Path, **settings) -> Child:
    """Start `03_pretrain.py` in a process of its own, with one thread."""
    return start(_run_script, folder, options(folder, **settings), root=folder)


def _run_script(folder: Path, words: list[str]):
    os.chdir(folder)
    run_script("03_pretrain.py", *words)


def read_losses(output_dir: Path) -> list[tuple]:
    """Read the log of the newest checkpoint: everything but the times, for every step."""
    newest = max(output_dir.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
    names = ("step", "loss", "grad_norm", "learning_rate", *(f"eval_{name}_loss" for name in OBJECTIVES))
    return [tuple(entry.get(name) for name in names) for entry in history]
