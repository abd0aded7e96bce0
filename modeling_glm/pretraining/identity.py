"""
The identity of a run, in `run.json` of its output folder. A run resumes only if it is the same one.

The length of a run, its logging, saving and validation, and the number of processes may change between starts.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets

from ..configuration_glm import GLMConfig
from ..tokenization import GLMTokenizer
from ..utils.files import write_whole
from .arguments import PretrainingArguments, RunArguments, collator_options
from .optimizer import ADAMW
from .settings import RUN_FILE, read_corpora, read_run
from .tasks import TaskSet

SHAPE = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "block_position_embeddings",
)

OF_OPTIMIZER = ("learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon")
# Runs of before do not say them.
SINCE = ("optimizer_settings", "dropout")

# What runs were that do not say it in run.json, because it could not be set then.
BEFORE = {"optimizer": ADAMW}
COLLATOR_BEFORE = {"whole_words": False}


def describe_run(
    args: RunArguments,
    training: PretrainingArguments,
    tokenizer: GLMTokenizer,
    config: GLMConfig,
    train: Sequence[datasets.Dataset],
    tasks: TaskSet | None = None,
) -> dict[str, Any]:
    """Return everything that the weights depend on, except the length of the run and the number of processes."""
    return {
        "corpora": [sorted({Path(file["filename"]).parent.name for file in corpus.cache_files}) for corpus in train],
        "texts": [len(corpus) for corpus in train],
        "weights": [read_corpora(args, args.corpus)[1], args.curriculum],
        "vocabulary": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16],
        "model": {name: getattr(config, name) for name in SHAPE},
        "from": args.model,
        "objectives": args.shares,
        "collator": collator_options(args),
        "multi_task": None
        if tasks is None
        else {"ratio": args.multi_task_ratio, "unit": args.multi_task_unit, "tasks": tasks.describe()},
        "global_batch_size": args.global_batch_size,
        "seed": training.seed,
        "bf16": training.bf16,
        "optimizer": args.optimizer,
        # A checkpoint holds them, so another value would change nothing.
        "optimizer_settings": {name: getattr(training, name) for name in OF_OPTIMIZER}
        | {"muon_learning_rate": args.muon_learning_rate},
        "dropout": args.dropout,
    }


def check_run(output_dir: Path, run: dict[str, Any], resumes: bool):
    """
    Compare a resumed run with `run.json`, or write `run.json` for a new one. Call it in the first process only.

    Args:
        output_dir: The folder of the run.
        run: The result of `describe_run`.
        resumes: Whether the run resumes from a checkpoint.

    Raises:
        SystemExit: If the run in the folder is another one. The message names the differences.
    """
    path = output_dir / RUN_FILE
    run = json.loads(json.dumps(run))
    if not resumes:
        output_dir.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(run, indent=2) + "\n")
        return
    before = read_run(output_dir)
    if before is None:
        raise SystemExit(f"{output_dir} has checkpoints, but no {RUN_FILE}: give another --output_dir.")
    before = BEFORE | {name: run[name] for name in SINCE if name in run} | before
    before["collator"] = COLLATOR_BEFORE | before.get("collator", {})
    differences = [
        f"{name} was {before.get(name)} and is {run[name]}" for name in run if before.get(name) != run[name]
    ]
    if differences:
        raise SystemExit(
            f"{output_dir} holds another run: {'; '.join(differences)}. Resume with the same arguments, or give another "
            "--output_dir (and --model to start from the weights of this run)."
        )
