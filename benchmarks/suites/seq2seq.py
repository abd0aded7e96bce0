"""Time predicting 64 targets in batches against one at a time, and training and generation against T5 and BART."""

from collections.abc import Callable

import torch

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMConfig, GLMForConditionalGeneration
from modeling_glm.seq2seq.generation import generate_pieces
from modeling_glm.seq2seq.predictions import predict_targets

from ..harness.decoder import GreedyDecoder
from ..harness.embedded import held_out_texts, load_tokenizer
from ..harness.measuring import take_turns
from ..harness.peers import BART, BART_HALF, T5, T5_HALF, build_peer
from ..harness.results import Result, Speed
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, TINY, Shape, build_glm, draw_ids
from ..harness.steps import Batch, Step, optimizing, to_device

PEERS = (T5, T5_HALF, BART, BART_HALF)
ROWS = 64  # to predict
BATCH = 16  # rows of similar length in a batch


def run(settings: RunSettings) -> list[Result]:
    if settings.quick:
        return [
            compare_prediction(settings, TINY, rows=8, new_tokens=4),
            *compare_training(settings, TINY, rows=2, source=48, target=16),
            *compare_generation(settings, TINY, rows=2, source=48, target=8),
        ]
    return [
        compare_prediction(settings, BASE, rows=ROWS, new_tokens=32),
        *compare_training(settings, BASE, rows=4, source=448, target=64),
        *compare_generation(settings, BASE, rows=4, source=448, target=64),
        *compare_generation(settings, BASE, rows=4, source=448, target=32, beams=4),
    ]


def compare_prediction(settings: RunSettings, shape: Shape, rows: int, new_tokens: int) -> Result:
    """
    Compare `predict_targets` for many rows with one row at a time.

    Raises:
        RuntimeError: If a quarter of the predictions or more differ. A few differ because two tokens are equally likely.
    """
    tokenizer = load_tokenizer()
    sized = shape.with_vocabulary(len(tokenizer))
    model = build_glm(GLMForConditionalGeneration, sized, **tokenizer.special_token_ids).to(settings.device)
    collator = DataCollatorForInfillingSeq2Seq(tokenizer)
    sources = make_sources(rows)
    limits = {"max_new_tokens": new_tokens, "eos_token_id": -1}  # no prediction ends early

    def predict_together() -> list[tuple[int, ...]]:
        found = predict_targets(model, collator, sources, batch_size=BATCH, **limits)
        return [prediction.token_ids for prediction in found]

    def predict_alone() -> list[tuple[int, ...]]:
        return [predict_targets(model, collator, source, **limits).token_ids for source in sources]

    runs = {"together": predict_together, "alone": predict_alone}
    same = sum(a == b for a, b in zip(*(run() for run in runs.values()), strict=True))
    if same <= 0.75 * rows:
        raise RuntimeError(f"Only {same} of {rows} rows are predicted alike in a batch and alone.")
    # So slow that a few rounds do.
    seconds = take_turns(runs, min(3, settings.rounds), settings.device, warm_up=False)
    tokens = collator.prompts(sources)["attention_mask"].sum(1).tolist()
    work = (
        f"{shape.name}, predict {new_tokens} tokens for {rows} sources of {min(tokens)} to {max(tokens)} tokens in batches"
        f" of {min(rows, BATCH)}"
    )
    return Speed.from_seconds(work, "one row at a time", seconds["together"], seconds["alone"])


def make_sources(count: int) -> list[dict[str, str]]:
    """Make rows of texts of the embedded corpus with 20 words or more."""
    texts = [text for text in held_out_texts() if len(text.split()) >= 20 and "[" not in text]
    return [{"source": text} for text in texts[:: len(texts) // count][:count]]


def make_glm_batch(config: GLMConfig, rows: int, source: int, target: int) -> Batch:
    """Make a training batch without padding: `source` tokens of Part A that end in a blank, and `target` of Part B."""
    input_ids = torch.cat(
        (make_prompts(config, rows, source), draw_ids(config.vocab_size, rows, target, seed=1)), dim=1
    )
    input_ids[:, source] = config.sop_token_id
    labels = torch.full_like(input_ids, -100)
    labels[:, source:] = draw_ids(config.vocab_size, rows, target, seed=2)
    return {"input_ids": input_ids, "labels": labels}


def make_prompts(config: GLMConfig, rows: int, source: int) -> torch.Tensor:
    """Make (rows, source) ids of random texts without padding, with a blank at the end."""
    ids = draw_ids(config.vocab_size, rows, source)
    ids[:, 0], ids[:, -2], ids[:, -1] = config.cls_token_id, config.mask_token_id, config.eos_token_id
    return ids


def make_peer_step(name: str, shape: Shape, rows: int, source: int, target: int, device: str) -> Step:
    """Make a training step of a peer, whose encoder reads the sources and whose decoder the targets."""
    peer = build_peer(name, shape).train().to(device)
    ids, labels = draw_ids(shape.vocabulary, rows, source), draw_ids(shape.vocabulary, rows, target, seed=1)
    batch = to_device({"input_ids": ids, "labels": labels}, device)
    return optimizing(peer, lambda: peer(**batch).loss, device)


def compare_training(settings: RunSettings, shape: Shape, rows: int, source: int, target: int) -> list[Result]:
    """Compare a training step with those of T5 and BART on as many tokens of source and target, in fp32."""
    model = build_glm(GLMForConditionalGeneration, shape).train().to(settings.device)
    batch = to_device(make_glm_batch(model.config, rows, source, target), settings.device)
    steps = {"GLM": optimizing(model, lambda: model(**batch).loss, settings.device)}
    for name in PEERS:
        steps[name] = make_peer_step(name, shape, rows, source, target, settings.device)
    seconds = take_turns(steps, settings.rounds, settings.device)
    work = f"{shape.name}, training step, {rows} sources of {source} and targets of {target} tokens"
    return [Speed.from_seconds(work, name, seconds["GLM"], seconds[name]) for name in PEERS]


def compare_generation(
    settings: RunSettings, shape: Shape, rows: int, source: int, target: int, beams: int = 1
) -> list[Result]:
    """Compare generating targets of a fixed length with T5 and BART."""
    model = build_glm(GLMForConditionalGeneration, shape).to(settings.device)
    prompts = make_prompts(model.config, rows, source).to(settings.device)
    mask = torch.ones_like(prompts)
    limits = {"max_new_tokens": target, "max_new_tokens_per_blank": target, "eos_token_id": -1, "do_sample": False}
    runs: dict[str, Callable[[], object]] = {
        "GLM": torch.inference_mode()(lambda: generate_pieces(model, prompts, mask, num_beams=beams, **limits))
    }
    for name in PEERS:
        ids = draw_ids(shape.vocabulary, rows, source).to(settings.device)
        runs[name] = GreedyDecoder(build_peer(name, shape).to(settings.device), ids, target, num_beams=beams)
    seconds = take_turns(runs, settings.rounds, settings.device)
    how = "greedy" if beams == 1 else f"{beams} beams"
    work = f"{shape.name}, generation ({how}), {rows} sources of {source} and targets of {target} tokens"
    return [Speed.from_seconds(work, name, seconds["GLM"], seconds[name]) for name in PEERS]
