"""Check that a converted model computes the same as its source."""

from pathlib import Path

import torch

from ..configuration_glm import GLMConfig
from ..modeling_glm import GLMModel, GLMPreTrainedModel
from .files import CheckpointError
from .fit import is_of_head
from .source import find_source
from .weights import Weights, open_weights


@torch.inference_mode()
def compare_logits(
    weights: Weights,
    names: dict[str, str],
    model_class: type[GLMPreTrainedModel],
    config: GLMConfig,
    folder: Path,
) -> float:
    """
    Load source and target one after the other, and compare their logits on a sample. Tensors of a head must be equal.

    Args:
        weights: The source.
        names: For every tensor of the model, its name in the source.
        model_class, config: The model that was written.
        folder: The folder that was written.

    Returns:
        The largest difference of the logits. It is 0 except for the order of sums.

    Raises:
        CheckpointError: if the difference is larger than that explains.
    """
    expected = _sample_logits(_build_model(weights, names, config))
    if (target := find_source(folder)).is_split:
        written = open_weights(target)
        model = _build_model(written, {name: name for name in written.tensors}, config)
    else:
        whole = model_class.from_pretrained(folder, dtype=config.dtype)
        base_model = whole.base_model
        assert isinstance(base_model, GLMModel)
        model = base_model
        for name in filter(is_of_head, names):
            if not torch.equal(whole.state_dict()[name], weights.read(names[name]).to(whole.state_dict()[name].dtype)):
                raise CheckpointError(f"{name} differs from the source in what was written: the target was not made.")
    difference = (_sample_logits(model) - expected).abs().nan_to_num(nan=0.0).max().item()
    if difference > 1e-4 * max(1.0, expected.abs().nan_to_num(nan=0.0).max().item()):
        raise CheckpointError(
            f"The logits of what was written differ from those of the source by up to {difference:.3g}: the target was "
            "not made. Please report this with the name of the checkpoint."
        )
    return difference


def _build_model(weights: Weights, names: dict[str, str], config: GLMConfig) -> GLMModel:
    with torch.device("meta"):
        model = GLMModel(config)
    state = {name: weights.read(names[name]).to(config.dtype) for name in model.state_dict()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def _sample_logits(model: GLMModel) -> torch.Tensor:
    """Compute the logits in fp32 of two texts of random ids with a piece each: (2, 24, vocabulary)."""
    config = model.config
    generator = torch.Generator().manual_seed(0)
    context, piece = 16, 8
    ids = torch.randint(config.vocab_size, (2, context + piece), generator=generator)
    # The piece fills the token in the middle of the text: row 0 [0 ... 15 8 8 ...], row 1 [0 ... 0 1 2 ...].
    row0 = torch.cat((torch.arange(context), torch.full((piece,), context // 2)))
    row1 = torch.cat((torch.zeros(context, dtype=torch.long), torch.arange(1, piece + 1)))
    hidden_states = model(ids, position_ids=torch.stack((row0, row1)).expand(2, 2, -1)).last_hidden_state
    return (hidden_states @ model.word_embeddings.weight.T).float()


__all__ = ["compare_logits"]
