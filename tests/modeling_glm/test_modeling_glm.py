"""The signatures of the models, branches, and the projection to the vocabulary."""

import copy
import inspect
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import DataCollatorForLanguageModeling, StaticCache, pipeline

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.modeling_glm import AUTO_CLASSES
from tests.support.models import FIRST_WORD, TOKEN_IDS, make_model

MASK, SOP, EOS, CLS, PAD = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "sop", "eos", "cls", "pad"))
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


TEXT = torch.tensor([[CLS, 11, 12, 13, EOS]])
READ_AS_CAUSAL = "not those of a causal model.*modeling_glm.evaluation.lm_eval --model glm.*GLMModel"

# How others read a model as causal: without labels, or with those that a causal collator makes.
CAUSAL_CALLS = {
    "lm-evaluation-harness": lambda model: model(TEXT).logits,
    "with a mask": lambda model: model(TEXT, attention_mask=torch.ones_like(TEXT)).logits,
    "padded on the right, unmasked": lambda model: model(torch.tensor([[CLS, 11, EOS, PAD, PAD]])).logits,
    "the next token": lambda model: model(TEXT, logits_to_keep=1).logits,
    "a trainer of preferences": lambda model: model(input_ids=TEXT, use_cache=False, output_hidden_states=True).logits,
    "some rows": lambda model: model(torch.tensor([[CLS, 11, MASK, 12, EOS], TEXT[0].tolist()])).logits,
    "embeddings": lambda model: model(inputs_embeds=model.get_input_embeddings()(TEXT)).logits,
}


@pytest.fixture
def language_model() -> GLMForConditionalGeneration:
    """Make a model that has not given its warning yet."""
    return make_model(GLMForConditionalGeneration)


@pytest.mark.parametrize("call", CAUSAL_CALLS.values(), ids=CAUSAL_CALLS)
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_a_causal_reading_gives_a_warning_once(language_model, call, training):
    language_model.train(training)
    with pytest.warns(UserWarning, match=READ_AS_CAUSAL):
        first = call(language_model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(call(language_model), first)


def test_the_warning_names_the_row(language_model):
    with pytest.warns(UserWarning, match="row 1 of input_ids"):
        CAUSAL_CALLS["some rows"](language_model)


def test_causal_training_gives_a_warning_or_an_error(tokenizer):
    """The labels of causal collators are those of `test_labels_glm`: without a blank a warning, with one an error."""
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    with pytest.warns(UserWarning, match=r"stands on a text without a blank.*collators for causal"):
        model(**collator([tokenizer("the quick dog"), tokenizer("a cat")]))
    with pytest.raises(ValueError, match=r"stands on Part A.*collators for causal"):
        model(**collator([tokenizer("the quick [MASK]")]))


def test_pipelines_for_causal_models_refuse_texts_without_a_blank(tokenizer):
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    with pytest.raises(ValueError, match="has no blank to fill"):
        pipeline("text-generation", model=model, tokenizer=tokenizer)("the quick dog")


def continue_with_a_cache(model: GLMForConditionalGeneration) -> None:
    positions = compute_position_ids(torch.tensor([[*CONTEXT, 20, 21]]), model.config)
    held = model(torch.tensor([CONTEXT]), use_cache=True).past_key_values
    model(torch.tensor([[20, 21]]), position_ids=positions[..., -2:], past_key_values=held)


def use_adapters(model: GLMForConditionalGeneration) -> None:
    """Generate behind virtual tokens, where Part B is fed token by token without a start of piece."""
    from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model

    for config_class in (PromptTuningConfig, PrefixTuningConfig):
        wrapped = get_peft_model(copy.deepcopy(model), config_class(task_type="CAUSAL_LM", num_virtual_tokens=3))
        words_only = {"suppress_tokens": list(range(FIRST_WORD))}  # a mask that is fed would be taken for a blank
        wrapped.generate(input_ids=torch.tensor([CONTEXT]), max_new_tokens=3, **words_only)


LEGITIMATE_CALLS = {
    "a piece": lambda model: model(torch.tensor([[*CONTEXT, 20, 21]])),
    "the token at a mask": lambda model: model(torch.tensor([CONTEXT[:-1]])),
    "generate": lambda model: model.generate(
        torch.tensor([CONTEXT[:-1], [CLS, MASK, 12, MASK, EOS]]), max_new_tokens=6
    ),
    "generate without a cache": lambda model: model.generate(
        torch.tensor([CONTEXT]), max_new_tokens=3, use_cache=False
    ),
    "beams": lambda model: model.generate(torch.tensor([CONTEXT]), max_new_tokens=3, num_beams=2),
    "guidance": lambda model: model.generate(torch.tensor([CONTEXT]), max_new_tokens=2, guidance_scale=2.0),
    "prompt lookup": lambda model: model.generate(
        torch.tensor([CONTEXT]), max_new_tokens=4, prompt_lookup_num_tokens=2
    ),
    "a static cache": lambda model: model.generate(
        torch.tensor([CONTEXT]), max_new_tokens=3, past_key_values=StaticCache(config=model.config, max_cache_len=16)
    ),
    "a continued cache": continue_with_a_cache,
    "soft prompts": use_adapters,
    "features": lambda model: model.glm(TEXT),
    "given positions": lambda model: model(TEXT, position_ids=compute_position_ids(TEXT, model.config)),
    "a mask of the caller": lambda model: model(TEXT, attention_mask=torch.ones(1, 1, 5, 5, dtype=torch.bool).tril()),
    "labels of a masked language model": lambda model: model(
        torch.tensor([[CLS, 11, MASK, 12, EOS]]), labels=torch.tensor([[-100, -100, 13, -100, -100]])
    ),
    "export": lambda model: torch.export.export(model, (TEXT,), {"use_cache": False}, strict=False),
    "heads": lambda model: [
        make_model(head)(TEXT)
        for head in (GLMForSequenceClassification, GLMForTokenClassification, GLMForQuestionAnswering)
    ],
}


@pytest.mark.parametrize("call", LEGITIMATE_CALLS.values(), ids=LEGITIMATE_CALLS)
def test_other_calls_give_no_warning(language_model, call):
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always")
        call(language_model)
    assert not [warning for warning in caught if "causal" in str(warning.message)]
    assert not language_model._warned_of_causal_reading


@pytest.mark.parametrize(
    "model_class",
    [
        GLMModel,
        GLMForConditionalGeneration,
        GLMForSequenceClassification,
        GLMForTokenClassification,
        GLMForQuestionAnswering,
    ],
)
def test_outputs_as_tuples(model_class):
    """By the argument and by the setting of the config."""
    model, ids = make_model(model_class), torch.tensor([CONTEXT])
    with torch.no_grad():
        expected = model(ids).to_tuple()[0]
        by_argument = model(ids, return_dict=False)
        model.config.return_dict = False
        by_config = model(ids)
    for found in (by_argument, by_config):
        assert type(found) is tuple
        torch.testing.assert_close(found[0], expected)
