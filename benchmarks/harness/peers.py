"""Models of Transformers of the same size as GLM, with random weights, and their training batches."""

from collections.abc import Callable

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

from .shapes import Shape, draw_ids

GPT2, BERT = "GPT-2", "BERT"
T5, T5_HALF = "T5", "T5 with half the layers"
BART, BART_HALF = "BART", "BART with half the layers"


def build_peer(name: str, shape: Shape) -> PreTrainedModel:
    """
    Build a peer in evaluation mode.

    T5 and BART have as many layers in the encoder as in the decoder, as T5-Base has twelve of each. So a token passes as
    many layers as in GLM, and the model has more parameters. T5_HALF and BART_HALF have as many layers in total, so they
    have about as many parameters as GLM, and a token passes half of them.
    """
    torch.manual_seed(0)
    return PEERS[name](shape).eval()


def make_peer_batch(name: str, shape: Shape, rows: int, length: int, encoded: int) -> dict[str, torch.Tensor]:
    """
    Make a training batch of rows x length tokens for the objective of a peer.

    GPT-2 predicts all tokens, BERT 15% of them, T5 and BART those in the decoder.

    Args:
        encoded: How many tokens of a row the encoder of T5 and BART gets; the rest goes to the decoder.
    """
    ids = draw_ids(shape.vocabulary, rows, length)
    if name == GPT2:
        return {"input_ids": ids, "labels": ids}
    if name == BERT:
        return {"input_ids": ids, "labels": torch.where(torch.arange(length) % 20 < 3, ids, -100)}  # 3 of 20 are 15%
    return {"input_ids": ids[:, :encoded], "labels": draw_ids(shape.vocabulary, rows, length - encoded, seed=1)}


def _gpt2(shape: Shape) -> PreTrainedModel:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=shape.vocabulary,
            n_embd=shape.hidden,
            n_layer=shape.layers,
            n_head=shape.heads,
            n_positions=shape.positions,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def _bert(shape: Shape) -> PreTrainedModel:
    return BertForMaskedLM(
        BertConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=4 * shape.hidden,
            max_position_embeddings=shape.positions,
        )
    )


def _t5(shape: Shape) -> PreTrainedModel:
    return _t5_of(shape, shape.layers, shape.layers)


def _t5_half(shape: Shape) -> PreTrainedModel:
    encoder = shape.layers // 2
    return _t5_of(shape, encoder, shape.layers - encoder)


def _t5_of(shape: Shape, encoder: int, decoder: int) -> PreTrainedModel:
    return T5ForConditionalGeneration(
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
    )


def _bart(shape: Shape) -> PreTrainedModel:
    return _bart_of(shape, shape.layers, shape.layers)


def _bart_half(shape: Shape) -> PreTrainedModel:
    encoder = shape.layers // 2
    return _bart_of(shape, encoder, shape.layers - encoder)


def _bart_of(shape: Shape, encoder: int, decoder: int) -> PreTrainedModel:
    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=shape.vocabulary,
            d_model=shape.hidden,
            encoder_layers=encoder,
            decoder_layers=decoder,
            encoder_attention_heads=shape.heads,
            decoder_attention_heads=shape.heads,
            encoder_ffn_dim=4 * shape.hidden,
            decoder_ffn_dim=4 * shape.hidden,
            max_position_embeddings=shape.positions,
            forced_eos_token_id=None,
        )
    )


PEERS: dict[str, Callable[[Shape], PreTrainedModel]] = {
    GPT2: _gpt2,
    BERT: _bert,
    T5: _t5,
    T5_HALF: _t5_half,
    BART: _bart,
    BART_HALF: _bart_half,
}
