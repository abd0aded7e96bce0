#!/usr/bin/env python
"""
Classification as filling a blank (paper section 2.3): zero-shot, few-shot or with all examples, fine-tuned with Trainer.

Without arguments it takes the two embedded tasks, which are made of what comes with Python (see cloze_tasks.py), and
fine-tunes the embedded checkpoint on them; beside it, it trains the same model from random weights, and TF-IDF with
logistic regression. That takes about three minutes on two CPU cores.
It can be stopped at any time: started again with the same arguments it goes on from the last checkpoint.

    python examples/02_cloze_classification.py
    python examples/02_cloze_classification.py --task prose --shots 32
    python examples/02_cloze_classification.py --task rte --data_dir SuperGLUE --model THUDM/glm-large --output_dir runs/rte
    python examples/02_cloze_classification.py --model runs/rte/pretrained/model --task axb --data_dir SuperGLUE --zero_shot
    python examples/02_cloze_classification.py --train_file train.csv --test_file test.csv \\
        --pattern "{review|shorten} It was [MASK]." --verbalizer '{"pos": ["great", "good"], "neg": "terrible"}'

The output folder holds, for every start, the checkpoints and `model`: the model and its tokenizer with the task, which
`pipeline("cloze-classification", model=...)` reads, the metrics, the predictions (for SuperGLUE in the form that its server
takes) and the confusion matrix. All arguments of Transformers' TrainingArguments are understood.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from cloze_sources import ClozeData, load_embedded, load_files, load_published
from cloze_tasks import EMBEDDED_TASKS, majority_baseline, tfidf_baseline
from cloze_training import ModelSettings, Outcome, build_model, evaluate, train
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay
from transformers import HfArgumentParser, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from modeling_glm import ClozeClassifier, PatternVerbalizer
from modeling_glm.cloze.metrics import SUBMISSION_FILES, compute_metrics, write_submission
from modeling_glm.tokenization.cloze.published import available_tasks
from modeling_glm.utils.files import whole_folder
from modeling_glm.utils.plots import plot_losses

HERE = Path(__file__).parent
EMBEDDED = HERE / "glm-tiny"


@dataclass
class Arguments:
    """The task, the model, and what is done with them."""

    task: str | None = field(
        default=None,
        metadata={
            "help": f"An embedded task ({', '.join(EMBEDDED_TASKS)}; both if not given) or one of {', '.join(available_tasks())}."
        },
    )
    model: str = field(default=str(EMBEDDED), metadata={"help": "Folder or hub id of a GLM."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder with the files of a published task."})
    pattern_ids: list[int] = field(
        default_factory=lambda: [0], metadata={"help": "Patterns of a published task; several are averaged."}
    )
    train_file: str | None = field(
        default=None, metadata={"help": "CSV, TSV or JSON lines with examples of your own."}
    )
    validation_file: str | None = field(default=None, metadata={"help": "A tenth of the train file if not given."})
    test_file: str | None = field(default=None, metadata={"help": "Labelled examples to report on."})
    predict_file: str | None = field(default=None, metadata={"help": "Examples without labels, to be predicted."})
    pattern: list[str] | None = field(
        default=None, metadata={"help": "A pattern, or several, such as '{text|shorten} It was [MASK].'"}
    )
    verbalizer: str | None = field(
        default=None, metadata={"help": 'JSON with the words of every label: \'{"pos": ["great", "good"], ...}\'.'}
    )
    label_field: str = field(default="label", metadata={"help": "Column of the labels."})
    shots: int | None = field(
        default=None, metadata={"help": "Train on so many examples alone, balanced, by the seed."}
    )
    zero_shot: bool = field(default=False, metadata={"help": "No training; how calibration changes it is shown."})
    domain_premise: str | None = field(
        default=None, metadata={"help": "With --zero_shot, a pattern for scores by mutual information (PMI)."}
    )
    lora: bool = field(default=False, metadata={"help": "Train LoRA matrices alone."})
    lora_rank: int = field(default=8, metadata={"help": "Rank of these."})
    p_tuning: bool = field(default=False, metadata={"help": "Prompt tokens where the published task has them."})
    freeze: bool = field(default=False, metadata={"help": "Train the prompt tokens alone."})
    choice_loss: str = field(default="cross_entropy", metadata={"help": "cross_entropy or hinge."})
    choice_fill_weight: float = field(default=0.0, metadata={"help": "Weight of the loss of filling the blank."})
    choice_length_penalty: float = field(
        default=0.0, metadata={"help": "Power of its length that the score of a choice is divided by."}
    )
    max_length: int | None = field(default=None, metadata={"help": "Longest text in tokens; fields are shortened."})
    compare: bool | None = field(
        default=None, metadata={"help": "Train from random weights as well; by default for embedded tasks."}
    )


@dataclass
class ClozeTrainingArguments(TrainingArguments):
    """Those of Transformers with defaults for cloze questions; 0 stands for what suits the task."""

    output_dir: str | None = field(default="runs/cloze", metadata={"help": "Checkpoints and models."})
    learning_rate: float = field(default=0.0, metadata={"help": "Peak; 1e-5 as in the paper, more for glm-tiny."})
    num_train_epochs: float = field(default=0.0, metadata={"help": "Times that every example is seen."})
    per_device_train_batch_size: int = field(default=16, metadata={"help": "Examples per step."})
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Examples per step of evaluation."})
    weight_decay: float = field(default=0.1, metadata={"help": "As in the paper."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Steps, or a share of all."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When the validation loss is measured."})
    save_steps: float = field(default=0.1, metadata={"help": "Steps between checkpoints, or a share of all."})
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints that are kept."})
    logging_steps: float = field(default=0.05, metadata={"help": "Steps between losses, or a share of all."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "Fields are needed for the patterns."})
    report_to: str | None = field(default="none", metadata={"help": "Where metrics are reported to."})


def load_data(args: Arguments) -> ClozeData:
    if args.pattern:
        if args.test_file is None or args.verbalizer is None:
            raise SystemExit("--pattern needs --verbalizer and --test_file (and --train_file, unless --zero_shot).")
        try:
            words = json.loads(args.verbalizer)
        except json.JSONDecodeError as error:
            raise SystemExit(f"--verbalizer is not JSON ({error}): {args.verbalizer!r}") from error
        task = PatternVerbalizer(args.pattern, words, label_field=args.label_field, name="own")
        return load_files(task, args.train_file, args.validation_file, args.test_file, args.predict_file)
    if args.train_file or args.test_file:
        raise SystemExit("Files of your own need --pattern and --verbalizer.")
    assert args.task is not None
    if args.task in EMBEDDED_TASKS:
        return load_embedded(args.task)
    return load_published(args.task, args.pattern_ids, args.data_dir, args.p_tuning)


def set_defaults(training: TrainingArguments, embedded: bool, few: bool):
    """Learning rate and epochs where none are given: those of the paper, or what the small embedded model needs."""
    if not training.learning_rate:
        training.learning_rate = 5e-4 if embedded else 1e-5
    if not training.num_train_epochs:
        training.num_train_epochs = 60 if few else 3 if embedded else 10
    if not torch.cuda.is_available():
        training.use_cpu = True


def run(settings: ModelSettings, data: ClozeData, training: TrainingArguments, random_weights: bool) -> dict:
    """Trains and measures one model, and writes all of it to `model` in the output folder."""
    if not data.train:
        raise SystemExit(f"{data.name} has no examples to train on: give --zero_shot, and a --model that is trained.")
    model, tokenizer = build_model(settings, data, random_weights, training.seed)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"\n{training.output_dir}: {trained:,} of {model.num_parameters():,} parameters are trained")
    log = train(model, tokenizer, data, settings, training)
    outcome = evaluate(model, tokenizer, data, settings)
    with whole_folder(Path(str(training.output_dir)) / "model") as folder:
        model.save_pretrained(folder)
        outcome.task.attach(tokenizer).save_pretrained(folder)
        if len(log) > 1:
            plot_losses(log, folder / "loss.png", f"Fine-tuning on {data.name}", per="example")
        write_results(folder, data, outcome)
    return outcome.metrics


def run_zero_shot(
    settings: ModelSettings, data: ClozeData, target: Path, domain_premise: str | None, seed: int
) -> dict[str, dict]:
    """Measures the model as it is, without and with the calibrations that need no labelled examples."""
    model, tokenizer = build_model(settings, data, random_weights=False, seed=seed)
    methods: dict[str, Callable[[ClozeClassifier], object] | None] = {
        "zero-shot": None,
        "zero-shot, contextual calibration": lambda classifier: classifier.calibrate("contextual"),
    }
    if domain_premise is not None:
        methods["zero-shot, mutual information"] = lambda classifier: classifier.calibrate(
            "pmi", domain_premise=domain_premise
        )
    results = {}
    for name, calibrate in methods.items():
        outcome = evaluate(model, tokenizer, data, settings, calibrate)
        results[name] = outcome.metrics
        with whole_folder(target / name.removeprefix("zero-shot, ").replace(" ", "-")) as folder:
            write_results(folder, data, outcome)
    return results


def baselines(data: ClozeData) -> dict[str, dict]:
    """What needs no language model: the most frequent label, and a linear classifier of words."""
    fields, label_field = sorted(data.task.fields - set(data.task.derived)), data.task.patterns[0].label_field
    predicted = {
        "majority": majority_baseline(data.train, data.test, label_field),
        "TF-IDF + logistic regression": tfidf_baseline(data.train, data.test, fields, label_field),
    }
    labels = data.task.labels
    examples = [{**example, "label": data.task.label_index(example)} for example in data.test]
    results = {}
    for name, found in predicted.items():
        numbers = [data.task.label_index({label_field: label}) for label in found]
        results[name] = compute_metrics(data.task.metric, examples, numbers, labels)
    return results


def write_results(folder: Path, data: ClozeData, outcome: Outcome):
    (folder / "metrics.json").write_text(json.dumps(outcome.metrics, indent=2) + "\n", encoding="utf-8")
    labels = data.task.labels
    with (folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
        for example, row in zip(data.test, outcome.probabilities.tolist(), strict=True):
            names = labels or [words[0].strip() for words in data.task.choices(example)]
            best = int(np.argmax(row))
            line = {"predicted": names[best], "probability": round(row[best], 6), "example": example}
            file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    if data.unlabelled:
        chosen = outcome.unlabelled.argmax(1)
        if data.name in SUBMISSION_FILES:
            write_submission(data.name, data.unlabelled, chosen, labels, folder)
        else:
            names = [data.task.choices(example) for example in data.unlabelled]
            predicted = [
                labels[number] if labels else choices[number][0].strip()
                for number, choices in zip(chosen, names, strict=True)
            ]
            text = "".join(json.dumps({"predicted": name}, ensure_ascii=False) + "\n" for name in predicted)
            (folder / "unlabelled.jsonl").write_text(text, encoding="utf-8")
    gold = [data.task.label_index(example) for example in data.test]
    if labels and None not in gold:
        plot_confusion(gold, outcome.probabilities.argmax(1), labels, folder / "confusion.png", data.name)


def plot_confusion(gold: Sequence[int], predicted: Sequence[int], labels: Sequence[str], path: Path, title: str):
    """Draw a confusion matrix into a PNG file: numbers of examples, the true class in rows, the predicted one in columns."""
    size = 3 + 0.6 * len(labels)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    ConfusionMatrixDisplay.from_predictions(
        gold,
        predicted,
        labels=range(len(labels)),
        display_labels=labels,
        xticks_rotation=45 if len(labels) > 2 else 0,
        cmap="Blues",
        ax=axes,
    )
    axes.set_title(title)
    figure.savefig(path, dpi=120)


def print_table(results: dict[str, dict]):
    names = list(dict.fromkeys(name for metrics in results.values() for name in metrics))
    print(f"\n{'':36}" + "".join(f"{name:>16}" for name in names))
    for title, metrics in results.items():
        print(f"{title:36}" + "".join(f"{metrics[name]:16.3f}" if name in metrics else f"{'':16}" for name in names))
    if any("ece" in metrics for metrics in results.values()):
        print(
            "ece: expected calibration error before, ece_calibrated: after a temperature was fitted on the validation split"
        )


def run_task(args: Arguments, training: TrainingArguments, data: ClozeData, folder: Path):
    """Everything for one task: what is trained or asked, what it is compared with, the table."""
    embedded = data.name in EMBEDDED_TASKS
    if args.shots is not None:
        data = data.take_shots(args.shots, training.seed)
    settings = ModelSettings(
        args.model,
        args.lora_rank if args.lora else 0,
        args.p_tuning,
        args.freeze,
        args.choice_loss,
        args.choice_fill_weight,
        args.choice_length_penalty,
        args.max_length,
    )
    set_defaults(training, embedded, few=args.shots is not None)
    print(f"{data.name}: {data.task.patterns[0].text}")
    print(f"  {len(data.train)} to train on, {len(data.validation)} for validation, {len(data.test)} to report on")

    results = {}
    if args.zero_shot:
        results |= run_zero_shot(settings, data, folder / "zero_shot", args.domain_premise, training.seed)
    else:
        starts = ["pretrained", "random"] if (embedded if args.compare is None else args.compare) else ["pretrained"]
        for start in starts:
            arguments = replace(training, output_dir=str(folder / start))
            results[f"cloze, {start} weights"] = run(settings, data, arguments, start == "random")
    if not args.zero_shot and data.task.labels:
        results |= baselines(data)
    print_table(results)
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {folder}\n")


def main():
    args, training = HfArgumentParser((Arguments, ClozeTrainingArguments)).parse_args_into_dataclasses()
    disable_progress_bar()  # of weight loading: too fast to be of use
    folder = Path(str(training.output_dir))
    if args.task or args.pattern or args.train_file or args.test_file:
        run_task(args, training, load_data(args), folder)
        return
    for name in EMBEDDED_TASKS:
        run_task(args, training, load_embedded(name), folder / name)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped. Start again with the same arguments to go on.")
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
