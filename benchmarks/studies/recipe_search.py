"""
Search for the best recipe of the embedded checkpoint: train with some settings changed, measure, and write a line to a log.

    python -m benchmarks.studies.recipe_search run muon --why "fewer steps" -- --optimizer muon --max_steps 1500
    python -m benchmarks.studies.recipe_search table --write      # the log as tables of the page

What stands behind `--` goes to examples/03_pretrain.py, over examples/recipes/embedded/glm-tiny.yaml. The log,
docs/results/recipe_search.jsonl, has a line for every run, also for those that failed. A run that was interrupted resumes
if the same command is given again.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from examples.corpora.measuring.families import FamilyRow, format_families, measure_families
from examples.corpora.measuring.sample import read_sample
from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.pretraining.settings import SUMMARY
from modeling_glm.utils.files import write_whole

from ..harness.machine import describe_this_machine
from ..harness.measuring import ROOT
from ..harness.report import make_table, replace_blocks

LOG = ROOT / "docs" / "results" / "recipe_search.jsonl"
PAGE = ROOT / "docs" / "results" / "embedded_model.md"
SCRIPT = ROOT / "examples" / "03_pretrain.py"
RECIPE = ROOT / "examples" / "recipes" / "embedded" / "glm-tiny.yaml"
EMBEDDED = "the embedded checkpoint"  # the run of the log whose model is in examples/glm-tiny


def train(name: str, options: Sequence[str], folder: Path) -> tuple[int, float]:
    """Train in `folder`. Returns the exit code of the script, and the seconds it took."""
    command = [
        sys.executable,
        str(SCRIPT),
        "--recipe",
        str(RECIPE),
        "--output_dir",
        str(folder / name),
        "--blanks",
        "0",
    ]
    started = time.monotonic()
    code = subprocess.run([*command, *options]).returncode
    return code, time.monotonic() - started


def describe(folder: Path) -> dict[str, Any]:
    """Return what a finished run says about itself, and how well its model fills blanks."""
    summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    model = GLMForConditionalGeneration.from_pretrained(folder, dtype="float32").eval()
    rows = measure_families(model, GLMTokenizer.from_pretrained(folder), read_sample())
    return {
        "parameters": summary["parameters"],
        "minutes": summary["minutes"],
        "device": summary["device"],
        "precision": summary["precision"],
        "tokens": round(60 * summary["minutes"] * summary["speed"]["tokens_per_second"]),
        "families": {row.pop("family"): row for row in map(asdict, rows)},
    }


def add_to_log(entry: dict[str, Any], path: Path | None = None) -> None:
    """Add a line to the log, in place of an earlier one of the same name."""
    path = LOG if path is None else path
    lines = [json.dumps(one, ensure_ascii=False) for one in read_log(path) if one["name"] != entry["name"]]
    write_whole(path, "".join(f"{line}\n" for line in [*lines, json.dumps(entry, ensure_ascii=False)]))


def read_log(path: Path | None = None) -> list[dict[str, Any]]:
    """Return the lines of the log."""
    path = LOG if path is None else path
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def run_table(entries: Sequence[dict[str, Any]]) -> str:
    """Make a table of what each run tried, and of its size and length."""
    rows = []
    for entry in entries:
        size = f"{entry['parameters'] / 1e6:.1f}M" if "families" in entry else ""
        tokens = f"{entry['tokens'] / 1e6:.1f}M" if "families" in entry else ""
        rows.append((entry["name"], entry["why"], size, tokens, f"{entry['minutes']:.0f}", entry["device"]))
    return make_table(("run", "what it tries", "parameters", "tokens", "minutes", "on"), rows)


def score_table(entries: Sequence[dict[str, Any]]) -> str:
    """Make a table of the exact match in every family in percent: answered freely / with the number of words told."""
    families = list(dict.fromkeys(family for entry in entries for family in entry.get("families", {})))
    rows = []
    for entry in entries:
        found = entry.get("families", {})
        cells = [
            f"{100 * found[family]['exact_match']:.0f} / {100 * found[family]['told_length']:.0f}"
            if family in found
            else "failed"
            for family in families
        ]
        rows.append((entry["name"], *cells))
    rows.append(("n-gram", *(f"- / {100 * _ngram(entries, family):.0f}" for family in families)))
    return make_table(("run", *families), rows)


def family_table(entries: Sequence[dict[str, Any]]) -> str:
    """Make a table of what the embedded checkpoint reaches in every family."""
    (families,) = (entry["families"] for entry in entries if entry["name"] == EMBEDDED)
    return format_families([FamilyRow(family=family, **row) for family, row in families.items()])


def _ngram(entries: Sequence[dict[str, Any]], family: str) -> float:
    return next(entry["families"][family]["ngram"] for entry in entries if family in entry.get("families", {}))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train, measure and log")
    run.add_argument("name", help="name of the run in the log")
    run.add_argument("--why", default="", help="what the run tries, in a few words")
    run.add_argument("--folder", type=Path, default=Path("runs/recipe_search"))
    tables = commands.add_parser("table", help="print the log as tables")
    tables.add_argument("--write", action="store_true", help="write the tables into docs/results/embedded_model.md")
    words = sys.argv[1:] if arguments is None else list(arguments)
    own, options = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    given = parser.parse_args(own)
    if given.command == "table":
        entries = read_log()
        blocks = {"families": family_table(entries), "runs": run_table(entries), "scores": score_table(entries)}
        if given.write:
            replace_blocks(PAGE, blocks)
        print("\n\n".join(blocks.values()))
        return
    machine = describe_this_machine()
    print(machine, flush=True)
    code, seconds = train(given.name, options, given.folder)
    entry: dict[str, Any] = {"name": given.name, "why": given.why, "options": options, "machine": machine}
    if code:
        add_to_log(entry | {"failed": f"exit code {code}", "minutes": round(seconds / 60, 1), "device": ""})
        sys.exit(code)
    add_to_log(entry | describe(given.folder / given.name / "final"))
    print(score_table(read_log()))


if __name__ == "__main__":
    main()
