"""
Compare the parts of autoregressive blank infilling at small scale: which of them pays?

    python -m benchmarks.studies.pretrain_ablation
    python -m benchmarks.studies.pretrain_ablation --variants mixture token-only --seeds 0 1 --steps 2000

It trains models of one size on some families of the embedded corpus, changes one part at a time, and measures blanks in
held-out texts. It prints a table in Markdown: mean and standard deviation over the seeds. Vocabulary (that of
examples/glm-tiny), width, depth, optimizer and schedule are the same for all, and for a seed so are the texts and their
order. The results of every run go to a file of JSON lines; run the same command again to resume.

- mixture: the objectives as examples/03_pretrain.py mixes them.
- no-shuffling: the pieces stand in Part B from left to right.
- no-block-positions: no second row of positions. Only the attention mask tells Part A and Part B apart.
- token-only, sentence-only, document-only: one objective. Its blanks are [MASK], like those that are measured.
- causal, causal-pieces: GPT-2 of the same width and depth on the same ids: the text with its masks, then the pieces. It
  fills in the middle as in Bavarian et al. (2022, https://arxiv.org/abs/2207.14255). The loss is that of all tokens, as
  there, or of the pieces, as in GLM. The pieces stand from left to right, because GPT-2's positions do not name the blank.

The loss is that of the right answers with their ends, in nats per token. A match is a greedy answer of the right words.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count, islice, product
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup

from examples.corpora import FAMILIES, build_splits
from examples.corpora.measuring.blanks import MASK, HeldOutBlank, make_blanks
from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.layout_glm import number_texts
from modeling_glm.utils.inference import answer_blanks
from modeling_glm.utils.precision import has_fast_bf16

from ..harness.embedded import load_tokenizer
from ..harness.report import make_table, mean_and_spread

MAX_LENGTH, PACKED_LENGTH, HEAD_SIZE, EVAL_BATCH = 256, 128, 32, 64
ANSWER_LENGTH = 24  # tokens of an answer at most
MIXTURE = {"token": 0.75, "sentence": 0.1, "document": 0.15}
LEARNABLE = ["number_words", "ordinals", "number_neighbours", "dates", "clock", "years"]
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class AblationSettings:
    """
    The settings that all runs of a study share.

    Attributes:
        families: Families of texts of the embedded corpus.
        steps: Training steps.
        hidden_size: Width, a multiple of the size of a head.
        num_hidden_layers: Depth.
        batch_size: Texts of a step.
        learning_rate: The highest learning rate.
        blanks: Number of held-out blanks to measure.
    """

    families: list[str]
    steps: int
    hidden_size: int
    num_hidden_layers: int
    batch_size: int
    learning_rate: float
    blanks: int


@dataclass(frozen=True, kw_only=True)
class Variant:
    """
    What a variant changes.

    Attributes:
        label: Its name in the table.
        collator: Arguments of the collator.
        block_positions: Whether there is a second row of positions.
        causal: Whether the model is GPT-2.
        all_tokens: Whether the loss also covers Part A.
    """

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


def build_model(variant: Variant, tokenizer: GLMTokenizer, settings: AblationSettings) -> PreTrainedModel:
    """Build a model of random weights without dropout."""
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": settings.hidden_size,
        "num_hidden_layers": settings.num_hidden_layers,
        "num_attention_heads": settings.hidden_size // HEAD_SIZE,
        "attn_implementation": "eager",  # on CPUs the backward pass of SDPA with a mask is slow for short texts
    }
    if variant.causal:
        # Its positions do not start again in Part B, so its only table is as long as the two of GLM together.
        shared |= {"n_positions": 2 * MAX_LENGTH, **dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0)}
        shared |= {"bos_token_id": tokenizer.sop_token_id, "pad_token_id": tokenizer.pad_token_id}
        config = GPT2Config(eos_token_id=[tokenizer.eop_token_id, tokenizer.eos_token_id], **shared)
        return GPT2LMHeadModel(config)
    shared |= dict.fromkeys(("embedding_dropout", "attention_dropout", "hidden_dropout"), 0.0)
    shared |= {"max_position_embeddings": MAX_LENGTH, "block_position_embeddings": variant.block_positions}
    return GLMForConditionalGeneration(GLMConfig(**shared, **tokenizer.special_token_ids))


def causal_inputs(batch: Batch) -> Batch:
    """Make the inputs of GPT-2 from a packed batch: positions that count through both parts of a text, and a causal mask."""
    text = number_texts(batch["position_ids"], batch["attention_mask"])
    length = text.shape[1]
    index = torch.arange(length).expand_as(text)
    # text [1 1 1 2 2] -> starts [0 0 0 3 3]. Padding counts to the last text, whose tokens do not see it.
    starts = torch.where(text.diff(prepend=torch.zeros_like(text[:, :1])) > 0, index, 0).cummax(-1)[0]
    visible = (text[:, :, None] == text[:, None, :]) & torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    positions = (index - starts) * batch["attention_mask"]
    return {"input_ids": batch["input_ids"], "position_ids": positions, "attention_mask": mask[:, None]}


def label_part_a(batch: Batch) -> torch.Tensor:
    """
    Label Part A as well: each token predicts the next. M is a mask, S and E open and end a piece:

        ids     [CLS] a M <eos>  S x  S y
        before    .   . .   .    x E  y E
        after     a   M <eos> S  x E  y E
    """
    following = F.pad(batch["input_ids"][:, 1:], (0, 1), value=-100)
    in_part_a = (batch["attention_mask"] > 0) & (batch["position_ids"][:, 1] == 0)
    return torch.where(in_part_a, following, batch["labels"])


def compute_loss(model: PreTrainedModel, batch: Batch, variant: Variant) -> torch.Tensor:
    """Compute the mean cross entropy of the labelled tokens. The labels are aligned, so GPT-2 must not shift them."""
    if not variant.causal:
        return model(**{name: values.to(model.device) for name, values in batch.items()}).loss
    labels = (label_part_a(batch) if variant.all_tokens else batch["labels"]).to(model.device)
    inputs = {name: values.to(model.device) for name, values in causal_inputs(batch).items()}
    hidden_states = model.transformer(**inputs, use_cache=False).last_hidden_state
    labelled = labels != -100
    return F.cross_entropy(model.lm_head(hidden_states[labelled]).float(), labels[labelled])


def draw_texts(texts: list[list[int]], seed: int) -> Iterator[dict[str, Any]]:
    """Yield the texts in random order, epoch after epoch, with a number for the collator."""
    generator, numbers = torch.Generator().manual_seed(seed), count()
    while True:
        for index in torch.randperm(len(texts), generator=generator).tolist():
            yield {"input_ids": texts[index], "sample_id": next(numbers)}


def train(
    model: PreTrainedModel, variant: Variant, batches: Iterator[Batch], settings: AblationSettings, bf16: bool
) -> float:
    """Train a model and return the mean loss of the last tenth of the steps."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},  # biases and LayerNorm
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), eps=1e-6)
    schedule = get_cosine_with_min_lr_schedule_with_warmup(
        optimizer, num_warmup_steps=round(0.05 * settings.steps), num_training_steps=settings.steps, min_lr_rate=0.05
    )
    tenth, losses = max(1, settings.steps // 10), []
    model.train()
    for step, batch in enumerate(islice(batches, settings.steps), start=1):
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
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
    """Return for each blank the loss of every token of the right answer and of its end."""
    losses = []
    for start in range(0, len(blanks), EVAL_BATCH):
        chunk = blanks[start : start + EVAL_BATCH]
        inputs = tokenizer([blank.text for blank in chunk], return_tensors="pt", padding=True)
        # A word inside a text begins with the space before it.
        targets = [" " * blank.text.partition(MASK)[0].endswith(" ") + blank.answer for blank in chunk]
        batch = tokenizer.build_inputs_for_generation(inputs, targets=targets).to(model.device)
        labels = batch.pop("labels")[:, inputs["input_ids"].shape[1] :]
        if isinstance(model, GPT2LMHeadModel):  # its own positions would count the padding between the parts
            batch["position_ids"] = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        logits = model(**batch, logits_to_keep=labels.shape[1], use_cache=False).logits
        each = F.cross_entropy(logits.transpose(1, 2).float(), labels, reduction="none")
        losses += [row[real] for row, real in zip(each, labels != -100, strict=True)]
    return losses


@torch.inference_mode()
def answer_causally(model: PreTrainedModel, tokenizer: GLMTokenizer, texts: list[str]) -> list[list[str]]:
    """Return the greedy answers of GPT-2, in the form of `answer_blanks`."""
    answers = []
    for start in range(0, len(texts), EVAL_BATCH):
        inputs = tokenizer(texts[start : start + EVAL_BATCH], return_tensors="pt", padding=True, padding_side="left")
        inputs = tokenizer.build_inputs_for_generation(inputs).to(model.device)
        answers += tokenizer.decode_blanks(model.generate(**inputs, do_sample=False, max_new_tokens=ANSWER_LENGTH))
    return answers


def measure(model: PreTrainedModel, tokenizer: GLMTokenizer, blanks: list[HeldOutBlank]) -> dict[str, float]:
    """Measure the loss of the right answers, and the share of exact matches."""
    model.eval()
    blanks = sorted(blanks, key=lambda blank: len(blank.text))  # for little padding
    losses, texts = answer_losses(model, tokenizer, blanks), [blank.text for blank in blanks]
    if isinstance(model, GPT2LMHeadModel):
        answers = answer_causally(model, tokenizer, texts)
    else:
        answers = answer_blanks(model, tokenizer, texts, max_new_tokens_per_blank=ANSWER_LENGTH)
    hits = [answer == [blank.answer] for answer, blank in zip(answers, blanks, strict=True)]
    return {"loss": torch.cat(losses).mean().item(), "match": statistics.mean(map(float, hits))}


def show_table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Make a table with a row for each variant, over its runs."""
    columns = ("variant", "parameters", "seeds", "loss on held-out blanks (nats per token)", "exact match in %")
    return make_table(
        columns,
        [
            (
                VARIANTS[name].label,
                f"{runs[0]['parameters'] / 1e6:.2f}M",
                str(len(runs)),
                mean_and_spread([run["loss"] for run in runs], 3),
                mean_and_spread([100 * run["match"] for run in runs], 1),
            )
            for name, runs in rows.items()
        ],
    )


class Ablation:
    """
    The runs of a study.

    Args:
        settings: What they share.
        results: File of JSON lines with the finished runs.
    """

    def __init__(self, settings: AblationSettings, results: Path):
        self.settings, self.results = settings, results
        self.device, self.bf16 = "cuda" if torch.cuda.is_available() else "cpu", has_fast_bf16()
        self.tokenizer = load_tokenizer()
        documents, held_out = ([d for d in split if d.family in settings.families] for split in build_splits())
        self.texts: list[list[int]] = self.tokenizer([document.text for document in documents])["input_ids"]
        self.blanks = make_blanks(held_out, count=settings.blanks, seed=1)

    def finished(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Read the runs with these settings, by variant and seed."""
        lines = self.results.read_text(encoding="utf-8").splitlines() if self.results.exists() else []
        shared = asdict(self.settings).items()
        return {(run["variant"], run["seed"]): run for run in map(json.loads, lines) if shared <= run.items()}

    def run(self, name: str, seed: int):
        """Train and measure a variant, and add the results to the file."""
        variant, started = VARIANTS[name], time.perf_counter()
        torch.manual_seed(seed)
        model = build_model(variant, self.tokenizer, self.settings).to(self.device)
        options = {"objectives": MIXTURE, "mask_ratio": 0.25, **variant.collator, "seed": seed}
        collate = DataCollatorForBlankInfilling(
            self.tokenizer, max_length=MAX_LENGTH, packed_length=PACKED_LENGTH, **options
        )
        drawn = draw_texts(self.texts, seed)
        batches = (collate(list(islice(drawn, self.settings.batch_size))) for _ in count())
        loss = train(model, variant, batches, self.settings, self.bf16)
        run = {"variant": name, "seed": seed, **asdict(self.settings), "parameters": model.num_parameters()}
        run |= {"bf16": self.bf16, "train_loss": loss, "train_seconds": round(time.perf_counter() - started, 1)}
        run |= measure(model, self.tokenizer, self.blanks)
        self.results.parent.mkdir(parents=True, exist_ok=True)
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--families",
        nargs="+",
        choices=FAMILIES,
        default=LEARNABLE,
        metavar="NAME",
        help="families of the embedded corpus; a model of this size learns the default ones in minutes",
    )
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch_size", type=int, default=16, help="texts of a step")
    parser.add_argument("--learning_rate", type=float, default=2e-3, help="the highest learning rate")
    parser.add_argument("--hidden_size", type=int, default=128, help=f"a multiple of {HEAD_SIZE}, the size of a head")
    parser.add_argument("--num_hidden_layers", type=int, default=4)
    parser.add_argument("--blanks", type=int, default=1000, help="number of held-out blanks to measure")
    parser.add_argument("--results", type=Path, default=Path("runs/ablation.jsonl"), help="file of finished runs")
    args = parser.parse_args(arguments)
    if args.hidden_size % HEAD_SIZE:
        parser.error(f"--hidden_size must be a multiple of {HEAD_SIZE}")
    settings = AblationSettings(**{name: getattr(args, name) for name in AblationSettings.__dataclass_fields__})
    ablation = Ablation(settings, args.results)
    for seed, name in product(args.seeds, args.variants):
        if (name, seed) not in ablation.finished():
            print(f"{name}, seed {seed}", file=sys.stderr)
            ablation.run(name, seed)
    done = ablation.finished()
    print(show_table({name: [done[name, seed] for seed in args.seeds] for name in args.variants}))


if __name__ == "__main__":
    main()
