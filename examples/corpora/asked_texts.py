"""
Documents that would show a model what a task asks: they share a window of 13 words with a test text.

    python -m examples.corpora.asked_texts      # makes the list anew; needs all files that make data fetches

The list holds digests, so that the texts of the tasks are not needed to train, and none of them enters the repository. Most
of the documents are passages of the Bible that people quote in newsgroups.
"""

import argparse
import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from modeling_glm.utils.files import write_whole

from .archives.folder import data_folder, require
from .documents import Document

LIST = Path(__file__).parent / "asked_texts.txt"


def digest(document: Document) -> str:
    """Return what stands for a document in the list."""
    return blake2b(document.text.encode(), digest_size=12).hexdigest()


def known_leaks(path: Path = LIST) -> frozenset[str]:
    """Return the digests of the list."""
    return frozenset(path.read_text(encoding="utf-8").split())


def task_texts() -> Iterator[str]:
    """
    Yield the texts that tasks are measured on: the test texts of the real tasks, and all texts of BIG-bench's files.

    Raises:
        FileNotFoundError: If files are missing that `make data` fetches.
    """
    from .real_tasks import REAL_TASKS  # it needs scikit-learn, and reading the list does not

    for load in REAL_TASKS.values():
        data = load()
        for example in data.test:
            yield from (str(example[name]) for name in data.task.fields)
    require("bigbench", "social_iqa.json")
    for path in sorted((data_folder() / "bigbench").rglob("*.json")):
        yield from _strings(json.loads(path.read_text(encoding="utf-8")))


def _strings(value: object) -> Iterator[str]:
    """Yield all strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def main() -> None:
    """Make the list anew."""
    from .groups import GROUPS
    from .leaks import LeakFinder

    argparse.ArgumentParser(description=main.__doc__).parse_args()
    # Words in single cells, such as choices of one word, are in many texts.
    finder = LeakFinder(text for text in task_texts() if len(text.split()) > 3)
    found = {digest(document) for build in GROUPS.values() for document in build() if finder.leaks(document.text)}
    write_whole(LIST, "".join(f"{one}\n" for one in sorted(found)))
    print(f"{len(found)} documents share a text with a task.")


if __name__ == "__main__":
    main()
