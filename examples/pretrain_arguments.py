"""The arguments of 03_pretrain.py: its own, and those of Trainer with other defaults."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from pretrain_documents import DOCUMENTS
from transformers import TrainingArguments

from modeling_glm.configuration_glm import PRESETS

HERE = Path(__file__).parent
EMBEDDED_CORPUS = "python"


@dataclass
class Arguments:
    """What to train, on what, and where to."""

    recipe: str | None = field(
        default=None,
        metadata={
            "help": "A published recipe by name (see examples/recipes), or a YAML file with arguments as keys. Other "
            "arguments of the command line come before it."
        },
    )
    phase: int = field(default=1, metadata={"help": "Which phase of a recipe that has several; go on with --model."})
    corpus: list[str] = field(
        default_factory=lambda: [EMBEDDED_CORPUS],
        metadata={
            "help": "'python' for text that ships with Python, or files (.txt, .jsonl, .parquet, also .gz), folders, "
            "patterns or names of datasets; with =WEIGHT behind each, or without (then by size)."
        },
    )
    curriculum: list[str] | None = field(
        default=None, metadata={"help": "STEP:WEIGHT,WEIGHT,...: weights of the corpora from a step on."}
    )
    validation: list[str] | None = field(
        default=None, metadata={"help": "Corpora to validate on; if not given, a part of every corpus is held out."}
    )
    held_out: float = field(default=0.02, metadata={"help": "Share of every corpus to hold out."})
    validation_texts: int = field(default=512, metadata={"help": "Most texts to validate on."})
    text_column: str = field(default="text", metadata={"help": "Of JSON lines, Parquet files and datasets."})
    split: str = field(default="train", metadata={"help": "Of datasets."})
    documents: str = field(
        default="lines", metadata={"help": f"What is a document in .txt files: {', '.join(DOCUMENTS)}."}
    )
    cache_dir: str = field(default="runs/corpora", metadata={"help": "Where tokenized corpora are kept."})
    num_proc: int | None = field(default=None, metadata={"help": "Processes that tokenize files side by side."})
    tokenizer: str | None = field(
        default=None, metadata={"help": "Folder or hub id of a vocabulary; if not given, one is trained."}
    )
    vocab_size: int = field(default=4096, metadata={"help": "Tokens of the vocabulary that is trained."})
    vocabulary_texts: int = field(default=1_000_000, metadata={"help": "Documents that it is trained on, at most."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or hub id of a GLM to go on from, with its vocabulary."}
    )
    preset: str | None = field(default=None, metadata={"help": f"A published size: {', '.join(PRESETS)}."})
    hidden_size: int = field(default=192, metadata={"help": "Width, without a preset."})
    num_hidden_layers: int = field(default=5, metadata={"help": "Depth, without a preset."})
    num_attention_heads: int = field(default=6, metadata={"help": "Attention heads, without a preset."})
    dropout: float | None = field(
        default=None, metadata={"help": "0.1 as in the paper with a preset, 0 without: what is seen once needs none."}
    )
    max_position_embeddings: int | None = field(
        default=None, metadata={"help": "Rows of the position table; if not given, that of the preset or max_length."}
    )
    attn_implementation: str = field(
        default="sdpa" if torch.cuda.is_available() else "eager",
        metadata={"help": "Attention function. On CPUs the backward pass of SDPA is slow for short texts."},
    )
    objectives: list[str] = field(
        default_factory=lambda: ["token=0.75", "sentence=0.1", "document=0.15"],
        metadata={"help": "Shares of the objectives."},
    )
    mask_ratio: float = field(default=0.25, metadata={"help": "Share of a text that the token objective blanks out."})
    mean_span_length: float = field(default=3.0, metadata={"help": "Mean length of its spans."})
    sentence_ratio: float = field(default=0.15, metadata={"help": "Share that the sentence objective blanks out."})
    min_document_ratio: float = field(default=0.5, metadata={"help": "Shortest target of the document objective."})
    suffix_probability: float = field(default=0.5, metadata={"help": "How often that is the rest of the text."})
    single_span_probability: float = field(default=0.0, metadata={"help": "How often a text has one short span."})
    short_probability: float = field(default=0.0, metadata={"help": "How often a text is cut into short ones."})
    block_mask_probability: float = field(default=0.0, metadata={"help": "How often [dBLOCK] is fed in a piece."})
    context_mask_ratio: float = field(default=0.0, metadata={"help": "Share of Part A that becomes [dBLOCK]."})
    task_masks: bool = field(default=True, metadata={"help": "Whether [sMASK] and [gMASK] are used."})
    shuffle_spans: bool = field(default=True, metadata={"help": "Whether pieces come in random order."})
    block_positions: bool = field(default=True, metadata={"help": "Whether positions count within a piece."})
    random_positions: bool = field(default=False, metadata={"help": "Whether positions begin anywhere."})
    max_length: int = field(default=256, metadata={"help": "Longest text in tokens; longer documents are cut."})
    packed_length: int | None = field(
        default=None,
        metadata={
            "help": "Tokens that a row is filled up to with texts; 0: one text per row. If not given, twice max_length on a "
            "GPU and half of max_length on a CPU, where long rows cost more."
        },
    )
    pad_to_multiple_of: int | None = field(
        default=8,
        metadata={"help": "What the length of rows is rounded up to: kernels like it, and fewer shapes occur."},
    )
    global_batch_size: int = field(
        default=48, metadata={"help": "Texts per step over all processes; accumulation follows from it."}
    )
    decay: str = field(default="cosine", metadata={"help": "cosine or linear."})
    decay_steps: int | None = field(
        default=None, metadata={"help": "Step at which the learning rate reaches its floor; max_steps if not given."}
    )
    min_lr_ratio: float = field(
        default=0.05, metadata={"help": "Where the learning rate ends, as a share of its peak."}
    )
    peak_tflops: float | None = field(
        default=None, metadata={"help": "Of one device, for the MFU in the log; measured by a matmul if not given."}
    )
    export: str | None = field(
        default=None, metadata={"help": "Folder for the finished model; output_dir/final if not given."}
    )
    export_dtype: str = field(
        default="float32",
        metadata={"help": "Of its weights; bfloat16 is half as large, float32 is better to go on from."},
    )
    blanks: int = field(default=2000, metadata={"help": "Held-out blanks of the embedded corpus to measure on."})


@dataclass
class PretrainingArguments(TrainingArguments):
    """Those of Transformers, with defaults for pretraining."""

    output_dir: str | None = field(default="runs/glm-tiny", metadata={"help": "Checkpoints; resumed from."})
    max_steps: int = field(default=12000, metadata={"help": "Length of the run in steps."})
    per_device_train_batch_size: int = field(
        default=48, metadata={"help": "Texts per process and forward pass, at most."}
    )
    per_device_eval_batch_size: int = field(default=16, metadata={"help": "Texts per forward pass of validation."})
    learning_rate: float = field(default=2e-3, metadata={"help": "Peak learning rate."})
    warmup_steps: float = field(default=0.03, metadata={"help": "Steps up to it, or a share of all."})
    weight_decay: float = field(default=0.1, metadata={"help": "Not for biases and LayerNorm."})
    adam_beta2: float = field(default=0.98, metadata={"help": "Of AdamW."})
    adam_epsilon: float = field(default=1e-6, metadata={"help": "Of AdamW."})
    bf16: bool = field(default=False, metadata={"help": "bf16 autocast; by default where it pays."})
    use_cpu: bool = field(default=False, metadata={"help": "Whether to stay off the GPU; by default where none is."})
    ddp_timeout: int = field(
        default=86400, metadata={"help": "Seconds that processes wait for the one that tokenizes."}
    )
    ddp_find_unused_parameters: bool | None = field(default=False, metadata={"help": "There are none."})
    eval_strategy: str = field(default="steps", metadata={"help": "When the validation losses are measured."})
    eval_steps: float | None = field(default=250, metadata={"help": "Steps between them."})
    save_steps: float = field(default=250, metadata={"help": "Steps between checkpoints."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints that are kept."})
    logging_steps: float = field(default=50, metadata={"help": "Steps between losses."})
    report_to: str | None = field(default="none", metadata={"help": "tensorboard, trackio, wandb, ..."})
    seed: int = field(default=0, metadata={"help": "For weights, order and blanks."})
