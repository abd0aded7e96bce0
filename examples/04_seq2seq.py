#!/usr/bin/env python
"""
Fine-tune a GLM from source to target (paper section 2.3): summaries, questions, answers, translations.

Run without arguments, the script teaches the embedded checkpoint to name a function by its docstring. The docstrings ship
with Python. It compares the answers with the first words of the docstring and with the name of the nearest docstring. This
takes about eight minutes on a CPU core.

    python examples/04_seq2seq.py
    python examples/04_seq2seq.py --task summaries --num_beams 4

Train on your own CSV, TSV, JSON lines or Parquet, or on a dataset of the hub. A pattern has columns in braces and one or
several blanks:

    python examples/04_seq2seq.py --train_file train.csv --test_file test.csv --source article --target headline
    python examples/04_seq2seq.py --dataset EdinburghNLP/xsum --target summary --pattern "[sMASK] Content: {document|shorten}" \\
        --model THUDM/glm-2b --num_beams 6 --metrics rouge bleu --output_dir runs/xsum

Train on a task of the authors' code with its settings, from the files that this code reads:

    python examples/04_seq2seq.py --recipe xsum --data_dir xsum --model THUDM/glm-2b --output_dir runs/xsum

Predict with a finished run:

    python examples/04_seq2seq.py --model runs/seq2seq --predict_file new.csv --output_dir runs/new

Run the same command again to resume a run that was interrupted. The output folder has the checkpoints, the scores
(results.json) and the folder `model`: the best model by its loss on validation rows, its tokenizer, its pattern
(seq2seq.json), its answers to the test rows with their scores (answers.jsonl), and those to --predict_file (predicted.jsonl).
`modeling-glm seq2seq FOLDER rows.jsonl` predicts with it. With --lora the folder has the LoRA matrices and the name of the
model that they belong to; --merge writes a whole model instead.
"""

import os
import sys
from pathlib import Path

from accelerate import PartialState
from corpora.docstrings import EMBEDDED_TASKS
from transformers.utils.logging import disable_progress_bar

from modeling_glm import embedded_checkpoint
from modeling_glm.runs.checkpoints import disconnect
from modeling_glm.seq2seq.arguments import parse_arguments
from modeling_glm.seq2seq.run import Embedded, fine_tune
from modeling_glm.tokenization.seq2seq.published import available_seq2seq_tasks

HERE = Path(__file__).parent
RECIPES = HERE / "recipes" / "seq2seq"


def main() -> int:
    """Train, measure and predict as the arguments say. Returns the number of rows that could not be predicted."""
    arguments = parse_arguments(__doc__, recipes=RECIPES, embedded=EMBEDDED_TASKS, published=available_seq2seq_tasks())
    disable_progress_bar()  # loading these weights takes no time worth showing
    if not PartialState().is_main_process:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  the first process says it for all
    return fine_tune(*arguments, embedded=Embedded(model=Path(embedded_checkpoint()), tasks=EMBEDDED_TASKS))


if __name__ == "__main__":
    try:
        failed = main()
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the same command again to resume.")
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    disconnect()
    if failed:
        sys.exit(1)
