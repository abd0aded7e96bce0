"""The arguments of a pretraining run: our own, and those of Trainer with defaults for pretraining."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import TrainingArguments

from ..configuration_glm import PRESETS
from .documents import DOCUMENT_KINDS, DocumentKind
from .multitask import MixingUnit

OptimizerName = Literal["adamw", "muon"]
# The peak learning rate for a model that is trained further: that of the published model with 2 billion weights.
RATE_WITH_MODEL = 1e-4


@dataclass
class DataArguments:
    """The texts."""

    _argument_group_name = "texts"

    corpus: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Texts to train on: files (.txt, .jsonl, .parquet, also .gz), folders, patterns, or names of "
            "datasets. Add =WEIGHT to each to set its share; without weights the share follows from the size."
        },
    )
    curriculum: list[str] | None = field(
        default=None, metadata={"help": "STEP:WEIGHT,WEIGHT,... sets new weights of the corpora from a step on."}
    )
    validation: list[str] | None = field(
        default=None, metadata={"help": "Corpora to validate on. Without it, a part of every corpus is held out."}
    )
    held_out: float = field(default=0.02, metadata={"help": "Share of every corpus to hold out."})
    validation_texts: int = field(default=512, metadata={"help": "Largest number of texts to validate on."})
    text_column: str = field(
        default="text", metadata={"help": "Column with the text, in JSON lines, Parquet files and datasets."}
    )
    split: str = field(default="train", metadata={"help": "Split of the datasets to read."})
    documents: DocumentKind = field(
        default="lines", metadata={"help": f"What counts as one document in a .txt file: {', '.join(DOCUMENT_KINDS)}."}
    )
    cache_dir: str = field(default="runs/corpora", metadata={"help": "Folder for tokenized corpora."})
    num_proc: int | None = field(
        default=None, metadata={"help": "Number of processes that tokenize. Without it, one process with threads."}
    )


@dataclass
class ModelArguments:
    """The model and its vocabulary."""

    _argument_group_name = "model and vocabulary"

    model: str | None = field(
        default=None, metadata={"help": "Folder or hub id of a GLM to train further, with its vocabulary."}
    )
    preset: str | None = field(default=None, metadata={"help": f"A published size: {', '.join(PRESETS)}."})
    hidden_size: int = field(default=192, metadata={"help": "Width of a model without a preset."})
    num_hidden_layers: int = field(default=5, metadata={"help": "Number of layers without a preset."})
    num_attention_heads: int = field(default=6, metadata={"help": "Number of attention heads without a preset."})
    dropout: float | None = field(
        default=None,
        metadata={"help": "Dropout of a new model. Without it, 0.1 with a preset as in the paper, else 0."},
    )
    max_position_embeddings: int | None = field(
        default=None,
        metadata={"help": "Rows of the position table. Without it, those of the preset, or else max_length."},
    )
    attn_implementation: str = field(
        default="sdpa" if torch.cuda.is_available() else "eager",
        metadata={"help": "Attention function. On CPUs the backward pass of SDPA is slow for short texts."},
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or hub id of a vocabulary. Without it, one is trained on the corpora."}
    )
    vocab_size: int = field(default=4096, metadata={"help": "Number of tokens of a trained vocabulary."})
    vocabulary_texts: int = field(
        default=1_000_000, metadata={"help": "Largest number of documents that the vocabulary is trained on."}
    )


@dataclass
class ObjectiveArguments:
    """The objectives, and how texts become blanks. All but `objectives` are options of the collator."""

    _argument_group_name = "objectives and blanks"

    objectives: list[str] = field(
        default_factory=lambda: ["token=0.75", "sentence=0.1", "document=0.15"],
        metadata={"help": "Share of each objective."},
    )
    mask_ratio: float = field(default=0.25, metadata={"help": "Share of a text that the token objective masks."})
    mean_span_length: float = field(default=3.0, metadata={"help": "Mean length of its spans in tokens."})
    whole_words: bool = field(
        default=False,
        metadata={"help": "Whether its spans are whole words without punctuation, with lengths in words."},
    )
    sentence_ratio: float = field(default=0.15, metadata={"help": "Share that the sentence objective masks."})
    min_document_ratio: float = field(
        default=0.5, metadata={"help": "Shortest target of the document objective, as a share of the text."}
    )
    suffix_probability: float = field(
        default=0.5, metadata={"help": "Probability that the target of the document objective is the end of the text."}
    )
    single_span_probability: float = field(
        default=0.0, metadata={"help": "Probability that a text gets one short span only."}
    )
    short_probability: float = field(
        default=0.0, metadata={"help": "Probability that a text is cut into short texts."}
    )
    block_mask_probability: float = field(
        default=0.0, metadata={"help": "Probability of a token in a piece to be fed as [dBLOCK]."}
    )
    context_mask_ratio: float = field(default=0.0, metadata={"help": "Share of Part A that becomes [dBLOCK]."})
    task_masks: bool = field(default=True, metadata={"help": "Whether to use [sMASK] and [gMASK]."})
    shuffle_spans: bool = field(default=True, metadata={"help": "Whether to put pieces in random order."})
    block_positions: bool = field(default=True, metadata={"help": "Whether to count positions within a piece."})
    random_positions: bool = field(default=False, metadata={"help": "Whether positions start at a random number."})
    max_length: int = field(
        default=256, metadata={"help": "Longest text in tokens. Longer documents are cut into several texts."}
    )
    packed_length: int | None = field(
        default=None,
        metadata={
            "help": "Length of rows that several texts are packed into; 0 gives each text a row of its own. Without it, "
            "twice max_length on a GPU, and half of it on a CPU, where long rows cost more."
        },
    )
    pad_to_multiple_of: int | None = field(
        default=8, metadata={"help": "Round up the length of rows to a multiple of this: better for kernels."}
    )


@dataclass
class MultiTaskArguments:
    """Examples of tasks beside the texts."""

    _argument_group_name = "multi-task training"

    multi_task: list[str] | None = field(
        default=None,
        metadata={
            "help": "Tasks to learn beside blank infilling: NAME=FOLDER for a published cloze or seq2seq task with its "
            "files, the name of an embedded task, or a YAML file with tasks of your own. A task is drawn by "
            "min(examples, 200000)^0.8."
        },
    )
    multi_task_ratio: float = field(
        default=0.0, metadata={"help": "Share of the tasks, of the steps or samples, between 0 and 1."}
    )
    multi_task_unit: MixingUnit = field(
        default="step",
        metadata={
            "help": "What the ratio is a share of. step: all samples of a step are of tasks or none, as in the originals. "
            "sample: every step has about this share of examples."
        },
    )


@dataclass
class ScheduleArguments:
    """The recipe, the batch and the learning rate."""

    _argument_group_name = "recipe and schedule"

    recipe: str | None = field(
        default=None,
        metadata={
            "help": "A published recipe by name (see examples/recipes), or a YAML file with arguments as keys. "
            "Command-line arguments override the recipe."
        },
    )
    phase: int = field(default=1, metadata={"help": "Phase of a recipe with several; start later ones with --model."})
    global_batch_size: int = field(
        default=48,
        metadata={"help": "Texts per step over all processes. The number of accumulation steps follows from it."},
    )
    optimizer: OptimizerName = field(
        default="adamw",
        metadata={
            "help": "adamw, or muon: Muon for the matrices of the layers and AdamW for embeddings, biases and LayerNorm."
        },
    )
    muon_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak learning rate of Muon. Without it, --learning_rate, which is AdamW's."}
    )
    decay: str = field(default="cosine", metadata={"help": "Form of the decay: cosine or linear."})
    decay_steps: int | None = field(
        default=None, metadata={"help": "Step at which the learning rate reaches its floor. Without it, max_steps."}
    )
    min_lr_ratio: float = field(default=0.05, metadata={"help": "Floor of the learning rate, as a share of its peak."})


@dataclass
class ResultArguments:
    """The finished model and what is measured."""

    _argument_group_name = "results"

    export: str | None = field(
        default=None, metadata={"help": "Folder for the finished model. Without it, output_dir/final."}
    )
    export_dtype: str = field(
        default="float32",
        metadata={"help": "Type of its weights: bfloat16 is half as large, float32 is better for further training."},
    )
    export_code: bool = field(
        default=True,
        metadata={"help": "Copy the code of the model into the folder, for those who load it without the package."},
    )
    peak_tflops: float | None = field(
        default=None,
        metadata={"help": "TFLOP/s of one device, for the MFU in the log. Without it, a matmul is timed."},
    )
    blanks: int = field(
        default=2000, metadata={"help": "Held-out blanks of an embedded corpus to measure on; 0 measures nothing."}
    )


@dataclass
class RunArguments(
    DataArguments, ModelArguments, ObjectiveArguments, MultiTaskArguments, ScheduleArguments, ResultArguments
):
    """
    All arguments of a run beside those of Trainer.

    Attributes:
        shares: The objectives with their shares, which `settings.complete` reads from `objectives`.
    """

    shares: dict[str, float] = field(default_factory=dict, init=False)


@dataclass
class PretrainingArguments(TrainingArguments):
    """`TrainingArguments` with defaults for pretraining."""

    _argument_group_name = "TrainingArguments of Transformers"

    output_dir: str | None = field(
        default="runs/glm-tiny", metadata={"help": "Folder for checkpoints. A run resumes from what is there."}
    )
    max_steps: int = field(default=12000, metadata={"help": "Length of the run in steps."})
    per_device_train_batch_size: int = field(
        default=48, metadata={"help": "Largest number of texts per process and forward pass."}
    )
    per_device_eval_batch_size: int = field(default=16, metadata={"help": "Texts per forward pass of validation."})
    learning_rate: float = field(
        default=2e-3,
        metadata={"help": f"Peak learning rate. With --model it is {RATE_WITH_MODEL:g} if you leave it out."},
    )
    warmup_steps: float = field(
        default=0.03, metadata={"help": "Steps until the peak learning rate; below 1, a share of all steps."}
    )
    weight_decay: float = field(default=0.1, metadata={"help": "Weight decay, without biases and LayerNorm."})
    adam_beta2: float = field(default=0.98, metadata={"help": "Second beta of AdamW."})
    adam_epsilon: float = field(default=1e-6, metadata={"help": "Epsilon of AdamW."})
    bf16: bool = field(
        default=False, metadata={"help": "Whether to train in bf16 autocast. Without it, where it is faster."}
    )
    use_cpu: bool = field(
        default=False, metadata={"help": "Whether to train on the CPU. Without it, where there is no GPU."}
    )
    ddp_timeout: int = field(
        default=86400, metadata={"help": "Seconds that processes wait for the one that tokenizes."}
    )
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Whether to look for unused parameters. GLM has none."}
    )
    eval_strategy: str = field(default="steps", metadata={"help": "When to measure the validation losses."})
    eval_steps: float | None = field(default=250, metadata={"help": "Steps between validations."})
    save_steps: float = field(default=250, metadata={"help": "Steps between checkpoints."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Number of checkpoints to keep."})
    logging_steps: float = field(default=50, metadata={"help": "Steps between entries of the log."})
    report_to: str | None = field(default="none", metadata={"help": "tensorboard, trackio, wandb, ..."})
    seed: int = field(default=0, metadata={"help": "Seed of weights, order and blanks."})

    @property
    def folder(self) -> Path:
        """The folder of the run, `output_dir`."""
        if self.output_dir is None:
            raise ValueError("output_dir is None: a run needs a folder.")
        return Path(self.output_dir)


GROUPS = (
    DataArguments,
    ModelArguments,
    ObjectiveArguments,
    MultiTaskArguments,
    ScheduleArguments,
    ResultArguments,
)
COLLATOR_OPTIONS = tuple(option.name for option in fields(ObjectiveArguments) if option.name != "objectives")


def collator_options(args: RunArguments) -> dict[str, Any]:
    """Return the options of `DataCollatorForBlankInfilling` that the arguments set, without objectives and seed."""
    return {name: getattr(args, name) for name in COLLATOR_OPTIONS}
