"""The Trainer of seq2seq: predictions are those of `generate` on the prompts, and targets do not change them."""

import copy
import json
import pickle

import datasets
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    DataCollatorForSeq2Seq,
    EvalPrediction,
    GenerationConfig,
    Seq2SeqTrainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)
from transformers.trainer_pt_utils import LabelSmoother

import modeling_glm
from modeling_glm import (
    DataCollatorForBlankInfilling,
    DataCollatorForInfillingSeq2Seq,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
)
from modeling_glm.hub.trainer import HubCallback
from modeling_glm.runs.checkpoints import SafeCheckpointTrainer
from modeling_glm.runs.manifest import last_good_checkpoint
from modeling_glm.seq2seq.metrics import compute_metrics_for
from modeling_glm.seq2seq.predictions import predict_targets
from modeling_glm.seq2seq.trainer import CollatorCallback, EvaluationBatches, GLMSeq2SeqTrainer
from tests.support.models import make_model
from tests.support.seq2seq_runs import (
    generate_alone,
    make_arguments,
    make_ending_model,
    make_rows,
    read_written,
)

TWO_BLANKS = "First [MASK] then {source} and [MASK]."
ROWS = make_rows(7)
OF_TWO = [{"source": row["source"], "target": [row["target"], "then " + row["source"]]} for row in ROWS]


@pytest.fixture(scope="module")
def model(tokenizer) -> GLMForConditionalGeneration:
    """A model that no test trains."""
    return make_ending_model(tokenizer)


@pytest.fixture(scope="module")
def collator(tokenizer) -> DataCollatorForInfillingSeq2Seq:
    return DataCollatorForInfillingSeq2Seq(tokenizer)


@pytest.fixture
def make(tmp_path, model, collator):
    """Make a trainer: `make(model=..., data_collator=..., **arguments)`."""

    def make(model=model, data_collator=collator, trainer_class=GLMSeq2SeqTrainer, **settings) -> GLMSeq2SeqTrainer:
        names = ("train_dataset", "eval_dataset", "compute_metrics", "compute_loss_func", "processing_class")
        own = {name: settings.pop(name) for name in names if name in settings}
        return trainer_class(model, make_arguments(tmp_path / "run", **settings), data_collator, **own)

    return make


class Metrics:
    """Record what metrics are computed from."""

    def __init__(self):
        self.seen: list[EvalPrediction] = []

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        self.seen.append(prediction)
        return {"rows": len(prediction.predictions)}


def test_it_is_the_trainer_of_the_library_with_safe_checkpoints():
    assert modeling_glm.GLMSeq2SeqTrainer is GLMSeq2SeqTrainer
    assert issubclass(GLMSeq2SeqTrainer, Seq2SeqTrainer)
    assert issubclass(GLMSeq2SeqTrainer, SafeCheckpointTrainer)


class TestPredictions:
    @pytest.mark.parametrize(("pattern", "rows"), [(None, ROWS), (TWO_BLANKS, OF_TWO)], ids=["one", "two"])
    @pytest.mark.parametrize("num_beams", [1, 3])
    def test_they_are_those_of_generate_on_each_prompt_alone(self, tokenizer, model, make, pattern, rows, num_beams):
        collator = DataCollatorForInfillingSeq2Seq(tokenizer, pattern)
        settings = {"num_beams": num_beams, "max_new_tokens": 9}
        output = make(data_collator=collator).predict(rows, **settings)
        written = read_written(output.predictions)
        assert written == [generate_alone(model, collator, row, **settings) for row in rows]
        assert len({len(row) for row in written}) > 1
        assert written == [
            list(prediction.token_ids) for prediction in predict_targets(model, collator, rows, **settings)
        ]
        assert read_written(output.label_ids) == read_written(collator.targets(rows))
        answers = tokenizer.decode_blanks(output.label_ids)
        targets = [row["target"] if pattern else [row["target"]] for row in rows]
        assert answers == targets

    def test_they_do_not_depend_on_the_targets(self, make):
        trainer = make(compute_metrics=(metrics := Metrics()))
        others = [{**row, "target": "a much longer and another " + row["target"][::-1]} for row in ROWS]
        losses = [trainer.evaluate(rows, max_new_tokens=6)["eval_loss"] for rows in (ROWS, others)]
        first, second = metrics.seen
        assert np.array_equal(first.predictions, second.predictions)
        assert not np.array_equal(first.label_ids, second.label_ids)
        assert losses[0] != pytest.approx(losses[1], abs=1e-3)

    @pytest.mark.parametrize(
        "missing", [{}, {"target": None}, {"target": float("nan")}], ids=["no column", "None", "NaN"]
    )
    def test_without_targets_they_are_the_same(self, make, missing):
        trainer = make(compute_metrics=Metrics())
        output = trainer.predict([{"source": row["source"], **missing} for row in ROWS], max_new_tokens=6)
        assert output.label_ids is None
        assert np.array_equal(output.predictions, trainer.predict(ROWS, max_new_tokens=6).predictions)
        assert not {"test_loss", "test_rows"} & set(output.metrics)

    @pytest.mark.parametrize("pattern", [None, TWO_BLANKS], ids=["one blank", "two blanks"])
    def test_the_gold_as_prediction_is_perfect(self, tokenizer, make, pattern):
        collator = DataCollatorForInfillingSeq2Seq(tokenizer, pattern)
        rows = [row for row in (OF_TWO if pattern else ROWS) if len(row["source"].split()) >= 4]  # BLEU reads 4-grams
        output = make(data_collator=collator).predict(rows, max_new_tokens=2)
        compute = compute_metrics_for(collator, ["rouge", "bleu", "chrf", "exact_match", "squad"])
        found = compute(EvalPrediction(predictions=output.label_ids, label_ids=output.label_ids))
        assert len(found) >= 7
        assert found == pytest.approx(dict.fromkeys(found, 100.0))
        wrong = compute(EvalPrediction(predictions=output.predictions, label_ids=output.label_ids))
        assert wrong["exact_match"] < 20

    def test_rows_of_a_dataset_and_encoded_rows(self, make, collator):
        trainer = make()
        expected = trainer.predict(ROWS, max_new_tokens=5)
        dataset = datasets.Dataset.from_list([{**row, "number": number} for number, row in enumerate(ROWS)])
        encoded = dataset.map(collator.encode, remove_columns=dataset.column_names)
        for rows in (dataset, encoded, list(encoded)):
            found = trainer.predict(rows, max_new_tokens=5)
            assert np.array_equal(found.predictions, expected.predictions)
            assert np.array_equal(found.label_ids, expected.label_ids)
            assert found.metrics["test_loss"] == pytest.approx(expected.metrics["test_loss"], abs=1e-6)

    def test_their_order_is_that_of_the_dataset(self, make):
        grouped = make(train_sampling_strategy="group_by_length").predict(ROWS, max_new_tokens=3)
        assert np.array_equal(grouped.label_ids, make().predict(ROWS, max_new_tokens=3).label_ids)

    def test_metrics_read_the_prompts_as_inputs(self, make, tokenizer, collator):
        trainer = make(include_for_metrics=["inputs"], compute_metrics=(metrics := Metrics()))
        trainer.evaluate(ROWS, max_new_tokens=3)
        for row, ids in zip(ROWS, metrics.seen[0].inputs.tolist(), strict=True):
            shown = [token_id for token_id in ids if token_id not in (-100, tokenizer.pad_token_id)]
            assert shown == collator.prompts([row])["input_ids"][0].tolist()

    def test_several_datasets_are_measured_with_the_same_settings(self, make):
        trainer = make(compute_metrics=(metrics := Metrics()), eval_dataset={"few": ROWS[:2], "more": ROWS})
        found = trainer.evaluate(max_new_tokens=4, eos_token_id=-1)
        assert (found["eval_few_rows"], found["eval_more_rows"]) == (2, 7)
        assert [seen.predictions.shape[1] for seen in metrics.seen] == [5, 5]
        given = trainer.evaluate({"few": ROWS[:2]}, max_new_tokens=4, eos_token_id=-1)
        assert given["eval_few_loss"] == found["eval_few_loss"]

    def test_metrics_batch_by_batch(self, make):
        sizes = []

        def compute(prediction: EvalPrediction, compute_result: bool) -> dict[str, float]:
            sizes.append(len(prediction.predictions))
            return {"total": sum(sizes)} if compute_result else {}

        trainer = make(batch_eval_metrics=True, compute_metrics=compute)
        assert trainer.evaluate(ROWS, max_new_tokens=2)["eval_total"] == 7
        assert sizes == [3, 3, 1]


class TestLimits:
    @pytest.mark.parametrize(
        ("settings", "call", "columns"),
        [
            ({"generation_max_length": 6}, {}, 6),
            ({"generation_max_length": 6}, {"max_length": 4}, 4),
            ({"generation_max_length": 6}, {"max_new_tokens": 7}, 8),
            ({}, {"max_length": 4}, 4),
            ({}, {"max_new_tokens_per_blank": 3}, 1 + 4),
            ({"generation_config": GenerationConfig(max_new_tokens=4)}, {}, 5),
            ({"generation_max_length": 6}, {"generation_config": GenerationConfig(num_beams=2)}, 6),
        ],
        ids=str,
    )
    def test_they_count_the_prediction_and_not_the_prompt(self, tokenizer, make, settings, call, columns):
        trainer = make(copy.deepcopy(make_ending_model(tokenizer, by=-9.0)), **settings)
        for rows in (ROWS[:1], ROWS[2:5]):
            assert trainer.predict(rows, **call).predictions.shape[1] == columns

    def test_by_default_the_limit_is_that_of_training(self, tokenizer, make):
        collator = DataCollatorForInfillingSeq2Seq(tokenizer, max_target_length=5)
        trainer = make(make_ending_model(tokenizer, by=-9.0), collator)
        assert trainer.predict(ROWS[:2]).predictions.shape[1] == 1 + 5
        assert trainer.predict(ROWS[:2], max_new_tokens=8).predictions.shape[1] == 1 + 8
        assert max(map(len, read_written(trainer.predict(ROWS).label_ids))) <= 1 + 5

    def test_the_models_generation_config_is_left_alone(self, make, model):
        before = model.generation_config.to_dict()
        make(generation_max_length=5, generation_num_beams=2).predict(ROWS[:2])
        assert model.generation_config.to_dict() == before


class TestLoss:
    def test_it_is_that_of_the_rows_of_training(self, make, model, collator):
        with torch.no_grad():
            expected = model(**collator(ROWS[:3])).loss.item()
        for with_generate in (True, False):
            trainer = make(predict_with_generate=with_generate, compute_metrics=Metrics())
            assert trainer.evaluate(ROWS[:3])["eval_loss"] == pytest.approx(expected, abs=1e-6)

    def test_label_smoothing_is_that_of_the_library(self, make, model, collator):
        batch = collator(ROWS[:3])
        with torch.no_grad():
            outputs = model(**batch)
        expected = LabelSmoother(0.2)(outputs, batch["labels"]).item()
        trainer = make(label_smoothing_factor=0.2)
        assert trainer.evaluate(ROWS[:3])["eval_loss"] == pytest.approx(expected, abs=1e-5)
        assert expected != pytest.approx(outputs.loss.item(), abs=1e-3)

    def test_a_loss_of_ones_own(self, make):
        def compute(outputs, labels, num_items_in_batch=None):
            assert outputs.logits.shape[:2] == labels.shape
            return outputs.logits.sum() * 0 + 4.5

        trainer = make(compute_loss_func=compute, label_smoothing_factor=0.1)
        assert trainer.evaluate(ROWS[:3])["eval_loss"] == 4.5

    def test_without_generation_metrics_read_logits(self, make, tokenizer, collator):
        packing = DataCollatorForInfillingSeq2Seq(tokenizer, max_source_length=20, max_target_length=20, packing=True)
        metrics = Metrics()
        make(data_collator=packing, predict_with_generate=False, compute_metrics=metrics).evaluate(ROWS)
        logits, labels = metrics.seen[0].predictions, metrics.seen[0].label_ids
        assert logits.shape == (*labels.shape, len(tokenizer))
        assert len(labels) == 7  # never packed
        assert labels[0][labels[0] != -100].tolist() == collator.encode(ROWS[0])["labels"][-sum(labels[0] != -100) :]


class TestRefusals:
    @pytest.mark.parametrize("name", ["seq2seq", "pretraining", "function", "none"])
    def test_another_collator_with_generation(self, make, tokenizer, name):
        others = {
            "seq2seq": (DataCollatorForSeq2Seq(tokenizer), "a DataCollatorForSeq2Seq"),
            "pretraining": (DataCollatorForBlankInfilling(tokenizer), "a DataCollatorForBlankInfilling"),
            "function": (default_data_collator, "the function default_data_collator"),
            "none": (None, "not given, nor is a GLMTokenizer as processing_class"),
        }
        other, shown = others[name]
        message = rf"needs data_collator=DataCollatorForInfillingSeq2Seq\(tokenizer, ...\).* is {shown}"
        with pytest.raises(ValueError, match=message):
            make(data_collator=other)
        assert make(data_collator=other, predict_with_generate=False).args.remove_unused_columns

    def test_without_a_collator_one_is_made_of_the_tokenizer(self, make, tokenizer):
        trainer = make(data_collator=None, processing_class=tokenizer)
        assert isinstance(trainer.data_collator, DataCollatorForInfillingSeq2Seq)
        assert len(trainer.predict(ROWS[:2], max_new_tokens=2).predictions) == 2

    @pytest.mark.parametrize("where", ["call", "config of the call", "config of the model"])
    def test_several_sequences(self, make, tokenizer, where):
        several = GenerationConfig(num_return_sequences=2, num_beams=2)
        trainer = make(make_ending_model(tokenizer), generation_config=several if "model" in where else None)
        given = {
            "call": {"num_return_sequences": 2, "num_beams": 2},
            "config of the call": {"generation_config": several},
        }
        for method in (trainer.predict, trainer.evaluate):
            with pytest.raises(ValueError, match=r"num_return_sequences=2: .*call predict_targets\(model, collator"):
                method(ROWS, **given.get(where, {}))

    def test_a_limit_without_room(self, make):
        with pytest.raises(ValueError, match="max_length=1: expected at least 2, the start of a piece and a token"):
            make(generation_max_length=1).evaluate(ROWS)

    def test_other_arguments(self, tmp_path, model, collator):
        with pytest.raises(ValueError, match="args is a TrainingArguments: expected Seq2SeqTrainingArguments"):
            GLMSeq2SeqTrainer(model, TrainingArguments(str(tmp_path)), collator)
        with pytest.raises(ValueError, match="args is a NoneType: expected Seq2SeqTrainingArguments"):
            GLMSeq2SeqTrainer(model, data_collator=collator)

    def test_texts_cannot_be_grouped_by_length(self, make):
        with pytest.raises(ValueError, match=r"group_by_length.*dataset.map\(data_collator.encode\)"):
            make(train_sampling_strategy="group_by_length", train_dataset=ROWS).train()

    def test_another_model(self, make):
        with pytest.raises(ValueError, match="The model is a GLMForMultipleChoice: expected a GLMForConditionalGen"):
            make(make_model(GLMForMultipleChoice))

    def test_a_bad_row_names_what_it_lacks(self, make):
        with pytest.raises(ValueError, match="target"):
            make().evaluate([*ROWS[:1], {"source": "red"}])


class StopAfter(TrainerCallback):
    """Stop a run after some steps, as an interruption does."""

    def __init__(self, steps: int):
        self.steps = steps

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.steps


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


class TestTraining:
    @pytest.fixture
    def train(self, tokenizer, make):
        """Train a fresh model for two steps of eight rows, and return its weights."""

        def train(collator=None, **settings) -> dict[str, torch.Tensor]:
            model = make_ending_model(tokenizer)
            settings = {"max_steps": 2, "learning_rate": 1e-3, "per_device_train_batch_size": 8, **settings}
            trainer = make(model, collator or DataCollatorForInfillingSeq2Seq(tokenizer), **settings)
            trainer.train_dataset = make_rows(16)
            trainer.train()
            return weights_of(model)

        return train

    @pytest.mark.parametrize("smoothing", [pytest.param(0.0, marks=pytest.mark.slow), 0.1])
    def test_accumulation_and_packing_change_nothing(self, tokenizer, train, smoothing):
        settings = {"label_smoothing_factor": smoothing, "optim": "sgd", "learning_rate": 0.1}
        expected = train(**settings)
        packing = DataCollatorForInfillingSeq2Seq(tokenizer, max_source_length=30, max_target_length=30, packing=True)
        variants = {
            "accumulation": train(**settings, per_device_train_batch_size=2, gradient_accumulation_steps=4),
            "packing": train(packing, **settings),
        }
        start = weights_of(make_ending_model(tokenizer))
        for name, found in variants.items():
            for key, value in expected.items():
                torch.testing.assert_close(found[key], value, atol=1e-5, rtol=1e-4, msg=f"{name}: {key}")
        assert any(not torch.allclose(expected[key], start[key], atol=1e-4) for key in start)

    def test_bf16(self, train):
        exact, mixed = train(), train(bf16=True)
        assert {value.dtype for value in mixed.values()} == {torch.float32}
        assert any(not torch.equal(exact[key], mixed[key]) for key in exact)
        for key, value in exact.items():
            torch.testing.assert_close(mixed[key], value, atol=5e-3, rtol=0.05)

    def test_a_resumed_run_has_the_same_weights(self, tokenizer, make, tmp_path):
        settings = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "train_dataset": make_rows(10)}
        models = [make_ending_model(tokenizer) for _ in range(3)]
        make(models[0], **settings).train()
        whole = weights_of(models[0])
        for path in (tmp_path / "run").glob("checkpoint-*"):
            path.rename(tmp_path / path.name)  # a run of its own comes next
        stopped = make(models[1], **settings)
        stopped.add_callback(StopAfter(2))
        stopped.train()
        assert last_good_checkpoint(tmp_path / "run").path.name == "checkpoint-2"
        make(models[2], **settings).train(resume_from_checkpoint=True)
        found = weights_of(models[2])
        assert all(torch.equal(found[key], whole[key]) for key in whole)

    def test_checkpoints_hold_the_settings_of_the_collator(self, tokenizer, make, tmp_path):
        collator = DataCollatorForInfillingSeq2Seq(tokenizer, "{source|shorten} In short: [MASK]", max_target_length=9)
        trainer = make(
            make_ending_model(tokenizer),
            collator,
            train_dataset=ROWS,
            max_steps=1,
            save_strategy="steps",
            save_steps=1,
        )
        trainer.train()
        trainer.save_model()
        for folder in (tmp_path / "run", tmp_path / "run" / "checkpoint-1"):
            again = DataCollatorForInfillingSeq2Seq.from_pretrained(folder, type(tokenizer).from_pretrained(folder))
            assert (again.pattern, again.max_target_length) == (collator.pattern, 9)
            loaded = GLMForConditionalGeneration.from_pretrained(folder)
            expected = trainer.predict(ROWS[:2]).predictions
            found = [list(one.token_ids) for one in predict_targets(loaded, again, ROWS[:2])]
            assert found == read_written(expected)
        manifest = json.loads((tmp_path / "run" / "checkpoint-1" / "manifest.json").read_text())
        assert "seq2seq.json" in json.dumps(manifest)

    def test_lora(self, tokenizer, make, tmp_path):
        base = make_ending_model(tokenizer)
        before = weights_of(base)
        config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["query_key_value"])
        model = get_peft_model(base, config)
        trainer = make(
            model,
            train_dataset=ROWS,
            max_steps=3,
            label_smoothing_factor=0.1,
            label_names=["labels"],
            save_strategy="steps",
            save_steps=3,
            compute_metrics=Metrics(),
        )
        first = trainer.evaluate(ROWS, max_new_tokens=6)
        trainer.train()
        last = trainer.evaluate(ROWS, max_new_tokens=6)
        assert last["eval_loss"] < first["eval_loss"]
        assert last["eval_rows"] == 7
        after = {name.replace(".base_layer", ""): value for name, value in base.state_dict().items()}
        assert all(torch.equal(after[name], value) for name, value in before.items())
        assert (tmp_path / "run" / "checkpoint-3" / "adapter_model.safetensors").exists()
        assert (tmp_path / "run" / "checkpoint-3" / "seq2seq.json").exists()
        predictions = trainer.predict(ROWS, max_new_tokens=6, num_beams=2).predictions
        merged = model.merge_and_unload()
        found = predict_targets(merged, trainer.data_collator, ROWS, max_new_tokens=6, num_beams=2)
        assert [list(one.token_ids) for one in found] == read_written(predictions)

    def test_what_is_pushed_has_code_and_card_and_the_settings_of_the_collator(self, make, tmp_path):
        trainer = make()
        kinds = [type(callback) for callback in trainer.callback_handler.callbacks]
        assert {HubCallback, CollatorCallback} <= set(kinds)
        callback = trainer.callback_handler.callbacks[kinds.index(CollatorCallback)]
        callback.on_push_begin(trainer.args, trainer.state, trainer.control)
        assert json.loads((tmp_path / "run" / "seq2seq.json").read_text())["pattern"] == trainer.data_collator.pattern


def test_batches_for_evaluation_go_to_workers(collator):
    batches = pickle.loads(pickle.dumps(EvaluationBatches(collator, with_prompts=True)))
    batch = batches(ROWS[:2])
    assert {"prompt_ids", "prompt_attention_mask", "target_ids", "input_ids", "labels"} <= set(batch)
    assert batches.tokenizer.get_vocab() == collator.tokenizer.get_vocab()


def test_the_librarys_trainer_returns_the_source_with_the_answer(tmp_path, model, collator):
    """Why there is a class of our own."""
    trainer = Seq2SeqTrainer(model, make_arguments(tmp_path, remove_unused_columns=False), collator)
    found = trainer.predict(ROWS[:3], max_new_tokens=3).predictions
    assert (found[:, 0] != collator.tokenizer.sop_token_id).all()
