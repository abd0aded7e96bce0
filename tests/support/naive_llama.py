"""A Llama read from a GGUF file alone, as the file format describes it: no code of Transformers takes part."""

import math
from pathlib import Path

import torch
from torch.nn import functional as F


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Read the weights of a file, dequantized, and its numbers."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(path)
    weights = {one.name: torch.tensor(dequantize(one.data, one.tensor_type)).float() for one in reader.tensors}
    names = ("block_count", "attention.head_count", "attention.head_count_kv", "rope.freq_base")
    numbers = {name: reader.fields[f"llama.{name}"].contents() for name in names}
    return weights, numbers


def naive_logits(weights: dict[str, torch.Tensor], numbers: dict[str, float], ids: list[int]) -> torch.Tensor:
    """Compute the logits of a sequence (tokens, vocabulary), with tied embeddings."""
    heads, groups = int(numbers["attention.head_count"]), int(numbers["attention.head_count_kv"])
    hidden, length = weights["token_embd.weight"][ids], len(ids)
    later = torch.full((length, length), -math.inf).triu(1)
    for layer in range(int(numbers["block_count"])):
        own = {name.removeprefix(f"blk.{layer}."): one for name, one in weights.items() if f"blk.{layer}." in name}
        normed = _norm(hidden, own["attn_norm.weight"])
        query, key, value = ((normed @ own[f"attn_{name}.weight"].T) for name in "qkv")
        query = _rotate(query.view(length, heads, -1), numbers["rope.freq_base"])
        key = _rotate(key.view(length, groups, -1), numbers["rope.freq_base"]).repeat_interleave(heads // groups, 1)
        value = value.view(length, groups, -1).repeat_interleave(heads // groups, 1)
        scores = torch.einsum("thd,shd->hts", query, key) / math.sqrt(query.shape[-1]) + later
        read = torch.einsum("hts,shd->thd", scores.softmax(-1), value).reshape(length, -1)
        hidden = hidden + read @ own["attn_output.weight"].T
        normed = _norm(hidden, own["ffn_norm.weight"])
        gate, up = normed @ own["ffn_gate.weight"].T, normed @ own["ffn_up.weight"].T
        hidden = hidden + (F.silu(gate) * up) @ own["ffn_down.weight"].T
    return _norm(hidden, weights["output_norm.weight"]) @ weights["token_embd.weight"].T


def _norm(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def _rotate(states: torch.Tensor, base: float) -> torch.Tensor:
    """Rotate neighbouring pairs of values (tokens, heads, head size): the order of the file, not of Transformers."""
    size = states.shape[-1]
    angles = torch.arange(len(states))[:, None] * base ** (-torch.arange(0, size, 2) / size)
    cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
    even, odd = states[..., 0::2], states[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1).flatten(-2)
