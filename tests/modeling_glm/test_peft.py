"""PEFT around every head: what it finds by name, trains, saves and loads."""

import copy

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from tests.support.models import TOKEN_IDS, make_model

MASK, SOP, EOS, CLS = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "sop", "eos", "cls"))
TEXTS = torch.tensor([[CLS, 11, 12, EOS], [CLS, 13, 12, EOS], [CLS, 11, 14, EOS], [CLS, 13, 14, EOS]])
PIECES = torch.tensor([[CLS, 11, MASK, EOS, SOP, 20], [CLS, 13, MASK, EOS, SOP, 21]])
PIECE_LABELS = torch.tensor([[-100] * 4 + [20, 30], [-100] * 4 + [21, 31]])

# The task types of PEFT: class, name of its head, and a batch to learn.
TASKS = {
    "SEQ_CLS": (
        GLMForSequenceClassification,
        "classifier",
        {"input_ids": TEXTS, "labels": torch.tensor([0, 1, 0, 1])},
    ),
    "TOKEN_CLS": (GLMForTokenClassification, "classifier", {"input_ids": TEXTS, "labels": TEXTS % 2}),
    "QUESTION_ANS": (
        GLMForQuestionAnswering,
        "qa_outputs",
        {
            "input_ids": TEXTS,
            "start_positions": torch.tensor([1, 2, 1, 2]),
            "end_positions": torch.tensor([2, 3, 2, 3]),
        },
    ),
    "CAUSAL_LM": (GLMForConditionalGeneration, None, {"input_ids": PIECES, "labels": PIECE_LABELS}),
    "SEQ_2_SEQ_LM": (GLMForConditionalGeneration, None, {"input_ids": PIECES, "labels": PIECE_LABELS}),
    "FEATURE_EXTRACTION": (GLMModel, None, {"input_ids": TEXTS}),
}
WITH_LABELS = [name for name in TASKS if name != "FEATURE_EXTRACTION"]
TARGETS = [["query_key_value"], ["query_key_value", "dense"], "all-linear", r".*\.attention\.dense"]


def adapters_of(model: torch.nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def train(model: torch.nn.Module, batch: dict, steps: int = 12, rate: float = 3e-2) -> list[float]:
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=rate)
    losses = []
    for _ in range(steps):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    model.eval()
    return losses


@torch.no_grad()
def outputs_of(model: torch.nn.Module, batch: dict) -> list[torch.Tensor]:
    inputs = {name: value for name, value in batch.items() if name == "input_ids"}
    return [value for value in model(**inputs).values() if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize("task", WITH_LABELS)
@pytest.mark.parametrize("targets", TARGETS, ids=str)
def test_lora_trains_saves_and_loads_every_head(tmp_path, task, targets):
    model_class, head, batch = TASKS[task]
    base = make_model(model_class)
    config = LoraConfig(task_type=task, r=4, target_modules=targets)
    if targets == "all-linear" and task in ("TOKEN_CLS", "QUESTION_ANS"):
        config.modules_to_save = [head]  # PEFT leaves the head of its own accord in sequence classification only
    model = get_peft_model(copy.deepcopy(base), config)
    trained = adapters_of(model)
    assert any("lora_A" in name for name in trained)
    heads = {"classifier", "qa_outputs", "lm_head"}
    assert {part for name in trained for part in name.split(".") if part in heads} == ({head} if head else set())
    losses = train(model, batch)
    assert losses[-1] < losses[0] / 3
    model.save_pretrained(tmp_path)
    # The head of the base differs, as that of a checkpoint without one does.
    again = PeftModel.from_pretrained(fresh_head(base, head), tmp_path).eval()
    for found, expected in zip(outputs_of(again, batch), outputs_of(model, batch), strict=True):
        torch.testing.assert_close(found, expected)
    merged = again.merge_and_unload()
    assert type(merged) is model_class
    for found, expected in zip(outputs_of(merged, batch), outputs_of(model, batch), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    # The merged model is an ordinary one.
    merged.save_pretrained(tmp_path / "merged")
    loaded = model_class.from_pretrained(tmp_path / "merged")
    for found, expected in zip(outputs_of(loaded, batch), outputs_of(merged, batch), strict=True):
        torch.testing.assert_close(found, expected)


def fresh_head(base: torch.nn.Module, head: str | None) -> torch.nn.Module:
    model = copy.deepcopy(base)
    if head is not None:
        torch.manual_seed(5)
        for parameter in getattr(model, head).parameters():
            torch.nn.init.normal_(parameter)
    return model


def test_other_adapters_train_the_classifier_too(tmp_path):
    _, head, batch = TASKS["SEQ_CLS"]
    base = make_model(GLMForSequenceClassification)
    config = IA3Config(
        task_type="SEQ_CLS",
        target_modules=["query_key_value", "dense_4h_to_h"],
        feedforward_modules=["dense_4h_to_h"],
    )
    model = get_peft_model(copy.deepcopy(base), config)
    losses = train(model, batch)
    assert losses[-1] < losses[0] / 3
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(fresh_head(base, head), tmp_path).eval()
    torch.testing.assert_close(outputs_of(again, batch), outputs_of(model, batch))


@pytest.mark.parametrize("modules", [["word_embeddings"], ["position_embeddings"], ["final_layernorm"]], ids=str)
@pytest.mark.parametrize("task", ["SEQ_CLS", "CAUSAL_LM", "SEQ_2_SEQ_LM"])
def test_modules_to_save_are_found_by_name(tmp_path, task, modules):
    model_class, head, batch = TASKS[task]
    base = make_model(model_class)
    config = LoraConfig(task_type=task, r=4, target_modules=["query_key_value"], modules_to_save=list(modules))
    model = get_peft_model(copy.deepcopy(base), config)
    train(model, batch, steps=3)
    changed = outputs_of(model, batch)
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(fresh_head(base, head), tmp_path).eval()
    torch.testing.assert_close(outputs_of(again, batch), changed)
    assert any(f"{modules[0]}.modules_to_save" in name for name in adapters_of(model))


def test_choices_are_trained_without_a_task_type(tmp_path):
    batch = {
        "input_ids": PIECES[:, :4],
        "choice_ids": torch.tensor([[[20, -100], [21, 22]]] * 2),
        "labels": torch.tensor([0, 1]),
    }
    base = make_model(GLMForMultipleChoice)
    model = get_peft_model(copy.deepcopy(base), LoraConfig(r=4, target_modules="all-linear"))
    losses = train(model, batch)
    assert losses[-1] < losses[0] / 3
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(base, tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(**batch).logits, model(**batch).logits)


def test_features(tmp_path):
    base = make_model(GLMModel)
    config = LoraConfig(task_type="FEATURE_EXTRACTION", r=4, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(copy.deepcopy(base), config).eval()
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(base, tmp_path).eval()
    torch.testing.assert_close(outputs_of(again, {"input_ids": TEXTS}), outputs_of(model, {"input_ids": TEXTS}))
