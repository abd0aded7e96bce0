#!/usr/bin/env python
"""
Classify texts by filling a blank (paper section 2.3): zero-shot, few-shot, or fine-tuned on all examples.

Run without arguments, the script fine-tunes the embedded checkpoint on two embedded tasks, which are built from text that
ships with Python. It compares the result with the same model trained from random weights, and with logistic regression on
TF-IDF. This takes about three minutes on two CPU cores.

    python examples/02_cloze_classification.py
    python examples/02_cloze_classification.py --task prose --shots 32

Classify your own CSV, TSV or JSON lines. A pattern has a field of the file in braces and one [MASK]; the verbalizer has
the words for the blank, one or several per label:

    python examples/02_cloze_classification.py --train_file train.csv --test_file test.csv \\
        --pattern "{review|shorten} It was [MASK]." --verbalizer '{"pos": ["great", "good"], "neg": "terrible"}'

Train on real data, which `make data` fetches: film reviews, questions, messages, posts or news:

    python examples/02_cloze_classification.py --task rotten_tomatoes

Train on a task of SuperGLUE, or try a model on one without training:

    python examples/02_cloze_classification.py --task rte --data_dir SuperGLUE --model THUDM/glm-2b --output_dir runs/rte
    python examples/02_cloze_classification.py --task axb --data_dir SuperGLUE --model runs/rte/pretrained/model --zero_shot

Predict with a model that carries its task, as the folders do that this script writes:

    python examples/02_cloze_classification.py --model runs/cloze/pretrained/model --predict_file new.csv

Run the same command again to resume a run that was interrupted.

The output folder has one folder per start ("pretrained", "random"), with the checkpoints and a folder `model`. That has the
model, its tokenizer and its task, which `pipeline("cloze-classification", model=FOLDER)` loads. It also has the metrics, the
predictions (for SuperGLUE in the form of its server), the confusion matrix and the reliability diagram. With --lora the folder has the LoRA matrices and
the name of the model that they belong to; --merge writes a whole model instead.
"""

import json
import os
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from accelerate import PartialState
from corpora.cloze_tasks import EMBEDDED_TASKS
from corpora.real_tasks import REAL_TASKS
from huggingface_hub import EvalResult, HfApi
from transformers import AutoTokenizer, HfArgumentParser, PreTrainedModel, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from modeling_glm import (
    Calibration,
    GLMPreTrainedModel,
    GLMTokenizer,
    HubCallback,
    PatternVerbalizer,
    embedded_checkpoint,
)
from modeling_glm.cloze.answers.rule import AnswerGoals
from modeling_glm.cloze.baselines import measure_baselines
from modeling_glm.cloze.report import format_table, warn_of_majority, write_results
from modeling_glm.cloze.sources import ClozeData, load_files, load_published
from modeling_glm.cloze.submission import SUBMISSION_FILES
from modeling_glm.cloze.training import (
    ClozeModelSettings,
    ClozeOutcome,
    ClozeTrainingArguments,
    build_model,
    evaluate,
    require_validation,
    set_defaults,
    train,
)
from modeling_glm.hub.card import write_model_card
from modeling_glm.runs.checkpoints import disconnect
from modeling_glm.runs.fine_tuning import merge_adapter
from modeling_glm.runs.lock import hold_run, require_folder
from modeling_glm.tokenization.cloze.published import available_tasks
from modeling_glm.tokenization.cloze.superglue import SUPERGLUE_TASKS
from modeling_glm.utils.files import whole_folder, write_whole
from modeling_glm.utils.help import short_formatter
from modeling_glm.utils.inference import unwrap
from modeling_glm.utils.plots import plot_losses

OFFERED_TASKS = EMBEDDED_TASKS | REAL_TASKS


@dataclass
class ClozeDataArguments:
    """The task and its examples."""

    _argument_group_name = "Task and examples"

    task: str | None = field(
        default=None,
        metadata={
            "help": f"An embedded task ({', '.join(EMBEDDED_TASKS)}; both by default), one of real data "
            f"({', '.join(REAL_TASKS)}), or a published one: {', '.join(available_tasks())}."
        },
    )
    data_dir: str | None = field(
        default=None, metadata={"help": "Folder with the files of a published task. SuperGLUE needs it."}
    )
    pattern_ids: list[int] = field(
        default_factory=lambda: [0],
        metadata={
            "help": "Numbers of the patterns of a published task. The answers of several are averaged. By default 0."
        },
    )
    pattern: list[str] | None = field(
        default=None, metadata={"help": "Your own pattern, or several: '{text|shorten} It was [MASK].'"}
    )
    verbalizer: str | None = field(
        default=None,
        metadata={"help": 'The words of every label, as JSON: \'{"pos": ["great", "good"], "neg": "terrible"}\'.'},
    )
    train_file: str | None = field(default=None, metadata={"help": "CSV, TSV or JSON lines to train on."})
    validation_file: str | None = field(
        default=None, metadata={"help": "Labelled examples for validation. By default a tenth of the training file."}
    )
    test_file: str | None = field(default=None, metadata={"help": "Labelled examples to report on."})
    predict_file: str | None = field(
        default=None,
        metadata={"help": "Examples to predict. Their columns are repeated with the predictions in unlabelled.jsonl."},
    )
    label_field: str = field(default="label", metadata={"help": "Column with the labels, by default %(default)s."})
    shots: int | None = field(
        default=None, metadata={"help": "Train on this many examples, balanced over the labels, chosen by --seed."}
    )


@dataclass
class ClozeModelArguments:
    """The model and what is done with it."""

    _argument_group_name = "Model"

    model: str = field(
        default=embedded_checkpoint(), metadata={"help": "Folder or hub id of a GLM, by default the embedded one."}
    )
    zero_shot: bool = field(
        default=False, metadata={"help": "Do not train. Measure the model with and without calibration."}
    )
    domain_premise: str | None = field(
        default=None,
        metadata={"help": "With --zero_shot: a pattern for pointwise mutual information, 'The answer: [MASK]'."},
    )
    lora: bool = field(default=False, metadata={"help": "Train only LoRA matrices."})
    lora_rank: int = field(default=8, metadata={"help": "Rank of the LoRA matrices, by default %(default)s."})
    merge: bool = field(
        default=False, metadata={"help": "With --lora or --freeze: write a whole model, which needs no other one."}
    )
    p_tuning: bool = field(
        default=False,
        metadata={"help": "Add learned prompt tokens to a published task, where the originals had them."},
    )
    freeze: bool = field(default=False, metadata={"help": "Train only the prompt tokens."})
    choice_loss: str = field(default="cross_entropy", metadata={"help": "Loss, cross_entropy (the default) or hinge."})
    choice_fill_weight: float = field(
        default=0.0,
        metadata={"help": "Weight of a second loss: filling the blank with the right words. By default 0."},
    )
    choice_length_penalty: float = field(
        default=0.0, metadata={"help": "Divide the score of a choice by this power of its length, by default 0."}
    )
    max_length: int | None = field(
        default=None,
        metadata={
            "help": "Longest text in tokens. Fields marked |shorten are cut to fit. By default 128 for tasks of real data, "
            "otherwise what the model can read."
        },
    )
    coverage: float | None = field(
        default=None,
        metadata={
            "help": "Name for every example the set of labels that has the right one this often, such as 0.9. Fitted on "
            "validation examples."
        },
    )
    answer_accuracy: float | None = field(
        default=None,
        metadata={
            "help": "Abstain where the model is not sure enough for its answers to be right this often, such as 0.95. Fitted "
            "on validation examples."
        },
    )
    compare: bool | None = field(
        default=None, metadata={"help": "Train from random weights too. By default for embedded tasks only."}
    )


def parse_arguments() -> tuple[ClozeDataArguments, ClozeModelArguments, ClozeTrainingArguments]:
    """Read the command line. The help leaves out those of Trainer's arguments that keep their defaults."""
    own = (ClozeDataArguments, ClozeModelArguments)
    shown = {name for group in own for name in (entry.name for entry in fields(group))}
    shown |= set(ClozeTrainingArguments.__annotations__) | {"seed", "max_steps", "push_to_hub", "help"}

    parser = HfArgumentParser(
        (*own, ClozeTrainingArguments),
        description=__doc__,
        usage="%(prog)s [--task NAME | --pattern TEXT --verbalizer JSON] [--train_file FILE] [--test_file FILE] [...]",
        epilog="All other arguments of Transformers' TrainingArguments work too: --bf16, --gradient_accumulation_steps, ...",
        formatter_class=short_formatter(shown),
    )
    return parser.parse_args_into_dataclasses()


def load_data(args: ClozeDataArguments, model: str, p_tuning: bool) -> ClozeData:
    """Load the task that the arguments name, or the one that the model carries, with its examples."""
    files = (args.test_file, args.train_file, args.validation_file, args.predict_file)
    if args.pattern:
        if args.verbalizer is None or not any(files):
            raise SystemExit("--pattern needs --verbalizer, and --train_file, --test_file or --predict_file.")
        try:
            words = json.loads(args.verbalizer)
        except json.JSONDecodeError as error:
            raise SystemExit(f"--verbalizer is not JSON ({error}): {args.verbalizer!r}") from error
        return load_files(PatternVerbalizer(args.pattern, words, label_field=args.label_field, name="own"), *files)
    if args.task is None:
        return load_files(load_carried_task(model), *files)
    if any(files):
        raise SystemExit(f"--task {args.task} reads its own files: give --data_dir, or --pattern and --verbalizer.")
    if args.task in OFFERED_TASKS:
        return OFFERED_TASKS[args.task]()
    if args.task in SUPERGLUE_TASKS and args.data_dir is None:
        raise SystemExit(f"--task {args.task} needs --data_dir: the folder with the official files of SuperGLUE.")
    return load_published(args.task, args.pattern_ids, args.data_dir, p_tuning)


def load_carried_task(model: str) -> PatternVerbalizer:
    """Load the task that a model was saved with."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    if tokenizer.cloze is None:
        raise SystemExit(f"{model} carries no task: files of your own need --pattern and --verbalizer.")
    return PatternVerbalizer.from_dict(tokenizer.cloze)


def run_training(
    settings: ClozeModelSettings,
    data: ClozeData,
    training: TrainingArguments,
    random_weights: bool,
    few_shot: bool,
    goals: AnswerGoals,
) -> ClozeOutcome:
    """Train and measure one model, and write all results to the folder `model`."""
    if not data.train:
        raise SystemExit(f"{data.name} has no examples to train on: give --zero_shot, and a trained --model.")
    model, tokenizer = build_model(settings, data.task, training.seed, random_weights)
    epochs = 60 if few_shot else 3 if data.name in OFFERED_TASKS else None
    set_defaults(training, model, len(data.train), epochs)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"\n{training.output_dir}: {trained:,} of {model.num_parameters():,} parameters are trained")
    print(f"  learning rate {training.learning_rate:g}, {training.num_train_epochs:g} epochs")
    callbacks = [HubCallback()] if training.push_to_hub else []
    log = train(model, tokenizer, data, settings, training, callbacks)
    if settings.merge:
        model = merge_adapter(model)
    outcome = evaluate(model, tokenizer, data, settings, goals=goals)
    if outcome.note:
        print(f"  {outcome.note}")
    target = Path(str(training.output_dir)) / "model"
    if not PartialState().is_main_process:
        return outcome
    details = describe_classifier(settings, data, outcome)
    tokenizer = outcome.task.attach(tokenizer)
    with whole_folder(target) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if len(log) > 1:
            plot_losses(log, folder / "loss.png", f"Fine-tuning on {data.name}", per="example")
        write_results(folder, data, outcome)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT writes an empty form
        write_model_card(folder, unwrap(model), tokenizer, model_id=training.hub_model_id or str(target), **details)
    if training.push_to_hub:
        push_classifier(model, tokenizer, target, training, details)
    return outcome


def describe_classifier(settings: ClozeModelSettings, data: ClozeData, outcome: ClozeOutcome) -> dict[str, Any]:
    """Return what the model card says beside the task: the base model, and what was measured on the test examples."""
    measured = [
        EvalResult(
            task_type="text-classification",
            dataset_type=data.name,
            dataset_name=data.name,
            metric_type=metric,
            metric_value=round(value, 4),
        )
        for metric, value in outcome.metrics.items()
        if metric != "temperature"
    ]
    base = None if Path(settings.model).is_dir() else settings.model
    return {"base_model": base, "eval_results": measured or None}


def push_classifier(
    model: PreTrainedModel, tokenizer: GLMTokenizer, folder: Path, training: TrainingArguments, details: dict[str, Any]
):
    """Push the classifier over what Trainer pushed: now the task has its calibration, and the card what was measured."""
    api, revision = HfApi(token=training.hub_token), training.hub_revision
    name = training.hub_model_id or Path(str(training.output_dir)).name
    repo_id = api.create_repo(name, private=training.hub_private_repo, exist_ok=True).repo_id
    if isinstance(model, GLMPreTrainedModel):
        model.push_to_hub(repo_id, tokenizer=tokenizer, token=training.hub_token, revision=revision, **details)
    else:
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, ignore_patterns="*.png", revision=revision)


def print_predictions(data: ClozeData, outcome: ClozeOutcome, folder: Path) -> int:
    """Say where the predictions are, and how many examples could not be predicted. Returns that number."""
    failed = sum(isinstance(row, ValueError) for row in outcome.unlabelled)
    path = folder / (SUBMISSION_FILES[data.name] if data.submits else "unlabelled.jsonl")
    if data.unlabelled:
        print(f"  {len(data.unlabelled) - failed} of {len(data.unlabelled)} examples are predicted in {path}")
    if failed:
        print(f'  {failed} could not be predicted: {path} says why, under "error"', file=sys.stderr)
    return failed


def run_carried(settings: ClozeModelSettings, data: ClozeData, target: Path, seed: int) -> ClozeOutcome:
    """Measure and predict with the task that the model carries, with its own calibration."""
    model, tokenizer = build_model(settings, data.task, seed)
    outcome = evaluate(model, tokenizer, data, settings, Calibration.from_dict(data.task.calibration))
    write_outcome(target, data, outcome)
    return outcome


def write_outcome(target: Path, data: ClozeData, outcome: ClozeOutcome):
    """Write the results of a model that was not trained. The first of several processes does it."""
    if PartialState().is_main_process:
        with whole_folder(target) as folder:
            write_results(folder, data, outcome)


def run_zero_shot(
    settings: ClozeModelSettings,
    data: ClozeData,
    target: Path,
    domain_premise: str | None,
    seed: int,
    goals: AnswerGoals,
) -> dict[str, ClozeOutcome]:
    """Measure the model without training, with every calibration that needs no labelled examples."""
    model, tokenizer = build_model(settings, data.task, seed)
    calibrations = {"zero-shot": Calibration(), "zero-shot, contextual calibration": Calibration("contextual")}
    if domain_premise is not None:
        calibrations["zero-shot, mutual information"] = Calibration("pmi", domain_premise=domain_premise)
    outcomes = {}
    for name, calibration in calibrations.items():
        outcomes[name] = evaluate(model, tokenizer, data, settings, calibration, goals)
        if note := outcomes[name].note:
            print(f"  {note}")
        write_outcome(target / name.removeprefix("zero-shot, ").replace(" ", "-"), data, outcomes[name])
    return outcomes


def run_task(
    args: ClozeModelArguments,
    training: TrainingArguments,
    data: ClozeData,
    shots: int | None,
    folder: Path,
    carried: bool,
) -> int:
    """Train, measure or predict on one task, compare with baselines, and print the table. Returns the number of bad rows."""
    if shots is not None:
        data = data.take_shots(shots, training.seed)
    settings = ClozeModelSettings(
        model=args.model,
        lora_rank=args.lora_rank if args.lora else 0,
        freeze=args.freeze,
        merge=args.merge,
        choice_loss=args.choice_loss,
        choice_fill_weight=args.choice_fill_weight,
        choice_length_penalty=args.choice_length_penalty,
        max_length=args.max_length or data.max_length,
    )
    print(f"{data.name}: {data.task.patterns[0].text}")
    print(f"  {len(data.train)} to train on, {len(data.validation)} for validation, {len(data.test)} to report on")

    goals = AnswerGoals(args.answer_accuracy, args.coverage)
    require_validation(data, goals)
    if args.zero_shot:
        outcomes = run_zero_shot(settings, data, folder / "zero_shot", args.domain_premise, training.seed, goals)
        of_predictions = folder / "zero_shot" / "zero-shot"
    elif carried and not data.train:
        outcomes = {"cloze": run_carried(settings, data, folder / "predicted", training.seed)}
        of_predictions = folder / "predicted"
    else:
        compare = data.name in EMBEDDED_TASKS if args.compare is None else args.compare
        outcomes = {}
        for start in ["pretrained", "random"] if compare else ["pretrained"]:
            arguments = replace(training, output_dir=str(folder / start))
            outcomes[f"cloze, {start} weights"] = run_training(
                settings, data, arguments, start == "random", few_shot=shots is not None, goals=goals
            )
        of_predictions = folder / "pretrained" / "model"
    results = {name: outcome.metrics for name, outcome in outcomes.items() if outcome.metrics}
    if data.train and data.test and data.task.labels and not args.zero_shot:
        results |= measure_baselines(data)
        if warning := warn_of_majority(results, arguments):
            print(f"\nwarning: {warning}", file=sys.stderr)
    if results:
        print(f"\n{format_table(results)}")
        if PartialState().is_main_process:
            write_whole(folder / "results.json", json.dumps(results, indent=2) + "\n")
    print(f"\nwritten to {folder}\n")
    return print_predictions(data, next(iter(outcomes.values())), of_predictions)


def main() -> int:
    """Run the task of the arguments, or both embedded tasks. Returns the number of rows that could not be predicted."""
    data_args, model_args, training = parse_arguments()
    disable_progress_bar()  # loading these weights takes no time worth showing
    if not PartialState().is_main_process:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  the first process says it for all
    folder = require_folder(str(training.output_dir), "--output_dir")
    files = (data_args.train_file, data_args.validation_file, data_args.test_file, data_args.predict_file)
    if data_args.data_dir and not data_args.task:
        raise SystemExit(f"--data_dir {data_args.data_dir}: name the task whose files it holds with --task.")
    if data_args.task or data_args.pattern or any(files):
        data = load_data(data_args, model_args.model, model_args.p_tuning)
        carried = not (data_args.task or data_args.pattern)
        with hold_run(folder):
            return run_task(model_args, training, data, data_args.shots, folder, carried)
    with hold_run(folder):
        for name, build in EMBEDDED_TASKS.items():
            run_task(model_args, training, build(), data_args.shots, folder / name, carried=False)
    return 0


if __name__ == "__main__":
    try:
        failed = main()
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the same command again to resume.")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    disconnect()
    if failed:
        sys.exit(1)
