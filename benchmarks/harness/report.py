"""Report results: tables for the terminal, the tables and the picture of docs/results/performance.md."""

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from modeling_glm.utils.files import write_whole
from modeling_glm.utils.plots import save_figure

from .measuring import ROOT
from .peers import BERT, GPT2
from .results import KINDS, Memory, Quality, Result, Results, Speed, Value, show_ratio
from .steps import NAIVE

ABSENT = "–"
# The name of the machine whose figures all tables show.
MAIN = "main"
PAGE = ROOT / "docs" / "results" / "performance.md"
# The guide that shows the results of the suite "exporting".
GUIDE = ROOT / "docs" / "guides" / "export.md"
STEP = "Base, vocabulary 30592, 4 x 512 tokens"
BATCH = "make a pretraining batch of 64 x 512 tokens"


@dataclass(frozen=True, kw_only=True)
class Extra:
    """A second number in a row of the first table."""

    kind: type[Memory] | type[Quality] | type[Value]
    work: str
    peer: str = ""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """
    A row of the first table, and a bar of the picture.

    Attributes:
        task, against: What is done and what it is compared with, in plain words.
        suite, work, peer: The `Speed` result that is shown.
        extra: Another result of the suite to show beside it.
    """

    task: str
    against: str
    suite: str
    work: str
    peer: str
    extra: Extra | None = None


HEADLINES = (
    Headline(
        task="Pretraining step",
        against="GLM as the original code computes it",
        suite="training",
        work=STEP,
        peer=NAIVE,
        extra=Extra(kind=Memory, work=STEP, peer=NAIVE),
    ),
    Headline(task="Pretraining step", against="GPT-2", suite="training", work=STEP, peer=GPT2),
    Headline(task="Pretraining step", against="BERT", suite="training", work=STEP, peer=BERT),
    Headline(
        task="Make pretraining batches",
        against="plain Python",
        suite="data",
        work=BATCH,
        peer="plain Python",
        extra=Extra(kind=Value, work=BATCH),
    ),
    Headline(
        task="Fill a blank with 64 tokens, 4 texts of 512",
        against="GLM as the original code computes it",
        suite="decoding",
        work="Base, 4 x 512, 64 new tokens, float32",
        peer="naive GLM, hidden states kept",
    ),
    Headline(
        task="Fill a blank with 64 tokens, 1 text of 128",
        against="GPT-2",
        suite="decoding",
        work="Base, 1 x 128, 64 new tokens, float32",
        peer=GPT2,
    ),
    Headline(
        task="Fill a blank with int8 weights",
        against="fp32",
        suite="quantization",
        work="Base, 1 x 128, 64 new tokens, int8 weights and activations (torch)",
        peer="fp32",
        extra=Extra(kind=Quality, work="glm-tiny, int8 weights and activations (torch)", peer=""),
    ),
    Headline(
        task="Fill 32 texts in a batch",
        against="one text at a time",
        suite="filling",
        work="89M parameters, fill 32 texts with 1 to 4 blanks in a batch",
        peer="one text at a time",
    ),
    Headline(
        task="Score 8 choices for a blank",
        against="one forward pass per choice",
        suite="scoring",
        work="Base, vocabulary 50304, context 1 x 128, 8 choices of 4 tokens",
        peer="one forward pass per choice",
    ),
    Headline(
        task="Rank 64 candidates for a blank",
        against="one forward pass per candidate",
        suite="filling",
        work="89M parameters, rank 64 candidates for a blank",
        peer="one forward pass per candidate",
    ),
)


def files_of_machines(folder: Path, name: str) -> dict[str, Path]:
    """
    List the files of results of all machines: `NAME.json`, if it is there, and `NAME_MACHINE.json`.

    Returns:
        The files by the names of the machines. That of the first file is "main".
    """
    main = folder / f"{name}.json"
    others = {path.stem.removeprefix(f"{name}_"): path for path in sorted(folder.glob(f"{name}_*.json"))}
    return {**({MAIN: main} if main.exists() else {}), **others}


def mean_and_spread(values: Sequence[float], digits: int) -> str:
    """Show the mean and the standard deviation of values, "27.8 ± 4.2", or a single value."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def make_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows))


def suite_tables(results: Sequence[Result]) -> str:
    """Make the tables of a suite: one for each kind of result, so that a column means the same in every row."""
    kinds = list(dict.fromkeys(map(type, results)))
    grouped = groupby(sorted(results, key=lambda result: kinds.index(type(result))), key=type)
    return "\n\n".join(make_table(kind.columns, [result.cells for result in found]) for kind, found in grouped)


def all_tables(results: Results) -> str:
    """Make the tables of all suites with the description of the machine."""
    parts = [results.machine.describe()]
    for suite, found in results.suites.items():
        parts += [f"### {suite.capitalize()}", suite_tables(found)]
    return "\n\n".join(parts)


def headline_table(results: Results) -> str:
    """Make the first table of the page. Headlines without a result are left out."""
    rows = []
    for headline in HEADLINES:
        speed = find_speed(results, headline)
        if speed is None:
            continue
        extra = headline.extra and results.find(
            headline.suite, headline.extra.kind, headline.extra.work, headline.extra.peer
        )
        cells = [speed.summary, *([extra.summary] if extra else [])]
        rows.append((", ".join(cells), headline.task, headline.against))
    return make_table(("result", "task", "compared with"), rows)


def find_speed(results: Results, headline: Headline) -> Speed | None:
    found = results.find(headline.suite, Speed, headline.work, headline.peer)
    assert found is None or isinstance(found, Speed)
    return found


def machines_table(several: Mapping[str, Results]) -> str:
    """
    Say which machine gave which figures, and put what other machines measured beside the figures of the first.

    Args:
        several: The results of each machine by its name. The first ones are those of the other tables.
    """
    about = [(name, results.machine.describe_parts(), f"`{results.command}`") for name, results in several.items()]
    parts = [make_table(("machine", "what it has", "measured by"), about)]
    figures = [figures_by_key(results) for results in several.values()]
    keys = list(dict.fromkeys(key for found in figures for key in found))
    for kind in KINDS.values():
        rows = [
            (*key[2:], *(found.get(key, ABSENT) for found in figures))
            for key in keys
            if key[1] == kind.__name__ and any(key in found for found in figures[1:])
        ]
        if rows:
            *named, shown = kind.columns[: kind.keys + 1]
            parts.append(make_table((*named, *(f"{shown}, {name}" for name in several)), rows))
    return "\n\n".join(parts)


def figures_by_key(results: Results) -> dict[tuple[str, ...], str]:
    """Return the most important figure of every result by its suite, its kind and what it is about."""
    return {
        (suite, type(result).__name__, *result.cells[: result.keys]): result.cells[result.keys]
        for suite, found in results.suites.items()
        for result in found
    }


def update_page(page: Path, several: Mapping[str, Results]):
    """
    Write the tables of the benchmarks into the page; see `replace_blocks`.

    Args:
        page: The page.
        several: The results of each machine by its name. Most tables show those of "main".
    """
    results = several[MAIN]
    blocks = {"headlines": headline_table(results), "tables": all_tables(results)}
    replace_blocks(page, {**blocks, "machines": machines_table(several)})


def replace_blocks(page: Path, blocks: Mapping[str, str]):
    """
    Write texts into a page, each between its marks `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

    Raises:
        ValueError: If a mark is missing.
    """
    text = page.read_text(encoding="utf-8")
    for name, content in blocks.items():
        found = _find_block(page, text, name)
        text = f"{text[: found.start(1)]}\n\n{content}\n\n{text[found.end(1) :]}"
    write_whole(page, text)


def read_block(page: Path, name: str) -> str:
    """
    Read what stands between the marks that `replace_blocks` writes to.

    Raises:
        ValueError: If a mark is missing.
    """
    return _find_block(page, page.read_text(encoding="utf-8"), name)[1].strip()


def _find_block(page: Path, text: str, name: str) -> re.Match:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    found = list(re.finditer(f"{re.escape(begin)}(.*?){re.escape(end)}", text, re.DOTALL))
    if len(found) != 1:
        raise ValueError(f"{page} must have one line {begin!r} with one line {end!r} after it.")
    return found[0]


def draw(path: Path, results: Results):
    """Draw the headlines as bars with their numbers, on a logarithmic axis, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [(headline, speed) for headline in HEADLINES if (speed := find_speed(results, headline))]
    ratios = [speed.ratio for _, speed in shown]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.52 * len(shown)), layout="constrained")
    # Bars start at 1, where both are equally fast.
    bars = axes.barh(range(len(shown)), [ratio - 1 for ratio in ratios], left=1, height=0.6, color="#3b6ea5")
    axes.bar_label(bars, [show_ratio(ratio) for ratio in ratios], padding=4, fontsize=11)
    axes.axvline(1.0, color="#888888", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(min([0.95, *ratios]), 1.4 * max([1.0, *ratios]))
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50) if tick <= 1.4 * max([1.0, *ratios])]
    axes.set_xticks(ticks, [f"{tick}×" for tick in ticks], fontsize=11)
    axes.minorticks_off()
    labels = [f"{headline.task}\nagainst {headline.against}" for headline, _ in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=10)
    axes.tick_params(left=False)
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(f"Times as fast on {results.machine.cores} CPU cores", fontsize=13)
    save_figure(figure, path)
    plt.close(figure)
