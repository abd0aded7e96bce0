"""Scores of choices in batches: order, lengths, the mode of the model, models that are refused."""

import pickle

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForSequenceClassification,
    PatternVerbalizer,
)
from modeling_glm.cloze.scorer import ChoiceScorer
from modeling_glm.tokenization.blanks import answer_forms
from tests.support.models import make_model

TASK = PatternVerbalizer("{text|shorten} It was [MASK].", {"good": ["lazy", "quick fox"], "bad": "capital"})
CHOOSING = PatternVerbalizer("{text} [MASK]", choices="{options}")
EXAMPLES = [
    {"text": text}
    for text in ("The fox jumps.", "Paris", "In the year 1987 the number 404 was not found", "", "the cat")
]


@pytest.fixture
def model(tokenizer):
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 120, **tokenizer.special_token_ids}
    return make_model(GLMForMultipleChoice, **settings)


def score(scorer: ChoiceScorer, task: PatternVerbalizer = TASK, examples=EXAMPLES, **options) -> np.ndarray:
    return scorer.score([scorer.encode(task, example) for example in examples], len(task.labels), **options)


def test_batches_are_sorted_and_put_back(model, tokenizer):
    shapes = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    scorer = ChoiceScorer(model, tokenizer, TASK, batch_size=2)
    together = score(scorer)
    assert [rows for rows, _ in shapes] == [2, 2, 1]
    assert [length for _, length in shapes] == sorted((length for _, length in shapes), reverse=True)
    np.testing.assert_allclose(together, score(scorer, batch_size=1), atol=1e-5)
    assert together.dtype == np.float32


def test_absent_choices(model, tokenizer):
    examples = [{"text": "a", "options": ["x", "y", "z"]}, {"text": "b", "options": ["x"]}]
    found = score(ChoiceScorer(model, tokenizer, CHOOSING, batch_size=1), CHOOSING, examples)
    assert np.isfinite(found[0]).all()
    assert np.isneginf(found[1]).tolist() == [False, True, True]
    assert score(ChoiceScorer(model, tokenizer, TASK), examples=[]).shape == (0, 2)


def test_labels_are_not_encoded(model, tokenizer):
    scorer = ChoiceScorer(model, tokenizer, TASK)
    assert scorer.encode(TASK, {"text": "a", "label": -1}) == scorer.encode(TASK, {"text": "a"})
    reads_label = PatternVerbalizer("{label} [MASK]", {"x": "x", "y": "y"})
    assert scorer.encode(reads_label, {"label": "x"}) != scorer.encode(reads_label, {"label": "y"})


def test_forms_of_words_are_those_of_the_tokenizer_as_it_is(model, tokenizer):
    tokenizer = pickle.loads(pickle.dumps(tokenizer))
    scorer = ChoiceScorer(model, tokenizer, TASK)
    before = scorer.encode(TASK, {"text": "x"})
    assert scorer.encode(TASK, {"text": "x"}, scorer.word_forms()) == before
    words = [word for row in TASK.patterns[0].read_words({}) for word in row]
    assert [form for row in before["choice_ids"][0] for form in row] == [
        list(form) for word in words for form in answer_forms(tokenizer, word)
    ]
    tokenizer.add_tokens([words[0]])
    assert scorer.encode(TASK, {"text": "x"}) != before


def test_fields_that_are_missing(model, tokenizer):
    scorer = ChoiceScorer(model, tokenizer, TASK)
    with pytest.raises(ValueError, match=r"^The pattern asks for a field 'text'"):
        scorer.encode(TASK, {})


def test_mode_of_the_model(model, tokenizer):
    model.train()
    model.glm.transformer.layers[0].eval()
    modes = [module.training for module in model.modules()]
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    scorer = ChoiceScorer(model, tokenizer, TASK)
    found = score(scorer)
    assert [module.training for module in model.modules()] == modes
    np.testing.assert_array_equal(score(scorer), found)


def test_adapters(model, tokenizer):
    expected = score(ChoiceScorer(model, tokenizer, TASK))
    adapted = get_peft_model(model, LoraConfig(target_modules=["query_key_value"]))
    np.testing.assert_allclose(score(ChoiceScorer(adapted, tokenizer, TASK)), expected, atol=1e-5)


@pytest.mark.parametrize("model_class", [GLMForConditionalGeneration, GLMForSequenceClassification])
def test_other_models(tokenizer, model_class):
    with pytest.raises(ValueError, match=f"The model is a {model_class.__name__}: expected a GLMForMultipleChoice"):
        ChoiceScorer(make_model(model_class), tokenizer, TASK)


def test_batch_size(model, tokenizer):
    with pytest.raises(ValueError, match="batch_size=0"):
        ChoiceScorer(model, tokenizer, TASK, batch_size=0)


@pytest.mark.parametrize(
    ("task", "examples"),
    [
        (PatternVerbalizer("{text|shorten} It was [MASK].", {f"label {n}": f"word {n}" for n in range(30)}), EXAMPLES),
        (PatternVerbalizer(["{text} [MASK]", "[MASK]: {text}"], {"a": ["lazy", "quick fox"], "b": "a long capital", "c": "x"}), EXAMPLES),
        (CHOOSING, [{"text": "a", "options": ["x", "y y y y", "z z"] * 4}, {"text": "b", "options": ["x"]}]),
    ],
    ids=["many classes", "patterns", "own choices"],
)  # fmt: skip
def test_many_choices_go_into_several_rows(model, tokenizer, monkeypatch, task, examples):
    """A row is as wide as all of its choices, and its cost grows with the square of that."""
    widths = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: widths.append(np.prod(kwargs["choice_ids"].shape[-3:])), with_kwargs=True
    )
    scorer = ChoiceScorer(model, tokenizer, task)
    expected = score(scorer, task, examples)
    whole = max(widths)
    widths.clear()
    monkeypatch.setattr("modeling_glm.cloze.scorer.MAX_CHOICE_TOKENS", 14)
    np.testing.assert_allclose(score(scorer, task, examples), expected, rtol=1e-5, atol=1e-5)
    assert max(widths) < whole


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("batch_size", [0, -1, 1.5, True, "3", None, float("nan")]),
        ("max_length", [0, -1, 1.5, True, "3", float("nan")]),
        ("truncation", [None, "yes", 2]),
    ],
)
def test_absurd_settings_are_refused_by_name(model, tokenizer, setting, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^{setting}=.*: expected"):
            ChoiceScorer(model, tokenizer, TASK, **{setting: value})
