"""The shapes that are measured: models of GLM and of others, equally large, with random weights."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from modeling_glm import GLMConfig, GLMForConditionalGeneration
from modeling_glm.configuration_glm import BERT_IDS, GPT2_IDS


@dataclass(frozen=True)
class Shape:
    """Width, depth and vocabulary of a model; heads have 64 dimensions, the MLP four times the width."""

    name: str
    hidden: int
    layers: int
    vocabulary: int = 30592
    positions: int = 1024

    @property
    def heads(self) -> int:
        return self.hidden // 64

    def with_vocabulary(self, vocabulary: int) -> "Shape":
        return replace(self, vocabulary=vocabulary)

    @property
    def block_weights(self) -> int:
        """Weights of the layers, which every position meets."""
        return 12 * self.layers * self.hidden**2

    def forward_flops(self, rows: int, length: int, projected: int) -> float:
        """
        Floating point operations of a forward pass of GLM or GPT-2: the products with weights, of all positions with all
        positions in attention, and with the vocabulary for those that are projected.
        """
        tokens = rows * length
        products = 2 * tokens * self.block_weights + 2 * projected * self.hidden * self.vocabulary
        return products + 4 * self.layers * rows * length**2 * self.hidden


BASE = Shape("Base", 768, 12)
LARGE = Shape("Large", 1024, 24)
GLM_2B = Shape("2B", 2048, 36, 50304)
GLM_10B = Shape("10B", 4096, 48, 50304)
TINY = Shape("Tiny", 256, 2, 4096)  # for --quick and the tests
SHAPES = {shape.name: shape for shape in (BASE, LARGE, GLM_2B, GLM_10B, TINY)}


HALF = ", half as deep"


def glm_config(shape: Shape, **overrides: Any) -> GLMConfig:
    ids = {
        key: value % shape.vocabulary for key, value in (GPT2_IDS if shape.vocabulary > 50000 else BERT_IDS).items()
    }
    if shape.vocabulary < 30000:
        ids = {key: number for number, key in enumerate(ids)}
    return GLMConfig(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.positions,
        vocab_size=shape.vocabulary,
        **{**ids, **overrides},
    )


def build_glm(shape: Shape, model_class: Any = GLMForConditionalGeneration, **overrides: Any) -> Any:
    torch.manual_seed(0)
    return model_class(glm_config(shape, **overrides)).eval()


def build_peer(name: str, shape: Shape, length: int | None = None) -> PreTrainedModel:
    """
    GPT-2, BERT, T5 or BART in which a token passes as many layers. T5 and BART have them in the encoder and in the
    decoder, as T5-Base has twelve of each; "T5, half as deep" has as many in all.
    """
    halves = name.endswith(HALF)
    encoder = shape.layers // 2 if halves else shape.layers
    decoder = shape.layers - encoder if halves else shape.layers
    positions = length or shape.positions
    makers: dict[str, Any] = {
        "GPT-2": lambda: GPT2LMHeadModel(
            GPT2Config(
                vocab_size=shape.vocabulary,
                n_embd=shape.hidden,
                n_layer=shape.layers,
                n_head=shape.heads,
                n_positions=positions,
                bos_token_id=1,
                eos_token_id=2,
            )
        ),
        "BERT": lambda: BertForMaskedLM(
            BertConfig(
                vocab_size=shape.vocabulary,
                hidden_size=shape.hidden,
                num_hidden_layers=shape.layers,
                num_attention_heads=shape.heads,
                intermediate_size=4 * shape.hidden,
                max_position_embeddings=positions,
            )
        ),
        "T5": lambda: T5ForConditionalGeneration(
            T5Config(
                vocab_size=shape.vocabulary,
                d_model=shape.hidden,
                d_kv=64,
                d_ff=4 * shape.hidden,
                num_layers=encoder,
                num_decoder_layers=decoder,
                num_heads=shape.heads,
                decoder_start_token_id=0,
            )
        ),
        "BART": lambda: BartForConditionalGeneration(
            BartConfig(
                vocab_size=shape.vocabulary,
                d_model=shape.hidden,
                encoder_layers=encoder,
                decoder_layers=decoder,
                encoder_attention_heads=shape.heads,
                decoder_attention_heads=shape.heads,
                encoder_ffn_dim=4 * shape.hidden,
                decoder_ffn_dim=4 * shape.hidden,
                max_position_embeddings=positions,
                forced_eos_token_id=None,
            )
        ),
    }
    torch.manual_seed(0)
    return makers[name.removesuffix(HALF)]().eval()


def draw_ids(shape: Shape, *size: int, seed: int = 0) -> torch.Tensor:
    """Random ids of words."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(shape.vocabulary // 30, shape.vocabulary * 9 // 10, size, generator=generator)


def make_contexts(config: GLMConfig, shape: Shape, rows: int, length: int, blanks: int = 1) -> torch.Tensor:
    """(rows, length) texts without padding, their blanks evenly spread."""
    ids = draw_ids(shape, rows, length)
    ids[:, 0], ids[:, -1] = config.cls_token_id, config.eos_token_id
    places = torch.linspace(0, length - 1, blanks + 2)[1:-1].long()
    ids[:, places] = config.mask_token_id
    return ids
