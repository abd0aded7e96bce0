"""
Build two small tasks from source to target out of the docstrings of Python's standard library.

- `names`: which name has the function that a docstring describes? "Return the sum of the values." -> "sum".
- `summaries`: what does the first sentence of a docstring say, if only the rest of it is known?

Tasks of this kind are known from research on code: method naming and code summarisation. `python -m
examples.corpora.docstrings` prints both with their sizes and baselines.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache

from modeling_glm.seq2seq.baselines import measure_baselines
from modeling_glm.seq2seq.sources import Columns, Seq2SeqData

from .build import build_corpus
from .cloze_tasks import SPLITS, in_random_order, letters, normalized, split_of
from .documents import split as split_documents
from .families.prose import SENTENCE_END, paragraphs
from .families.python.definitions import find_definitions

Row = dict[str, str]

# A name has up to four words of at least two letters: get_content_type, getMessage, HTMLParser.
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
MOST_WORDS_OF_A_NAME = 4
SOURCE_WORDS = range(3, 61)
SUMMARY_WORDS = range(4, 26)


def build_names_task() -> Seq2SeqData:
    """
    Build the task that names a function from the first paragraph of its docstring.

    The target is the name in words: "get content type" for `get_content_type`. Docstrings that mention a name of several
    words as it is written, or that functions of different names have, are left out.
    """
    names: dict[str, tuple[str, set[str]]] = {}
    for name, doc in _functions():
        words = words_of(name)
        mentioned = len(words) > 1 and {name.strip("_"), "_".join(words)} & set(re.findall(r"\w+", doc))
        if not words or mentioned or len(doc.split()) not in SOURCE_WORDS:
            continue
        names.setdefault(normalized(doc), (doc, set()))[1].add(" ".join(words))
    rows = [{"docstring": doc, "name": found.pop()} for doc, found in names.values() if len(found) == 1]
    columns = Columns(pattern="{docstring|shorten} This function is called [MASK].", targets=("name",))
    return _split("names", columns, rows, "docstring", ("rouge", "exact_match"))


def build_summaries_task() -> Seq2SeqData:
    """Build the task that writes the first sentence of a docstring from the sentences behind it."""
    rows: dict[str, Row] = {}
    for _, doc in _functions(whole=True):
        first, *rest = SENTENCE_END.split(doc)
        body = " ".join(rest)
        if len(first.split()) in SUMMARY_WORDS and len(body.split()) in SOURCE_WORDS:
            rows.setdefault(normalized(body), {"body": body, "summary": first})
    columns = Columns(pattern="[sMASK] {body|shorten}", targets=("summary",))
    return _split("summaries", columns, list(rows.values()), "body", ("rouge", "chrf"))


def words_of(name: str) -> list[str]:
    """Split the name of a function into words, or return none if it is not made of one to four whole words."""
    words = [word.lower() for word in _WORDS.findall(name)]
    whole = all(word.isalpha() and len(word) > 1 for word in words)
    return words if whole and len(words) <= MOST_WORDS_OF_A_NAME else []


@cache
def _pretrained_text() -> str:
    """Return the letters of the prose that the embedded checkpoint was pretrained on."""
    documents = split_documents(build_corpus(families=["prose"]), held_out=False)
    return "|".join(letters(document.text) for document in documents)


def _functions(whole: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the name and the first paragraph of the docstring of every function, or with `whole` all its paragraphs."""
    for item in find_definitions():
        name = item.name.rpartition(".")[2]
        if item.parameters is None or name.startswith("__"):
            continue
        found = list(paragraphs(item.doc))
        if found:
            yield name, " ".join(found if whole else found[:1])


def _split(name: str, columns: Columns, rows: list[Row], source: str, metrics: tuple[str, ...]) -> Seq2SeqData:
    """
    Share the rows among the splits, by a hash of the words of their source.

    Sources that the embedded checkpoint was pretrained on are only used for training.
    """
    splits: dict[str, list[Row]] = defaultdict(list)
    for row in in_random_order(rows):
        split = split_of(normalized(row[source]))
        if split == "train" or letters(row[source]) not in _pretrained_text():
            splits[split].append(row)
    return Seq2SeqData(name=name, columns=columns, metrics=metrics, **{split: splits[split] for split in SPLITS})


EMBEDDED_TASKS: dict[str, Callable[[], Seq2SeqData]] = {
    "names": build_names_task,
    "summaries": build_summaries_task,
}


def main() -> None:
    """Print the tasks with their sizes, and the metrics of the baselines on the test rows."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    for build in EMBEDDED_TASKS.values():
        data = build()
        sizes = ", ".join(f"{split} {len(getattr(data, split))}" for split in SPLITS)
        print(f"{data.name}: {data.columns.pattern}\n    {data.train[0]}\n    {sizes}")
        for name, scores in measure_baselines(data).items():
            print(f"    {name}: {', '.join(f'{metric} {value:.1f}' for metric, value in scores.items())}")


if __name__ == "__main__":
    main()
