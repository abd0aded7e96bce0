"""
Build two small classification tasks for cloze fine-tuning from text that ships with Python.

- `prose`: which module of the standard library is a sentence of the documentation from?
- `facts`: a clock time and a duration: in which part of the day does it end?

`python -m examples.corpora.cloze_tasks` prints the tasks with their sizes and baselines.
"""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

from modeling_glm import PatternVerbalizer
from modeling_glm.cloze.baselines import measure_baselines
from modeling_glm.cloze.sources import ClozeData

from .build import build_corpus
from .documents import split as split_documents
from .families.prose import prose_sentences
from .spelling import counted

Example = dict[str, Any]

SPLITS = {"train": 0.65, "validation": 0.12, "test": 0.23}

MODULES = ("asyncio", "email", "http", "logging", "multiprocessing", "typing", "unittest", "xml")
MAX_PER_MODULE = 400
SENTENCE_WORDS = range(5, 33)
_LABEL = re.compile(rf"\b({'|'.join(MODULES)})\b", re.IGNORECASE)


def build_prose_task() -> ClozeData:
    """
    Build the task of sentences from docstrings and comments of eight modules; `email.message` counts as `email`.

    Sentences are left out if they name one of the eight modules, occur in several of them, or are very short or long.
    Sentences that only differ in case, white space and punctuation count as one. A hash of the words of a sentence chooses
    its split.

    The embedded checkpoint was pretrained on a part of this prose, without labels. Sentences of that part, also within
    longer ones, are only used for training.
    """
    documents = split_documents(build_corpus(families=["prose"]), held_out=False)
    # Only letters, because the corpus and this task cut sentences out of paragraphs in different ways.
    pretrained = "|".join(letters(document.text) for document in documents)
    by_module: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key, (sentence, modules) in _sentences_with_modules().items():
        if len(modules) == 1 and len(sentence.split()) in SENTENCE_WORDS and not _LABEL.search(sentence):
            by_module[modules.pop()].append((key, sentence))

    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    chosen = [(*item, module) for module in MODULES for item in in_random_order(by_module[module])[:MAX_PER_MODULE]]
    for key, sentence, module in in_random_order(chosen):
        split = split_of(key)
        if split == "train" or letters(sentence) not in pretrained:
            splits[split].append({"sentence": sentence, "label": module})
    words = {module: module for module in MODULES}
    task = PatternVerbalizer("{sentence|shorten} This is from the module [MASK].", words, name="prose")
    return ClozeData("prose", task, **splits)


def normalized(sentence: str) -> str:
    """Return the words without case; sentences with the same words count as one."""
    return " ".join(re.findall(r"\w+", sentence.lower()))


def _sentences_with_modules() -> dict[str, tuple[str, set[str]]]:
    """Return every sentence of the prose by its normalized form, with the top-level modules that have it."""
    found: dict[str, tuple[str, set[str]]] = {}
    for module, sentence in prose_sentences():
        found.setdefault(normalized(sentence), (sentence, set()))[1].add(module)
    return {key: item for key, item in found.items() if item[1] & set(MODULES)}


def letters(text: str) -> str:
    """Return the letters and digits of a text, without case."""
    return "".join(re.findall(r"\w+", text.lower()))


# Six hours each, from midnight on, as in the corpus.
PARTS_OF_THE_DAY = ("night", "morning", "afternoon", "evening")
DURATIONS = range(30, 361, 10)
FACTS_SIZES = {"train": 3000, "validation": 500, "test": 1000}


def build_facts_task() -> ClozeData:
    """
    Build the task that adds a duration in words (half an hour to six hours) to a clock time in digits.

    The pretraining corpus says in which part of the day a clock time is and how numbers are spelled, but it never adds the
    two. Neither field alone gives the label, and an answer may depend on the carry of minutes. A hash of the clock time
    chooses the split, so no clock time occurs in two splits. Every split has equally many examples of each label.
    """
    pools: dict[str, dict[str, list[Example]]] = {name: defaultdict(list) for name in SPLITS}
    for start in range(24 * 60):
        clock = f"{start // 60:02}:{start % 60:02}"
        for minutes in DURATIONS:
            label = PARTS_OF_THE_DAY[(start + minutes) // 360 % 4]
            pools[split_of(clock)][label].append({"clock": clock, "duration": spell_duration(minutes), "label": label})
    splits = {}
    for name, by_label in pools.items():
        share = FACTS_SIZES[name] // len(PARTS_OF_THE_DAY)
        splits[name] = in_random_order(
            [example for label in PARTS_OF_THE_DAY for example in in_random_order(by_label[label])[:share]]
        )
    words = {label: label for label in PARTS_OF_THE_DAY}
    task = PatternVerbalizer("{clock} and {duration} is in the [MASK].", words, name="facts")
    return ClozeData("facts", task, **splits)


def spell_duration(minutes: int) -> str:
    """Spell a duration: 160 -> "two hours and forty minutes"."""
    parts = zip(divmod(minutes, 60), ("hour", "minute"), strict=True)
    return " and ".join(counted(count, unit) for count, unit in parts if count)


EMBEDDED_TASKS: dict[str, Callable[[], ClozeData]] = {"prose": build_prose_task, "facts": build_facts_task}


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def split_of(key: str, shares: Mapping[str, float] = SPLITS) -> str:
    """Choose the split of a key: the same one for the same key. `shares` are those of all splits."""
    position = _hash(f"split:{key}") / 2**64
    for name, share in shares.items():
        position -= share
        if position < 0:
            return name
    return name


def in_random_order(items: Iterable) -> list:
    """Return the items in a random order that only depends on the items."""
    return sorted(items, key=lambda item: _hash(f"order:{item}"))


def main() -> None:
    """Print the tasks with their sizes, and the accuracy of the baselines on the test examples."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    for build in EMBEDDED_TASKS.values():
        data = build()
        print(f"{data.name}: {data.task.patterns[0].text}\n    {data.train[0]}")
        for split in SPLITS:
            labels = Counter(example["label"] for example in getattr(data, split))
            counts = ", ".join(f"{label} {labels[label]}" for label in data.task.labels)
            print(f"    {split:<11} {labels.total():>5}: {counts}")
        for shots in (32, len(data.train)):
            results = measure_baselines(data.take_shots(shots, seed=0))
            scores = ", ".join(f"{name} {metrics['accuracy']:.1%}" for name, metrics in results.items())
            print(f"    {shots} shots: {scores}")


if __name__ == "__main__":
    main()
