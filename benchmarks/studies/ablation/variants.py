"""Define the variants of the ablation, build their models and compute their losses."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.layout_glm import compute_position_ids, number_texts

HEAD_SIZE = 32
MIXTURE = {"token": 0.75, "sentence": 0.1, "document": 0.15}
REFERENCE = "mixture"
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """
    Say what a variant changes.

    Attributes:
        label: Its name in the table.
        claim: What the paper says about it.
        collator: Arguments of the collator.
        block_positions: Whether there is a second row of positions.
        causal: Whether the model is GPT-2.
        all_tokens: Whether the loss also covers Part A.
    """

    label: str
    claim: str
    collator: dict[str, Any] = field(default_factory=dict)
    block_positions: bool = True
    causal: bool = False
    all_tokens: bool = False


UNSHUFFLED = {"shuffle_spans": False}
_GPT = "as a language model better at the same size, worse than GLM-410M that reads both ways (section 3.3)"
VARIANTS = {
    "mixture": Variant(label="mixture", claim="understanding and generation from one model (section 2.1.2)"),
    "no-shuffling": Variant(
        label="without shuffling", claim="77.0 to 68.5 on SuperGLUE (Table 6)", collator=UNSHUFFLED
    ),
    "no-block-positions": Variant(
        label="without block positions",
        claim="worse in language modeling (section 3.3)",
        collator={"block_positions": False},
        block_positions=False,
    ),
    # Two words have as many tokens as the spans of the others.
    "whole-words": Variant(
        label="whole words",
        claim="none: its spans begin and end anywhere",
        collator={"whole_words": True, "mean_span_length": 2.0},
    ),
    "token-only": Variant(
        label="token objective only",
        claim="a little better on SuperGLUE (Table 1)",
        collator={"objectives": {"token": 1.0}, "task_masks": False},
    ),
    "sentence-only": Variant(
        label="sentence objective only",
        claim="none: never alone",
        collator={"objectives": {"sentence": 1.0}, "task_masks": False},
    ),
    "document-only": Variant(
        label="document objective only",
        claim="none: never alone",
        collator={"objectives": {"document": 1.0}, "task_masks": False},
    ),
    "causal": Variant(
        label="causal, loss on all tokens", claim=_GPT, collator=UNSHUFFLED, causal=True, all_tokens=True
    ),
    "causal-pieces": Variant(label="causal, loss on the pieces", claim=_GPT, collator=UNSHUFFLED, causal=True),
}


def build_model(
    variant: Variant, tokenizer: GLMTokenizer, *, hidden_size: int, num_hidden_layers: int, max_length: int
) -> PreTrainedModel:
    """Build a model of random weights without dropout, for texts of up to `max_length` tokens."""
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden_size,
        "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": hidden_size // HEAD_SIZE,
        "attn_implementation": "eager",  # on CPUs the backward pass of SDPA with a mask is slow for short texts
    }
    if variant.causal:
        # Its positions do not start again in Part B, so its only table is as long as the two of GLM together.
        shared |= {"n_positions": 2 * max_length, **dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0)}
        shared |= {"bos_token_id": tokenizer.sop_token_id, "pad_token_id": tokenizer.pad_token_id}
        config = GPT2Config(eos_token_id=[tokenizer.eop_token_id, tokenizer.eos_token_id], **shared)
        return GPT2LMHeadModel(config)
    shared |= dict.fromkeys(("embedding_dropout", "attention_dropout", "hidden_dropout"), 0.0)
    shared |= {"max_position_embeddings": max_length, "block_position_embeddings": variant.block_positions}
    return GLMForConditionalGeneration(GLMConfig(**shared, **tokenizer.special_token_ids))


def is_causal(model: PreTrainedModel) -> bool:
    """Return whether a model is the GPT-2 of the causal variants."""
    return isinstance(model, GPT2LMHeadModel)


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


def compute_token_losses(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """
    Compute the loss of every labelled token of a batch with a text a row.

    Args:
        model: GLM, or GPT-2 of a causal variant.
        batch: What the collator or `build_inputs_for_generation` made. Without `position_ids` they follow from the ids.

    Returns:
        (batch, seq) float32, 0 where there is no label.
    """
    labels = batch["labels"].to(model.device)
    inputs = {name: values for name, values in batch.items() if name != "labels"}
    if is_causal(model):
        # Its own positions would count the padding between the parts.
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    elif "position_ids" not in inputs:
        inputs["position_ids"] = compute_position_ids(inputs["input_ids"], model.config, inputs["attention_mask"])
    first = int((labels != -100).any(0).nonzero()[0])  # no label stands before
    inputs = {name: values.to(model.device) for name, values in inputs.items()}
    logits = model(**inputs, logits_to_keep=labels.shape[1] - first, use_cache=False).logits
    losses = F.cross_entropy(logits.transpose(1, 2).float(), labels[:, first:], reduction="none")
    return F.pad(losses, (first, 0))
