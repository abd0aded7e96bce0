"""Fine-tune a model from source to target with Trainer, and measure its answers. Needs PEFT for LoRA."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedModel, TrainerCallback, set_seed

from ..runs.checkpoints import resume_point
from ..runs.fine_tuning import add_adapter, require_same_description, suggest_epochs, suggest_learning_rate
from ..runs.lock import hold_run
from ..tokenization import GLMTokenizer
from ..tokenization.seq2seq.collator import DataCollatorForInfillingSeq2Seq
from ..tokenization.seq2seq.layouts import OriginalLayout
from ..tokenization.seq2seq.readers.squad import join_windows
from ..utils.rows import RowError, check_rows
from .arguments import Seq2SeqRunArguments
from .baselines import measure
from .decoding import SearchSettings, load_settings
from .metrics import compute_metrics_for
from .predictions import TargetPrediction, encode_prompt, predict_targets
from .sources import Rows, Seq2SeqData
from .trainer import GLMSeq2SeqTrainer

# A run resumes only if these are the same.
IDENTITY = (
    "learning_rate",
    "min_lr_ratio",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "label_smoothing_factor",
    "seed",
    "weight_decay",
)
# More rows than these are encoded again in every epoch, because their ids would fill the memory.
MOST_ENCODED_ROWS = 50_000


@dataclass(frozen=True, kw_only=True)
class Seq2SeqSettings:
    """
    Say which model and parameters to train, and how to lay out sources and targets.

    Args:
        model: Folder or hub id of a GLM.
        lora_rank: Rank of the LoRA matrices to train; 0 trains the model itself.
        merge: Merge LoRA matrices into the weights at the end, so that the result needs neither PEFT nor `model`.
        max_source_length, max_target_length, packing, layout: As in `DataCollatorForInfillingSeq2Seq`.
    """

    model: str
    lora_rank: int = 0
    merge: bool = False
    max_source_length: int | None = None
    max_target_length: int | None = None
    packing: bool = False
    layout: str | OriginalLayout = "glm"


@dataclass(frozen=True)
class Seq2SeqOutcome:
    """
    Hold the results of a model.

    Args:
        metrics: The scores on the rows to report on, in percent; empty without such rows.
        rows: These rows.
        predictions: The answer to each of them.
        unlabelled: For every unlabelled row its answer, or what is wrong with it.
    """

    metrics: dict[str, float]
    rows: Rows
    predictions: Sequence[TargetPrediction]
    unlabelled: Sequence[TargetPrediction | RowError]


def build_model(settings: Seq2SeqSettings, seed: int, trainable: bool = True) -> PreTrainedModel:
    """
    Load the model, with LoRA matrices as the settings say.

    Args:
        settings: The settings.
        seed: Seed of all new parameters.
        trainable: Whether the model will be trained. Otherwise LoRA matrices are those that the folder has.
    """
    set_seed(seed)
    model = AutoModelForSeq2SeqLM.from_pretrained(
        settings.model,
        dtype=torch.float32,
        # SDPA's backward pass is slow on CPUs.
        attn_implementation="sdpa" if torch.cuda.is_available() else "eager",
    )
    load_settings(model, settings.model)
    if settings.lora_rank and trainable:
        return add_adapter(model, settings.model, settings.lora_rank, task_type="SEQ_2_SEQ_LM")
    return model


def build_collator(
    tokenizer: GLMTokenizer, data: Seq2SeqData, settings: Seq2SeqSettings
) -> DataCollatorForInfillingSeq2Seq:
    """
    Make the collator of a training.

    Raises:
        ValueError: For a pattern without a blank, a blank that the vocabulary lacks, and lengths beyond the position table.
    """
    return DataCollatorForInfillingSeq2Seq(
        tokenizer,
        data.columns.pattern_for(tokenizer.gmask_token),
        target=data.columns.target,
        max_source_length=settings.max_source_length,
        max_target_length=settings.max_target_length,
        packing=settings.packing,
        layout=settings.layout,
    )


def load_collator(
    model: str, tokenizer: GLMTokenizer, settings: Seq2SeqSettings
) -> DataCollatorForInfillingSeq2Seq | None:
    """
    Load the collator that a model was saved with, or return None if it has none.

    Lengths and layout of the settings that are not the default come before those of the file.
    """
    overriding = {name: getattr(settings, name) for name in ("max_source_length", "max_target_length")}
    overriding["layout"] = None if settings.layout == "glm" else settings.layout
    given: dict[str, Any] = {name: value for name, value in overriding.items() if value is not None}
    try:
        return DataCollatorForInfillingSeq2Seq.from_pretrained(model, tokenizer, packing=settings.packing, **given)
    except OSError:
        return None


def load_tokenizer(model: str) -> GLMTokenizer:
    """Load the tokenizer of a model."""
    return AutoTokenizer.from_pretrained(model)


def set_defaults(arguments: Seq2SeqRunArguments, model: PreTrainedModel, examples: int):
    """
    Set the learning rate and the epochs where they are 0, and the end of the learning rate's decay.

    Args:
        arguments: The arguments, changed in place.
        model: The model to train. The learning rate follows its size, and whether only a part of it is trained.
        examples: The number of training rows. Few rows are read more often.
    """
    if not arguments.learning_rate:
        arguments.learning_rate = suggest_learning_rate(model)
    if not arguments.num_train_epochs:
        arguments.num_train_epochs = suggest_epochs(examples, arguments.train_batch_size)
    if arguments.min_lr_ratio:
        arguments.lr_scheduler_type = "polynomial"
        arguments.lr_scheduler_kwargs = {"lr_end": arguments.learning_rate * arguments.min_lr_ratio, "power": 1.0}
        batch_size = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
        steps = arguments.max_steps
        if steps <= 0:
            steps = math.ceil(math.ceil(examples / batch_size) * arguments.num_train_epochs)
        if arguments.get_warmup_steps(steps) >= steps:  # the library would divide by the steps behind it
            arguments.warmup_steps = 0
    if not torch.cuda.is_available():
        arguments.use_cpu, arguments.dataloader_pin_memory = True, False


def encode_rows(
    collator: DataCollatorForInfillingSeq2Seq, rows: Sequence[Mapping[str, Any]], split: str
) -> list[dict[str, list]]:
    """
    Encode rows, one sample for each reference.

    Raises:
        RowError: For a row that cannot be encoded, with its number in the split, from 0.
    """
    kind = f"{split.capitalize()} row"
    return [sample for row in check_rows(rows, _showing(collator.encode_references), kind=kind).good for sample in row]


def _showing(encode: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Let errors show the row, because rows that are held out change the numbers of the others."""

    def encode_row(row: Mapping[str, Any]) -> Any:
        try:
            return encode(row)
        except ValueError as error:
            shown = repr(dict(row))
            raise ValueError(f"{error} The row is {shown if len(shown) <= 200 else shown[:197] + '...'}") from error

    return encode_row


def check_run(
    model: PreTrainedModel,
    collator: DataCollatorForInfillingSeq2Seq,
    data: Seq2SeqData,
    search: SearchSettings,
    arguments: Seq2SeqRunArguments,
):
    """
    Check what a run needs when its training is over, so that no training is in vain.

    Raises:
        RowError: For a row to report on that does not fit.
        ValueError: For settings of the search, and for a metric of answers that nothing computes.
    """
    metric = arguments.metric_for_best_model
    chooses = arguments.load_best_model_at_end and bool(data.validation)
    if chooses and not arguments.predict_with_generate and metric not in ("loss", "eval_loss"):
        raise ValueError(
            f"metric_for_best_model is {metric!r}, but without predict_with_generate validations compute the loss alone: add "
            "--predict_with_generate true, or leave --metric_for_best_model out."
        )
    predict_targets(model, collator, [], **search.as_arguments())  # checks the settings
    split, rows = data.to_report
    asked = partial(encode_prompt, collator, original_search=search.original_search, num_beams=search.num_beams)
    check_rows(rows, _showing(asked), kind=f"{split.capitalize()} row")


def train(
    model: PreTrainedModel,
    collator: DataCollatorForInfillingSeq2Seq,
    data: Seq2SeqData,
    settings: Seq2SeqSettings,
    search: SearchSettings,
    arguments: Seq2SeqRunArguments,
    callbacks: Sequence[TrainerCallback] = (),
) -> list[dict[str, Any]]:
    """
    Train a model in place, and resume the run if it was interrupted.

    Args:
        model: The model.
        collator: The collator. Checkpoints hold a copy.
        data: The rows.
        settings: The settings that the model was built with.
        search: How validations with `predict_with_generate` search answers.
        arguments: The arguments of Trainer. Without rows for validation, nothing is evaluated and the last checkpoint counts.
        callbacks: Further callbacks of Trainer.

    Returns:
        The log of Trainer, a list of dicts.

    Raises:
        FolderInUseError: If another run uses the output folder.
        ResumeError: If all checkpoints that were finished are damaged.
        RowError: For a row that cannot be encoded, also of those to report on, before training starts.
        RuntimeError: If a checkpoint cannot be written. The earlier ones stay.
        ValueError: If the output folder holds a run with other data, settings or arguments, or is a file.
    """
    encoded = encode_rows(collator, data.train[:MOST_ENCODED_ROWS], "training")
    encode_rows(collator, data.validation[:MOST_ENCODED_ROWS], "validation")
    if len(data.train) > MOST_ENCODED_ROWS and arguments.train_sampling_strategy == "group_by_length":
        arguments.train_sampling_strategy = "random"
    check_run(model, collator, data, search, arguments)
    if not data.validation:
        arguments.eval_strategy, arguments.load_best_model_at_end = "no", False
    search.write_to(model)
    with hold_run(str(arguments.output_dir)):
        start = resume_point(str(arguments.output_dir))
        describe_run(Path(str(arguments.output_dir)) / "run.json", data, collator, settings, arguments)
        trainer = GLMSeq2SeqTrainer(
            model,
            arguments,
            data_collator=collator,
            train_dataset=encoded if len(data.train) <= MOST_ENCODED_ROWS else data.train,
            eval_dataset=data.validation or None,
            processing_class=collator.tokenizer,
            compute_metrics=compute_metrics_for(collator, data.metrics) if arguments.predict_with_generate else None,
            callbacks=list(callbacks),
        )
        trainer.train(resume_from_checkpoint=start.checkpoint)
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # removes the autocast of training
    return trainer.state.log_history


def describe_run(
    path: Path,
    data: Seq2SeqData,
    collator: DataCollatorForInfillingSeq2Seq,
    settings: Seq2SeqSettings,
    arguments: Seq2SeqRunArguments,
):
    """
    Describe a run in a file, or compare it with the description there.

    Raises:
        ValueError: If the file describes a run with other rows, pattern, settings or arguments. All processes raise it.
    """
    require_same_description(
        path,
        {
            "pattern": collator.pattern,
            "examples": _digest([*data.train, {}, *data.validation]),
            "settings": asdict(settings),
            "arguments": {name: getattr(arguments, name) for name in IDENTITY},
        },
    )


def _digest(rows: Iterable[Mapping[str, Any]]) -> str:
    found = hashlib.sha256()
    for row in rows:
        found.update(json.dumps(row, sort_keys=True, default=str).encode("utf-8") + b"\n")
    return found.hexdigest()


def evaluate(
    model: PreTrainedModel,
    collator: DataCollatorForInfillingSeq2Seq,
    data: Seq2SeqData,
    search: SearchSettings,
    batch_size: int = 32,
) -> Seq2SeqOutcome:
    """
    Answer the rows to report on and the unlabelled ones, and measure the answers. Several processes share the work.

    Args:
        model: The model.
        collator: The collator.
        data: The rows. Of the unlabelled ones, those that cannot be read or do not fit get an error in their place.
        search: How answers are searched.
        batch_size: Rows in a forward pass.

    Raises:
        RowError: For a row to report on that does not fit.
    """
    split, rows = data.to_report
    predictions: list[TargetPrediction] = []
    for number, found in enumerate(predict(model, collator, rows, search, batch_size)):
        if isinstance(found, RowError):
            raise RowError(number, found.reason, f"{split.capitalize()} row")
        predictions.append(found)
    metrics = _measure(predictions, rows, data) if rows else {}
    checked = check_rows(data.unlabelled, _read_line(data), kind="Line", on_error="record")
    unlabelled = checked.restore(predict(model, collator, checked.good, search, batch_size))
    return Seq2SeqOutcome(metrics, rows, predictions, unlabelled)


def _measure(predictions: Sequence[TargetPrediction], rows: Rows, data: Seq2SeqData) -> dict[str, float]:
    if any("window" in row for row in rows) and data.columns.compared:
        joined = join_windows(rows, [found.text for found in predictions])
        return measure([[found["prediction"]] for found in joined], joined, data.columns, data.metrics)
    return measure([found.answers for found in predictions], rows, data.columns, data.metrics)


def _read_line(data: Seq2SeqData):
    def read(row: Mapping[str, Any] | ValueError) -> dict[str, Any]:
        if isinstance(row, ValueError):  # a line that could not be read
            raise row
        return data.columns.check(row, labelled=False)

    return read


def predict(
    model: PreTrainedModel,
    collator: DataCollatorForInfillingSeq2Seq,
    rows: Sequence[Mapping[str, Any]],
    search: SearchSettings,
    batch_size: int = 32,
) -> list[TargetPrediction | RowError]:
    """Answer rows in their order, with errors in the places of those that do not fit. Several processes share them."""
    if not rows:
        return []
    state = PartialState()
    found = predict_targets(
        model,
        collator,
        rows[state.process_index :: state.num_processes],
        batch_size=batch_size,
        on_error="record",
        **search.as_arguments(),
    )
    if state.num_processes == 1:
        return found
    shares = gather_object([found])
    answers: list[Any] = [None] * len(rows)
    for index, share in enumerate(shares):
        answers[index :: state.num_processes] = share
    return answers


__all__ = [
    "Seq2SeqOutcome",
    "Seq2SeqSettings",
    "build_collator",
    "build_model",
    "encode_rows",
    "evaluate",
    "load_collator",
    "load_tokenizer",
    "predict",
    "set_defaults",
    "train",
]
