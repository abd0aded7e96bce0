"""Fine-tune a model on a cloze task with Trainer, and measure it. Needs scikit-learn, and PEFT for adapters."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoTokenizer,
    PreTrainedModel,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from ..runs.checkpoints import SafeCheckpointTrainer, resume_point
from ..runs.fine_tuning import (
    LEAST_STEPS,
    add_adapter,
    require_same_description,
    suggest_epochs,
    suggest_learning_rate,
)
from ..runs.lock import hold_run
from ..tokenization import DataCollatorForCloze, GLMTokenizer, PatternVerbalizer
from ..utils.extras import from_extra
from ..utils.rows import RowError, check_rows
from .answers.reliability import expected_calibration_error
from .answers.rule import NO_GOALS, AnswerGoals
from .calibration import Calibration
from .classifier import ClozeClassifier
from .metrics import compute_metrics, with_labels
from .scorer import Encoded
from .soft_prompts import add_soft_tokens
from .sources import ClozeData, Examples, is_labelled

# A run resumes only if these are the same.
IDENTITY = ("learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "seed", "weight_decay")


@dataclass(frozen=True, kw_only=True)
class ClozeModelSettings:
    """
    Which model to train, and which of its parameters.

    Args:
        model: Folder or hub id of a GLM.
        lora_rank: Rank of the LoRA matrices to train; 0 trains the model itself.
        freeze: Train only the prompt tokens of the task.
        merge: Merge what was trained beside the model into its weights, so that the result needs neither PEFT nor `model`.
        choice_loss, choice_fill_weight, choice_length_penalty: As in `GLMConfig`.
        max_length: Most tokens of a context together with the longest choice behind it.
    """

    model: str
    lora_rank: int = 0
    freeze: bool = False
    merge: bool = False
    choice_loss: str = "cross_entropy"
    choice_fill_weight: float = 0.0
    choice_length_penalty: float = 0.0
    max_length: int | None = None


@dataclass
class ClozeTrainingArguments(TrainingArguments):
    """The arguments of Trainer with defaults for cloze tasks; see `set_defaults` for the two that are 0."""

    _argument_group_name = "Training"  # HfArgumentParser puts it above these arguments

    output_dir: str | None = field(
        default="runs/cloze", metadata={"help": "Folder for checkpoints and results, by default %(default)s."}
    )
    learning_rate: float = field(
        default=0.0,
        metadata={
            "help": "Peak learning rate. By default 1e-5 for a model of the size of GLM-Large as in the paper, more for "
            "smaller models (3e-4 for the embedded one), and 10 times as much with --lora or --freeze."
        },
    )
    num_train_epochs: float = field(
        default=0.0,
        metadata={
            "help": "Passes over the examples. By default 3 for embedded tasks and those of real data; otherwise 10, or as many as make "
            f"{LEAST_STEPS} steps, but at most 60."
        },
    )
    per_device_train_batch_size: int = field(
        default=16, metadata={"help": "Examples per training step, by default %(default)s."}
    )
    per_device_eval_batch_size: int = field(
        default=64, metadata={"help": "Examples per evaluation step, by default %(default)s."}
    )
    weight_decay: float = field(
        default=0.1, metadata={"help": "Weight decay of AdamW, by default %(default)s as in the paper."}
    )
    warmup_steps: float = field(
        default=0.1, metadata={"help": "Warm-up steps, or their share below 1. By default %(default)s."}
    )
    eval_strategy: str = field(
        default="epoch", metadata={"help": "When to measure the validation loss: no, steps or epoch (the default)."}
    )
    save_steps: float = field(
        default=0.1, metadata={"help": "Steps between checkpoints, or their share below 1. By default %(default)s."}
    )
    save_total_limit: int | None = field(
        default=1, metadata={"help": "Number of checkpoints to keep, by default %(default)s."}
    )
    logging_steps: float = field(
        default=0.05, metadata={"help": "Steps between log entries, or their share below 1. By default %(default)s."}
    )
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must be false: the patterns read fields that the model does not know."}
    )
    train_sampling_strategy: str = field(
        default="random",
        metadata={
            "help": "random (the default), sequential, or group_by_length: examples of similar length share a batch, which "
            "leaves out most padding. All examples are then encoded once, before the first step."
        },
    )
    report_to: str | None = field(
        default="none",
        metadata={"help": "Where Trainer reports metrics, such as tensorboard. By default %(default)s."},
    )


@dataclass(frozen=True)
class ClozeOutcome:
    """
    Results of a model on a task.

    Args:
        metrics: The metrics of the task, "ece" (expected calibration error), and with a fitted temperature "temperature"
            and "ece_calibrated". With an answer rule also what `AnswerRule.measure` returns.
        probabilities: (test examples, classes).
        unlabelled: For every unlabelled example its probabilities (classes,), or what is wrong with it.
        task: The task with the fitted calibration and answer rule; attach it to the tokenizer to save them.
        note: Why the temperature stays at 1, or why there is no threshold, if that is so.
    """

    metrics: dict[str, float]
    probabilities: np.ndarray
    unlabelled: Sequence[np.ndarray | RowError]
    task: PatternVerbalizer
    note: str | None = None


def set_defaults(arguments: TrainingArguments, model: PreTrainedModel, examples: int, epochs: float | None = None):
    """
    Set learning rate and epochs where they are 0.

    Args:
        arguments: The arguments, changed in place.
        model: The model to train. The learning rate follows its size, and whether only a part of it is trained.
        examples: The number of training examples. Few examples are read more often.
        epochs: The number of epochs, if it does not follow from the number of examples.
    """
    if not arguments.learning_rate:
        arguments.learning_rate = suggest_learning_rate(model)
    if not arguments.num_train_epochs:
        arguments.num_train_epochs = epochs or suggest_epochs(examples, arguments.train_batch_size)
    if not torch.cuda.is_available():
        arguments.use_cpu = True


def build_model(
    settings: ClozeModelSettings, task: PatternVerbalizer, seed: int, random_weights: bool = False
) -> tuple[PreTrainedModel, GLMTokenizer]:
    """
    Load the model and its tokenizer, with LoRA matrices or prompt tokens as the settings and the task say.

    Args:
        settings: The settings.
        task: The task to train on; its patterns may have prompt tokens.
        seed: Seed of all new parameters.
        random_weights: Start from random weights instead of those of the folder.

    Raises:
        ValueError: If only prompt tokens are to be trained and the task has none.
    """
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(settings.model)
    options = {
        # SDPA's backward pass is slow on CPUs.
        "attn_implementation": "sdpa" if torch.cuda.is_available() else "eager",
        "choice_loss": settings.choice_loss,
        "choice_fill_weight": settings.choice_fill_weight,
        "choice_length_penalty": settings.choice_length_penalty,
    }
    if random_weights:
        config = AutoConfig.from_pretrained(settings.model, **options)
        model = AutoModelForMultipleChoice.from_config(config, dtype=torch.float32)
    else:
        model = AutoModelForMultipleChoice.from_pretrained(settings.model, dtype=torch.float32, **options)
    soft = add_soft_tokens(model, tokenizer, task, seed) if task.soft_tokens else []
    if settings.freeze and not settings.lora_rank and not soft:
        raise ValueError("freeze trains only prompt tokens, but the patterns have none: write {soft:3} into one.")
    if settings.lora_rank or settings.freeze:
        model = add_adapter(model, settings.model, settings.lora_rank, soft)
    return model, tokenizer


def train(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    data: ClozeData,
    settings: ClozeModelSettings,
    arguments: TrainingArguments,
    callbacks: Sequence[TrainerCallback] = (),
) -> list[dict[str, Any]]:
    """
    Train a model in place, and resume the run if it was interrupted.

    Args:
        model: The model.
        tokenizer: Its tokenizer. Checkpoints hold a copy that carries the task.
        data: The task and its examples.
        settings: The settings that the model was built with.
        arguments: The arguments of Trainer.
        callbacks: Further callbacks of Trainer, such as `HubCallback`.

    Returns:
        The log of Trainer, a list of dicts.

    Raises:
        FolderInUseError: If another run uses the output folder.
        ResumeError: If all checkpoints that were finished are damaged.
        RuntimeError: If a checkpoint cannot be written. The earlier ones stay.
        ValueError: If the output folder holds a run with other data, settings or arguments, or is a file. If there
            are no labelled examples to validate on, unless `eval_strategy` is "no".
    """
    validation = require_validation(data)
    if arguments.eval_strategy != "no" and not validation:
        raise ValueError(
            f"{data.name} has no labelled examples for validation, but the loss on them is asked for: give some "
            f"(--validation_file), or more than {len(data.train)} training examples, of which a tenth is held out, or say "
            "--eval_strategy no."
        )
    with hold_run(str(arguments.output_dir)):
        start = resume_point(str(arguments.output_dir))
        require_same_run(Path(str(arguments.output_dir)) / "run.json", data, settings, arguments)
        collator = DataCollatorForCloze(tokenizer, data.task, max_length=settings.max_length)
        trainer = SafeCheckpointTrainer(
            model,
            arguments,
            data_collator=collator,
            train_dataset=_prepare(data.train, collator, arguments),
            eval_dataset=_prepare(validation, collator, arguments) if validation else None,
            processing_class=data.task.attach(tokenizer),
            # Batches may have different numbers of choices. Trainer pads their scores with -100, which a choice may have.
            preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1),
            compute_metrics=lambda output: {"accuracy": float(np.mean(output.predictions == output.label_ids))},
            callbacks=list(callbacks),
        )
        trainer.train(resume_from_checkpoint=start.checkpoint)
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # removes the autocast of training
    return trainer.state.log_history


def _prepare(examples: Examples, collator: DataCollatorForCloze, arguments: TrainingArguments) -> Any:
    """Encode examples if Trainer is to group them by length. It reads their lengths from a table."""
    if arguments.train_sampling_strategy != "group_by_length":
        return examples
    with from_extra("train", "train_sampling_strategy='group_by_length'"):
        from datasets import Dataset  # slow to import
    rows = collator.encode(examples)
    return Dataset.from_list([{**row, arguments.length_column_name: row["length"]} for row in rows])


def evaluate(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    data: ClozeData,
    settings: ClozeModelSettings,
    calibration: Calibration | None = None,
    goals: AnswerGoals = NO_GOALS,
) -> ClozeOutcome:
    """
    Measure a model on the test examples, before and after a temperature is fitted on the validation examples.

    With goals, the temperature is fitted on half of the validation examples, drawn at random, and the answer rule on the
    others: what is promised holds only for examples that the temperature has not seen.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        data: The task and its examples.
        settings: The settings that the model was built with.
        calibration: The calibration to start from; by default none.
        goals: What answers shall reach; by default everything is answered.

    Raises:
        ValueError: If there are fewer validation examples than the goals need; see `require_validation`.

    Returns:
        The outcome. Without test examples it has no metrics of them.
    """
    classifier = ClozeClassifier(
        model,
        tokenizer,
        data.task,
        calibration=calibration or Calibration(),
        max_length=settings.max_length,
        batch_size=64,
    )
    probabilities = classifier.predict_proba(data.test)
    gold = [data.task.label_index(example) for example in data.test]
    metrics: dict[str, float] = {}
    if data.test:
        metrics = compute_metrics(
            data.task.metric, with_labels(data.task, data.test), probabilities.argmax(1), data.task.labels or None
        )
    known = [index for index, label in enumerate(gold) if label is not None]
    right = [gold[index] for index in known]
    if known:
        metrics["ece"] = expected_calibration_error(probabilities[known], right)
    validation = require_validation(data, goals)
    seen, unseen = _halve(validation) if goals.least_examples else (validation, [])
    note = _fit_temperature(classifier, seen)
    if seen and note is None:
        metrics["temperature"] = classifier.calibration.temperature
        if known:
            probabilities = classifier.predict_proba(data.test)
            metrics["ece_calibrated"] = expected_calibration_error(probabilities[known], right)
    note = " ".join(filter(None, [note, _fit_answers(classifier, unseen, goals)])) or None
    if known:
        metrics |= classifier.answer_rule.measure(probabilities[known], right)
    return ClozeOutcome(metrics, probabilities, _predict(classifier, data), classifier.task, note)


def _predict(classifier: ClozeClassifier, data: ClozeData) -> list[np.ndarray | RowError]:
    """Compute the probabilities of the unlabelled examples. One that cannot be asked has its error."""

    def encode(example: dict[str, Any] | ValueError) -> Encoded:
        if isinstance(example, ValueError):  # a line that could not be read
            raise example
        return classifier.encode(example)

    checked = check_rows(data.unlabelled, encode, kind="Example", on_error="record")
    return checked.restore(classifier.to_probabilities(classifier.score_encoded(checked.good)))


def _fit_temperature(classifier: ClozeClassifier, validation: Examples) -> str | None:
    """Fit the temperature if there are examples. Return why it stays at 1, if no temperature fits."""
    if not validation:
        return None
    found = classifier.find_temperature(validation)
    if found.problem:
        return f"The temperature stays at 1. {found.problem}"
    classifier.set_temperature(found.value)
    return None


def _halve(examples: Examples) -> tuple[Examples, Examples]:
    """Split examples at random, always in the same way. In their order, every second one may have the same label."""
    shuffled = Random(0).sample(examples, len(examples))
    half = (len(examples) + 1) // 2
    return shuffled[:half], shuffled[half:]


def _fit_answers(classifier: ClozeClassifier, examples: Examples, goals: AnswerGoals) -> str | None:
    """Fit the answer rule. Return why there is no threshold, if none reaches the goal."""
    if goals.coverage is not None:
        classifier.fit_coverage(examples, goals.coverage)
    if goals.accuracy is None:
        return None
    try:
        classifier.fit_threshold(examples, goals.accuracy)
    except ValueError as error:  # after a long training, all other results count
        return f"There is no threshold: {error}"
    return None


def require_validation(data: ClozeData, goals: AnswerGoals = NO_GOALS) -> Examples:
    """
    Return the labelled validation examples. With goals, half of them must be enough for what is asked.

    Raises:
        ValueError: If there are too few for the goals.
    """
    validation = [example for example in data.validation if is_labelled(data.task, example)]
    if len(validation) // 2 < goals.least_examples:
        raise ValueError(
            f"There are {len(validation)} labelled examples for validation, but {goals} needs at least "
            f"{2 * goals.least_examples}, half of them for the temperature: give more of them (--validation_file), or ask "
            "for less."
        )
    return validation


def require_same_run(path: Path, data: ClozeData, settings: ClozeModelSettings, arguments: TrainingArguments):
    """
    Describe a run in a file, or compare it with the description there. The first of several processes does it.

    Raises:
        ValueError: If the file describes a run with other data, settings or arguments, whose checkpoints must not be
            resumed from, or cannot be read. All processes raise it.
    """
    examples = json.dumps([data.train, data.validation], sort_keys=True, default=str)
    order = {"train_sampling_strategy": arguments.train_sampling_strategy}
    run = {
        "task": data.task.with_calibration(None).to_dict(),
        "examples": hashlib.sha256(examples.encode("utf-8")).hexdigest(),
        "settings": asdict(settings),
        "arguments": {
            **{name: getattr(arguments, name) for name in IDENTITY},
            **(order if arguments.train_sampling_strategy != "random" else {}),  # earlier runs did not say it
        },
    }
    require_same_description(path, run)


__all__ = [
    "ClozeModelSettings",
    "ClozeOutcome",
    "ClozeTrainingArguments",
    "build_model",
    "evaluate",
    "require_same_run",
    "require_validation",
    "set_defaults",
    "train",
]
