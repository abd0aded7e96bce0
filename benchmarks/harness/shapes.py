"""The sizes that are measured, and GLM models of these sizes with random weights."""

from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from transformers import PreTrainedModel

from modeling_glm import GLMConfig
from modeling_glm.configuration_glm import BERT_IDS, GPT2_IDS
from modeling_glm.inspection.sizing import training_flops

Model = TypeVar("Model", bound=PreTrainedModel)


@dataclass(frozen=True)
class Shape:
    """Width, depth and vocabulary of a model. Heads have 64 dimensions, and the MLP is four times as wide as the model."""

    name: str
    hidden: int
    layers: int
    vocabulary: int = 30592
    positions: int = 1024

    @property
    def heads(self) -> int:
        return self.hidden // 64

    @property
    def block_weights(self) -> int:
        """Number of matrix weights in the layers."""
        return 12 * self.layers * self.hidden**2

    def with_vocabulary(self, vocabulary: int) -> "Shape":
        return replace(self, vocabulary=vocabulary)

    def forward_flops(self, rows: int, length: int, projected: int) -> float:
        """
        Count the floating point operations of the matmuls in a forward pass.

        Args:
            rows: Rows of the batch.
            length: Tokens of a row.
            projected: Number of positions that the vocabulary projection sees.
        """
        config = glm_config(self)
        # A training step is one forward pass, and a backward pass of twice its operations.
        return training_flops(config, tokens=rows * length, labelled_tokens=projected, row_length=length) / 3


BASE = Shape("Base", 768, 12)
LARGE = Shape("Large", 1024, 24)
GLM_2B = Shape("2B", 2048, 36, 50304)
GLM_10B = Shape("10B", 4096, 48, 50304)
TINY = Shape("Tiny", 256, 2, 4096)  # for --quick and the tests
MEDIUM = Shape("Medium", 512, 6)
SMALL = Shape("Small", 256, 6, 8192)  # a model that one trains on a CPU
SHAPES = {shape.name: shape for shape in (BASE, LARGE, GLM_2B, GLM_10B, TINY, SMALL, MEDIUM)}


def glm_config(shape: Shape, **overrides) -> GLMConfig:
    """Make the configuration of GLM at a shape, with the special tokens of a vocabulary of this size."""
    if shape.vocabulary > 50000:
        ids = dict(GPT2_IDS)
    elif shape.vocabulary > 30000:
        ids = dict(BERT_IDS)
    else:  # too small for the ids of a real vocabulary
        ids = {name: number for number, name in enumerate(BERT_IDS)}
    return GLMConfig(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.positions,
        vocab_size=shape.vocabulary,
        **{**ids, **overrides},
    )


def build_glm(model_class: type[Model], shape: Shape, **overrides) -> Model:
    """Build a GLM of random weights in evaluation mode; `overrides` are for its configuration."""
    torch.manual_seed(0)
    return model_class(glm_config(shape, **overrides)).eval()


def draw_ids(vocabulary: int, *size: int, seed: int = 0) -> torch.Tensor:
    """Draw random ids of ordinary tokens, which are neither at the start nor at the end of the vocabulary."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocabulary // 30, vocabulary * 9 // 10, size, generator=generator)


def make_contexts(config: GLMConfig, rows: int, length: int, blanks: int = 1) -> torch.Tensor:
    """Make (rows, length) ids of random texts without padding, with evenly spread blanks."""
    ids = draw_ids(config.vocab_size, rows, length)
    ids[:, 0], ids[:, -1] = config.cls_token_id, config.eos_token_id
    # 2 blanks in 10 tokens: [CLS] x x [MASK] x x [MASK] x x <eos>
    ids[:, torch.linspace(0, length - 1, blanks + 2)[1:-1].long()] = config.mask_token_id
    return ids


def find_blank(config: GLMConfig, contexts: torch.Tensor) -> int:
    """Return the column of the first blank of contexts that all have it in the same column."""
    return int((contexts[0] == config.mask_token_id).nonzero()[0])
