"""What every fine-tuning needs. Adapters have further tests beside the trainings that use them."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model

from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMForMultipleChoice
from modeling_glm.runs.fine_tuning import (
    ADAPTED_LAYERS,
    add_adapter,
    merge_adapter,
    require_same_description,
    suggest_epochs,
    suggest_learning_rate,
)
from tests.support.models import make_model


@pytest.mark.parametrize(
    ("layers", "width", "heads", "rate"),
    # The embedded model, GLM-Base, GLM-Large (the paper's 1e-5), GLM-10B
    [(6, 192, 6, 5e-4), (12, 768, 12, 3e-5), (24, 1024, 16, 1e-5), (48, 4096, 64, 5e-6)],
)
def test_the_learning_rate_follows_the_size(layers, width, heads, rate):
    config = GLMConfig(
        vocab_size=64,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=32,
    )
    with torch.device("meta"):
        model = GLMForMultipleChoice(config)
    assert suggest_learning_rate(model) == pytest.approx(rate)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=ADAPTED_LAYERS))
    assert suggest_learning_rate(adapted) == pytest.approx(10 * rate)


@pytest.mark.parametrize(
    ("examples", "batch_size", "epochs"), [(1, 4, 60), (480, 16, 10), (240, 16, 20), (9999, 1, 10)]
)
def test_few_examples_are_read_more_often(examples, batch_size, epochs):
    assert suggest_epochs(examples, batch_size) == epochs


@pytest.mark.parametrize(("rank", "tokens"), [(2, []), (2, [7]), (0, [7, 8])])
def test_an_adapter_names_its_base_and_merges(tmp_path, rank, tokens):
    make_model(GLMForConditionalGeneration).save_pretrained(tmp_path / "base")
    model = GLMForConditionalGeneration.from_pretrained(tmp_path / "base")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adapted = add_adapter(model, str(tmp_path / "base"), rank, tokens)
    trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert any("lora_" in name for name in trained) == bool(rank)
    assert any("trainable_tokens" in name for name in trained) == bool(tokens)
    adapted.save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    merged = merge_adapter(adapted)
    assert merge_adapter(merged) is merged
    assert {name: value.shape for name, value in merged.state_dict().items()} == {
        name: value.shape for name, value in before.items()
    }


def test_another_run_is_refused(tmp_path):
    path = tmp_path / "run.json"
    run = {"examples": "x1", "settings": {"rank": 2, "path": tmp_path}}
    require_same_description(path, run)
    require_same_description(path, run)
    with pytest.raises(ValueError, match="holds a run with other examples and settings: choose another output_dir"):
        require_same_description(path, {"examples": "x2", "settings": {}})
    changed = {"rank": 3, "path": "y" * 99, "new": True}
    with pytest.raises(
        ValueError, match=r"delete it\. rank is 3, was 2; path is 'y+\.\.\.y+', was '.*'; new is True, was None\.$"
    ):
        require_same_description(path, {**run, "settings": changed})
    assert json.loads(path.read_text()) == {"examples": "x1", "settings": {"rank": 2, "path": str(tmp_path)}}
