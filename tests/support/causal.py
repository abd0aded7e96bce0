"""A tiny causal model with a vocabulary of its own, the peer of GLM in tests."""

from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.support.models import TEXTS, randomise

END = "<|end|>"


def make_causal_tokenizer(adds_start: bool = False) -> PreTrainedTokenizerFast:
    """Train a byte-level vocabulary. With `adds_start`, every text begins with a token, as those of Llama do."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=330, special_tokens=[END], show_progress=False)
    if adds_start:
        trained.post_processor = _start_with(trained)
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, bos_token=END, eos_token=END)


def _start_with(trained: ByteLevelBPETokenizer):
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(single=f"{END} $A", special_tokens=[(END, trained.token_to_id(END))])


def make_causal_model(seed: int = 0, **overrides) -> LlamaForCausalLM:
    """Make a causal model of a few thousand parameters."""
    settings = {
        "vocab_size": 330,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return randomise(LlamaForCausalLM(LlamaConfig(**{**settings, **overrides})), seed)


def save_causal(folder: Path, **overrides) -> Path:
    """Write a causal model and its tokenizer into a folder."""
    make_causal_model(**overrides).save_pretrained(folder)
    make_causal_tokenizer().save_pretrained(folder)
    return folder


def naive_span(model: LlamaForCausalLM, ids: list[int], start: int, stop: int) -> list[float]:
    """Score the tokens of a span, each in a forward pass of its own."""
    found = []
    for place in range(start, stop):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids[:place]])).logits[0, -1]
        found.append(logits.log_softmax(-1)[ids[place]].item())
    return found
