"""Small models with asymmetric weights, and texts and ids for them."""

from pathlib import Path

import torch

from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMForMultipleChoice, GLMTokenizer

TOKEN_IDS = {
    "pad_token_id": 0,
    "eos_token_id": 1,
    "cls_token_id": 2,
    "mask_token_id": 3,
    "smask_token_id": 4,
    "gmask_token_id": 5,
    "sop_token_id": 6,
    "eop_token_id": 7,
}
FIRST_WORD = 10  # ids from here on are words

TEXTS = [
    "The quick brown fox jumps over the lazy dog and the lazy cat.",
    "In the year 1987 the number 404 was not found.",
    "Paris is the capital of France, and Rome is the capital of Italy.",
] * 20


def tiny_config(**overrides) -> GLMConfig:
    """Configure a model of a few thousand parameters, with all special tokens and without dropout."""
    settings = {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 48,
        "embedding_dropout": 0.0,
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
        **TOKEN_IDS,
    }
    return GLMConfig(**{**settings, **overrides})


def randomise(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Draw every parameter, biases and norms included, so that symmetric bugs show and the outputs vary."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            scale = 1.5 / parameter.shape[-1] ** 0.5 if parameter.ndim > 1 and "embeddings" not in name else 0.4
            centre = 1.0 if "layernorm" in name and name.endswith("weight") else 0.0
            parameter.copy_(centre + scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def make_model(model_class, seed: int = 0, attn_implementation: str = "sdpa", **overrides):
    return randomise(model_class(tiny_config(attn_implementation=attn_implementation, **overrides)), seed)


def words(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(FIRST_WORD, 64, (count,), generator=generator).tolist()


def pad_rows(rows: list[list[int]], side: str, value: int = 0) -> torch.Tensor:
    width = max(map(len, rows))
    fill = [[value] * (width - len(row)) for row in rows]
    return torch.tensor([f + row if side == "left" else row + f for row, f in zip(rows, fill, strict=True)])


def ending_model(**kwargs) -> GLMForConditionalGeneration:
    """Make a model that ends its pieces after a few tokens."""
    model = make_model(GLMForConditionalGeneration, seed=4, **kwargs)
    embeddings, norm = model.get_input_embeddings().weight, model.glm.transformer.final_layernorm
    with torch.no_grad():  # raises the logits of the ends by 3.5 and 2.8
        for name, by in (("eop", 3.5), ("eos", 2.8)):
            end = embeddings[TOKEN_IDS[f"{name}_token_id"]]
            norm.bias += by * end / end.norm() ** 2
    return model


def prompts() -> list[list[int]]:
    """Write prompts with one, three, one and two blanks."""
    w = words(40, 1)
    cls, eos, mask, smask, gmask = (TOKEN_IDS[f"{name}_token_id"] for name in ("cls", "eos", "mask", "smask", "gmask"))
    return [
        [cls, *w[:3], mask, *w[3:5], eos],
        [cls, mask, w[8], smask, *w[9:14], mask, eos],
        [cls, *w[17:20], gmask],
        [cls, *w[20:27], mask, *w[27:30], mask, eos],
    ]


def read_pieces(row: list[int], prompt_length: int) -> list[list[int]]:
    """Read the pieces behind a prompt, without their ends and what follows the last."""
    pieces = []
    for token in row[prompt_length:]:
        if token == TOKEN_IDS["sop_token_id"]:
            pieces.append([])
        elif token in (TOKEN_IDS["eop_token_id"], TOKEN_IDS["eos_token_id"]):
            break
        else:
            pieces[-1].append(token)
    return pieces


def make_text_model(tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    """Make a small model for the texts of a vocabulary."""
    return make_model(
        GLMForConditionalGeneration,
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        **tokenizer.special_token_ids,
    )


def save_small_chooser(tokenizer: GLMTokenizer, folder: Path) -> str:
    """Save a model of random weights that chooses among texts, with its vocabulary. Returns the folder."""
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 128, **tokenizer.special_token_ids}
    make_model(GLMForMultipleChoice, num_hidden_layers=1, **settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
