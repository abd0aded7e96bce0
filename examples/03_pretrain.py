#!/usr/bin/env python
"""
Pretrain a GLM by blank infilling (paper section 2): from text files to a folder that `from_pretrained` reads, on one
CPU, one GPU, or many machines.

Without arguments this trains a small model from scratch, on text that ships with Python. `make tiny` trains the embedded
checkpoint, on real English as well. Run the same command again to resume an interrupted run; the number of processes may
change.

    python examples/03_pretrain.py
    python examples/03_pretrain.py --corpus my_texts/ --output_dir runs/mine --vocab_size 16000 --max_steps 20000
    python examples/03_pretrain.py --model THUDM/glm-2b --corpus wiki.jsonl=0.7 'books/*.parquet=0.3' --output_dir runs/more
    python examples/03_pretrain.py --corpus my_texts/ --multi_task rte=SuperGLUE/RTE cnn_dm=cnn_dm tasks.yaml \\
        --multi_task_ratio 0.1 --output_dir runs/tasks
    accelerate launch --config_file examples/accelerate/fsdp2.yaml examples/03_pretrain.py \\
        --recipe glm-10b --corpus /data/pile --output_dir /shared/glm-10b --per_device_train_batch_size 8

The output folder holds the checkpoints, the trained vocabulary and `final`: the model with its card, loss curve and
settings. --corpus python names the text that ships with Python, --corpus wordnet bible austen the
texts that make data fetches, and --multi_task prose facts two tasks made of it. docs/guides/pretrain.md is the guide to all of this.
"""

from functools import partial
from pathlib import Path

from corpora.embedded import EMBEDDED, PYTHON

from modeling_glm.pretraining.run import pretrain
from modeling_glm.pretraining.settings import parse_arguments
from modeling_glm.runs.checkpoints import disconnect

RECIPES = Path(__file__).parent / "recipes"
TASKS = ("prose", "facts")


def build_task(name: str):
    """Build an embedded task for --multi_task."""
    from corpora.cloze_tasks import EMBEDDED_TASKS  # needs scikit-learn, which a run without tasks does not

    return EMBEDDED_TASKS[name]()


def main():
    args, training = parse_arguments(__doc__, recipes=RECIPES, embedded_corpus=PYTHON)
    pretrain(args, training, EMBEDDED, {name: partial(build_task, name) for name in TASKS})


if __name__ == "__main__":
    main()
    disconnect()
