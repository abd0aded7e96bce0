"""Prompt tokens that are learned, alone or with the rest of the model."""

import pickle

import pytest
import torch
from packaging.version import Version
from peft import LoraConfig, PeftModel, TrainableTokensConfig, get_peft_model
from transformers import pipeline
from transformers.integrations.peft import MIN_PEFT_VERSION

from modeling_glm import (
    ClozeClassifier,
    DataCollatorForCloze,
    GLMForMultipleChoice,
    GLMTokenizer,
    PatternVerbalizer,
    add_soft_tokens,
)
from modeling_glm.runs.fine_tuning import add_adapter
from tests.support.models import make_model

TASK = PatternVerbalizer("{soft:2}{a|shorten}? {soft:1} [MASK].", {"x": "dog", "y": "fox"})
EXAMPLES = [{"a": "The lazy dog", "label": "x"}, {"a": "The quick fox <|soft0|>", "label": "y"}]
# Transformers reads trained tokens beside LoRA since it needs this version of PEFT.
READS_TOKENS = Version(MIN_PEFT_VERSION) >= Version("0.20")


@pytest.fixture
def parts(tokenizer):
    tokenizer = pickle.loads(pickle.dumps(tokenizer))
    model = make_model(GLMForMultipleChoice, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    return model, tokenizer


def test_prompt_tokens_stand_in_the_pattern(parts):
    model, tokenizer = parts
    before = model.get_input_embeddings().weight.detach().clone()
    with pytest.raises(ValueError, match=r"no <\|soft0\|>: call modeling_glm.add_soft_tokens"):
        TASK.encode(EXAMPLES[0], tokenizer)
    ids = add_soft_tokens(model, tokenizer, TASK)
    assert len(set(ids)) == 3
    weight = model.get_input_embeddings().weight
    assert weight.shape[0] == model.config.vocab_size == len(tokenizer)
    torch.testing.assert_close(weight[: len(before)], before)
    assert all((weight[token_id] == before).all(-1).any() for token_id in ids)
    assert add_soft_tokens(model, tokenizer, TASK) == ids  # they stay
    for example in EXAMPLES:
        (context,) = TASK.encode(example, tokenizer)["input_ids"]
        assert context[1:3] == ids[:2]
        blank = context.index(tokenizer.mask_token_id)
        assert context[blank - 1] == ids[2]
        assert sum(token in ids for token in context) == 3  # those in an example are letters
        shortened = TASK.encode(example, tokenizer, max_length=len(context) - 1)["input_ids"][0]
        assert [token for token in shortened if token in ids] == ids


def test_rows_to_spare_are_used(tokenizer):
    tokenizer = pickle.loads(pickle.dumps(tokenizer))
    model = make_model(GLMForMultipleChoice, vocab_size=len(tokenizer) + 10, **tokenizer.special_token_ids)
    add_soft_tokens(model, tokenizer, TASK)
    assert model.config.vocab_size == len(tokenizer) + 7


def train(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[float]:
    """Train for ten steps. Return the losses."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    losses = []
    for _ in range(10):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_training_of_the_whole_model(parts):
    model, tokenizer = parts
    add_soft_tokens(model, tokenizer, TASK)
    losses = train(model, DataCollatorForCloze(tokenizer, TASK)(EXAMPLES))
    assert losses[-1] < losses[0]


TOKENS_ALONE = 3 * 32
LORA = 3 * 8 * (32 + 96)  # three layers, rank 8, query_key_value of 32 to 96


@pytest.mark.parametrize(("lora", "parameters"), [(False, TOKENS_ALONE), (True, TOKENS_ALONE + LORA)])
def test_training_of_adapters(parts, lora, parameters, tmp_path):
    model, tokenizer = parts
    ids = add_soft_tokens(model, tokenizer, TASK)
    before = model.get_input_embeddings().weight.detach().clone()
    batch = DataCollatorForCloze(tokenizer, TASK)(EXAMPLES)
    base = {name: value.clone() for name, value in model.state_dict().items()}
    config = TrainableTokensConfig(token_indices=ids, target_modules=["word_embeddings"])
    if lora:
        config = LoraConfig(
            target_modules=["query_key_value"], trainable_token_indices={"word_embeddings": ids}, lora_dropout=0.0
        )
    model = get_peft_model(model, config)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == parameters
    losses = train(model, batch)
    assert losses[-1] < losses[0]
    model.eval()
    with torch.no_grad():
        expected = model(**batch).logits
    model.save_pretrained(tmp_path)
    TASK.attach(tokenizer).save_pretrained(tmp_path)
    fresh = make_model(GLMForMultipleChoice, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    fresh.load_state_dict(base)
    loaded = PeftModel.from_pretrained(fresh, tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).logits, expected)
    merged = loaded.merge_and_unload()
    trained = merged.get_input_embeddings().weight
    changed = (trained != before).any(-1).nonzero().flatten().tolist()
    assert changed == sorted(ids)
    again = GLMTokenizer.from_pretrained(tmp_path)
    assert again.cloze == TASK.to_dict()
    assert TASK.encode(EXAMPLES[0], again) == TASK.encode(EXAMPLES[0], tokenizer)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_folder_of_an_adapter_loads_where_the_vocabulary_has_grown(parts, rank, tmp_path):
    """The base model on disk lacks the rows of the prompt tokens."""
    model, tokenizer = parts
    for part in parts:
        part.save_pretrained(tmp_path / "base")
    model = GLMForMultipleChoice.from_pretrained(tmp_path / "base")
    adapted = add_adapter(model, str(tmp_path / "base"), rank, add_soft_tokens(model, tokenizer, TASK))
    train(adapted, DataCollatorForCloze(tokenizer, TASK)(EXAMPLES))
    adapted.save_pretrained(tmp_path / "adapter")
    own = TASK.attach(tokenizer)
    own.save_pretrained(tmp_path / "adapter")
    expected = ClozeClassifier(adapted.eval(), own, TASK).predict_proba(EXAMPLES)
    if rank and not READS_TOKENS:
        with pytest.raises(ValueError, match="got no values"):
            GLMForMultipleChoice.from_pretrained(tmp_path / "adapter")
        return
    classifier = pipeline("cloze-classification", model=str(tmp_path / "adapter"), dtype="float32", device="cpu")
    for ranked, probabilities in zip(classifier(EXAMPLES, top_k=None), expected, strict=True):
        found = {entry["label"]: entry["score"] for entry in ranked}
        assert [found["x"], found["y"]] == pytest.approx(probabilities.tolist(), abs=1e-5)


def test_error_without_prompt_tokens(parts):
    with pytest.raises(ValueError, match="No pattern of the task has prompt tokens"):
        add_soft_tokens(*parts, PatternVerbalizer("{a} [MASK]", {"x": "x", "y": "y"}))
