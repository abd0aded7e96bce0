"""
Code blocks of Markdown pages: find them, run them, and compare what they print with what the page shows.

`python -m tests.support.pages docs/guides/fill.md` writes what the code prints into the page.
"""

import contextlib
import doctest
import io
import json
import os
import re
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from modeling_glm.cli.main import app
from tests.support.paths import ROOT
from tests.support.structure import print_floor_plan

# A fence of three backticks, and the comment on the line before it, which can say why a block is not run.
FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
OUTPUT = re.compile(r"\n\n```text\n(?P<output>.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """
    Hold a code block of a page.

    Attributes:
        language: The word behind the backticks.
        code: The lines between the fences.
        line: The line of the page on which the code begins, from 1.
        end: The offset of the end of the block in the page.
        output: The ```text block that follows it directly, or None. `...` stands for anything.
        mark: The comment on the line before the block: "not run: why", or "" where there is none.
    """

    language: str
    code: str
    line: int
    end: int
    output: str | None
    mark: str

    @property
    def is_run(self) -> bool:
        return not self.mark.startswith("not run")


def read_blocks(page: Path, language: str = "python") -> list[Block]:
    """Find all blocks of a language, in the order of the page."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for match in FENCE.finditer(text):
        if match["language"] == language:
            shown = OUTPUT.match(text, match.end())
            blocks.append(
                Block(
                    language,
                    match["code"],
                    text.count("\n", 0, match.start("code")) + 1,
                    match.end(),
                    shown["output"] if shown else None,
                    match["mark"] or "",
                )
            )
    return blocks


def run_blocks(page: Path) -> Iterator[tuple[Block, str]]:
    """Run the Python blocks of a page in one namespace, in the current folder, and yield what each prints."""
    names: dict[str, object] = {"__name__": "__main__"}
    for block in read_blocks(page):
        if not block.is_run:
            compile(block.code, str(page), "exec")
            continue
        printed = io.StringIO()
        code = "\n" * (block.line - 1) + block.code  # so that errors show the line of the page
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        yield block, printed.getvalue()


def run_commands(block: Block) -> str:
    """Run the commands of a bash block in this process, and return what they print."""
    printed = ""
    for command in commands_of(block):
        words = shlex.split(command)
        if words == ["python", "-m", "tests.support.structure"]:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                print_floor_plan()
            printed += output.getvalue()
        elif words[0] == "modeling-glm":
            if words[1] in ("fill", "choose", "generate", "info") and "--format" not in words:
                words += ["--format", "text"]  # as on a terminal
            printed += CliRunner().invoke(app, words[1:], catch_exceptions=False).stdout
        else:
            raise ValueError(f"{command!r} shows an output, but only modeling-glm and the floor plan are run.")
    return printed


def same_output(shown: str, printed: str) -> bool:
    """Compare as doctest does: white space is normalised, and `...` stands for anything."""
    return doctest.OutputChecker().check_output(shown, printed, FLAGS)


def commands_of(block: Block) -> list[str]:
    """List the commands of a bash block, with continued lines joined and without comments."""
    lines = [re.sub(r"\s+# .*", "", line).strip() for line in block.code.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and line[0] != "#"]


def prepare_folder(folder: Path) -> None:
    """Let `folder` look like a clone, as far as the pages read from it, with the data of the notebooks beside it."""
    (folder / "examples").symlink_to(ROOT / "examples")
    for path in (ROOT / "examples" / "notebooks").glob("*.csv"):
        (folder / path.name).symlink_to(path)


def update_page(page: Path) -> None:
    """Write the output of every block that shows one into the page."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        prepare_folder(Path(folder))
        results = []
        try:
            results.extend(run_blocks(page))
            results += [
                (block, run_commands(block)) for block in read_blocks(page, "bash") if block.output is not None
            ]
        except Exception:  # the outputs before it are still written
            traceback.print_exc()
    for block, printed in sorted(results, key=lambda result: -result[0].end):
        if block.output is None:
            if printed.strip():
                print(f"{page}:{block.line}: prints, but the page does not show it:\n{printed}")
        elif not same_output(block.output, printed):
            match = OUTPUT.match(text, block.end)
            shown = [line.rstrip() + "\n" for line in printed.strip("\n").splitlines()]
            text = text[: match.start("output")] + "".join(shown) + text[match.end("output") :]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--json":  # for a test that runs a page in a process of its own
        print(json.dumps([printed for _, printed in run_blocks(Path(sys.argv[2]))]))
    else:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        for name in sys.argv[1:]:
            update_page(Path(name).absolute())
