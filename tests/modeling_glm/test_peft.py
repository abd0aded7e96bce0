"""PEFT around every head: what it finds by name, trains, saves and loads."""

import copy

import pytest
import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from tests.support.models import TOKEN_IDS, ending_model, make_model, pad_rows, read_pieces

MASK, SOP, EOP, EOS, CLS = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "sop", "eop", "eos", "cls"))
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


def test_two_adapters_load_one_after_the_other(tmp_path):
    """The library counts the tensors of the first one as missing in the file of the second."""
    base = make_model(GLMModel)
    for name in ("a", "b"):
        adapted = get_peft_model(
            copy.deepcopy(base), LoraConfig(r=2, target_modules=["dense"], init_lora_weights=False)
        )
        adapted.save_pretrained(tmp_path / name)
    base.load_adapter(str(tmp_path / "a"), adapter_name="first")
    before = {key: value.clone() for key, value in base.state_dict().items() if ".first." in key}
    base.load_adapter(str(tmp_path / "b"), "second")
    after = base.state_dict()
    assert before
    for key, value in before.items():
        assert torch.equal(after[key], value)
        assert not torch.equal(after[key.replace(".first.", ".second.")], value)


def test_features(tmp_path):
    base = make_model(GLMModel)
    config = LoraConfig(task_type="FEATURE_EXTRACTION", r=4, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(copy.deepcopy(base), config).eval()
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(base, tmp_path).eval()
    torch.testing.assert_close(outputs_of(again, {"input_ids": TEXTS}), outputs_of(model, {"input_ids": TEXTS}))


SOFT = {
    "prompt tuning": lambda task, **s: PromptTuningConfig(task_type=task, num_virtual_tokens=3, **s),
    "P-tuning": lambda task, **s: PromptEncoderConfig(
        task_type=task, num_virtual_tokens=3, encoder_hidden_size=16, **s
    ),
    "prefix tuning": lambda task, **s: PrefixTuningConfig(task_type=task, num_virtual_tokens=3, **s),
    "prefix tuning with a projection": lambda task, **s: PrefixTuningConfig(
        task_type=task, num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=16, **s
    ),
}
PROMPTS = [[CLS, 11, MASK, 12, MASK, EOS], [CLS, MASK, 16, EOS], [CLS, 18, 19, 20, MASK, EOS, SOP, 22]]


def soft_model(kind: str, task: str, seed: int = 0) -> torch.nn.Module:
    """Wrap a model. Its prompt is drawn wide, so that it changes what the model says."""
    model = get_peft_model(make_model(TASKS[task][0]), SOFT[kind](task))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.prompt_encoder.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def padded(rows: list[list[int]], side: str) -> dict[str, torch.Tensor]:
    return {"input_ids": pad_rows(rows, side), "attention_mask": pad_rows([[1] * len(row) for row in rows], side)}


@pytest.mark.parametrize("kind", SOFT)
@pytest.mark.parametrize("task", WITH_LABELS)
def test_soft_prompts_train_save_and_load_for_every_head(tmp_path, kind, task):
    base = make_model(TASKS[task][0])
    model = soft_model(kind, task)
    batch = {**TASKS[task][2]}
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    before = [parameter.clone() for parameter in base.glm.parameters()]
    losses = train(model, batch, steps=15)
    assert losses[-1] < losses[0] - 0.3
    torch.testing.assert_close(list(model.get_base_model().glm.parameters()), before)
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(fresh_head(base, TASKS[task][1]), tmp_path).eval()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        found, expected = again(**inputs), model(**inputs)
    torch.testing.assert_close(found[0], expected[0])


@pytest.mark.parametrize("kind", SOFT)
@pytest.mark.parametrize("task", ["CAUSAL_LM", "SEQ_2_SEQ_LM"])
def test_no_token_sees_what_it_must_predict(kind, task):
    model = soft_model(kind, task)
    ids = PIECES[:1]
    changed = ids.clone()
    changed[0, -1] = 40
    with torch.no_grad():
        first, second = (model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0] for row in (ids, changed))
    assert torch.equal(first[:-1], second[:-1])
    assert not torch.equal(first[-1], second[-1])


@torch.no_grad()
def fill_naively(model: torch.nn.Module, ids: list[int], limit: int) -> list[int]:
    """Fill the blanks of one row greedily, with a forward pass of PEFT over everything for every token."""
    blanks = ids.count(MASK)
    ids = ids if SOP in ids else [*ids, SOP]
    while True:
        row = torch.tensor([ids])
        scores = model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, -1]
        scores[SOP] = -torch.inf
        token = int(scores.argmax())
        length = ids[::-1].index(SOP)
        if token in (EOS, EOP) or length == limit:
            if ids.count(SOP) == blanks:
                return ids
            ids = [*ids, SOP]
        else:
            ids = [*ids, token]


WAYS = [
    (kind, task, how)
    for kind in SOFT
    for task in ("CAUSAL_LM", "SEQ_2_SEQ_LM")
    for how in ({}, {"use_cache": False}, {"num_beams": 2})
    if not (kind.startswith("prefix") and task == "SEQ_2_SEQ_LM" and how.get("use_cache") is False)  # is refused
]


@pytest.mark.parametrize(("kind", "task", "how"), WAYS, ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
def test_soft_prompts_generate_as_they_were_trained(kind, task, side, how):
    model = soft_model(kind, task)
    found = model.generate(**padded(PROMPTS, side), max_new_tokens_per_blank=4, **how)
    if how.get("num_beams"):
        alone = [
            model.generate(**padded([row], side), max_new_tokens_per_blank=4, **how)[0].tolist() for row in PROMPTS
        ]
    else:
        alone = [fill_naively(model, row, 4) for row in PROMPTS]
    ends = (0, EOS, EOP)
    assert [[i for i in row if i not in ends] for row in found.tolist()] == [
        [i for i in row if i not in ends] for row in alone
    ]


@pytest.mark.parametrize("kind", SOFT)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing_behind_a_soft_prompt(kind, side):
    model = soft_model(kind, "CAUSAL_LM")
    inputs = padded(PROMPTS, side)
    with torch.no_grad():
        together = model(**inputs).logits
        for number, row in enumerate(PROMPTS):
            alone = model(**padded([row], side)).logits[0, -len(row) :]
            real = inputs["attention_mask"][number] != 0
            own = together[number, -inputs["input_ids"].shape[1] :][real]
            torch.testing.assert_close(own, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["prompt tuning", "P-tuning"])  # PEFT puts a prefix into no static cache
def test_a_soft_prompt_with_a_static_cache(kind):
    model = soft_model(kind, "CAUSAL_LM")
    inputs = padded(PROMPTS, "left")
    how = {"max_new_tokens_per_blank": 3}
    expected = model.generate(**inputs, **how).tolist()
    assert model.generate(**inputs, **how, cache_implementation="static", disable_compile=True).tolist() == expected


def test_a_soft_prompt_is_part_of_the_text():
    model = get_peft_model(make_model(GLMForConditionalGeneration), SOFT["prompt tuning"]("CAUSAL_LM"))
    long = torch.tensor([[CLS, *[11] * 44, MASK]])
    model(input_ids=long, attention_mask=torch.ones_like(long))
    longer = torch.tensor([[CLS, *[11] * 45, MASK]])
    with pytest.raises(ValueError, match="reaches 50 tokens, but 49 are the limit"):
        model(input_ids=longer, attention_mask=torch.ones_like(longer))
    with pytest.raises(ValueError, match="reaches 50 tokens, but 49 are the limit"):
        model.generate(input_ids=longer, attention_mask=torch.ones_like(longer))


def test_what_a_soft_prompt_cannot_do_is_refused():
    ids = torch.tensor([[CLS, MASK, EOS, SOP]])
    positions = torch.tensor([[[0, 1, 2, 1], [0, 0, 0, 1]]])
    model = soft_model("prompt tuning", "CAUSAL_LM")
    with pytest.raises(ValueError, match="soft prompt of PEFT and generation_attention_mask do not work together"):
        model.generate(
            input_ids=ids, position_ids=positions, generation_attention_mask=torch.ones(1, 1, 4, 4), max_new_tokens=2
        )
    # The model itself is as before.
    assert model.get_base_model().generate(ids, max_new_tokens=2).shape[1] <= 6
    model = soft_model("prefix tuning", "SEQ_2_SEQ_LM")
    with pytest.raises(ValueError, match="in the first step only: leave out use_cache=False"):
        model.generate(input_ids=torch.tensor([PROMPTS[0]]), use_cache=False, max_new_tokens=6)


@pytest.mark.parametrize("task", ["CAUSAL_LM", "SEQ_2_SEQ_LM"])
def test_a_row_that_has_ended_waits_behind_a_prefix(task):
    """Virtual keys stand in front, and the pieces of the other row are longer together than the position table."""
    torch.manual_seed(0)
    model = ending_model(max_position_embeddings=16)
    peft = get_peft_model(model, PrefixTuningConfig(task_type=task, num_virtual_tokens=2)).eval()
    rows = [[CLS, 11, MASK, EOS], [CLS, *[MASK] * 7, 12, EOS]]
    ids, mask = pad_rows(rows, "left"), pad_rows([[1] * len(row) for row in rows], "left")
    how = {"max_new_tokens_per_blank": 4, "min_new_tokens": 2}
    together = peft.generate(input_ids=ids, attention_mask=mask, **how).tolist()
    assert len(together[0]) > ids.shape[1] + 18
    for row, found in zip(rows, together, strict=True):
        alone = peft.generate(input_ids=torch.tensor([row]), attention_mask=torch.ones(1, len(row)).long(), **how)
        assert read_pieces(found, ids.shape[1]) == read_pieces(alone[0].tolist(), len(row))
