"""Measure models on the questions, one file of results for each model and task, and put them into a table."""

import json
import random
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.evaluation.causal.choices import is_causal
from modeling_glm.evaluation.causal.loading import load_causal_model, names_causal_model
from modeling_glm.evaluation.choices import ChoiceAccuracy, evaluate_choices
from modeling_glm.evaluation.partial_results import digest_model, digest_texts
from modeling_glm.evaluation.report import find_versions, wilson_interval
from modeling_glm.utils.files import write_whole

from .agreement import agreement_rows
from .published import PUBLISHED
from .questions import ChoiceRow
from .social_iqa import social_iqa_rows
from .winograd import winograd_rows


@dataclass(frozen=True, kw_only=True)
class PeerTask:
    """
    Say which questions a task has, and how their choices are compared.

    Attributes:
        rows: Reads the questions.
        measures: The arguments of `evaluate_choices`, by the name of the measure. The first one leads.
        causal: The same for further measures of causal models.
    """

    rows: Callable[[], list[ChoiceRow]]
    measures: dict[str, dict[str, Any]]
    causal: dict[str, dict[str, Any]] = field(default_factory=dict)


TASKS = {
    # lm-evaluation-harness publishes acc; acc_norm divides by the characters, because answers differ in length.
    "social_iqa": PeerTask(
        rows=social_iqa_rows,
        measures={"sum": {}, "per_character": {"length_penalty": 1.0, "length_unit": "character"}},
    ),
    # A name that is likely by itself wins as a whole sentence, so what follows is scored too (Trinh and Le, 2018).
    "winograd": PeerTask(rows=winograd_rows, measures={"sum": {}}, causal={"behind": {"scored": "behind"}}),
    "agreement": PeerTask(rows=agreement_rows, measures={"sum": {}}),
}


@dataclass(frozen=True, kw_only=True)
class LoadedPeer:
    """Hold a model, its tokenizer and the name of its files."""

    name: str
    model: Any
    tokenizer: Any

    @property
    def slug(self) -> str:
        """The name as a part of file names."""
        return re.sub(r"[^\w.-]+", "-", self.name).strip("-")


def load_peer(name: str, dtype: str = "float32") -> LoadedPeer:
    """Load a GLM or a causal model from a folder, a repository or a GGUF file, with weights of a type such as "bfloat16"."""
    if names_causal_model(name):
        model, tokenizer = load_causal_model(name, dtype=dtype)
    else:
        model = GLMForConditionalGeneration.from_pretrained(name, dtype=dtype).eval()
        tokenizer = GLMTokenizer.from_pretrained(name)
    return LoadedPeer(name=Path(name).name.removesuffix(".gguf"), model=model, tokenizer=tokenizer)


def draw(rows: Sequence[ChoiceRow], limit: int | None, seed: int) -> list[ChoiceRow]:
    """Draw questions at random, in the order of the file. None takes all."""
    if limit is None or limit >= len(rows):
        return list(rows)
    return [rows[number] for number in sorted(random.Random(seed).sample(range(len(rows)), limit))]


def estimate_seconds(peer: LoadedPeer, rows: Sequence[ChoiceRow], sample: int = 16) -> float:
    """Estimate how long all questions take, from a random sample."""
    drawn = draw(rows, sample, seed=0)
    started = time.monotonic()
    evaluate_choices(peer.model, peer.tokenizer, [row.fields() for row in drawn], batch_size=len(drawn))
    return (time.monotonic() - started) * len(rows) / len(drawn)


def measure_task(
    peer: LoadedPeer,
    name: str,
    rows: Sequence[ChoiceRow],
    folder: Path,
    *,
    measures: Collection[str] | None = None,
    batch_size: int = 32,
    progress: bool = False,
) -> dict[str, Any]:
    """
    Measure a model on the questions of a task, or read the results if they are there.

    Args:
        peer: The model.
        name: The task.
        rows: Its questions, or a part of them.
        folder: The folder of the results. An interrupted measurement resumes there.
        measures: The names of the wanted measures. By default all that suit the model.
        batch_size: The number of questions in a forward pass.
        progress: Whether to show a progress bar.

    Returns:
        The results as plain values: see `summarise`. There are no measures if none of the wanted ones suits the model.
    """
    task = TASKS[name]
    suited = task.measures | (task.causal if is_causal(peer.model) else {})
    chosen = {name: options for name, options in suited.items() if measures is None or name in measures}
    if not chosen:
        return {"task": name, "name": peer.name, "measures": {}}
    identity = {
        "task": name,
        "model": digest_model(peer.model),
        "questions": digest_texts("\0".join((row.text, *row.choices)) for row in rows),
        "num_questions": len(rows),
    }
    stem = f"{peer.slug}.{name}.{identity['model'][:8]}.{identity['questions'][:8]}"
    file = folder / f"{stem}.{'-'.join(chosen)}.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    results: dict[str, Any] = {}
    started, partial_files = time.monotonic(), set()
    for measure, options in chosen.items():
        # Measures that differ only in the length share the scores.
        partial_file = folder / f"{stem}.{options.get('scored', 'sentence')}.partial"
        partial_files.add(partial_file)
        found = evaluate_choices(
            peer.model,
            peer.tokenizer,
            [row.fields() for row in rows],
            batch_size=batch_size,
            progress=progress,
            partial_file=partial_file,
            **options,
        )
        results[measure] = summarise(found, [row.group for row in rows])
    report = {
        **identity,
        "name": peer.name,
        "parameters": sum(parameter.numel() for parameter in peer.model.parameters()),
        "dtype": str(next(peer.model.parameters()).dtype).removeprefix("torch."),
        "is_causal": is_causal(peer.model),
        "measures": results,
        "seconds": round(time.monotonic() - started, 1),
        "versions": find_versions(),
    }
    write_whole(file, json.dumps(report, indent=2) + "\n")
    for partial_file in partial_files:
        partial_file.unlink(missing_ok=True)
    return report


def summarise(found: ChoiceAccuracy, groups: Sequence[str]) -> dict[str, dict[str, float]]:
    """Sum up the accuracy of every group of questions, and of "all": shares in percent with their 95% interval."""
    right = [prediction == label for prediction, label in zip(found.predictions, found.labels, strict=True)]
    chances = [1 / len(scores) for scores in found.scores]
    names = list(dict.fromkeys(groups))
    summary = {}
    for name in [*names, "all"] if len(names) > 1 else ["all"]:
        chosen = [number for number, group in enumerate(groups) if name in (group, "all")]
        correct = sum(right[number] for number in chosen)
        low, high = wilson_interval(correct, len(chosen))
        summary[name] = {
            "num_questions": len(chosen),
            "chance": 100 * sum(chances[number] for number in chosen) / len(chosen),
            "accuracy": 100 * correct / len(chosen),
            "accuracy_low": 100 * low,
            "accuracy_high": 100 * high,
        }
    return summary


def comparison_table(reports: Sequence[dict[str, Any]]) -> str:
    """Make a Markdown table: a row for every task, measure and group, a column for every model."""
    models = list(dict.fromkeys(report["name"] for report in reports))
    rows: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    for report in reports:
        for measure, groups in report["measures"].items():
            for group, values in groups.items():
                rows.setdefault((report["task"], measure, group), {})[report["name"]] = values
    lines = [f"| task | measure | questions | chance | {' | '.join(models)} |", "|---" * (4 + len(models)) + "|"]
    for (task, measure, group), of_models in rows.items():
        first = next(iter(of_models.values()))
        name = task if group == "all" else f"{task}: {group}"
        cells = [_cell(of_models.get(model)) for model in models]
        lines.append(
            f"| {name} | {measure} | {first['num_questions']:,} | {first['chance']:.1f} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def _cell(values: dict[str, float] | None) -> str:
    if values is None:
        return "-"
    return f"{values['accuracy']:.1f} ({values['accuracy_low']:.1f} to {values['accuracy_high']:.1f})"


def published_table(tasks: Sequence[str]) -> str:
    """Make a Markdown table of the published numbers of tasks."""
    lines = ["| task | model | published | protocol | source |", "|---|---|---|---|---|"]
    for one in PUBLISHED:
        if one.task in tasks:
            lines.append(f"| {one.task} | {one.model} | {one.accuracy} | {one.protocol} | {one.source} |")
    return "\n".join(lines)


MEASURES = tuple(dict.fromkeys(name for task in TASKS.values() for name in (*task.measures, *task.causal)))


__all__ = [
    "MEASURES",
    "TASKS",
    "LoadedPeer",
    "PeerTask",
    "comparison_table",
    "draw",
    "estimate_seconds",
    "load_peer",
    "measure_task",
    "published_table",
    "summarise",
]
