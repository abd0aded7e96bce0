"""Make the tables of the study from its measurements and from the cost model."""

from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any

from modeling_glm import GLMConfig

from ...harness.report import make_table
from ...harness.shapes import SHAPES, Shape
from ..sizing import gib, read_recipe, row_size
from .collectives import ALL_REDUCE, GLOO_PASSES
from .costs import TrainingLoad, step_cost, strategy_memory
from .hardware import DGX_A100
from .published import (
    CHECKS,
    HOUR,
    ONE_A100,
    ONE_V100,
    REFERENCES,
    PublishedRun,
    fit_shares,
    without_recompute,
)
from .strategies import DDP, STRATEGIES, expected_bytes
from .timing import CPU, WALL, StepTimes, best, fit_fabric, predict_cpu, predict_more, read_times
from .workers import shape_load

MEGA = 1e6
Measured = Mapping[str, Any]


def all_tables(measured: Measured) -> dict[str, str]:
    """Return the texts of the page by the names of their blocks."""
    overlap = measured_overlap(measured)
    shares = fit_shares(overlap)
    share = shares[ONE_A100]
    return {
        "work": describe_work(measured),
        "bytes": bytes_table(measured),
        "cpu times": times_table(measured, CPU),
        "wall times": times_table(measured, WALL) if was_idle(measured) else describe_busy(measured),
        "constants": describe_constants(measured),
        "more processes": more_processes_table(measured),
        "published": published_table(overlap, shares),
        "errors": describe_errors(overlap, shares),
        "strategies": strategies_table(share, overlap),
        "gpus": gpus_table(share, overlap),
    }


def counts_of(measured: Measured) -> list[int]:
    """List the numbers of processes above 1 that were measured."""
    return sorted(int(count) for count in measured["runs"] if int(count) > 1)


def was_idle(measured: Measured) -> bool:
    """Return whether other work left the cores alone when the runs began. Only then are wall times shown."""
    first = next(iter(measured["runs"].values()))
    return first["load"] < measured["cores"] / 2


def describe_busy(measured: Measured) -> str:
    """Say why there are no wall times."""
    first = next(iter(measured["runs"].values()))
    return (
        f"Other work had the cores during these runs (load average {first['load']:.1f} on {measured['cores']} cores), so their "
        "wall times are left out. They are in the JSON file."
    )


def describe_work(measured: Measured) -> str:
    """Say what was measured, and how much losses differ from those of one process."""
    plan = measured["plan"]
    shape = read_shape(measured)
    differences = [
        abs(loss - alone)
        for count in counts_of(measured)
        for found in measured["runs"][str(count)]["strategies"].values()
        for loss, alone in zip(found["losses"], measured["runs"]["1"]["strategies"][DDP]["losses"], strict=False)
    ]
    return (
        f"*{shape.name}*: {shape.layers} layers of width {shape.hidden}, {shape_load(shape).parameters / MEGA:.1f} million "
        f"parameters in fp32. {plan['rows']} rows of {plan['length']} positions in all, so {plan['rows']} / n rows for each of n "
        f"processes. {measured['machine']} Times are the best of {plan['rounds']} rounds.\n\n"
        f"Losses of all strategies and numbers of processes differ from those of one process by at most "
        f"{max(differences):.1e}, over {len(measured['runs']['1']['strategies'][DDP]['losses'])} steps."
    )


def read_shape(measured: Measured) -> Shape:
    return SHAPES[measured["plan"]["shape"]]


def bytes_table(measured: Measured) -> str:
    """Compare the bytes that processes sent with what rings of messages need."""
    load = shape_load(read_shape(measured))
    rows = []
    for count in counts_of(measured):
        for name, found in measured["runs"][str(count)]["strategies"].items():
            sent = sum(found["sent"]) / count
            theory = expected_bytes(name, load.parameters, load.outer, count, GLOO_PASSES)
            nccl = expected_bytes(name, load.parameters, load.outer, count)
            calls = ", ".join(f"{number} {kind}" for kind, (number, _) in found["collectives"].items())
            rows.append(
                (
                    str(count),
                    name,
                    calls.replace("_", "-"),
                    f"{sent / MEGA:,.2f}",
                    f"{theory / MEGA:,.2f}",
                    f"{sent / theory - 1:+.3%}",
                    f"{nccl / MEGA:,.2f}",
                )
            )
    columns = ("processes", "strategy", "collectives", "MB sent", "expected", "difference", "expected with NCCL")
    return make_table(columns, rows)


def times_table(measured: Measured, clock: str = WALL) -> str:
    """Show the times of a step and the share of its communication, by one of the two clocks."""
    rows = []
    for count in counts_of(measured):
        strategies = measured["runs"][str(count)]["strategies"]
        alone = read_times(strategies[DDP], clock=clock)
        for name, found in strategies.items():
            times = read_times(found, strategies[DDP], clock)
            cells = (times.whole, times.passes, times.update, times.local, times.collectives)
            rows.append((str(count), name, *(f"{cell:.2f}" for cell in cells), f"{times.share(alone):.0%}"))
    columns = (
        "processes",
        "strategy",
        "step, s",
        "both passes",
        "optimizer",
        "passes without communication",
        "collectives alone",
        "share of communication",
    )
    return make_table(columns, rows)


def measured_overlap(measured: Measured) -> float:
    """Return the overlap of DDP with two processes."""
    return read_times(measured["runs"]["2"]["strategies"][DDP]).overlap


def describe_constants(measured: Measured) -> str:
    """Say what two processes give to the model."""
    run = measured["runs"]["2"]
    fabric = fit_fabric(run["messages"], 2, measured["cores"])
    times = read_times(run["strategies"][DDP])
    last = times.buckets[-1]
    busy = (
        ""
        if was_idle(measured)
        else (
            " The machine was busy, so take the overlap for a guess. The last two columns of the table of published times are its limits."
        )
    )
    return (
        f"Two processes give a latency of {fabric.latency * 1e6:,.0f} microseconds for a message, a bandwidth of "
        f"{fabric.bandwidth / 1e9:.2f} GB/s, and an overlap of {times.overlap:.0%}. The last of {len(times.buckets)} buckets "
        f"is complete after {last[0] / times.local:.0%} of both passes and holds "
        f"{last[1] / sum(size for _, size in times.buckets):.0%} of the bytes.{busy}"
    )


def more_processes_table(measured: Measured) -> str:
    """Predict DDP with more processes from one and two, and compare with what they measured."""
    fabric = fit_fabric(measured["runs"]["2"]["messages"], 2, measured["cores"])
    known = {
        clock: [read_times(measured["runs"][count]["strategies"][DDP], clock=clock) for count in "12"]
        for clock in (WALL, CPU)
    }
    rows = []
    for count in counts_of(measured)[1:]:
        run = measured["runs"][str(count)]
        predicted = {CPU: predict_cpu(*known[CPU], 2, count)}
        if was_idle(measured):
            predicted[WALL] = predict_more(*known[WALL], 2, count, fabric)
        for clock, times in predicted.items():
            pairs = pair_times(times, read_times(run["strategies"][DDP], clock=clock))
            if clock == WALL:
                largest = max(run["messages"], key=int)
                pairs[f"all-reduce of {int(largest) / 2**20:,.0f} MiB"] = (
                    fabric.seconds(ALL_REDUCE, int(largest), count),
                    best(run["messages"][largest]),
                )
            rows += [
                (
                    str(count),
                    "CPU" if clock == CPU else "wall",
                    what,
                    f"{guess:.2f}",
                    f"{real:.2f}",
                    f"{guess / real - 1:+.0%}",
                )
                for what, (guess, real) in pairs.items()
            ]
    if not rows:
        return "More than two processes are not measured."
    return make_table(("processes", "clock", "what", "predicted, s", "measured, s", "error"), rows)


def pair_times(predicted: StepTimes, found: StepTimes) -> dict[str, tuple[float, float]]:
    """Put predicted and measured times side by side."""
    return {
        "passes without communication": (predicted.local, found.local),
        "optimizer": (predicted.update, found.update),
        "collectives alone": (predicted.collectives, found.collectives),
        "step": (predicted.whole, found.whole),
    }


def published_table(overlap: float, shares: Mapping[str, float]) -> str:
    """Compare published times with predictions, each with a share of the peak from another run."""
    rows = []
    for run in CHECKS:
        reference = REFERENCES[run.fitted_on or ""]
        share = shares[reference.name]
        predicted = run.predict(share, overlap)
        rows.append(
            (
                run.name,
                f"{run.gpus:,}",
                f"{reference.gpus} GPU{'s' if reference.gpus > 1 else ''}: {share:.0%}",
                show_seconds(run.seconds),
                show_seconds(predicted),
                f"{predicted / run.seconds - 1:+.0%}",
                f"{run.predict(share, 1.0) / run.seconds - 1:+.0%}",
                f"{run.predict(share, 0.0) / run.seconds - 1:+.0%}",
            )
        )
    columns = (
        "run",
        "GPUs",
        "share of the peak of",
        "published",
        "predicted",
        "error",
        "if all overlaps",
        "if nothing does",
    )
    return make_table(columns, rows)


def describe_errors(overlap: float, shares: Mapping[str, float]) -> str:
    """Sum up the errors: of runs that are scaled up, and of runs whose share of the peak comes from other code."""

    def error(run: PublishedRun) -> float:
        return run.predict(shares[run.fitted_on or ""], overlap) / run.seconds - 1

    scaled = [abs(error(run)) for run in CHECKS if run.same_code]
    glm, roberta = (run for run in CHECKS if not run.same_code)
    return (
        f"Where a smaller run of the same code gives the share of the peak, {len(scaled)} predictions are off by "
        f"{median(scaled):.0%} in the median and by {max(scaled):.0%} at most. GLM-Large and RoBERTa-Large take NVIDIA's share of "
        f"{shares[ONE_V100]:.0%}, and the predictions are off by {error(glm):+.0%} and {error(roberta):+.0%}: the published times "
        f"mean {glm.fit_utilization(overlap):.0%} and {roberta.fit_utilization(overlap):.0%} of the peak. Without gradient "
        f"checkpointing the prediction for GLM-Large would be off by {error(without_recompute(glm)):+.0%}."
    )


def show_seconds(seconds: float) -> str:
    """Show a time in a unit that fits: "2.50 days", "8.7 h", "12.1 s"."""
    for unit, size in (("days", 24 * HOUR), ("h", HOUR)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds:.2f} s"


def preset_load(preset: str, rows: int = 16, recompute: bool = False) -> TrainingLoad:
    """Make the load of a recipe: its average row, bf16 weights and fp32 gradients on the wire."""
    size = row_size(read_recipe(preset))
    return TrainingLoad(
        config=GLMConfig.from_preset(preset),
        rows=rows,
        row_length=size.row,
        labelled=size.labelled,
        recompute=recompute,
    )


def prediction_row(load: TrainingLoad, gpus: int, strategy: str, share: float, overlap: float) -> tuple[str, ...]:
    """Predict a step on DGX A100: memory, seconds, bytes, exposed communication, tokens."""
    cost = step_cost(load, DGX_A100, gpus, strategy, utilization=share, overlap=overlap)
    hidden = step_cost(load, DGX_A100, gpus, strategy, utilization=share, overlap=1.0)
    memory = strategy_memory(load, gpus, strategy).total
    tokens = gpus * load.rows * load.row_length * load.accumulation / cost.seconds
    fits = "" if memory <= DGX_A100.memory else " (does not fit)"
    return (
        f"{gib(memory)}{fits}",
        f"{cost.seconds:.2f}",
        f"{cost.communication:.3f}",
        f"{cost.exposed / cost.seconds:.1%}",
        f"{hidden.exposed / hidden.seconds:.1%}",
        f"{tokens / 1000:,.0f}",
    )


PREDICTED = ("GiB of a GPU", "step, s", "communication, s", "waits for it", "at best", "thousand positions per second")


def strategies_table(share: float, overlap: float) -> str:
    """Predict every strategy for every size on 64 A100."""
    sizes = {"glm-base": (16, False), "glm-large": (16, False), "glm-2b": (8, True), "glm-10b": (8, True)}
    rows = [
        (preset, strategy, *prediction_row(preset_load(preset, number, recompute), 64, strategy, share, overlap))
        for preset, (number, recompute) in sizes.items()
        for strategy in STRATEGIES
    ]
    return make_table(("preset", "strategy", *PREDICTED), rows)


def gpus_table(share: float, overlap: float) -> str:
    """Predict GLM-Large with DDP on more and more A100, with the same rows on each and with 1,024 rows in all."""
    rows = []
    for gpus in (1, 8, 64, 128, 512):
        whole = preset_load("glm-large")
        few = replace(whole, rows=max(1, min(16, 1024 // gpus)), accumulation=max(1, 1024 // gpus // 16))
        same = prediction_row(whole, gpus, DDP, share, overlap)
        fixed = step_cost(few, DGX_A100, gpus, DDP, utilization=share, overlap=overlap)
        rows.append((str(gpus), *same[1:], f"{fixed.seconds:.2f}", f"{fixed.exposed / fixed.seconds:.1%}"))
    columns = ("GPUs", *PREDICTED[1:], "step of 1,024 rows in all, s", "waits for communication")
    return make_table(columns, rows)
