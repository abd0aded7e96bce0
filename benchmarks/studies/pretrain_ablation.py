"""
Compare the parts of autoregressive blank infilling at small scale: which of them pays?

    python -m benchmarks.studies.pretrain_ablation --texts real --workers 2
    python -m benchmarks.studies.pretrain_ablation --texts facts --variants mixture token-only --seeds 0 1 --steps 2000

It trains models of one size, changes one part at a time, and measures blanks in held-out texts. It prints tables in
Markdown: mean and standard deviation over the seeds, and the difference from the mixture with a 95% interval, which covers
other seeds and other texts. Vocabulary, width, depth, optimizer and schedule are the same for all, and for a seed so are the
texts and their order. Each finished run is a line of a JSON file; run the same command again to resume.

--texts real trains on WordNet documents, Jane Austen and the Bible together, which `make data` fetches, and measures WordNet
and prose apart. --texts facts takes families of the embedded corpus, with the vocabulary of
examples/glm-tiny. Options that are not given have a value for these texts.

- mixture: the objectives as examples/03_pretrain.py mixes them.
- no-shuffling: the pieces stand in Part B from left to right.
- no-block-positions: no second row of positions. Only the attention mask tells Part A and Part B apart.
- whole-words: the spans of the token objective begin and end between words.
- token-only, sentence-only, document-only: one objective. Its blanks are [MASK], like those that are measured.
- causal, causal-pieces: GPT-2 of the same width and depth on the same ids: the text with its masks, then the pieces. It
  fills in the middle as in Bavarian et al. (2022, https://arxiv.org/abs/2207.14255). The loss is that of all tokens, as
  there, or of the pieces, as in GLM. The pieces stand from left to right, because GPT-2's positions do not name the blank.

The loss is that of the right answers with their ends, in nats per token. A match is a greedy answer of the right words.
Texts with several blanks are also measured with the last blank first, which only GLM can do. The losses of the sentence and
the document objective say what the mixture learns besides short blanks.
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from examples.corpora import FAMILIES
from modeling_glm.utils.precision import has_fast_bf16

from ..harness.machine import describe_this_machine
from .ablation.report import show_tables
from .ablation.study import AblationSettings, Study
from .ablation.texts import LEARNABLE
from .ablation.variants import HEAD_SIZE, VARIANTS

PRESETS = {
    "facts": AblationSettings(
        texts="facts",
        families=LEARNABLE,
        steps=3000,
        batch_size=16,
        max_length=256,
        packed_length=128,
        blanks=1000,
    ),
    "real": AblationSettings(
        texts="real",
        vocab_size=8192,
        steps=2000,
        batch_size=32,
        max_length=128,
        packed_length=160,
        blanks=400,
    ),
}
Key = tuple[str, int]


class RunLog:
    """
    A file with a finished run on every line.

    Args:
        path: The file, which may not exist yet.
        identity: What the runs of this study share. Lines of other studies are left alone.
    """

    def __init__(self, path: Path, identity: dict[str, Any]):
        self.path, self.identity = path, identity

    def read(self) -> dict[Key, dict[str, Any]]:
        """Return the runs of this study by variant and seed. A line that a killed process did not end does not count."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        whole, _, _ = text.rpartition("\n")
        runs = map(json.loads, whole.splitlines())
        return {(run["variant"], run["seed"]): run for run in runs if self.identity.items() <= run.items()}

    def add(self, run: dict[str, Any]) -> None:
        """Add a run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(run).encode() + b"\n")


def finish_runs(study: Study, keys: Sequence[Key], *, bf16: bool, workers: int, folder: Path) -> Iterator[dict]:
    """Yield the runs in the order in which they end. With several workers each uses one core."""
    if workers == 1:
        for name, seed in keys:
            yield study.run(name, seed, bf16)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (study.settings, folder)) as pool:
        futures = [pool.submit(_run_in_worker, name, seed, bf16) for name, seed in keys]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_of_worker: list[Study] = []


def _start_worker(settings: AblationSettings, folder: Path) -> None:
    torch.set_num_threads(1)
    _of_worker.append(Study(settings, folder))


def _run_in_worker(name: str, seed: int, bf16: bool) -> dict[str, Any]:
    return _of_worker[0].run(name, seed, bf16)


def parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, AblationSettings]:
    """Return the arguments, and the settings: those of the texts, unless an option says otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", choices=PRESETS, default="facts", help="what to train and measure on")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=1, help="processes, each with one core if there are several")
    parser.add_argument("--results", type=Path, default=Path("runs/ablation.jsonl"), help="file of finished runs")
    parser.add_argument(
        "--families",
        nargs="+",
        choices=FAMILIES,
        metavar="NAME",
        help="families of the embedded corpus, for facts; a model of this size learns the default ones in minutes",
    )
    parser.add_argument("--vocab_size", type=int, help="size of the vocabulary; 0 takes that of examples/glm-tiny")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch_size", type=int, help="texts of a step")
    parser.add_argument("--learning_rate", type=float, help="the highest learning rate")
    parser.add_argument("--hidden_size", type=int, help=f"a multiple of {HEAD_SIZE}, the size of a head")
    parser.add_argument("--num_hidden_layers", type=int)
    parser.add_argument("--max_length", type=int, help="longest text in tokens")
    parser.add_argument("--packed_length", type=int, help="tokens of a row of several texts")
    parser.add_argument("--blanks", type=int, help="number of held-out blanks to measure, for each source")
    args = parser.parse_args(arguments)
    if args.families and args.texts != "facts":
        parser.error("--families belongs to --texts facts")
    given = {field.name: getattr(args, field.name) for field in fields(AblationSettings)}
    changed = {name: value for name, value in given.items() if value is not None}
    if args.families:
        changed["families"] = tuple(args.families)
    settings = replace(PRESETS[args.texts], **changed)
    if settings.hidden_size % HEAD_SIZE:
        parser.error(f"--hidden_size must be a multiple of {HEAD_SIZE}")
    if args.workers < 1:
        parser.error(f"--workers {args.workers} must be at least 1")
    return args, settings


def main(arguments: Sequence[str] | None = None):
    args, settings = parse(arguments)
    folder = args.results.parent
    study = Study(settings, folder)
    log = RunLog(args.results, study.identity)
    # By seed, so that an interrupted study has whole rows of all variants.
    wanted: list[Key] = [(name, seed) for seed, name in product(args.seeds, args.variants)]
    done = log.read()
    if missing := [key for key in wanted if key not in done]:
        print(f"{len(missing)} of {len(wanted)} runs are to do. {describe_this_machine()}", file=sys.stderr)
        # All runs of a study train in one precision, also if it resumes on another machine.
        bf16 = next((run["bf16"] for run in done.values()), None)
        bf16 = has_fast_bf16() if bf16 is None else bf16
        for run in finish_runs(study, missing, bf16=bf16, workers=args.workers, folder=folder):
            log.add(run)
    done = log.read()
    rows = {name: [done[name, seed] for seed in args.seeds] for name in args.variants}
    print(show_tables(rows, study.groups))


if __name__ == "__main__":
    main()
