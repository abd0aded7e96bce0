"""The signatures of the models, branches, and the projection to the vocabulary."""

import inspect

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.modeling_glm import AUTO_CLASSES, RESIDUAL
from tests.support.models import TOKEN_IDS, make_model

MASK, SOP, EOS, CLS = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "sop", "eos", "cls"))
CONTEXT = [CLS, 11, MASK, 12, EOS, SOP]
BRANCHES = [[20, 21, 22], [23, 24]]


def side_by_side() -> dict[str, torch.Tensor]:
    """Lay out two continuations of one piece as branches of one row."""
    count = len(CONTEXT)
    positions = compute_position_ids(torch.tensor([CONTEXT]), make_model(GLMModel).config)[0]
    row0 = [*positions[0].tolist(), *[2] * 5]
    row1 = [*positions[1].tolist(), 2, 3, 4, 2, 3]
    return {
        "input_ids": torch.tensor([[*CONTEXT, *BRANCHES[0], *BRANCHES[1]]]),
        "position_ids": torch.tensor([[row0, row1]]),
        "branch": torch.tensor([[0] * count + [1] * 3 + [2] * 2]),
    }


def test_branch_is_a_documented_keyword():
    assert "branch" in inspect.signature(GLMModel.forward).parameters
    assert "branch: (batch, seq)" in GLMModel.forward.__doc__


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "flex_attention"])
def test_branches_are_as_if_alone(implementation):
    model = make_model(GLMModel, attn_implementation=implementation)
    with torch.no_grad():
        together = model(**side_by_side()).last_hidden_state[0, len(CONTEXT) :]
        alone = [
            model(torch.tensor([[*CONTEXT, *branch]])).last_hidden_state[0, len(CONTEXT) :] for branch in BRANCHES
        ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_branches_go_through_the_head():
    model = make_model(GLMForConditionalGeneration)
    with torch.no_grad():
        together = model(**side_by_side()).logits[0, len(CONTEXT) + 3 :]
        alone = model(torch.tensor([[*CONTEXT, *BRANCHES[1]]])).logits[0, len(CONTEXT) :]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_branches_behind_a_cache_are_refused():
    model = make_model(GLMModel)
    cache = model(torch.tensor([CONTEXT]), use_cache=True).past_key_values
    with pytest.raises(ValueError, match="branch needs the whole input"):
        model(
            torch.tensor([[20]]),
            position_ids=torch.tensor([[[2], [2]]]),
            past_key_values=cache,
            branch=torch.ones(1, 1, dtype=torch.long),
        )


@pytest.mark.parametrize("model_class", [GLMForConditionalGeneration, GLMForMultipleChoice])
def test_vocabulary_logits_are_products_with_the_embeddings(model_class):
    model = make_model(model_class)
    states = torch.randn(2, 3, model.config.hidden_size)
    with torch.no_grad():
        logits = model.vocabulary_logits(states)
        torch.testing.assert_close(logits, states @ model.get_input_embeddings().weight.T)


def test_a_projection_that_is_split_is_refused():
    model = make_model(GLMForConditionalGeneration)
    model.lm_head = nn.Linear(model.config.hidden_size, 10, bias=False)
    with pytest.raises(RuntimeError, match="gave 10 of 64 logits"):
        model.vocabulary_logits(torch.zeros(1, model.config.hidden_size))


def test_residual_projections_are_plain_linear_layers():
    marked = [module for module in make_model(GLMModel).modules() if hasattr(module, RESIDUAL)]
    assert [type(module) for module in marked] == [nn.Linear] * 6  # two in each of three layers


OTHER_HEADS = {"the hub's and our first": ("dense", "out_proj"), "the authors'": ("pool_layer", "multichoice_head")}


def rename_classifier(state: dict[str, torch.Tensor], dense: str, out_proj: str) -> dict[str, torch.Tensor]:
    return {
        name.replace("classifier.dense", dense).replace("classifier.out_proj", out_proj): tensor
        for name, tensor in state.items()
    }


@pytest.mark.parametrize("names", OTHER_HEADS.values(), ids=OTHER_HEADS)
@pytest.mark.parametrize("prefix", ["glm.", ""], ids=["beside a head", "as the originals"])
def test_classifiers_are_read_under_their_other_names(tmp_path, names, prefix):
    model = make_model(GLMForSequenceClassification, num_labels=3)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert {name for name in saved if not name.startswith("glm.")} == {
        f"classifier.{layer}.{kind}" for layer in ("dense", "out_proj") for kind in ("weight", "bias")
    }
    renamed = {name.replace("glm.", prefix): tensor for name, tensor in rename_classifier(saved, *names).items()}
    save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    loaded, info = GLMForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    ids = torch.tensor([CONTEXT])
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits)
    # What is saved again loads again.
    loaded.save_pretrained(tmp_path / "again")
    again = GLMForSequenceClassification.from_pretrained(tmp_path / "again")
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize("names", OTHER_HEADS.values(), ids=OTHER_HEADS)
def test_load_state_dict_knows_the_other_names(names):
    model, other = (make_model(GLMForSequenceClassification, seed=seed) for seed in (0, 1))
    state = rename_classifier(model.state_dict(), *names)
    other.load_state_dict(state)
    wrapped = nn.ModuleDict({"inner": make_model(GLMForSequenceClassification, seed=2)})
    wrapped.load_state_dict({f"inner.{name}": tensor for name, tensor in state.items()})
    for loaded in (other, wrapped["inner"]):
        assert torch.equal(loaded.classifier.out_proj.weight, model.classifier.out_proj.weight)
        assert torch.equal(loaded.classifier.dense.bias, model.classifier.dense.bias)


def test_a_mapping_of_keys_is_still_the_callers(tmp_path):
    model = make_model(GLMForSequenceClassification)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    renamed = {name.replace("classifier.dense", "mine"): tensor for name, tensor in weights.items()}
    save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    loaded = GLMForSequenceClassification.from_pretrained(tmp_path, key_mapping={r"^mine\.": "classifier.dense."})
    assert torch.equal(loaded.classifier.dense.weight, model.classifier.dense.weight)


@pytest.mark.parametrize("model_class", list(dict.fromkeys(AUTO_CLASSES.values())), ids=lambda c: c.__name__)
@pytest.mark.parametrize("lost", ["position_embeddings", "block_position_embeddings", "layers.2", "word_embeddings"])
def test_weights_without_a_part_of_the_model_are_refused(tmp_path, model_class, lost):
    make_model(model_class).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if f".{lost}." not in f".{name}"}
    assert len(kept) < len(weights)
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=rf"lack \d+ of the \d+ tensors of a GLM, such as (glm\.)?.*{lost}"):
        model_class.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "model_class", [GLMForSequenceClassification, GLMForTokenClassification, GLMForQuestionAnswering]
)
def test_a_new_head_is_no_error(tmp_path, model_class):
    make_model(GLMModel).save_pretrained(tmp_path)
    _, info = model_class.from_pretrained(tmp_path, output_loading_info=True)
    assert all(name.startswith(("classifier.", "qa_outputs.")) for name in info["missing_keys"])


@pytest.mark.parametrize(
    ("model_class", "head"),
    [
        (GLMModel, None),
        (GLMForConditionalGeneration, "lm_head"),
        (GLMForMultipleChoice, "lm_head"),
        (GLMForSequenceClassification, None),
        (GLMForTokenClassification, None),
        (GLMForQuestionAnswering, None),
    ],
)
def test_embeddings_are_where_the_library_looks_for_them(model_class, head):
    model = make_model(model_class)
    base = model.base_model
    assert model.get_input_embeddings() is base.word_embeddings
    assert model.get_output_embeddings() is (getattr(model, head) if head else None)
    assert model.get_decoder() is base
    new = nn.Embedding(64, 32)
    model.set_input_embeddings(new)
    assert base.word_embeddings is new


@pytest.mark.parametrize(
    ("model_class", "head"),
    [
        (GLMForSequenceClassification, "classifier"),
        (GLMForTokenClassification, "classifier"),
        (GLMForQuestionAnswering, "qa_outputs"),
        (GLMForConditionalGeneration, "lm_head"),
        (GLMForMultipleChoice, "lm_head"),
    ],
)
def test_heads_have_the_names_of_the_ecosystem(model_class, head):
    assert [name for name, _ in make_model(model_class).named_children() if name not in ("glm", "dropout")] == [head]
