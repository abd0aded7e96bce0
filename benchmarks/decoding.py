"""Reading a context and filling a blank of it with 64 tokens: prefill and decoding, against peers and the limits."""

from typing import Any

import torch

from .measuring import Line, compare, take_turns
from .naive_glm import NaiveGLM, decode
from .settings import Settings
from .shapes import BASE, GLM_2B, GLM_10B, LARGE, TINY, Shape, build_glm, build_peer, draw_ids, make_contexts


class Decoder:
    """
    Fills the blank of contexts with exactly `new_tokens` tokens, or continues them in a peer, greedily and through
    `generate`.
    """

    def __init__(self, model: Any, contexts: torch.Tensor, new_tokens: int, **settings: Any):
        self.model, self.contexts = model, contexts
        self.settings = {
            "max_new_tokens": new_tokens,
            "min_new_tokens": new_tokens,
            "do_sample": False,
            "num_beams": 1,
            "attention_mask": torch.ones_like(contexts),
            "pad_token_id": 0,
            **settings,
        }
        if hasattr(model, "glm"):
            self.settings |= {"eos_token_id": -1, "min_new_tokens": None}
            # generate ends every piece at this length
            self.settings["max_new_tokens_per_blank"] = new_tokens

    def __call__(self) -> torch.Tensor:
        return self.model.generate(self.contexts, **self.settings)


def decode_bytes(shape: Shape, rows: int, length: int, new_tokens: int, size: int) -> float:
    """Bytes that decoding must read: at every step all weights that are used, and the keys and values of all rows."""
    weights = (shape.block_weights + shape.hidden * shape.vocabulary) * size
    cached = 2 * shape.layers * shape.hidden * size * rows * (length + new_tokens / 2)
    return (new_tokens - 1) * (weights + cached)


def run(settings: Settings) -> list[Line]:
    if settings.on_gpu:
        return _run_gpu(settings)
    shape = TINY if settings.quick else BASE
    lines = _prefill(settings, shape)
    for rows, length in (
        ((1, 64),) if settings.quick else ((1, 128), (1, 512), (4, 128), (4, 512), (16, 128), (16, 512))
    ):
        lines += _decode(settings, shape, rows, length, 8 if settings.quick else 64)
    if not settings.quick:
        lines += _decode(settings, LARGE, 1, 128, 64)
    return lines


def _run_gpu(settings: Settings) -> list[Line]:
    lines = []
    for shape in (TINY,) if settings.quick else (LARGE, GLM_2B, GLM_10B):
        for rows in (1, 16):
            lines += _decode(settings, shape, rows, 512, 64, torch.bfloat16, peers=())
    return lines


def _prefill(settings: Settings, shape: Shape) -> list[Line]:
    glm, gpt2, bert = build_glm(shape), build_peer("GPT-2", shape), build_peer("BERT", shape)
    lines = []
    for rows, length in ((1, 64),) if settings.quick else ((1, 512), (4, 512), (16, 128)):
        contexts, ids = make_contexts(glm.config, shape, rows, length), draw_ids(shape, rows, length)

        def read(model: Any, ids: torch.Tensor, **keywords: Any):
            with torch.inference_mode():
                model(ids, **keywords)

        runs = {
            "ours": lambda a=contexts: read(glm, a, use_cache=True, logits_to_keep=1),
            "GPT-2": lambda a=ids: read(gpt2, a, use_cache=True, logits_to_keep=1),
            "BERT without its head": lambda a=ids: read(bert.bert, a),
        }
        seconds = take_turns(runs, settings.rounds)
        work = f"{shape.name}, prefill of {rows} x {length}, fp32"
        lines += [
            Line(suite="decoding", work=work, peer=peer, **compare(seconds, "ours", peer)) for peer in list(runs)[1:]
        ]
        best = min(seconds["ours"])
        share = shape.forward_flops(rows, length, rows) / best / settings.limits[f"{shape.name} float32"]
        lines.append(Line(suite="decoding", work=work, share=share, limit="matmul fp32", goal=0.8, ours=best))
    return lines


def _decode(
    settings: Settings,
    shape: Shape,
    rows: int,
    length: int,
    new_tokens: int,
    dtype: torch.dtype = torch.float32,
    peers: tuple[str, ...] = ("GPT-2", "T5", "BART"),
) -> list[Line]:
    device = settings.device
    model = build_glm(shape).to(device, dtype)
    contexts = make_contexts(model.config, shape, rows, length).to(device)
    runs: dict[str, Any] = {
        "ours": Decoder(model, contexts, new_tokens),
        "first token": Decoder(model, contexts, 1),
    }
    # Compiling takes half a minute for each size.
    if settings.on_gpu or settings.quick or (shape is BASE and (rows, length) in ((1, 128), (4, 512), (16, 128))):
        runs["static cache"] = Decoder(model, contexts, new_tokens, cache_implementation="static")
        compiled = build_glm(shape).to(device, dtype)
        compiled.forward = torch.compile(compiled.forward, dynamic=False)
        runs["compiled"] = Decoder(compiled, contexts, new_tokens, cache_implementation="static")
    for peer in peers if (rows, length) in ((1, 64), (1, 128), (4, 512)) else peers[:1]:
        ids = draw_ids(shape, rows, length).to(device)
        runs[peer] = Decoder(build_peer(peer, shape).to(device, dtype), ids, new_tokens)
    slow = {}
    if (rows, length) in ((1, 64), (4, 512)) and not settings.on_gpu:
        naive = NaiveGLM(model).eval()
        blank = int((contexts[0] == model.config.mask_token_id).nonzero()[0])
        runs["naive GLM, hidden states kept"] = lambda: decode(naive, contexts, blank, new_tokens, remember=True)
        slow["naive GLM, all read anew"] = lambda: decode(naive, contexts, blank, new_tokens, remember=False)
        _require_same(runs["ours"]()[:, -new_tokens:], runs["naive GLM, hidden states kept"]())
    if "compiled" in runs and dtype == torch.float32:
        _require_same(runs["ours"](), runs["compiled"]())
    seconds = take_turns(runs, settings.rounds, device)
    work = f"{shape.name}, {rows} x {length}, {new_tokens} new tokens, {str(dtype).removeprefix('torch.')}"
    goals = {"GPT-2": 0.97, "naive GLM, hidden states kept": 3.0}
    lines = [
        Line(suite="decoding", work=work, peer=peer, goal=goals.get(peer), **compare(seconds, "ours", peer))
        for peer in runs
        if peer not in ("ours", "first token", "compiled", "static cache")
    ]
    for variant, goal in (("static cache", None), ("compiled", 1.15)):
        if variant in runs:
            made = compare(seconds, variant, "ours")
            lines.append(
                Line(suite="decoding", work=f"{work}, {variant}", peer="our dynamic cache", goal=goal, **made)
            )
    # Of the bandwidth, in what decoding takes beyond its first token.
    duration = min(seconds["ours"]) - min(seconds["first token"])
    read = decode_bytes(shape, rows, length, new_tokens, dtype.itemsize)
    lines.append(
        Line(
            suite="decoding",
            work=work,
            share=read / duration / settings.limits["bandwidth"],
            limit="memory bandwidth",
            goal=0.6 if rows == 1 else None,
            ours=duration / (new_tokens - 1),
            unit="s per token",
        )
    )
    if slow:
        seconds = take_turns({"ours": runs["ours"], **slow}, min(2, settings.rounds), device, warm=False)
        made = compare(seconds, "ours", "naive GLM, all read anew")
        lines.append(Line(suite="decoding", work=work, peer="naive GLM, all read anew", goal=15.0, **made))
    return lines


def _require_same(ours: torch.Tensor, theirs: torch.Tensor):
    """
    Raises:
        RuntimeError: unless most rows have the same ids. Two tokens may be equally likely up to rounding, and what follows
            is another text then.
    """
    same = (ours == theirs).all(-1).float().mean().item()
    if same < 0.5:
        raise RuntimeError(f"Only {same:.0%} of the rows have the same ids: it is not the same work that is compared.")
