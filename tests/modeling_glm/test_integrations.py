"""The libraries around the model as users call them: Trainer, PEFT, accelerate, torch.export, the originals' calls."""

import copy

import pytest
import torch
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DynamicCache,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)

from modeling_glm import (
    DataCollatorForBlankInfilling,
    GLMConfig,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMTokenizer,
)
from modeling_glm.layout_glm import compute_position_ids
from tests.support.models import make_model, randomise, tiny_config

TEXTS = ["The quick brown fox jumps over the lazy dog.", "Paris is the capital of France.", "One plus one is two."]


@pytest.fixture(scope="module")
def tokenizer() -> GLMTokenizer:
    return GLMTokenizer.train_from_iterator(TEXTS * 10, 320)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    """Save a model with its tokenizer."""
    path = tmp_path_factory.mktemp("model")
    model = GLMForConditionalGeneration(config_for(tokenizer))
    randomise(model).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def config_for(tokenizer, **overrides) -> GLMConfig:
    return tiny_config(
        vocab_size=len(tokenizer), max_position_embeddings=64, **{**tokenizer.special_token_ids, **overrides}
    )


def arguments(path, **overrides) -> TrainingArguments:
    settings = {
        "max_steps": 2,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "use_cpu": True,
        "report_to": "none",
        "remove_unused_columns": False,
        "train_sampling_strategy": "sequential",
        "disable_tqdm": True,
    }
    return TrainingArguments(path, **{**settings, **overrides})


def training_data(tokenizer) -> list[dict]:
    """Make texts of different lengths, for which a mean of means differs from the mean over all labelled tokens."""
    texts = [text * repeat for text, repeat in zip(TEXTS, (3, 1, 2), strict=True)]
    ids = tokenizer(texts, add_special_tokens=False).input_ids
    return [{"input_ids": row, "sample_id": number} for number, row in enumerate(ids * 4)]


def train(tokenizer, path, **settings) -> tuple[GLMForConditionalGeneration, list[float]]:
    """Train a model, and return it with the loss of every step."""
    model = randomise(GLMForConditionalGeneration(config_for(tokenizer)))
    collator = DataCollatorForBlankInfilling(tokenizer, max_length=60)
    data = training_data(tokenizer)
    trainer = Trainer(model, arguments(path, **settings), train_dataset=data, data_collator=collator)
    trainer.train()
    return model, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_gradient_accumulation_equals_one_big_batch(tokenizer, tmp_path):
    model, losses = train(tokenizer, tmp_path, per_device_train_batch_size=6)
    other, other_losses = train(tokenizer, tmp_path, per_device_train_batch_size=1, gradient_accumulation_steps=6)
    assert losses == pytest.approx(other_losses, abs=1e-4)
    for first, second in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_label_smoothing_works_on_aligned_labels(tokenizer, tmp_path):
    settings = {"per_device_train_batch_size": 6, "max_steps": 1, "label_smoothing_factor": 0.1}
    _, (loss,) = train(tokenizer, tmp_path, **settings)
    model = randomise(GLMForConditionalGeneration(config_for(tokenizer)))
    batch = DataCollatorForBlankInfilling(tokenizer, max_length=60)(training_data(tokenizer)[:6])
    labels = batch.pop("labels")
    with torch.no_grad():
        logits = model(**batch).logits
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, label_smoothing=0.1)
    assert loss == pytest.approx(expected.item(), abs=1e-4)


def test_trainer_evaluates_saves_and_resumes(tokenizer, tmp_path):
    """A resumed run has the losses of one that was not interrupted, without numbers in the data and with dropout."""
    data = [dict(tokenizer(text, add_special_tokens=False)) for text in TEXTS * 4]
    collator = DataCollatorForBlankInfilling(tokenizer)
    settings = {"max_steps": 6, "logging_steps": 1, "train_sampling_strategy": "random", "learning_rate": 1e-3}
    steps = {f"{event}_strategy": "steps" for event in ("save", "eval")} | {"save_steps": 3, "eval_steps": 2}
    losses = []
    for checkpoint in (None, str(tmp_path / "checkpoint-3")):
        model = randomise(
            GLMForConditionalGeneration(config_for(tokenizer, hidden_dropout=0.1, attention_dropout=0.1))
        )
        trainer = Trainer(
            model,
            arguments(tmp_path, **settings, **steps),
            train_dataset=data,
            eval_dataset=data,
            data_collator=collator,
        )
        trainer.train(resume_from_checkpoint=checkpoint)
        assert trainer.evaluate()["eval_loss"] == trainer.evaluate()["eval_loss"]
        logged = [entry for entry in trainer.state.log_history if entry["step"] > 3]
        losses.append([entry[key] for entry in logged for key in ("loss", "eval_loss") if key in entry])
    assert len(losses[0]) == 3 + 2 + 2  # steps, evaluations while training and behind it
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_seq2seq_trainer_predicts_with_generate(tokenizer, tmp_path):
    """The batch holds the gold answers behind the prompts. Generated answers must not depend on them."""
    prompts = [text.replace("the", "[MASK]", 1).replace("one", "[MASK]", 1) for text in TEXTS]

    def collate(examples):
        inputs = tokenizer([prompt for prompt, _ in examples], return_tensors="pt", padding=True)
        return tokenizer.build_inputs_for_generation(inputs, targets=[target for _, target in examples])

    model = randomise(GLMForConditionalGeneration(config_for(tokenizer)))
    model.generation_config.max_new_tokens_per_blank = 5
    settings = Seq2SeqTrainingArguments(
        tmp_path,
        predict_with_generate=True,
        use_cpu=True,
        report_to="none",
        remove_unused_columns=False,
        per_device_eval_batch_size=3,
        disable_tqdm=True,
    )
    answers = []
    for target in ("the", "fox jumps over"):
        trainer = Seq2SeqTrainer(model, settings, data_collator=collate, processing_class=tokenizer)
        predictions = trainer.predict([(prompt, target) for prompt in prompts]).predictions
        predictions[predictions == -100] = tokenizer.pad_token_id
        answers.append(tokenizer.decode_blanks(predictions))
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    expected = tokenizer.decode_blanks(model.generate(**inputs))
    assert answers[0] == answers[1] == expected


def test_lora_trains_saves_merges_and_reloads(tokenizer, tmp_path):
    from peft import LoraConfig, PeftModel, get_peft_model

    base = randomise(GLMForConditionalGeneration(config_for(tokenizer)))
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=["query_key_value", "dense"], task_type="CAUSAL_LM")
    model = get_peft_model(copy.deepcopy(base), lora)
    inputs = tokenizer(["The [MASK] fox"], return_tensors="pt")
    batch = tokenizer.build_inputs_for_generation(inputs, targets=["quick brown"])
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2)
    losses = []
    for _ in range(12):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    model.eval()
    with torch.no_grad():
        expected = model(**batch).loss
    model.save_pretrained(tmp_path)
    reloaded = PeftModel.from_pretrained(base, tmp_path).eval()
    assert (
        model.generate(**inputs, max_new_tokens=3).tolist() == reloaded.generate(**inputs, max_new_tokens=3).tolist()
    )
    merged = reloaded.merge_and_unload()
    assert isinstance(merged, GLMForConditionalGeneration)
    with torch.no_grad():
        torch.testing.assert_close(merged(**batch).loss, expected, atol=1e-4, rtol=1e-4)


def test_layers_on_cpu_and_disk(folder, tokenizer, tmp_path):
    whole = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    split = AutoModelForSeq2SeqLM.from_pretrained(
        folder, device_map="auto", max_memory={"cpu": 100_000}, offload_folder=tmp_path
    ).eval()
    assert "disk" in split.hf_device_map.values()
    inputs = tokenizer("The [MASK] fox [MASK].", return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(split(**inputs).logits, whole(**inputs).logits, atol=1e-5, rtol=1e-5)
    how = {"max_new_tokens_per_blank": 3}
    assert split.generate(**inputs, **how).tolist() == whole.generate(**inputs, **how).tolist()


def test_accelerate_in_bf16(tokenizer):
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # of the trainers before
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    model = randomise(GLMForConditionalGeneration(config_for(tokenizer))).train()
    exact = copy.deepcopy(model)
    inputs = tokenizer(TEXTS[0].replace("fox", "[MASK]"), return_tensors="pt")
    batch = tokenizer.build_inputs_for_generation(inputs, targets="fox")
    prepared, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters()))
    loss = prepared(**batch).loss
    accelerator.backward(loss)
    optimizer.step()
    assert loss.item() == pytest.approx(exact(**batch).loss.item(), rel=0.05)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_export(tokenizer):
    model = make_model(GLMForConditionalGeneration)
    model.config.use_cache = False
    ids = torch.tensor([[2, 11, 3, 12, 1, 6, 13], [2, 3, 12, 1, 6, 13, 14]])
    mask = torch.ones_like(ids)
    length = torch.export.Dim("length", min=4, max=48)
    shapes = {"input_ids": {1: length}, "attention_mask": {1: length}}
    program = torch.export.export(
        model, (), {"input_ids": ids, "attention_mask": mask}, dynamic_shapes=shapes, strict=False
    )
    longer, longer_mask = torch.nn.functional.pad(ids, (3, 0)), torch.nn.functional.pad(mask, (3, 0))
    with torch.no_grad():
        found = program.module()(input_ids=longer, attention_mask=longer_mask).logits
        expected = model(longer, attention_mask=longer_mask).logits
    torch.testing.assert_close(found[:, 3:], expected[:, 3:], atol=1e-5, rtol=1e-5)


def test_export_of_choices():
    model = make_model(GLMForMultipleChoice)
    inputs = {"input_ids": torch.tensor([[2, 11, 3, 1]]), "choice_ids": torch.tensor([[[11, 12], [13, -100]]])}
    program = torch.export.export(model, (), inputs, strict=False)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(**inputs).logits, model(**inputs).logits, atol=1e-5, rtol=1e-5)


AUTO = torch.export.Dim.AUTO


@pytest.fixture(scope="module")
def small():
    return make_model(GLMForConditionalGeneration, num_hidden_layers=2)


@pytest.fixture(scope="module")
def stages(small):
    """Prefill and decode by the exporter of Transformers, with the default cache and all sizes dynamic."""
    exporters = pytest.importorskip("transformers.exporters")
    ids = torch.tensor([[2, 11, 3, 12, 1], [2, 3, 12, 1, 0]])
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    config = exporters.DynamoConfig(dynamic=True)
    return exporters.DynamoExporter().export_for_generation(small, inputs, config).components


@pytest.mark.slow
def test_exported_prefill_and_decode_are_chained(small, stages):
    ids = torch.tensor([[2, 11, 12, 13, 3, 14, 15, 1, 6]] * 3)
    ids[1, 1], ids[2, 4], ids[2, 7] = 3, 16, 3
    mask = torch.ones_like(ids)
    prefill, decode = (stages[name].program.module() for name in ("prefill", "decode"))
    cache, expected_cache = DynamicCache(config=small.config), DynamicCache(config=small.config)
    positions = compute_position_ids(ids, small.config)
    with torch.no_grad():
        found = prefill(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache)
        expected = small(ids, mask, positions, expected_cache)
        for _ in range(3):
            torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-5)
            new, mask = expected.logits[:, -1:].argmax(-1), torch.nn.functional.pad(mask, (0, 1), value=1)
            positions = torch.stack((positions[:, 0, -1:], positions[:, 1, -1:] + 1), dim=1)
            inputs = {"input_ids": new, "attention_mask": mask, "position_ids": positions}
            found = decode(**inputs, past_key_values=found.past_key_values)
            expected = small(**inputs, past_key_values=expected_cache)
    assert found.past_key_values.get_seq_length() == 9 + 3


@pytest.mark.slow
def test_exported_programs_are_saved_and_loaded(stages, tmp_path):
    program, path = stages["decode"].program, tmp_path / "decode.pt2"
    program.example_inputs = None  # torch warns of a cache in them, in a way that fails under pytest
    torch.export.save(program, path)
    assert str(torch.export.load(path).graph_signature) == str(program.graph_signature)


@pytest.mark.slow
def test_exported_choices_of_two_tokens_do_not_fix_the_sizes():
    model = make_model(GLMForMultipleChoice, num_hidden_layers=1)
    inputs = {
        "input_ids": torch.tensor([[2, 11, 3, 1], [2, 3, 11, 1]]),
        "choice_ids": torch.tensor([[[11, 12], [13, -100]], [[14, -100], [15, 16]]]),
    }
    shapes = {"input_ids": {0: AUTO, 1: AUTO}, "choice_ids": dict.fromkeys(range(3), AUTO)}
    program = torch.export.export(model, (), inputs, dynamic_shapes=shapes, strict=False).module()
    with torch.no_grad():
        for rows, length, choices, longest in ((2, 4, 2, 2), (3, 9, 4, 5)):
            ids = torch.full((rows, length), 11)
            ids[:, 2] = 3
            choice_ids = torch.arange(rows * choices * longest).view(rows, choices, longest) % 50 + 10
            choice_ids[:, 1, 1:] = -100
            found = program(input_ids=ids, choice_ids=choice_ids).logits
            torch.testing.assert_close(found, model(ids, choice_ids=choice_ids).logits, atol=1e-5, rtol=1e-5)


class TestOriginalSnippets:
    """The three snippets of the originals' README run with another path."""

    def test_generation(self, folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True)
        model = model.eval()
        text = "Ng is an adjunct professor at [MASK] (formerly associate professor and Director of its AI Lab)."
        inputs = tokenizer(text, return_tensors="pt")
        inputs = tokenizer.build_inputs_for_generation(inputs, max_gen_length=512)
        inputs = inputs.to("cpu")
        with pytest.raises(ValueError, match="are the limit"):  # this text is too long for this vocabulary
            model.generate(**inputs, max_length=512, eos_token_id=tokenizer.eop_token_id)
        inputs = tokenizer("The quick brown [MASK].", return_tensors="pt")
        inputs = tokenizer.build_inputs_for_generation(inputs, max_gen_length=512).to("cpu")
        outputs = model.generate(**inputs, max_length=40, eos_token_id=tokenizer.eop_token_id)
        decoded = tokenizer.decode(outputs[0].tolist())
        assert decoded.startswith("[CLS]The quick brown[MASK].<|endoftext|><|startofpiece|>")
        assert inputs["input_ids"].shape[1] < outputs.shape[1] <= 40

    def test_training(self, folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, trust_remote_code=True)
        inputs = tokenizer(["Paris is in [MASK].", "One minus one is zero? [MASK]"], return_tensors="pt", padding=True)
        inputs = tokenizer.build_inputs_for_generation(
            inputs, targets=["France", "No"], max_gen_length=8, padding=False
        )
        inputs = inputs.to("cpu")
        outputs = model(**inputs)
        loss = outputs.loss
        logits = outputs.logits
        assert loss.isfinite()
        assert logits.shape[:2] == inputs["input_ids"].shape

    def test_classification(self, folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
        model = AutoModelForMultipleChoice.from_pretrained(folder, trust_remote_code=True)
        inputs = tokenizer(["Paris is in [MASK].", "One minus one is zero? [MASK]"], return_tensors="pt", padding=True)
        choices = [["France", "Rome"], ["Yes", "No"]]
        inputs = tokenizer.build_inputs_for_multiple_choice(inputs, choices)
        inputs = inputs.to("cpu")
        outputs = model(**inputs)
        logits = outputs.logits
        assert logits.shape == (2, 2)
        assert logits.isfinite().all()
