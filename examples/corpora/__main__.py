"""Print the families of the corpus with their sizes, or write the documents.

python -m examples.corpora
python -m examples.corpora --write corpus.jsonl
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from modeling_glm.utils.files import write_whole

from .build import build_corpus
from .documents import Document, generator_of, is_held_out, split


def _print_table(documents: Sequence[Document]) -> None:
    print(f"{'family':<22} {'documents':>9} {'words':>9} {'kB':>7} {'held out':>9}")
    for family in [*dict.fromkeys(document.family for document in documents), ""]:
        members = [document for document in documents if document.family == (family or document.family)]
        words = sum(len(document.text.split()) for document in members)
        size = sum(len(document.text) for document in members) / 1000
        held_out = len(split(members, held_out=True))
        print(f"{family or 'all':<22} {len(members):>9} {words:>9} {size:>7.0f} {held_out:>9}")
        if family:
            print(f"    {generator_of(family).choice(members).text}")


def main() -> None:
    """Print the families, or write the documents."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the documents to FILE as JSON lines")
    arguments = parser.parse_args()
    documents = build_corpus()
    _print_table(documents)
    if arguments.write:
        lines = (json.dumps(vars(document) | {"held_out": is_held_out(document.key)}) for document in documents)
        write_whole(arguments.write, "".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
