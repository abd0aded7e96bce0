"""
Two small classification tasks for cloze fine-tuning, made from what ships with Python, and baselines for them.

- `prose`: which module of the standard library is a sentence of the documentation from?
- `facts`: a clock time and a duration: in which part of the day does it end?

A task is a pattern with one blank and a word per label (its verbalizer); a model scores a label by the probability of
its word in the blank.  `python examples/cloze_tasks.py` prints the tasks with their sizes and the baselines.
"""

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice, zip_longest
from random import Random
from typing import Any

from corpora import build_corpus
from corpora import split as split_documents
from corpora.families.prose import prose_sentences
from corpora.spelling import counted

Example = dict[str, Any]
"""The fields of a text, and the name of its label as `label`."""

SPLITS = {"train": 0.65, "validation": 0.12, "test": 0.23}


@dataclass(frozen=True)
class ClozeData:
    """
    A classification task as a cloze question.

    In the pattern, `{field}` stands for a field as it is and `{field|shorten}` for one that may be cut where a text
    is too long; `[MASK]` is the blank. The space before it belongs to the word that fills it.
    """

    name: str
    pattern: str
    verbalizer: dict[str, str]
    """The word of every label."""
    train: list[Example]
    validation: list[Example]
    test: list[Example]


# Prose

MODULES = ("asyncio", "email", "http", "logging", "multiprocessing", "typing", "unittest", "xml")
MAX_PER_MODULE = 400
SENTENCE_WORDS = range(5, 33)
_LABEL = re.compile(rf"\b({'|'.join(MODULES)})\b", re.IGNORECASE)


def build_prose_task() -> ClozeData:
    """
    Sentences from docstrings and comments of eight modules (and what is in them: `email.message` counts as `email`).

    Left out are sentences with the name of any of the eight as a word, in whatever case, those that stand in several
    modules, and very short or long ones. Sentences that differ in nothing but case, white space and punctuation count
    as one. A hash of what is left of a sentence then chooses its split, so neighbours in a docstring may be in
    different splits.

    The embedded checkpoint was pretrained on a part of this prose, without labels. What stands in it, also within longer
    sentences, is kept for training only.
    """
    documents = split_documents(build_corpus(families=["prose"]), held_out=False)
    # Letters alone, because a sentence is cut out of its paragraph in one way here and in another there.
    pretrained = "|".join(letters(document.text) for document in documents)
    by_module: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key, (sentence, modules) in _sentences_with_modules().items():
        if len(modules) == 1 and len(sentence.split()) in SENTENCE_WORDS and not _LABEL.search(sentence):
            by_module[modules.pop()].append((key, sentence))

    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    chosen = [(*item, module) for module in MODULES for item in _in_random_order(by_module[module])[:MAX_PER_MODULE]]
    for key, sentence, module in _in_random_order(chosen):
        split = _split_of(key)
        if split == "train" or letters(sentence) not in pretrained:
            splits[split].append({"sentence": sentence, "label": module})
    return ClozeData(
        name="prose",
        pattern="{sentence|shorten} This is from the module [MASK].",
        verbalizer={module: module for module in MODULES},
        **splits,
    )


def normalized(sentence: str) -> str:
    """What two sentences have in common that count as the same: the words, without case."""
    return " ".join(re.findall(r"\w+", sentence.lower()))


def _sentences_with_modules() -> dict[str, tuple[str, set[str]]]:
    """Every sentence of the prose by its normalized form, with the top-level modules whose prose has it."""
    found: dict[str, tuple[str, set[str]]] = {}
    for module, sentence in prose_sentences():
        found.setdefault(normalized(sentence), (sentence, set()))[1].add(module)
    return {key: item for key, item in found.items() if item[1] & set(MODULES)}


def letters(text: str) -> str:
    """A text without anything but its letters and digits, without case."""
    return "".join(re.findall(r"\w+", text.lower()))


# Facts

PARTS_OF_THE_DAY = ("night", "morning", "afternoon", "evening")
"""Six hours each, from midnight on, as in the corpus."""
DURATIONS = range(30, 361, 10)
FACTS_SIZES = {"train": 3000, "validation": 500, "test": 1000}


def build_facts_task() -> ClozeData:
    """
    A clock time in digits and a duration of half an hour to six hours in words: in which part of the day does it end?

    Pretraining told in which part of the day a clock time lies and how numbers are spelled, but never added the two.
    Neither field tells the label alone, and an answer may hang on the carry of minutes. A hash of the clock time
    chooses the split, so what begins at the times of one split begins at no time of another. Every split has as many
    examples of each label.
    """
    pools: dict[str, dict[str, list[Example]]] = {name: defaultdict(list) for name in SPLITS}
    for start in range(24 * 60):
        clock = f"{start // 60:02}:{start % 60:02}"
        for minutes in DURATIONS:
            label = PARTS_OF_THE_DAY[(start + minutes) // 360 % 4]
            pools[_split_of(clock)][label].append(
                {"clock": clock, "duration": spell_duration(minutes), "label": label}
            )
    splits = {}
    for name, by_label in pools.items():
        share = FACTS_SIZES[name] // len(PARTS_OF_THE_DAY)
        splits[name] = _in_random_order(
            [example for label in PARTS_OF_THE_DAY for example in _in_random_order(by_label[label])[:share]]
        )
    return ClozeData(
        name="facts",
        pattern="{clock} and {duration} is in the [MASK].",
        verbalizer={label: label for label in PARTS_OF_THE_DAY},
        **splits,
    )


def spell_duration(minutes: int) -> str:
    """A duration in words, such as `two hours and forty minutes`."""
    parts = zip(divmod(minutes, 60), ("hour", "minute"), strict=True)
    return " and ".join(counted(count, unit) for count, unit in parts if count)


EMBEDDED_TASKS: dict[str, Callable[[], ClozeData]] = {"prose": build_prose_task, "facts": build_facts_task}


# Choice of examples


def few_shot(examples: Sequence[Example], shots: int = 32, seed: int = 0, label_field: str = "label") -> list[Example]:
    """
    `shots` examples, as many of each label as it allows, the same for the same seed; where a label has too few, others
    make up for it.

    Raises:
        ValueError: for fewer examples than shots.
    """
    if not 0 < shots <= len(examples):
        raise ValueError(f"Cannot choose {shots} shots from {len(examples)} examples: expected 1 to {len(examples)}.")
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_label[str(example[label_field])].append(example)
    rng = Random(seed)
    shuffled = [rng.sample(members, len(members)) for members in by_label.values()]
    rng.shuffle(shuffled)  # which labels get one more, where the shots do not divide evenly
    rounds = zip_longest(*shuffled)
    return list(islice((example for round_ in rounds for example in round_ if example is not None), shots))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def _split_of(key: str) -> str:
    position = _hash(f"split:{key}") / 2**64
    for name, share in SPLITS.items():
        position -= share
        if position < 0:
            return name
    return name


def _in_random_order(items: Iterable) -> list:
    """The items in an order that depends on nothing but what they are."""
    return sorted(items, key=lambda item: _hash(f"order:{item}"))


# Baselines


def tfidf_baseline(
    train: Sequence[Example], test: Sequence[Example], fields: Sequence[str], label_field: str = "label"
) -> list[Any]:
    """The labels that logistic regression on TF-IDF of words and pairs of words gives the examples of `test`."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000)
    )
    classifier.fit(list(_joined(train, fields)), [example[label_field] for example in train])
    return classifier.predict(list(_joined(test, fields))).tolist()


def _joined(examples: Iterable[Example], fields: Sequence[str]) -> Iterator[str]:
    return (" | ".join(str(example[field]) for field in fields) for example in examples)


def majority_baseline(train: Sequence[Example], test: Sequence[Example], label_field: str = "label") -> list[Any]:
    """The most frequent label of `train` for every example of `test`."""
    label, _ = Counter(example[label_field] for example in train).most_common(1)[0]
    return [label] * len(test)


def accuracy(predictions: Sequence[str], examples: Sequence[Example]) -> float:
    """The share of examples whose label is predicted."""
    hits = sum(label == example["label"] for label, example in zip(predictions, examples, strict=True))
    return hits / len(examples)


def main() -> None:
    """Print the tasks with their sizes, and the accuracy of the baselines on the validation examples."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    for build in EMBEDDED_TASKS.values():
        data = build()
        print(f"{data.name}: {data.pattern}\n    {data.train[0]}")
        for split in SPLITS:
            labels = Counter(example["label"] for example in getattr(data, split))
            print(
                f"    {split:<11} {labels.total():>5}: "
                + ", ".join(f"{label} {labels[label]}" for label in data.verbalizer)
            )
        fields = [field for field in data.train[0] if field != "label"]
        for shots in (32, len(data.train)):
            train = few_shot(data.train, shots)
            tfidf = accuracy(tfidf_baseline(train, data.validation, fields), data.validation)
            majority = accuracy(majority_baseline(train, data.validation), data.validation)
            print(f"    {shots} shots: TF-IDF {tfidf:.1%}, majority {majority:.1%}")


if __name__ == "__main__":
    main()
