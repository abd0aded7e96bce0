"""The metadata and the sections of model cards."""

import re

import pytest
from huggingface_hub import EvalResult
from transformers import BertConfig

from modeling_glm import (
    Calibration,
    GLMConfig,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForSequenceClassification,
    PatternVerbalizer,
)
from modeling_glm.hub.card import PIPELINE_TAGS, count_parameters, create_model_card, write_model_card
from tests.support.hub_runs import read_metadata
from tests.support.models import make_model, tiny_config


@pytest.mark.parametrize("model_class", PIPELINE_TAGS, ids=lambda model_class: model_class.__name__)
def test_metadata(model_class):
    card = create_model_card(make_model(model_class))
    assert read_metadata(card) == {
        "library_name": "transformers",
        "pipeline_tag": PIPELINE_TAGS[model_class],
        "tags": ["glm", "blank-infilling", "cloze"],
    }
    assert f"A `{model_class.__name__}`" in card.text
    assert f"{make_model(model_class).num_parameters():,} parameters" in card.text


def test_a_class_of_ones_own_is_the_class_that_it_derives_from():
    own = type("Mine", (GLMForSequenceClassification,), {})
    for card in (create_model_card(make_model(own)), create_model_card(tiny_config(), model_class=own)):
        assert read_metadata(card)["pipeline_tag"] == "text-classification"


def test_what_the_caller_knows():
    figure = EvalResult("multiple-choice", "super_glue", "SuperGLUE", "accuracy", 0.5, dataset_config="copa")
    card = create_model_card(
        tiny_config(architectures=["GLMForMultipleChoice"]),
        model_id="me/mine",
        base_model="them/theirs",
        license="mit",
        language=["en", "zh"],
        datasets="super_glue",
        tags="toy",
        eval_results=[figure],
        sections={"notes": "## Notes\n\nmine", "limits": "## Limits\n\nnone"},
    )
    assert read_metadata(card) == {
        "base_model": "them/theirs",
        "datasets": "super_glue",
        "language": ["en", "zh"],
        "library_name": "transformers",
        "license": "mit",
        "metrics": ["accuracy"],
        "pipeline_tag": "multiple-choice",
        "tags": ["glm", "blank-infilling", "cloze", "toy"],
        "model-index": [
            {
                "name": "mine",
                "results": [
                    {
                        "task": {"type": "multiple-choice"},
                        "dataset": {"name": "SuperGLUE", "type": "super_glue", "config": "copa"},
                        "metrics": [{"type": "accuracy", "value": 0.5}],
                    }
                ],
            }
        ],
    }
    assert card.text.startswith("\n# mine\n")
    assert re.findall(r"<!-- modeling-glm: (\w+) -->", card.text) == [
        "description",
        "usage",
        "notes",
        "limits",
        "citation",
    ]
    assert "## Limits\n\nnone\n" in card.text
    assert "A text may have up to" not in card.text


def test_the_task_of_a_classifier(tokenizer):
    task = PatternVerbalizer("{text|shorten} It was [MASK].", {"pos": ["great", "good"], "neg": "bad"})
    task = task.with_calibration(Calibration("contextual", temperature=2.5).to_dict())
    measured = EvalResult("text-classification", "reviews", "reviews", "accuracy", 0.875)
    card = create_model_card(
        make_model(GLMForMultipleChoice), task.attach(tokenizer), model_id="me/mine", eval_results=[measured]
    )
    assert "- `{text|shorten} It was [MASK].`" in card.text
    assert "| pos | `great`, `good` |\n| neg | `bad` |" in card.text
    assert "calibrated by the method `contextual`, and divided by a temperature of 2.5." in card.text
    assert "- accuracy: 0.875" in card.text
    assert 'pipeline("cloze-classification", model="me/mine")' in card.text
    assert "# one of: pos, neg" in card.text
    assert "prediction_sets" not in card.text
    ruled = task.with_answer_rule({"threshold": 0.75, "coverage": 0.9, "quantile": 0.5})
    card = create_model_card(make_model(GLMForMultipleChoice), ruled.attach(tokenizer), model_id="me/mine")
    assert "answers `None` where the best label has a probability below 0.75." in card.text
    assert "returns sets of labels, of which 90.0% have the right one" in card.text


def test_what_is_wrong_is_named():
    with pytest.raises(TypeError, match="Expected a model of GLM or a GLMConfig, got BertConfig"):
        create_model_card(BertConfig())
    with pytest.raises(ValueError, match="sections has the name 'my notes'"):
        create_model_card(tiny_config(), sections={"my notes": "x"})


def test_parameters_are_counted_without_memory():
    model = make_model(GLMForConditionalGeneration)
    assert count_parameters(model.config) == model.num_parameters()
    assert count_parameters(GLMConfig.from_preset("10b")) == 9_880_682_496


def test_writing_twice_changes_nothing(tokenizer, tmp_path):
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    first = write_model_card(tmp_path, model, tokenizer, license="mit").read_bytes()
    assert write_model_card(tmp_path, model, tokenizer).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert f'from_pretrained("{tmp_path.name}")'.encode() in first
