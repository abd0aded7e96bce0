"""Run a fine-tuning from source to target, from its arguments to the tables at the end."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from huggingface_hub import EvalResult
from transformers import PreTrainedModel

from ..hub.card import write_model_card
from ..hub.repository import Repository
from ..runs.fine_tuning import merge_adapter
from ..runs.lock import hold_run, require_folder
from ..tokenization import GLMTokenizer
from ..tokenization.seq2seq.collator import DataCollatorForInfillingSeq2Seq
from ..tokenization.seq2seq.published import available_seq2seq_tasks, read_seq2seq_task
from ..utils.files import whole_folder, write_whole
from ..utils.inference import unwrap
from ..utils.plots import plot_losses
from ..utils.rows import RowError
from .arguments import Seq2SeqAnswerArguments, Seq2SeqDataArguments, Seq2SeqModelArguments, Seq2SeqRunArguments
from .baselines import measure_baselines
from .decoding import SearchSettings, find_model, save_settings
from .metrics import find_metric
from .report import format_examples, format_results, warn_of_baselines, write_results
from .sources import AND, SOURCE, TARGET, Columns, Seq2SeqData, load_files, load_hub_dataset, load_task
from .training import (
    Seq2SeqOutcome,
    Seq2SeqSettings,
    build_collator,
    build_model,
    evaluate,
    load_collator,
    load_tokenizer,
    set_defaults,
    train,
)

# With more training rows the baselines take too long.
MOST_ROWS_OF_BASELINES = 20_000


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """
    Hold the default model and the embedded tasks of a script.

    Args:
        model: Folder of the default model.
        tasks: Functions that build its tasks, by their names. The first one is the default.
    """

    model: Path
    tasks: Mapping[str, Callable[[], Seq2SeqData]]


def fine_tune(
    data_args: Seq2SeqDataArguments,
    model_args: Seq2SeqModelArguments,
    answer_args: Seq2SeqAnswerArguments,
    training: Seq2SeqRunArguments,
    embedded: Embedded,
) -> int:
    """
    Train, measure and predict as the arguments say, and print the results.

    Without rows to train on, or with `predict_only`, the model answers with the pattern that it carries.

    Returns:
        The number of rows that could not be predicted.

    Raises:
        FileNotFoundError: If a file is missing.
        FolderInUseError: If another run uses the output folder.
        ValueError: For arguments that contradict each other, and rows that cannot be read. Nothing is computed then.
    """
    folder = require_folder(str(training.output_dir), "--output_dir")
    settings = Seq2SeqSettings(
        model=find_model(model_args.model or str(embedded.model)),
        lora_rank=model_args.lora_rank if model_args.lora else 0,
        merge=model_args.merge,
        max_source_length=data_args.max_source_length,
        max_target_length=data_args.max_target_length,
        packing=data_args.packing,
        layout=data_args.layout,
    )
    tokenizer = load_tokenizer(settings.model)
    data, collator = load_data(data_args, settings, tokenizer, embedded, training.seed)
    if answer_args.metrics:
        data = replace(data, metrics=tuple(answer_args.metrics))
    for metric in data.metrics:
        find_metric(metric)
    if data_args.limit is not None:
        data = data.take(data_args.limit)
    trains = bool(data.train) and not model_args.predict_only
    print(f"{data.name}: {collator.pattern}")
    print(f"  {len(data.train)} to train on, {len(data.validation)} for validation, {len(data.test)} to report on")
    with hold_run(folder):
        run = run_training if trains else run_prediction
        outcome = run(collator, data, settings, answer_args, training)
    results = {"GLM": outcome.metrics} if outcome.metrics else {}
    if results and trains and len(data.train) <= MOST_ROWS_OF_BASELINES:
        results |= measure_baselines(data)
        if warning := warn_of_baselines(results, training):
            print(f"\nwarning: {warning}", file=sys.stderr)
    show_results(folder, data, outcome, results, answer_args.show)
    return report_unlabelled(data, outcome, folder / ("model" if trains else "predicted"))


def load_data(
    args: Seq2SeqDataArguments, settings: Seq2SeqSettings, tokenizer: GLMTokenizer, embedded: Embedded, seed: int = 0
) -> tuple[Seq2SeqData, DataCollatorForInfillingSeq2Seq]:
    """
    Load the rows that the arguments name, with the collator for them.

    Files and datasets have the pattern of the arguments, or else the one that the model carries.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: For arguments that contradict each other, rows that cannot be read, and patterns that do not suit the
            vocabulary.
    """
    files = {
        "train": args.train_file,
        "validation": args.validation_file,
        "test": args.test_file,
        "unlabelled": args.predict_file,
    }
    given = any(files.values())
    if sum(map(bool, (args.task, args.dataset, given))) > 1:
        raise ValueError("Give only one of --task, --dataset and files (--train_file, --test_file, ...).")
    if not args.dataset and not given:
        return load_named_task(args, settings, tokenizer, embedded, seed)
    carried = None if args.pattern else load_collator(settings.model, tokenizer, settings)
    if carried is not None and args.source and carried.fields != {args.source}:
        raise ValueError(
            f"--source {args.source}: the model carries the pattern {carried.pattern!r}, which reads the columns "
            f"{sorted(carried.fields)}. Leave --source out and name the columns so, or give --pattern."
        )
    pattern = args.pattern if carried is None else carried.pattern
    targets = args.target or (carried.target.split(AND) if carried is not None else [TARGET])
    columns = Columns(pattern=pattern, source=args.source or SOURCE, targets=tuple(targets))
    _ = columns.source_pattern  # a damaged pattern is not the fault of a line
    if args.dataset:
        data = load_hub_dataset(columns, args.dataset, args.dataset_config)
    else:
        data = load_files(columns, **files)
    if carried is not None:
        return data, replace(carried, target=columns.target)
    return data, build_collator(tokenizer, data, settings)


def load_named_task(
    args: Seq2SeqDataArguments, settings: Seq2SeqSettings, tokenizer: GLMTokenizer, embedded: Embedded, seed: int
) -> tuple[Seq2SeqData, DataCollatorForInfillingSeq2Seq]:
    """Load an embedded task, or one of the originals with its files, with its collator. Raises errors as `load_data`."""
    name = args.task or next(iter(embedded.tasks))
    if args.pattern or args.source or args.target:
        raise ValueError(f"Task {name!r} has its own pattern and columns: leave --pattern, --source and --target out.")
    if name in embedded.tasks:
        if args.data_dir is not None:
            raise ValueError(
                f"--data_dir {args.data_dir}: the task {name!r} has no files. Name a task of the originals with --task: "
                f"{', '.join(available_seq2seq_tasks())}."
            )
        data = embedded.tasks[name]()
        return data, build_collator(tokenizer, data, settings)
    if name not in available_seq2seq_tasks():
        known = [*embedded.tasks, *available_seq2seq_tasks()]
        raise ValueError(f"Unknown task {name!r}: expected one of {', '.join(known)}. Other data have --train_file.")
    if args.data_dir is None:
        raise ValueError(f"Task {name!r} needs --data_dir: the folder with the files that the authors' code reads.")
    task, original = read_seq2seq_task(name), settings.layout == "original"
    laid_out = task.collator_settings(
        tokenizer,
        original=original,
        max_source_length=settings.max_source_length,
        max_target_length=settings.max_target_length,
        mask_ratio=args.mask_ratio,
    )
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, **laid_out, packing=settings.packing)
    data = load_task(
        task,
        args.data_dir,
        tokenizer,
        max_source_length=collator.max_source_length,
        mask_ratio=args.mask_ratio,
        seed=seed,
        original=original,
    )
    return data, collator


def run_training(
    collator: DataCollatorForInfillingSeq2Seq,
    data: Seq2SeqData,
    settings: Seq2SeqSettings,
    answer_args: Seq2SeqAnswerArguments,
    training: Seq2SeqRunArguments,
) -> Seq2SeqOutcome:
    """Train and measure a model, and write it with its results to the folder `model`."""
    model = build_model(settings, training.seed)
    search = read_search(answer_args, model)
    set_defaults(training, model, len(data.train))
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"  {trained:,} of {model.num_parameters():,} parameters are trained")
    length = f"{training.max_steps} steps" if training.max_steps > 0 else f"{training.num_train_epochs:g} epochs"
    print(f"  learning rate {training.learning_rate:g}, {length}")
    log = train(model, collator, data, settings, search, training)
    if settings.merge:
        model = merge_adapter(model)
    outcome = evaluate(model, collator, data, search, training.per_device_eval_batch_size)
    target = Path(str(training.output_dir)) / "model"
    if not PartialState().is_main_process:
        return outcome
    with whole_folder(target) as folder:
        model.save_pretrained(folder)
        save_settings(model, folder)
        collator.tokenizer.save_pretrained(folder)
        collator.save_pretrained(folder)
        if len(log) > 1:
            plot_losses(log, folder / "loss.png", f"Fine-tuning on {data.name}")
        write_results(folder, data, outcome)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT writes an empty form
        write_card(folder, model, collator, data, outcome, settings, training.hub_model_id or str(target))
    if training.push_to_hub:
        repository = Repository(
            training.hub_model_id or Path(str(training.output_dir)).name,
            private=training.hub_private_repo,
            token=training.hub_token,
            revision=training.hub_revision,
        )
        files = [path for path in target.iterdir() if path.is_file() and path.suffix != ".png"]
        repository.commit(files, "End of training")
    return outcome


def run_prediction(
    collator: DataCollatorForInfillingSeq2Seq,
    data: Seq2SeqData,
    settings: Seq2SeqSettings,
    answer_args: Seq2SeqAnswerArguments,
    training: Seq2SeqRunArguments,
) -> Seq2SeqOutcome:
    """Answer rows with a model as it is, and write the results to the folder `predicted`."""
    model = build_model(settings, training.seed, trainable=False)
    outcome = evaluate(model, collator, data, read_search(answer_args, model), training.per_device_eval_batch_size)
    if PartialState().is_main_process:
        with whole_folder(Path(str(training.output_dir)) / "predicted") as folder:
            write_results(folder, data, outcome)
    return outcome


def read_search(args: Seq2SeqAnswerArguments, model: PreTrainedModel) -> SearchSettings:
    """Read the settings of the search from the arguments, or else from the saved model."""
    return SearchSettings.for_model(
        model,
        num_beams=args.num_beams,
        length_penalty=args.length_penalty,
        no_repeat_ngram_size=args.no_repeat_ngram_size,
        min_new_tokens=args.min_new_tokens,
        max_new_tokens=args.max_new_tokens,
        original_search=args.original_search or None,
    )


def write_card(
    folder: Path,
    model: PreTrainedModel,
    collator: DataCollatorForInfillingSeq2Seq,
    data: Seq2SeqData,
    outcome: Seq2SeqOutcome,
    settings: Seq2SeqSettings,
    model_id: str,
):
    """Write the model card: how to use the pattern that the model carries, and what was measured."""
    measured = [
        EvalResult(
            task_type="text2text-generation",
            dataset_type=data.name,
            dataset_name=data.name,
            metric_type=metric,
            metric_value=round(value, 2),
        )
        for metric, value in outcome.metrics.items()
    ]
    row = dict.fromkeys(sorted(collator.fields), "...")
    usage = f"""## Use

The model was trained to fill the blank of `{collator.pattern}`.

```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from modeling_glm import DataCollatorForInfillingSeq2Seq, predict_targets

tokenizer = AutoTokenizer.from_pretrained("{model_id}")
model = AutoModelForSeq2SeqLM.from_pretrained("{model_id}")
collator = DataCollatorForInfillingSeq2Seq.from_pretrained("{model_id}", tokenizer)
print(predict_targets(model, collator, [{row}])[0].text)
```

On the command line: `modeling-glm seq2seq {model_id} rows.jsonl`."""
    write_model_card(
        folder,
        unwrap(model),
        collator.tokenizer,
        model_id=model_id,
        base_model=None if Path(settings.model).is_dir() else settings.model,
        eval_results=measured or None,
        sections={"usage": usage},
    )


def show_results(
    folder: Path, data: Seq2SeqData, outcome: Seq2SeqOutcome, results: Mapping[str, Mapping[str, float]], count: int
):
    """Print the table of scores, which `results.json` holds too, and a table of examples."""
    if results:
        split, rows = data.to_report
        print(f"\nOn {len(rows)} {split} rows, in percent:\n{format_results(results)}")
        if PartialState().is_main_process:
            write_whole(folder / "results.json", json.dumps(results, indent=2) + "\n")
    rows, predictions = outcome.rows, outcome.predictions
    if not rows:
        pairs = zip(data.unlabelled, outcome.unlabelled, strict=True)
        good: list[Any] = [(row, found) for row, found in pairs if not isinstance(found, RowError)]
        rows, predictions = [row for row, _ in good], [found for _, found in good]
    if rows and count > 0:
        print(f"\n{format_examples(data, rows, predictions, count)}")
    print(f"\nwritten to {folder}")


def report_unlabelled(data: Seq2SeqData, outcome: Seq2SeqOutcome, folder: Path) -> int:
    """Say where the predictions are, and how many rows could not be predicted. Returns that number."""
    failed = sum(isinstance(found, RowError) for found in outcome.unlabelled)
    path = folder / "predicted.jsonl"
    if data.unlabelled:
        print(f"{len(data.unlabelled) - failed} of {len(data.unlabelled)} rows are predicted in {path}")
    if failed:
        print(f'{failed} could not be predicted: {path} says why, under "error"', file=sys.stderr)
    return failed


__all__ = ["Embedded", "fine_tune", "load_data"]
