"""Fine-tuning: what it learns, which parameters it trains, how it resumes, and how it measures."""

import json
import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainingArguments, set_seed

from modeling_glm import (
    Calibration,
    ClozeClassifier,
    DataCollatorForCloze,
    GLMConfig,
    GLMForMultipleChoice,
    GLMTokenizer,
    PatternVerbalizer,
    expected_calibration_error,
)
from modeling_glm.cloze.answers.rule import AnswerGoals, AnswerRule
from modeling_glm.cloze.sources import ClozeData
from modeling_glm.cloze.training import (
    ClozeModelSettings,
    ClozeTrainingArguments,
    _halve,
    build_model,
    evaluate,
    require_same_run,
    set_defaults,
    train,
)
from modeling_glm.runs.manifest import last_good_checkpoint
from tests.support.models import make_model

LETTERS = "abcdefghijklmnopqrstuvwx"
ORDER = PatternVerbalizer("{first} and then {second}: [MASK]", {"up": "the fox", "down": "not"})
TASK = PatternVerbalizer("{soft:2}{text|shorten} It was [MASK].", {"good": ["lazy", "quick fox"], "bad": "capital"})
EXAMPLES = [{"text": f"The number {number}", "label": ("good", "bad")[number % 2]} for number in range(12)]


def make_examples(seed: int, shuffled: bool) -> tuple[list[dict], list[dict]]:
    """
    Make pairs of letters of two kinds: "up" if the first is of the one kind.

    Only the order of the two fields gives the label, because the same pair in the other order has the other label. So no
    bag of words solves the task. The pairs of the test occur in no training example, in either order.
    """
    generator = random.Random(seed)
    letters = generator.sample(LETTERS, len(LETTERS))
    pairs = list(product(letters[:12], letters[12:]))
    generator.shuffle(pairs)
    examples = [
        [{"first": one, "second": other, "label": "up"}, {"first": other, "second": one, "label": "down"}]
        for one, other in pairs
    ]
    train, test = ([row for both in part for row in both] for part in (examples[:-60], examples[-60:]))
    if shuffled:
        labels = generator.sample([row["label"] for row in train], len(train))
        train = [{**row, "label": label} for row, label in zip(train, labels, strict=True)]
    return train, test


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shuffled", "steps", "least", "most"),
    [
        pytest.param(False, 150, 0.95, 1.0, id="true labels"),
        # 120 examples: chance is 0.5 with a standard error of 0.046.
        pytest.param(True, 50, 0.35, 0.65, id="shuffled labels"),
    ],
)
def test_order_of_two_fields(tokenizer, tmp_path, shuffled, steps, least, most):
    train_rows, test_rows = make_examples(seed=0, shuffled=shuffled)
    config = GLMConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        embedding_dropout=0.0,
        attn_implementation="eager",
        **tokenizer.special_token_ids,
    )
    set_seed(0)
    model = GLMForMultipleChoice(config)
    arguments = TrainingArguments(
        str(tmp_path),
        max_steps=steps,
        per_device_train_batch_size=64,
        learning_rate=2e-3,
        warmup_steps=15,
        use_cpu=True,
        save_strategy="no",
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    Trainer(model, arguments, train_dataset=train_rows, data_collator=DataCollatorForCloze(tokenizer, ORDER)).train()
    assert least <= ClozeClassifier(model, tokenizer, ORDER).score(test_rows) <= most


@pytest.fixture(scope="module")
def saved(tokenizer, tmp_path_factory):
    """A folder with a small model."""
    folder = tmp_path_factory.mktemp("model")
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, **tokenizer.special_token_ids}
    make_model(GLMForMultipleChoice, **settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_data(task: PatternVerbalizer = TASK) -> ClozeData:
    return ClozeData("toy", task, EXAMPLES[:8], EXAMPLES[8:], EXAMPLES, [{"text": "Paris"}])


def make_arguments(folder, **changes) -> ClozeTrainingArguments:
    settings = {"max_steps": 4, "save_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-3, **changes}
    return ClozeTrainingArguments(output_dir=str(folder), disable_tqdm=True, use_cpu=True, **settings)


class TestBuildModel:
    @pytest.mark.parametrize(
        ("options", "trained"),
        [
            ({}, {"glm"}),
            ({"lora_rank": 2}, {"lora_A", "lora_B", "trainable_tokens_delta"}),
            ({"freeze": True}, {"trainable_tokens_delta"}),
        ],
    )
    def test_trained_parameters(self, saved, options, trained):
        model, tokenizer = build_model(ClozeModelSettings(model=str(saved), **options), TASK, seed=0)
        names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        assert all(any(part in name for part in trained) for name in names)
        assert all(any(part in name for name in names) for part in trained)
        assert "<|soft1|>" in tokenizer.get_vocab()

    def test_config_and_seed(self, saved):
        settings = ClozeModelSettings(model=str(saved), choice_loss="hinge", choice_length_penalty=0.5)
        first, again, other = (
            build_model(settings, ORDER, seed, random_weights=True)[0].state_dict() for seed in (1, 1, 2)
        )
        loaded, _ = build_model(settings, ORDER, seed=1)
        assert (loaded.config.choice_loss, loaded.config.choice_length_penalty) == ("hinge", 0.5)
        name = "glm.transformer.layers.0.attention.query_key_value.weight"
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])
        assert not torch.equal(first[name], loaded.state_dict()[name])

    def test_nothing_to_train(self, saved):
        with pytest.raises(ValueError, match=r"the patterns have none: write \{soft:3\}"):
            build_model(ClozeModelSettings(model=str(saved), freeze=True), ORDER, seed=0)


class TestTrain:
    @pytest.mark.parametrize("lora_rank", [0, 2])
    def test_checkpoints_carry_the_task(self, saved, tmp_path, lora_rank):
        settings = ClozeModelSettings(model=str(saved), lora_rank=lora_rank)
        model, tokenizer = build_model(settings, TASK, seed=0)
        log = train(model, tokenizer, make_data(), settings, make_arguments(tmp_path))
        assert tokenizer.cloze is None
        assert log[-1]["step"] == 4
        assert last_good_checkpoint(tmp_path).path == tmp_path / "checkpoint-4"
        loaded = GLMTokenizer.from_pretrained(tmp_path / "checkpoint-4")
        assert PatternVerbalizer.from_dict(loaded.cloze).to_dict() == TASK.to_dict()

    def test_examples_of_similar_length_share_a_batch(self, saved, tmp_path, monkeypatch):
        """Every example is read once in an epoch, and an order of examples belongs to a run."""
        settings = ClozeModelSettings(model=str(saved))
        model, tokenizer = build_model(settings, TASK, seed=0)
        examples = [{"text": "the fox " * (number % 6 + 1), "label": "good"} for number in range(64)]
        data = replace(make_data(), train=examples)
        batches = []
        collate = DataCollatorForCloze.__call__
        monkeypatch.setattr(
            DataCollatorForCloze, "__call__", lambda self, rows: batches.append(rows) or collate(self, rows)
        )
        grouped = {
            "train_sampling_strategy": "group_by_length",
            "max_steps": 16,
            "save_steps": 16,
            "eval_strategy": "epoch",
        }
        log = train(model, tokenizer, data, settings, make_arguments(tmp_path, **grouped))
        assert any("eval_loss" in entry for entry in log)
        lengths = [sorted(row["length"] for row in rows) for rows in batches if len(rows) == 4][:16]
        encoded = DataCollatorForCloze(tokenizer, TASK).encode(examples)
        assert sorted(length for batch in lengths for length in batch) == sorted(row["length"] for row in encoded)
        in_order = [row["length"] for row in encoded]
        batches_in_order = [in_order[start : start + 4] for start in range(0, 64, 4)]
        spread, spread_in_order = (
            sum(max(batch) - min(batch) for batch in listed) for listed in (lengths, batches_in_order)
        )
        assert spread < spread_in_order
        with pytest.raises(ValueError, match="holds a run with other arguments"):
            train(model, tokenizer, data, settings, make_arguments(tmp_path, max_steps=16))

    @pytest.mark.parametrize("validation", [[], [{"text": "x", "label": None}]])
    def test_no_examples_for_validation(self, saved, tmp_path, validation):
        settings = ClozeModelSettings(model=str(saved))
        model, tokenizer = build_model(settings, TASK, seed=0)
        data = replace(make_data(), validation=validation)
        message = (
            r"toy has no labelled examples for validation.*--validation_file.*more than 8 training.*--eval_strategy"
        )
        with pytest.raises(ValueError, match=message):
            train(model, tokenizer, data, settings, make_arguments(tmp_path / "run", eval_strategy="epoch"))
        assert not (tmp_path / "run").exists()
        train(model, tokenizer, data, settings, make_arguments(tmp_path / "run", eval_strategy="no"))

    def test_another_run_is_refused(self, saved, tmp_path):
        settings, arguments = ClozeModelSettings(model=str(saved)), make_arguments(tmp_path)
        path = tmp_path / "run.json"
        require_same_run(path, make_data(), settings, arguments)
        calibrated = make_data(TASK.with_calibration({"temperature": 2.0}))
        require_same_run(path, calibrated, settings, arguments)  # a calibration changes no training
        for changed, name in (
            ((make_data(ORDER), settings, arguments), "task"),
            ((replace(make_data(), train=EXAMPLES[1:8]), settings, arguments), "examples"),
            ((make_data(), replace(settings, choice_loss="hinge"), arguments), "settings"),
            ((make_data(), settings, make_arguments(tmp_path, learning_rate=1e-2)), "arguments"),
        ):
            with pytest.raises(ValueError, match=f"holds a run with other {name}: choose another output_dir"):
                require_same_run(path, *changed)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", "[" * 100_000])
def test_a_damaged_description_of_a_run(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"run\.json does not describe a run .*: choose another output_dir"):
        require_same_run(path, make_data(), ClozeModelSettings(model="none"), make_arguments(tmp_path))
    assert path.read_text() == content


class TestEvaluate:
    def test_outcome(self, saved):
        settings, data = ClozeModelSettings(model=str(saved)), make_data()
        model, tokenizer = build_model(settings, TASK, seed=0)
        outcome = evaluate(model, tokenizer, data, settings)
        raw = ClozeClassifier(model, tokenizer, TASK)
        gold = [0, 1] * 6
        before = raw.predict_proba(EXAMPLES)
        assert outcome.metrics["accuracy"] == pytest.approx((before.argmax(1) == gold).mean())
        assert outcome.metrics["ece"] == pytest.approx(expected_calibration_error(before, gold))
        temperature = raw.fit_temperature(EXAMPLES[8:])
        assert outcome.metrics["temperature"] == pytest.approx(temperature)
        np.testing.assert_allclose(outcome.probabilities, raw.predict_proba(EXAMPLES))
        np.testing.assert_allclose(outcome.unlabelled, raw.predict_proba(data.unlabelled))
        assert outcome.task.calibration == Calibration(temperature=temperature).to_dict()
        assert outcome.note is None
        assert data.task.calibration is None

    @pytest.mark.parametrize("keys", [(1, 0), ("1", "0")])
    def test_labels_that_are_numbers(self, saved, keys):
        """They are names, not places: {1: ..., 0: ...} has the class 1 first."""
        task = PatternVerbalizer("{text} It was [MASK].", dict(zip(keys, ("lazy", "capital"), strict=True)))
        settings = ClozeModelSettings(model=saved)
        model, tokenizer = build_model(settings, task, seed=0)
        predicted = ClozeClassifier(model, tokenizer, task).predict(EXAMPLES)
        test = [{**example, "label": int(label)} for example, label in zip(EXAMPLES, predicted, strict=True)]
        unlabelled = [{**EXAMPLES[0], "label": float("nan")}]
        outcome = evaluate(model, tokenizer, ClozeData("toy", task, [], test[:4] + unlabelled, test), settings)
        assert outcome.metrics["accuracy"] == 1.0

    def test_without_a_fitting_temperature(self, saved):
        settings = ClozeModelSettings(model=str(saved))
        model, tokenizer = build_model(settings, TASK, seed=0)
        classifier = ClozeClassifier(model, tokenizer, TASK)
        right = [
            {**example, "label": label} for example, label in zip(EXAMPLES, classifier.predict(EXAMPLES), strict=True)
        ]
        data = replace(make_data(), test=right, validation=right)
        outcome = evaluate(model, tokenizer, data, settings, Calibration())
        assert "The temperature stays at 1" in outcome.note
        assert set(outcome.metrics) == {"accuracy", "ece"}
        none = evaluate(model, tokenizer, replace(data, validation=[]), settings)
        assert (none.note, set(none.metrics)) == (None, {"accuracy", "ece"})

    def test_goals_of_answers(self, saved):
        """The temperature sees half of the validation examples, and the rule the others."""
        settings, data = ClozeModelSettings(model=str(saved)), make_data()
        model, tokenizer = build_model(settings, TASK, seed=0)
        expected = ClozeClassifier(model, tokenizer, TASK)
        texts = [f"The number {number}" for number in range(40)]
        labels = expected.predict(texts)
        labels[::3] = [{"good": "bad", "bad": "good"}[label] for label in labels[::3]]
        rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
        data = replace(data, validation=rows)
        goals = AnswerGoals(0.1, 0.9)
        outcome = evaluate(model, tokenizer, data, settings, goals=goals)
        rule = AnswerRule.from_dict(outcome.task.answer_rule)
        seen, unseen = _halve(data.validation)
        assert len(seen) == len(unseen) == 20
        assert sorted(map(str, [*seen, *unseen])) == sorted(map(str, data.validation))
        expected.fit_temperature(seen)
        expected.fit_coverage(unseen, 0.9)
        expected.fit_threshold(unseen, 0.1)
        assert expected.calibration == Calibration.from_dict(outcome.task.calibration)
        assert rule.to_dict() == pytest.approx(expected.answer_rule.to_dict(), abs=1e-6)
        assert outcome.metrics.items() >= rule.measure(outcome.probabilities, [0, 1] * 6).items()
        assert {"answered", "coverage", "set_size"} <= set(outcome.metrics)

    def test_goals_that_are_not_reached(self, saved):
        settings, data = ClozeModelSettings(model=str(saved)), make_data()
        model, tokenizer = build_model(settings, TASK, seed=0)
        right = ClozeClassifier(model, tokenizer, TASK).predict(EXAMPLES)
        wrong = [
            {**example, "label": "good" if label == "bad" else "bad"}
            for example, label in zip(EXAMPLES, right, strict=True)
        ]
        outcome = evaluate(model, tokenizer, replace(data, validation=wrong), settings, goals=AnswerGoals(0.9))
        assert "There is no threshold: accuracy=0.9: no threshold reaches it." in outcome.note
        assert outcome.task.answer_rule is None
        with pytest.raises(
            ValueError, match=r"There are 4 labelled examples .*coverage=0.9\) needs at least 18, half"
        ):
            evaluate(model, tokenizer, data, settings, goals=AnswerGoals(coverage=0.9))

    def test_calibration_to_start_from(self, saved):
        settings, data = ClozeModelSettings(model=str(saved)), make_data()
        model, tokenizer = build_model(settings, TASK, seed=0)
        outcome = evaluate(model, tokenizer, replace(data, validation=[]), settings, Calibration("contextual"))
        expected = ClozeClassifier(model, tokenizer, TASK).calibrate("contextual").predict_proba(EXAMPLES)
        np.testing.assert_allclose(outcome.probabilities, expected)


@pytest.mark.parametrize(
    ("examples", "epochs", "expected"),
    [(113, None, 38), (12, None, 60), (10_000, None, 10), (113, 3, 3)],
)
def test_epochs_follow_the_number_of_examples(tmp_path, examples, epochs, expected):
    arguments = ClozeTrainingArguments(output_dir=str(tmp_path))
    set_defaults(arguments, make_model(GLMForMultipleChoice), examples, epochs)
    assert arguments.num_train_epochs == expected
    chosen = ClozeTrainingArguments(output_dir=str(tmp_path), learning_rate=0.1, num_train_epochs=2)
    set_defaults(chosen, make_model(GLMForMultipleChoice), examples, epochs)
    assert (chosen.learning_rate, chosen.num_train_epochs) == (0.1, 2)
    assert json.loads(arguments.to_json_string())["remove_unused_columns"] is False
