#!/usr/bin/env python
"""
What the parts of autoregressive blank infilling are worth at small scale: models of one size, trained on some families of
texts of the embedded corpus with one part changed and measured on blanks in what is held out of them. Prints a table in Markdown, mean and standard
deviation over the seeds.

    python benchmarks/pretrain_ablation.py
    python benchmarks/pretrain_ablation.py --variants mixture token-only --seeds 0 1 --steps 2000

Vocabulary (that of examples/glm-tiny), width, depth, optimizer and schedule are the same for all, and so are, for a seed,
the texts and their order. The numbers of every finished run go to a file of JSON lines; started again with the same
arguments, the study goes on with the runs that are missing there.

- mixture: the objectives as examples/03_pretrain.py mixes them.
- no-shuffling: the pieces stand in Part B from left to right.
- no-block-positions: without the second row of positions. Only the attention then treats Part A and Part B differently.
- token-only, sentence-only, document-only: one objective. Its blanks are [MASK], like those that are measured.
- causal, causal-pieces: GPT-2 of the same width and depth on the same ids, the text with its masks and then the pieces,
  so that it fills in the middle as in Bavarian et al. (2022, https://arxiv.org/abs/2207.14255); the loss is that of all
  tokens, as there, or of the pieces, as in GLM. They stand from left to right, as no position tells GPT-2 their blanks.

The loss is that of the right answers with their ends, in nats per token. A match is a greedy answer of the right words.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from corpora import FAMILIES as CORPUS_FAMILIES
from corpora import build_splits
from corpora.baselines import MASK, HeldOutBlank, make_blanks

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.layout_glm import number_texts
from modeling_glm.utils.inference import answer_blanks
from modeling_glm.utils.precision import has_fast_bf16

MAX_LENGTH, PACKED_LENGTH, HEAD_SIZE, EVAL_BATCH = 256, 128, 32, 64
ANSWER_LENGTH = 24  # tokens of an answer at most
MIXTURE = {"token": 0.75, "sentence": 0.1, "document": 0.15}
FAMILIES = ["number_words", "ordinals", "number_neighbours", "dates", "clock", "years"]
SETTINGS = ("families", "steps", "hidden_size", "num_hidden_layers", "batch_size", "learning_rate", "blanks")
METRICS = ("loss", "match")
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What is changed: options of the collator, the second row of positions, the model, what its loss covers."""

    label: str
    collator: dict[str, Any] = field(default_factory=dict)
    block_positions: bool = True
    causal: bool = False
    all_tokens: bool = False


UNSHUFFLED = {"shuffle_spans": False}
VARIANTS = {
    "mixture": Variant(label="mixture"),
    "no-shuffling": Variant(label="without shuffling", collator=UNSHUFFLED),
    "no-block-positions": Variant(
        label="without block positions", collator={"block_positions": False}, block_positions=False
    ),
    **{
        f"{name}-only": Variant(
            label=f"{name} objective only", collator={"objectives": {name: 1.0}, "task_masks": False}
        )
        for name in MIXTURE
    },
    "causal": Variant(label="causal, loss on all tokens", collator=UNSHUFFLED, causal=True, all_tokens=True),
    "causal-pieces": Variant(label="causal, loss on the pieces", collator=UNSHUFFLED, causal=True),
}


def build_model(variant: Variant, tokenizer: GLMTokenizer, args: argparse.Namespace) -> PreTrainedModel:
    """A model of random weights, without dropout."""
    shared = {
        "vocab_size": len(tokenizer),
        "hidden_size": args.hidden_size,
        "num_hidden_layers": args.num_hidden_layers,
        "num_attention_heads": args.hidden_size // HEAD_SIZE,
        "attn_implementation": "eager",  # on CPUs the backward pass of SDPA with a mask is slow for short texts
    }
    if variant.causal:
        # Its positions count on through Part B, so it has one table as long as the two of GLM.
        shared |= {"n_positions": 2 * MAX_LENGTH, **dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0)}
        shared |= {"bos_token_id": tokenizer.sop_token_id, "pad_token_id": tokenizer.pad_token_id}
        config = GPT2Config(eos_token_id=[tokenizer.eop_token_id, tokenizer.eos_token_id], **shared)
        return GPT2LMHeadModel(config)
    shared |= dict.fromkeys(("embedding_dropout", "attention_dropout", "hidden_dropout"), 0.0)
    shared |= {"max_position_embeddings": MAX_LENGTH, "block_position_embeddings": variant.block_positions}
    return GLMForConditionalGeneration(GLMConfig(**shared, **tokenizer.special_token_ids))


def causal_inputs(batch: Batch) -> Batch:
    """What GPT-2 takes in place of a packed batch: positions that count through both parts of a text, and its mask."""
    text = number_texts(batch["position_ids"], batch["attention_mask"])
    length = text.shape[1]
    index = torch.arange(length).expand_as(text)
    # text [1 1 1 2 2] -> starts [0 0 0 3 3]; padding goes with the last text, behind which nothing of it is seen.
    starts = torch.where(text.diff(prepend=torch.zeros_like(text[:, :1])) > 0, index, 0).cummax(-1)[0]
    visible = (text[:, :, None] == text[:, None, :]) & torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    positions = (index - starts) * batch["attention_mask"]
    return {"input_ids": batch["input_ids"], "position_ids": positions, "attention_mask": mask[:, None]}


def label_part_a(batch: Batch) -> torch.Tensor:
    """
    The labels of a batch, where Part A, too, predicts what follows. M is a mask, S and E open and end a piece:

        ids     [CLS] a M <eos>  S x  S y
        before    .   . .   .    x E  y E
        now       a   M <eos> S  x E  y E
    """
    following = F.pad(batch["input_ids"][:, 1:], (0, 1), value=-100)
    in_part_a = (batch["attention_mask"] > 0) & (batch["position_ids"][:, 1] == 0)
    return torch.where(in_part_a, following, batch["labels"])


def compute_loss(model: PreTrainedModel, batch: Batch, variant: Variant) -> torch.Tensor:
    """The mean cross entropy of the labelled tokens. GPT-2 would shift the labels, which are aligned already."""
    if not variant.causal:
        return model(**{name: values.to(model.device) for name, values in batch.items()}).loss
    labels = (label_part_a(batch) if variant.all_tokens else batch["labels"]).to(model.device)
    inputs = {name: values.to(model.device) for name, values in causal_inputs(batch).items()}
    hidden_states = model.transformer(**inputs, use_cache=False).last_hidden_state
    labelled = labels != -100
    return F.cross_entropy(model.lm_head(hidden_states[labelled]).float(), labels[labelled])


def draw_texts(texts: list[list[int]], seed: int) -> Iterator[dict[str, Any]]:
    """The texts in random order, epoch after epoch, numbered for the collator."""
    generator, numbers = torch.Generator().manual_seed(seed), count()
    while True:
        for index in torch.randperm(len(texts), generator=generator).tolist():
            yield {"input_ids": texts[index], "sample_id": next(numbers)}


def train(model: PreTrainedModel, variant: Variant, batches: Iterator[Batch], args: argparse.Namespace) -> float:
    """Trains a model and returns the mean loss of the last tenth of the steps."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},  # biases and LayerNorm
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.98), eps=1e-6)
    schedule = get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, num_warmup_steps=round(0.05 * args.steps), num_training_steps=args.steps, min_lr_rate=0.05
    )
    tenth, losses = max(1, args.steps // 10), []
    model.train()
    for step, batch in enumerate(islice(batches, args.steps), start=1):
        with torch.autocast(model.device.type, torch.bfloat16, enabled=args.bf16):
            loss = compute_loss(model, batch, variant)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % tenth == 0:
            print(f"  step {step}, loss {statistics.mean(losses[-tenth:]):.3f}", file=sys.stderr)
    return statistics.mean(losses[-tenth:])


@torch.inference_mode()
def answer_losses(model: PreTrainedModel, tokenizer: GLMTokenizer, blanks: list[HeldOutBlank]) -> list[torch.Tensor]:
    """For every blank the loss of each token of its right answer and of the end, labelled alike for both models."""
    losses = []
    for start in range(0, len(blanks), EVAL_BATCH):
        chunk = blanks[start : start + EVAL_BATCH]
        inputs = tokenizer([blank.text for blank in chunk], return_tensors="pt", padding=True)
        # A word inside a text begins with the space before it.
        targets = [" " * blank.text.partition(MASK)[0].endswith(" ") + blank.answer for blank in chunk]
        batch = tokenizer.build_inputs_for_generation(inputs, targets=targets).to(model.device)
        labels = batch.pop("labels")[:, inputs["input_ids"].shape[1] :]
        if isinstance(model, GPT2LMHeadModel):  # which would count the padding between the parts
            batch["position_ids"] = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        logits = model(**batch, logits_to_keep=labels.shape[1], use_cache=False).logits
        each = F.cross_entropy(logits.transpose(1, 2).float(), labels, reduction="none")
        losses += [row[real] for row, real in zip(each, labels != -100, strict=True)]
    return losses


@torch.inference_mode()
def answer_causally(model: PreTrainedModel, tokenizer: GLMTokenizer, texts: list[str]) -> list[list[str]]:
    """What GPT-2 writes behind the start of a piece, as `answer_blanks` has it of GLM."""
    answers = []
    for start in range(0, len(texts), EVAL_BATCH):
        inputs = tokenizer(texts[start : start + EVAL_BATCH], return_tensors="pt", padding=True, padding_side="left")
        inputs = tokenizer.build_inputs_for_generation(inputs).to(model.device)
        answers += tokenizer.decode_blanks(model.generate(**inputs, do_sample=False, max_new_tokens=ANSWER_LENGTH))
    return answers


def measure(model: PreTrainedModel, tokenizer: GLMTokenizer, blanks: list[HeldOutBlank]) -> dict[str, float]:
    """Loss of the right answers, and share of the blanks that are filled with them."""
    model.eval()
    blanks = sorted(blanks, key=lambda blank: len(blank.text))  # so that batches have little padding
    losses, texts = answer_losses(model, tokenizer, blanks), [blank.text for blank in blanks]
    if isinstance(model, GPT2LMHeadModel):
        answers = answer_causally(model, tokenizer, texts)
    else:
        answers = answer_blanks(model, tokenizer, texts, max_new_tokens_per_blank=ANSWER_LENGTH)
    hits = [answer == [blank.answer] for answer, blank in zip(answers, blanks, strict=True)]
    return {"loss": torch.cat(losses).mean().item(), "match": statistics.mean(map(float, hits))}


def print_table(rows: dict[str, list[dict[str, Any]]]):
    """A row for every variant, over the runs that it has."""
    print("| variant | parameters | seeds | loss on held-out blanks (nats per token) | exact match in % |")
    print("|---|---|---|---|---|")
    for name, runs in rows.items():
        cells = [VARIANTS[name].label, f"{runs[0]['parameters'] / 1e6:.2f}M", str(len(runs))]
        cells += [summarize([run[metric] for run in runs], metric.startswith("match")) for metric in METRICS]
        print(f"| {' | '.join(cells)} |")


def summarize(values: list[float], is_share: bool) -> str:
    values = [value * (100 if is_share else 1) for value in values]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return (
        f"{statistics.mean(values):.1f} ± {spread:.1f}"
        if is_share
        else f"{statistics.mean(values):.3f} ± {spread:.3f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--families", nargs="+", choices=CORPUS_FAMILIES, default=FAMILIES, metavar="NAME",
        help="Families of texts of the corpus; the default is what a model of this size can learn in minutes.",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch_size", type=int, default=16, help="Texts per step.")
    parser.add_argument("--learning_rate", type=float, default=2e-3, help="At its peak.")
    parser.add_argument("--hidden_size", type=int, default=128, help=f"A multiple of {HEAD_SIZE}, the size of a head.")
    parser.add_argument("--num_hidden_layers", type=int, default=4)
    parser.add_argument("--blanks", type=int, default=1000, help="Held-out blanks to measure on.")
    parser.add_argument("--results", type=Path, default=Path("runs/ablation.jsonl"), help="Runs that it has are kept.")
    args = parser.parse_args()
    if args.hidden_size % HEAD_SIZE:
        parser.error(f"--hidden_size must be a multiple of {HEAD_SIZE}")
    device, args.bf16 = "cuda" if torch.cuda.is_available() else "cpu", has_fast_bf16()

    settings = {name: getattr(args, name) for name in SETTINGS}
    lines = args.results.read_text(encoding="utf-8").splitlines() if args.results.exists() else []
    done = {(run["variant"], run["seed"]): run for run in map(json.loads, lines) if settings.items() <= run.items()}
    tokenizer = GLMTokenizer.from_pretrained(Path(__file__).parents[1] / "examples" / "glm-tiny")
    documents, held_out = ([d for d in split if d.family in args.families] for split in build_splits())
    texts = tokenizer([document.text for document in documents])["input_ids"]
    blanks = make_blanks(held_out, count=args.blanks, seed=1)
    for name, seed in ((name, seed) for seed in args.seeds for name in args.variants if (name, seed) not in done):
        print(f"{name}, seed {seed}", file=sys.stderr)
        variant, started = VARIANTS[name], time.perf_counter()
        torch.manual_seed(seed)
        model = build_model(variant, tokenizer, args).to(device)
        options = {"objectives": MIXTURE, "mask_ratio": 0.25, **variant.collator, "seed": seed}
        collate = DataCollatorForBlankInfilling(
            tokenizer, max_length=MAX_LENGTH, packed_length=PACKED_LENGTH, **options
        )
        drawn = draw_texts(texts, seed)
        loss = train(model, variant, (collate(list(islice(drawn, args.batch_size))) for _ in count()), args)
        run = {"variant": name, "seed": seed, **settings, "parameters": model.num_parameters(), "bf16": args.bf16}
        run |= {"train_loss": loss, "train_seconds": round(time.perf_counter() - started, 1)}
        run |= measure(model, tokenizer, blanks)
        args.results.parent.mkdir(parents=True, exist_ok=True)
        with args.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")
        done[name, seed] = run
    print_table({name: [done[name, seed] for seed in args.seeds] for name in args.variants})


if __name__ == "__main__":
    main()
