"""Training and measuring for 02_cloze_classification.py: one model on one task."""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cloze_sources import ClozeData
from peft import LoraConfig, TrainableTokensConfig, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoTokenizer,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    set_seed,
)

from modeling_glm import (
    ClozeClassifier,
    DataCollatorForCloze,
    PatternVerbalizer,
    add_soft_tokens,
    expected_calibration_error,
)
from modeling_glm.cloze.metrics import compute_metrics


@dataclass(frozen=True)
class ModelSettings:
    """Which model is trained, and what of it."""

    model: str
    lora_rank: int = 0
    p_tuning: bool = False
    freeze: bool = False
    choice_loss: str = "cross_entropy"
    choice_fill_weight: float = 0.0
    choice_length_penalty: float = 0.0
    max_length: int | None = None


@dataclass
class Outcome:
    """What a model has come to: scores on the examples to report on, and what of it goes into files."""

    metrics: dict[str, float]
    probabilities: np.ndarray
    unlabelled: np.ndarray
    task: PatternVerbalizer


def build_model(settings: ModelSettings, data: ClozeData, random_weights: bool, seed: int):
    """The model, with LoRA or prompt tokens where they are asked for, and its tokenizer."""
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(settings.model)
    options = {
        "attn_implementation": "sdpa"
        if torch.cuda.is_available()
        else "eager",  # SDPA's backward pass is slow on CPUs
        "choice_loss": settings.choice_loss,
        "choice_fill_weight": settings.choice_fill_weight,
        "choice_length_penalty": settings.choice_length_penalty,
    }
    if random_weights:
        config = AutoConfig.from_pretrained(settings.model, **options)
        model = AutoModelForMultipleChoice.from_config(config, dtype=torch.float32)
    else:
        model = AutoModelForMultipleChoice.from_pretrained(settings.model, dtype=torch.float32, **options)
    soft = add_soft_tokens(model, tokenizer, data.task, seed) if data.task.soft_tokens else []
    if settings.lora_rank:
        adapter = LoraConfig(
            r=settings.lora_rank,
            lora_alpha=2 * settings.lora_rank,
            target_modules=["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
            trainable_token_indices={"word_embeddings": soft} if soft else None,
        )
        model = get_peft_model(model, adapter)
    elif settings.freeze:
        if not soft:
            raise SystemExit(
                "--freeze trains prompt tokens alone: write {soft:3} into the pattern, or give --p_tuning."
            )
        model = get_peft_model(model, TrainableTokensConfig(token_indices=soft, target_modules=["word_embeddings"]))
    return model, tokenizer


def train(
    model: PreTrainedModel, tokenizer, data: ClozeData, settings: ModelSettings, arguments: TrainingArguments
) -> list[dict[str, Any]]:
    """
    Trains in place and returns the log. A run that was stopped goes on from its last checkpoint; the folder of another
    run is refused.
    """
    folder = Path(arguments.output_dir)
    _require_same_run(folder / "run.json", data, settings, arguments)
    label_field = data.task.patterns[0].label_field
    trainer = Trainer(
        model,
        arguments,
        data_collator=DataCollatorForCloze(tokenizer, data.task, max_length=settings.max_length),
        train_dataset=data.train,
        eval_dataset=[example for example in data.validation if example.get(label_field) is not None] or None,
        processing_class=data.task.attach(tokenizer),
        # The numbers of choices may differ between batches, and Trainer pads scores with -100, which a choice may have.
        preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1),
        compute_metrics=lambda output: {"accuracy": float((output.predictions == output.label_ids).mean())},
    )
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(folder))
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # without the autocast of training
    return trainer.state.log_history


def evaluate(model: PreTrainedModel, tokenizer, data: ClozeData, settings: ModelSettings, calibrate=None) -> Outcome:
    """
    Measures with the task's metric, and how far the probabilities can be trusted before and after a temperature is
    fitted on the validation split; the temperature is saved with the task.

    Args:
        calibrate: What is done to the classifier before, such as a contextual calibration.
    """
    classifier = ClozeClassifier(model, tokenizer, data.task, max_length=settings.max_length, batch_size=64).calibrate(
        None
    )
    if calibrate is not None:
        calibrate(classifier)
    probabilities = classifier.predict_proba(data.test)
    gold = [data.task.label_index(example) for example in data.test]
    examples = [{**example, "label": label} for example, label in zip(data.test, gold, strict=True)]
    metrics = compute_metrics(data.task.metric, examples, probabilities.argmax(1), data.task.labels or None)
    known = [index for index, label in enumerate(gold) if label is not None]
    if known:
        right = [gold[index] for index in known]
        metrics["ece"] = expected_calibration_error(probabilities[known], right)
        if _fit_temperature(classifier, data.validation):
            metrics["temperature"] = classifier.calibration.temperature
            probabilities = classifier.predict_proba(data.test)
            metrics["ece_calibrated"] = expected_calibration_error(probabilities[known], right)
    return Outcome(metrics, probabilities, classifier.predict_proba(data.unlabelled), classifier.task)


def _fit_temperature(classifier: ClozeClassifier, validation: list[dict[str, Any]]) -> bool:
    """Fits the temperature and says whether that was possible: not where all examples are right, or none helps."""
    if not validation:
        return False
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The temperature that fits")
        try:
            classifier.fit_temperature(validation)
        except UserWarning as warning:
            print(f"  The temperature stays at 1. {warning}")
            return False
    return True


def _require_same_run(path: Path, data: ClozeData, settings: ModelSettings, arguments: TrainingArguments):
    """A checkpoint of other data or settings must not be gone on from."""
    examples = json.dumps([data.train, data.validation], sort_keys=True, default=str)
    names = ("learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "seed", "weight_decay")
    run = {
        "task": data.task.to_dict() | {"calibration": None},
        "examples": hashlib.sha256(examples.encode("utf-8")).hexdigest(),
        "settings": vars(settings).copy(),
        "arguments": {name: getattr(arguments, name) for name in names},
    }
    if path.exists() and (before := json.loads(path.read_text(encoding="utf-8"))) != json.loads(json.dumps(run)):
        different = sorted(name for name in run if before.get(name) != json.loads(json.dumps(run[name])))
        raise SystemExit(
            f"{path.parent} holds a run with other {' and '.join(different)}: give another --output_dir, or delete it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")


def last_whole_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end."""
    steps = [int(path.parent.name.split("-")[-1]) for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(folder / f"checkpoint-{max(steps)}") if steps else None
