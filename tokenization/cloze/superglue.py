"""
The official files of SuperGLUE (Wang et al. 2019) as examples that the cloze patterns read.

An example is a dict with the fields of its file, `idx`, and `label`: the name of a class, or the number of the right
choice where the choices come from the example (COPA, ReCoRD, WSC); None where the file has no answer.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import read_json_lines

Row = Mapping[str, Any]
Example = dict[str, Any]

ENTAILMENT = ("entailment", "not_entailment")
CONNECTIVES = {"cause": " because", "effect": ", so"}
PLACEHOLDER = "@placeholder"


def read_superglue(task: str, data_dir: str | os.PathLike, split: str) -> list[Example]:
    """
    Reads one split of a task of SuperGLUE.

    - MultiRC: one example for every answer; `idx` has the numbers of "passage", "question" and "answer".
    - ReCoRD: `before` and `after` are what stands around the placeholder. In "train" there is one example for every right
      answer, whose `candidates` are this answer and then the entities that are no answer; otherwise one for every
      question with all entities as candidates. `answers` are the right ones, and `idx` has the numbers of "passage"
      and "question" ("answer" too in "train").
    - COPA: `connective` joins the premise to a choice. In "train" every example comes a second time with its choices
      swapped and `idx` -1.
    - WSC: `marked_text` is the text with its pronoun in asterisks, `candidates` are `span1` and what else the pronoun
      could mean: the file's own candidates, or `span1` of the other lines with this text and pronoun. `truth` is "True"
      or "False"; `label` is 0 where `span1` is right and None otherwise, as the right candidate is then unknown: leave
      these examples out to train the choices, or use the pattern that asks for yes or no, which reads `truth`.
    - AX-b: its sentences are called `premise` and `hypothesis`, as in RTE.

    Args:
        task: One of "boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc", "axb" and "axg".
        data_dir: The folder that has the files, or the one above it that has a folder for every task ("BoolQ", ...).
        split: "train", "val" or "test"; "axb" and "axg" have "test" alone.

    Returns:
        The examples in the order of the file.

    Raises:
        ValueError: for an unknown task or split, an empty file, and a line that cannot be read: it is named.
        FileNotFoundError: if there is no such folder or file.
    """
    if task not in _FILES:
        raise ValueError(f"Unknown task {task!r}: SuperGLUE has {sorted(_FILES)}.")
    layout = _FILES[task]
    if split not in layout.files:
        raise ValueError(f"{layout.folder} has no split {split!r}: expected one of {sorted(layout.files)}.")
    path = _find(Path(data_dir), layout, split)
    examples: list[Example] = []
    for number, row in read_json_lines(path):
        try:
            examples.extend(layout.read(row, split))
        except KeyError as error:
            raise ValueError(
                f"{path}, line {number}: there is no {error.args[0]!r}; is this a file of {task!r}?"
            ) from None
        except (AttributeError, TypeError) as error:
            raise ValueError(f"{path}, line {number} has not the form of a file of {task!r}: {error}.") from error
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    if not examples:
        raise ValueError(f"{path} has no examples: download it again.")
    return _add_candidates(examples) if task == "wsc" else examples


def _find(folder: Path, layout: "TaskFiles", split: str) -> Path:
    name = layout.files[split]
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}: give the one with {layout.folder}'s {name}.")
    for path in (folder / name, folder / layout.folder / name):
        if path.is_file():
            return path
    raise FileNotFoundError(f"There is neither {folder / name} nor {folder / layout.folder / name}.")


def _texts(row: Row, *names: str) -> dict[str, str]:
    for name in names:
        if not isinstance(row[name], str):
            raise ValueError(f"{name!r} is {row[name]!r}: expected a text.")
    return {name: row[name] for name in names}


def _label(row: Row, names: tuple[str, ...], split: str) -> str | None:
    """The name of the class, which files have as a text, a bool or a number; None where a test set has none."""
    if split == "test" and row.get("label") is None:
        return None
    folded = {name.lower(): name for name in names}
    label = str(row["label"]).lower()
    if label not in folded:
        raise ValueError(f"the label is {row['label']!r}: expected one of {list(names)}.")
    return folded[label]


def _plain(*fields: str, labels: tuple[str, ...], renamed: Mapping[str, str] | None = None) -> "_Reader":
    """Reads tasks that have an example in every line."""

    def read(row: Row, split: str) -> list[Example]:
        texts = {(renamed or {}).get(name, name): text for name, text in _texts(row, *fields).items()}
        return [{**texts, "idx": row["idx"], "label": _label(row, labels, split)}]

    return read


def _read_axg(row: Row, split: str) -> list[Example]:
    (example,) = _plain("premise", "hypothesis", labels=ENTAILMENT)(row, split)
    if "pair_id" in row:  # two lines that differ in a gender alone
        example["pair_id"] = row["pair_id"]
    return [example]


def _read_copa(row: Row, split: str) -> list[Example]:
    if row["question"] not in CONNECTIVES:
        raise ValueError(f"'question' is {row['question']!r}: expected one of {sorted(CONNECTIVES)}.")
    label = _label(row, ("0", "1"), split)
    example: Example = {
        **_texts(row, "premise", "choice1", "choice2", "question"),
        "connective": CONNECTIVES[row["question"]],
        "idx": row["idx"],
        "label": None if label is None else int(label),
    }
    if split != "train":
        return [example]
    swapped = {"choice1": example["choice2"], "choice2": example["choice1"], "idx": -1, "label": 1 - example["label"]}
    return [example, {**example, **swapped}]


def _read_multirc(row: Row, split: str) -> list[Example]:
    passage = row["passage"]
    return [
        {
            "passage": _texts(passage, "text")["text"],
            "question": _texts(question, "question")["question"],
            "answer": _texts(answer, "text")["text"],
            "idx": {"passage": row["idx"], "question": question["idx"], "answer": answer["idx"]},
            "label": _label(answer, ("0", "1"), split),
        }
        for question in passage["questions"]
        for answer in question["answers"]
    ]


def _read_record(row: Row, split: str) -> list[Example]:
    text = _texts(row["passage"], "text")["text"]
    # The ends of entities are their last letters.
    entities = {text[entity["start"] : entity["end"] + 1] for entity in row["passage"]["entities"]}
    if "" in entities:
        raise ValueError(f"an entity is outside of the passage, which has {len(text)} letters.")
    examples = []
    for question in row["qas"]:
        query = _texts(question, "query")["query"]
        before, placeholder, after = query.partition(PLACEHOLDER)
        if not placeholder:
            raise ValueError(f"the query {query!r} has no {PLACEHOLDER}.")
        has_answers = split != "test" or question.get("answers") is not None
        answers = sorted({_texts(answer, "text")["text"] for answer in question["answers"]}) if has_answers else []
        example: Example = {
            "passage": text.replace("@highlight\n", "- "),
            "query": query,
            "before": before,
            "after": after,
            "answers": answers,
        }
        idx = {"passage": row["idx"], "question": question["idx"]}
        if split == "train":
            wrong = sorted(entities - set(answers))
            for number, answer in enumerate(answers):
                numbered = {**idx, "answer": number}
                examples.append({**example, "candidates": [answer, *wrong], "idx": numbered, "label": 0})
        else:
            candidates = sorted(entities)
            right = [number for number, candidate in enumerate(candidates) if candidate in answers]
            examples.append({**example, "candidates": candidates, "idx": idx, "label": right[0] if right else None})
    return examples


def _read_wsc(row: Row, split: str) -> list[Example]:
    target = row["target"]
    span1, span2 = _texts(target, "span1_text", "span2_text").values()
    marked, pronoun = _mark_pronoun(_texts(row, "text")["text"], span2, int(target["span2_index"]))
    truth = _label(row, ("False", "True"), split)
    example: Example = {
        "text": row["text"],
        "marked_text": marked,
        "pronoun": pronoun,
        "span1": span1,
        "idx": row["idx"],
        "truth": truth,
        "label": 0 if truth == "True" else None,
    }
    if "candidates" in row:
        others = [_texts(candidate, "text")["text"] for candidate in row["candidates"]]
        example["candidates"] = list(dict.fromkeys([span1, *others]))
    return [example]


def _mark_pronoun(text: str, pronoun: str, index: int) -> tuple[str, str]:
    """
    Puts asterisks around the pronoun, which is the word with number `index` or, as the files are not always right, one
    of its neighbours. What else the word has becomes a word of its own, as do spaces of any length one space.

    >>> _mark_pronoun("Tom ran, as did he.", "he", 4)
    ('Tom ran, as did *he* .', 'he')
    """
    bare = re.sub(r"^\W+|\W+$", "", pronoun)
    word = re.compile(rf"(\W*)({re.escape(bare)})(\W.*)?")
    words = text.split()
    for position in (index, index - 1, index + 1):
        if bare and 0 <= position < len(words) and (match := word.fullmatch(words[position])):
            before, _, after = match.groups()
            marked = [part for part in (before, f"*{bare}*", after) if part]
            return " ".join([*words[:position], *marked, *words[position + 1 :]]), bare
    raise ValueError(
        f"the pronoun {pronoun!r} is neither word {index} nor one beside it ({words[max(index - 1, 0) : index + 2]})."
    )


def _add_candidates(examples: list[Example]) -> list[Example]:
    """Gives those without candidates the first spans of all that ask for the same pronoun, their own first."""
    spans: dict[str, list[str]] = {}
    for example in examples:
        spans.setdefault(example["marked_text"], []).append(example["span1"])
    for example in examples:
        if "candidates" not in example:
            example["candidates"] = list(dict.fromkeys([example["span1"], *spans[example["marked_text"]]]))
    return examples


_Reader = Callable[[Row, str], list[Example]]
_SPLITS = {"train": "train.jsonl", "val": "val.jsonl", "test": "test.jsonl"}


@dataclass(frozen=True)
class TaskFiles:
    """Where the files of a task are, and what makes examples of a line."""

    folder: str
    read: _Reader
    files: Mapping[str, str]


_FILES = {
    "boolq": TaskFiles("BoolQ", _plain("passage", "question", labels=("false", "true")), _SPLITS),
    "cb": TaskFiles("CB", _plain("premise", "hypothesis", labels=("entailment", "contradiction", "neutral")), _SPLITS),
    "copa": TaskFiles("COPA", _read_copa, _SPLITS),
    "multirc": TaskFiles("MultiRC", _read_multirc, _SPLITS),
    "record": TaskFiles("ReCoRD", _read_record, _SPLITS),
    "rte": TaskFiles("RTE", _plain("premise", "hypothesis", labels=ENTAILMENT), _SPLITS),
    "wic": TaskFiles("WiC", _plain("sentence1", "sentence2", "word", labels=("false", "true")), _SPLITS),
    "wsc": TaskFiles("WSC", _read_wsc, _SPLITS),
    "axb": TaskFiles(
        "AX-b",
        _plain(
            "sentence1",
            "sentence2",
            labels=ENTAILMENT,
            renamed={"sentence1": "premise", "sentence2": "hypothesis"},
        ),
        {"test": "AX-b.jsonl"},
    ),
    "axg": TaskFiles("AX-g", _read_axg, {"test": "AX-g.jsonl"}),
}

__all__ = ["read_superglue"]
