"""
What a run is, in `run.json` of its output folder: a run that goes on must be the same one. What may change is its length, what
is logged, saved and measured, and how many processes there are.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
from pretrain_arguments import Arguments, PretrainingArguments
from pretrain_settings import COLLATOR_OPTIONS, RUN_FILE, read_corpora, read_run

from modeling_glm import GLMConfig, GLMTokenizer
from modeling_glm.utils.files import write_whole

SHAPE = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "block_position_embeddings",
)


def describe_run(
    args: Arguments,
    training: PretrainingArguments,
    tokenizer: GLMTokenizer,
    config: GLMConfig,
    train: Sequence[datasets.Dataset],
) -> dict[str, Any]:
    """Everything that the weights depend on, but for the length of the run and the numbers of its processes."""
    return {
        "corpora": [sorted({Path(file["filename"]).parent.name for file in corpus.cache_files}) for corpus in train],
        "texts": [len(corpus) for corpus in train],
        "weights": [read_corpora(args, args.corpus)[1], args.curriculum],
        "vocabulary": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16],
        "model": {name: getattr(config, name) for name in SHAPE},
        "from": args.model,
        "objectives": dict(args.objectives),
        "collator": {name: getattr(args, name) for name in COLLATOR_OPTIONS},
        "global_batch_size": args.global_batch_size,
        "seed": training.seed,
        "bf16": training.bf16,
    }


def check_run(output_dir: Path, run: dict[str, Any], resumes: bool):
    """
    Compares a run that goes on with what it was, and notes what a new one is. To be called in the first process.

    Raises:
        SystemExit: if it is another one. The message names what differs.
    """
    path = output_dir / RUN_FILE
    run = json.loads(json.dumps(run))
    if not resumes:
        output_dir.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(run, indent=2) + "\n")
        return
    before = read_run(output_dir)
    if before is None:
        raise SystemExit(
            f"{output_dir} has checkpoints, but no {RUN_FILE} that says of what run: give another --output_dir."
        )
    differences = [
        f"{name} was {before.get(name)} and is {run[name]}" for name in run if before.get(name) != run[name]
    ]
    if differences:
        raise SystemExit(
            f"The run in {output_dir} is another one: {'; '.join(differences)}. Go on with the arguments it had, or give "
            "another --output_dir (and --model to start from its weights)."
        )
