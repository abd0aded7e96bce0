#!/usr/bin/env python
"""
A step of pretraining (forward, backward, AdamW) of GLM against GPT-2, BERT and T5 of Transformers: random weights of
one width, one number of layers and one vocabulary, the same number of tokens, all in one run in which they take turns.

    python benchmarks/pretrain_step.py --layers 2 --hidden 256 --length 128 --batch 4
    python benchmarks/pretrain_step.py --bf16 --batch 8

Every model does its own objective on batch x length positions, none of them padding:

- GLM: Part A and Part B together fill a row; the labels are those of Part B.
- GPT-2: every token has a label. Its loss takes the logits of all positions.
- BERT: 15% of the tokens have labels. Its head, too, gives the logits of all positions.
- T5: of a row's positions the same share as in GLM goes to the decoder, and the rest to the encoder; half of the
  layers are in either, so that there are as many in all. A layer of the decoder has an attention more, and a position
  passes only half of the layers: T5 has more parameters and does less work per token.

The dropout is 0.1 everywhere, as in the published configurations. Operations are those that torch's FlopCounterMode
counts in the forward and backward pass, for all models alike, and the share is that of the best product of two large
matrices on the same device in the same precision, measured before the steps.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
    logging,
)

from modeling_glm import GLMConfig, GLMForConditionalGeneration
from modeling_glm.configuration_glm import BERT_IDS
from modeling_glm.inspection.sizing import measure_matmul_peak

VOCABULARY = 30592
SPAN = 3  # tokens of a piece of GLM
Batch = dict[str, torch.Tensor]


def draw_ids(*shape: int) -> torch.Tensor:
    return torch.randint(1000, 30000, shape, generator=torch.Generator().manual_seed(0))


def split_row(length: int, masked: float) -> tuple[int, int]:
    """
    Positions of Part A and pieces of Part B of a row of `length`, whose text has the share `masked` in spans of three
    tokens. A span of a text becomes one blank in Part A and `<sop>` with its tokens in Part B.
    """
    # A text of n tokens with k spans makes a row of (n - 3k + k) + 4k = n + 2k positions, and 3k = masked * n.
    pieces = max(1, round(length * masked / (SPAN + 2 * masked)))
    return length - (SPAN + 1) * pieces, pieces


def make_glm_batch(batch: int, length: int, masked: float) -> Batch:
    part_a, pieces = split_row(length, masked)
    if part_a < 2 * pieces + 2:
        raise SystemExit(f"A row of {length} with {masked:.0%} in blanks has no text between them: mask less.")
    input_ids = draw_ids(batch, length)
    input_ids[:, 0], input_ids[:, part_a - 1] = BERT_IDS["cls_token_id"], BERT_IDS["eos_token_id"]
    input_ids[:, torch.linspace(1, part_a - 2, pieces).long()] = BERT_IDS["mask_token_id"]
    labels = torch.full_like(input_ids, -100)
    labels[:, part_a:] = draw_ids(batch, length - part_a)
    input_ids[:, part_a :: SPAN + 1] = BERT_IDS["sop_token_id"]
    return {"input_ids": input_ids, "labels": labels}


def make_bert_batch(batch: int, length: int) -> Batch:
    input_ids = draw_ids(batch, length)
    labels = torch.where(torch.arange(length) % 20 < 3, input_ids, -100)  # 3 of 20 are 15%
    return {"input_ids": input_ids, "labels": labels, "attention_mask": torch.ones_like(input_ids)}


def make_t5_batch(batch: int, length: int, masked: float) -> Batch:
    encoded, _ = split_row(length, masked)
    input_ids = draw_ids(batch, encoded)
    return {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "labels": draw_ids(batch, length - encoded),
    }


def build(args: argparse.Namespace) -> dict[str, tuple[PreTrainedModel, Batch]]:
    """Every model with its batch. All have heads of 64 and an MLP of four times the width."""
    hidden, layers, length = args.hidden, args.layers, args.length
    heads = hidden // 64
    shared = {"vocab_size": VOCABULARY, "attn_implementation": args.attention}
    glm = GLMConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=length,
        **BERT_IDS,
        **shared,
    )
    gpt2 = GPT2Config(
        n_embd=hidden,
        n_layer=layers,
        n_head=heads,
        n_positions=length,
        bos_token_id=BERT_IDS["sop_token_id"],
        eos_token_id=BERT_IDS["eop_token_id"],
        **shared,
    )
    bert = BertConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=length,
        **shared,
    )
    t5 = T5Config(
        d_model=hidden,
        d_kv=64,
        d_ff=4 * hidden,
        num_layers=layers // 2,
        num_decoder_layers=layers - layers // 2,
        num_heads=heads,
        decoder_start_token_id=0,
        **shared,
    )
    ids = draw_ids(args.batch, length)
    masked = args.masked
    built = {
        "GLM": (GLMForConditionalGeneration, glm, make_glm_batch(args.batch, length, masked)),
        "GPT-2": (GPT2LMHeadModel, gpt2, {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}),
        "BERT": (BertForMaskedLM, bert, make_bert_batch(args.batch, length)),
        f"T5, {t5.num_layers}+{t5.num_decoder_layers}": (
            T5ForConditionalGeneration,
            t5,
            make_t5_batch(args.batch, length, masked),
        ),
    }
    models = {}
    for name, (model_class, config, batch) in built.items():
        torch.manual_seed(0)
        model = model_class(config).to(args.device).train()
        models[name] = model, {key: value.to(args.device) for key, value in batch.items()}
    return models


def synchronize(device: str):
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize(device)


def make_step(model: PreTrainedModel, batch: Batch, bf16: bool) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)  # the default of Trainer

    def step():
        run_passes(model, batch, bf16)
        optimizer.step()
        optimizer.zero_grad()

    return step


def run_passes(model: PreTrainedModel, batch: Batch, bf16: bool):
    """Forward and backward."""
    extra = {} if isinstance(model, BertForMaskedLM) else {"use_cache": False}
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        loss = model(**batch, **extra).loss
    loss.backward()


def count_operations(model: PreTrainedModel, batch: Batch, bf16: bool, attention: str) -> float:
    """Of one forward and backward pass, counted with eager attention: fused kernels repeat products of their own."""
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        run_passes(model, batch, bf16)
    model.set_attn_implementation(attention)
    model.zero_grad()
    return counter.get_total_flops()


def time_steps(steps: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, float]:
    """Median seconds of every step, the models taking turns."""
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            synchronize(device)
            start = time.perf_counter()
            step()
            synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768, help="Width, a multiple of 64.")
    parser.add_argument("--length", type=int, default=512, help="Positions of a row.")
    parser.add_argument("--batch", type=int, default=4, help="Rows of a batch.")
    parser.add_argument("--masked", type=float, default=0.15, help="Share of GLM's and T5's text that is masked.")
    parser.add_argument("--bf16", action="store_true", help="Autocast to bf16 in place of fp32.")
    parser.add_argument("--attention", choices=("eager", "sdpa"), help="eager on CPUs, sdpa elsewhere by default.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=5, help="Steps of every model that are timed.")
    args = parser.parse_args()
    if args.hidden % 64 or args.layers < 2:
        parser.error("--hidden must be a multiple of 64, and --layers at least 2")
    on_cpu = torch.device(args.device).type == "cpu"
    # On CPUs the backward pass of SDPA with a mask is slow, and three of the four models have one.
    args.attention = args.attention or ("eager" if on_cpu else "sdpa")
    logging.set_verbosity_error()  # GPT-2's class has no loss of its own name, which the library warns of

    peak = measure_matmul_peak(args.device, torch.bfloat16 if args.bf16 else torch.float32)
    models = build(args)
    operations = {
        name: count_operations(model, batch, args.bf16, args.attention) for name, (model, batch) in models.items()
    }
    steps = {name: make_step(model, batch, args.bf16) for name, (model, batch) in models.items()}
    seconds = time_steps(steps, args.rounds, args.device)

    where = f"{torch.get_num_threads()} threads" if on_cpu else torch.cuda.get_device_name(args.device)
    precision = "bf16 autocast" if args.bf16 else "fp32"
    tokens = args.batch * args.length
    print(
        f"{args.layers} layers of width {args.hidden}, {args.batch} rows of {args.length} tokens, {precision}, "
        f"{args.attention} attention, {where}; peak {peak / 1e9:,.0f} GFLOP/s; medians of {args.rounds}\n"
    )
    print("| model | parameters | GFLOP per step | ms per step | tokens/s | of the peak |")
    print("|---|---|---|---|---|---|")
    for name, (model, _) in models.items():
        duration = seconds[name]
        print(
            f"| {name} | {model.num_parameters() / 1e6:.1f}M | {operations[name] / 1e9:,.0f} | "
            f"{duration * 1000:,.1f} | {tokens / duration:,.0f} | {operations[name] / duration / peak:.1%} |"
        )


if __name__ == "__main__":
    main()
