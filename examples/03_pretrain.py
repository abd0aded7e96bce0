#!/usr/bin/env python
"""
Pretrains a GLM by autoregressive blank infilling (paper section 2.1), from a vocabulary trained on the fly to a folder
that `from_pretrained` reads.

Without arguments it makes the embedded checkpoint `examples/glm-tiny` anew, on text that ships with Python (see
corpus.py). It can be stopped at any time: started again with the same arguments it goes on from the last checkpoint.

    python examples/03_pretrain.py
    python examples/03_pretrain.py --corpus my_texts.txt --output_dir runs/mine --export runs/mine/final
"""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from common import InfillingDataset, has_fast_bf16, last_whole_checkpoint, plot_losses
from corpus import build_splits
from held_out import Row, error_ratio, measure_held_out
from transformers import HfArgumentParser, Trainer, TrainingArguments, set_seed

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.files import whole_folder
from modeling_glm.model_card import write_model_card

HERE = Path(__file__).parent


@dataclass
class Arguments:
    """What to train, on what, and where to."""

    corpus: str = field(
        default="python",
        metadata={"help": "'python' for text that ships with Python, or a text file with one text per line."},
    )
    output_dir: str = field(default="runs/glm-tiny", metadata={"help": "Checkpoints of the run; resumed from."})
    export: str = field(default=str(HERE / "glm-tiny"), metadata={"help": "Folder for the finished model."})
    vocab_size: int = field(default=4096, metadata={"help": "Tokens of the new vocabulary."})
    hidden_size: int = field(default=192, metadata={"help": "Width."})
    num_hidden_layers: int = field(default=5, metadata={"help": "Depth."})
    num_attention_heads: int = field(default=6, metadata={"help": "Attention heads."})
    max_position_embeddings: int = field(default=256, metadata={"help": "Longest text in tokens."})
    token: float = field(default=0.85, metadata={"help": "Share of the token objective; the rest is 'document'."})
    mask_ratio: float = field(default=0.25, metadata={"help": "Share of a text that the token objective blanks out."})
    max_steps: int = field(default=8500, metadata={"help": "Length of the run in steps."})
    batch_size: int = field(default=48, metadata={"help": "Texts per step."})
    learning_rate: float = field(
        default=2e-3, metadata={"help": "Peak learning rate; cosine down to a twentieth of it."}
    )
    save_steps: int = field(default=250, metadata={"help": "Steps between checkpoints, each with a held-out loss."})
    blanks: int = field(default=2000, metadata={"help": "Held-out blanks to measure on at the end."})
    seed: int = field(default=0, metadata={"help": "For weights, order and blanks."})
    attn_implementation: str = field(
        default="eager" if not torch.cuda.is_available() else "sdpa",
        metadata={"help": "Attention function. On CPUs the backward pass of SDPA is slow for short texts."},
    )


def read_corpus(name: str) -> tuple[list[str], list[str]]:
    """Texts to train on, and texts held out."""
    if name == "python":
        train, held_out = build_splits()
        return [document.text for document in train], [document.text for document in held_out]
    lines = [line.strip() for line in Path(name).read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) < 2:
        raise SystemExit(f"{name} holds {len(lines)} lines with text: at least 2 are needed, one text per line.")
    every = max(2, min(20, len(lines) // 2))
    return [line for i, line in enumerate(lines) if i % every], lines[::every]


def main():
    (args,) = HfArgumentParser(Arguments).parse_args_into_dataclasses()
    set_seed(args.seed)
    output_dir = Path(args.output_dir)
    train_texts, held_out_texts = read_corpus(args.corpus)

    if (output_dir / "tokenizer.json").exists():
        tokenizer = GLMTokenizer.from_pretrained(output_dir)
    else:
        tokenizer = GLMTokenizer.train_from_iterator(train_texts, args.vocab_size)
        tokenizer.save_pretrained(output_dir)
    train_ids, held_out_ids = (
        tokenizer(texts, add_special_tokens=False)["input_ids"] for texts in (train_texts, held_out_texts)
    )
    print(f"{len(train_ids)} texts with {sum(map(len, train_ids))} tokens, {len(held_out_ids)} texts held out")

    config = GLMConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.hidden_size,
        num_hidden_layers=args.num_hidden_layers,
        num_attention_heads=args.num_attention_heads,
        max_position_embeddings=args.max_position_embeddings,
        # More is seen in a run than a model of this size can remember: nothing to regularise.
        embedding_dropout=0.0,
        attention_dropout=0.0,
        hidden_dropout=0.0,
        attn_implementation=args.attn_implementation,
        **tokenizer.special_token_ids,
    )
    model = GLMForConditionalGeneration(config)
    print(f"{model.num_parameters():,} parameters")

    collator = DataCollatorForBlankInfilling(
        tokenizer,
        objectives={"token": args.token, "document": 1 - args.token} if args.token < 1 else {"token": 1.0},
        mask_ratio=args.mask_ratio,
        max_length=args.max_position_embeddings,
        seed=args.seed,
    )
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir,
            max_steps=args.max_steps,
            per_device_train_batch_size=args.batch_size,
            per_device_eval_batch_size=args.batch_size,
            learning_rate=args.learning_rate,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr_rate": 0.05},
            warmup_steps=min(300, args.max_steps // 10),
            adam_beta2=0.98,
            adam_epsilon=1e-6,
            weight_decay=0.1,
            max_grad_norm=1.0,
            bf16=has_fast_bf16(),
            use_cpu=not torch.cuda.is_available(),
            train_sampling_strategy="sequential",
            eval_strategy="steps",
            eval_steps=args.save_steps,
            save_steps=args.save_steps,
            save_total_limit=2,
            logging_steps=50,
            prediction_loss_only=True,
            remove_unused_columns=False,
            report_to="none",
            seed=args.seed,
        ),
        data_collator=collator,
        train_dataset=InfillingDataset(train_ids, args.batch_size, args.max_steps, args.seed),
        eval_dataset=InfillingDataset(
            held_out_ids, min(16, len(held_out_ids)), len(held_out_ids) // 16 or 1, args.seed
        ),
    )
    seconds = Stopwatch(output_dir / "seconds.txt")
    with seconds:
        trainer.train(resume_from_checkpoint=last_whole_checkpoint(output_dir))
    held_out_loss = trainer.evaluate()["eval_loss"]
    print(f"held-out loss {held_out_loss:.3f} nats per token after {seconds.total / 60:.0f} minutes")

    model.config.use_cache = True  # Trainer turns it off
    with whole_folder(args.export) as folder:
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        plot_losses(trainer.state.log_history, folder / "loss.png", "Blank infilling, held-out blanks as in training")
        summary = {
            "arguments": {key: value for key, value in vars(args).items() if key not in ("output_dir", "export")},
            "parameters": model.num_parameters(),
            "train_texts": len(train_ids),
            "train_tokens": sum(map(len, train_ids)),
            "held_out_texts": len(held_out_ids),
            "minutes": round(seconds.total / 60, 1),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores",
            "precision": "bf16 autocast" if trainer.args.bf16 else "fp32",
            "held_out_loss": {
                entry["step"]: round(entry["eval_loss"], 4)
                for entry in trainer.state.log_history
                if "eval_loss" in entry
            },
        }
        (folder / "training.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        rows = measure_held_out(model.float(), tokenizer, args.blanks) if args.corpus == "python" else []
        own_corpus = {"license": "apache-2.0", "language": "en"} if args.corpus == "python" else {}
        write_model_card(
            folder,
            model,
            tokenizer,
            model_id=os.path.relpath(args.export),
            sections=card_sections(args, summary, rows),
            **own_corpus,
        )
    print(f"written to {args.export}")


class Stopwatch:
    """Adds up the seconds of a run over its restarts, in a file."""

    def __init__(self, path: Path):
        self.path = path
        self.total = float(path.read_text()) if path.exists() else 0.0

    def __enter__(self):
        self.started = time.monotonic()

    def __exit__(self, *_):
        self.total += time.monotonic() - self.started
        self.path.write_text(str(self.total))


def card_sections(args: Arguments, summary: dict, rows: list[Row]) -> dict[str, str]:
    """What the model was trained on and how, and how well it fills blanks: the sections of its card that only this run knows."""
    corpus = (
        "English sentences that state facts of Python's standard library (numbers in words, dates, Unicode names, HTTP "
        "status codes, time zones and the like) and prose of its documentation, made by `examples/corpus.py`. One fact "
        "in twenty is held out by a hash of what it is about, so that no training text states it."
        if args.corpus == "python"
        else f"The lines of `{Path(args.corpus).name}`; one in twenty is held out."
    )
    losses = list(summary["held_out_loss"].items())
    training = f"""## Training

{corpus}

{summary["train_texts"]:,} texts with {summary["train_tokens"]:,} tokens to train on, {summary["held_out_texts"]:,} held out.
`python examples/03_pretrain.py` took {summary["minutes"]:.0f} minutes on {summary["device"]}:
{args.max_steps} steps of {args.batch_size} texts, {args.token:.0%} with the token objective ({args.mask_ratio:.0%} of a text in short
spans) and the rest with the document objective, AdamW with a peak learning rate of {args.learning_rate} and cosine
decay, {summary["precision"]}. `training.json` has all settings. The loss on held-out texts went from {losses[0][1]:.2f} nats per token after
{losses[0][0]} steps to {losses[-1][1]:.2f}:

![loss curve](loss.png)"""

    figures = f"Held-out loss: {losses[-1][1]:.2f} nats per token."
    if rows:
        table = "".join(
            f"| {row.name} | {row.all:.1%} | {row.facts:.1%} | {row.prose:.1%} | {row.loss:.2f} |\n" for row in rows
        )
        figures = f"""On {args.blanks} held-out blanks of one to three words (`make demo` measures the same on fewer):

| | exact match | in facts | in prose | nats per token |
|---|---|---|---|---|
{table}
The model makes {error_ratio(rows):.0%} of the errors of the best baseline. The baselines are told how many words are missing; the model has to find out. Its loss includes the end of the answer, theirs does not."""
    limits = f"""## Limits

It is a toy for trying the code of modeling-glm: it knows its corpus and nothing of the world. Texts may have up to {args.max_position_embeddings}
tokens. Prose is beyond a model of this size. Answers it does not know come out as something of the same kind: other digits,
another name. Do not use it for anything but trying things out."""
    return {"training": training, "figures": f"## Figures\n\n{figures}", "limits": limits}


if __name__ == "__main__":
    main()
