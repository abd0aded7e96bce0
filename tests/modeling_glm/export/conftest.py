"""A small language model with its tokenizer, and its exports, which all tests of the folder share."""

import pytest
import torch

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.export.save import export_model
from tests.support.models import TEXTS, make_model


@pytest.fixture(scope="session")
def text_tokenizer() -> GLMTokenizer:
    return GLMTokenizer.train_from_iterator(TEXTS, 320)


@pytest.fixture(scope="session")
def text_model(text_tokenizer) -> GLMForConditionalGeneration:
    """Make a model that ends its answers after a few tokens."""
    model = make_model(
        GLMForConditionalGeneration,
        seed=4,
        vocab_size=len(text_tokenizer),
        num_hidden_layers=2,
        max_position_embeddings=64,
        **text_tokenizer.special_token_ids,
    )
    with torch.no_grad():  # raises the logit of the end by 5
        end = model.get_input_embeddings().weight[text_tokenizer.eop_token_id]
        model.glm.transformer.final_layernorm.bias += 5.0 * end / end.norm() ** 2
    return model


@pytest.fixture(scope="session")
def exporters():
    """Return the exporters of Transformers, which older versions do not have."""
    return pytest.importorskip("transformers.exporters")


@pytest.fixture(scope="session")
def exported(exporters, text_model, text_tokenizer, tmp_path_factory):
    """Export the language model in each way."""
    folder = tmp_path_factory.mktemp("exported")
    settings = {"onnx": {}, "int8": {"quantize": "int8"}, "torch": {"format": "torch"}}
    return {
        name: export_model(text_model, folder / name, tokenizer=text_tokenizer, **changed)
        for name, changed in settings.items()
    }
