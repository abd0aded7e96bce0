"""
Code blocks of Markdown pages: find them, run them, and compare what they print with what the page shows.

`python -m tests.support.pages docs/guides/fill.md` writes what the code prints into the page.
"""

import contextlib
import doctest
import io
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

# A fence of three backticks, and the comment on the line before it, which can say why a block is not run.
FENCE = re.compile(r"^(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
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


def same_output(shown: str, printed: str) -> bool:
    """Compare as doctest does: white space is normalised, and `...` stands for anything."""
    return doctest.OutputChecker().check_output(shown, printed, FLAGS)


def read_commands(page: Path) -> list[str]:
    """List the commands of the bash blocks, with continued lines joined and without comments and prompts."""
    commands = []
    for block in read_blocks(page, "bash"):
        if block.is_run:
            lines = block.code.replace("\\\n", " ").splitlines()
            commands += [line.partition("  # ")[0].strip() for line in lines if line.strip() and line[0] != "#"]
    return commands


def prepare_folder(folder: Path) -> None:
    """Let `folder` look like a clone, as far as the pages read from it."""
    (folder / "examples").symlink_to(ROOT / "examples")


def _update(page: Path) -> None:
    """Write the output of every block that shows one into the page."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        prepare_folder(Path(folder))
        results = []
        try:
            results.extend(run_blocks(page))
        except Exception:  # the outputs before it are still written
            traceback.print_exc()
    for block, printed in reversed(results):
        if block.output is None:
            if printed.strip():
                print(f"{page}:{block.line}: prints, but the page does not show it:\n{printed}")
        elif not same_output(block.output, printed):
            match = OUTPUT.match(text, block.end)
            text = text[: match.start("output")] + printed.rstrip() + "\n" + text[match.end("output") :]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for name in sys.argv[1:]:
        _update(Path(name).absolute())
