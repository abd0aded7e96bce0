"""Read lines of SuperGLUE's files: one function per form of line, each returning the examples of a line."""

import re
from collections.abc import Callable, Mapping

from ..patterns.values import is_missing
from ..row_files import Example, Row

ENTAILMENT = ("entailment", "not_entailment")
CONNECTIVES = {"cause": " because", "effect": ", so"}
PLACEHOLDER = "@placeholder"

LineReader = Callable[[Row, str], list[Example]]


def _texts(row: Row, *names: str) -> dict[str, str]:
    for name in names:
        if not isinstance(row[name], str):
            raise ValueError(f"{name!r} is {row[name]!r}: expected a text.")
    return {name: row[name] for name in names}


def _label(row: Row, names: tuple[str, ...], split: str) -> str | None:
    """Return the name of the class, which files have as a text, a bool or a number; None if a test set has none."""
    if split == "test" and is_missing(row.get("label")):
        return None
    # Files have true, 1 and "True" for the same class.
    folded = {name.lower(): name for name in names}
    label = str(row["label"]).lower()
    if label not in folded:
        raise ValueError(f"the label is {row['label']!r}: expected one of {list(names)}.")
    return folded[label]


def read_plain(*fields: str, labels: tuple[str, ...], renamed: Mapping[str, str] | None = None) -> LineReader:
    """
    Make a reader for tasks with one example per line.

    Args:
        fields: The fields to keep.
        labels: The names of the classes.
        renamed: New names of fields.
    """

    def read(row: Row, split: str) -> list[Example]:
        texts = {(renamed or {}).get(name, name): text for name, text in _texts(row, *fields).items()}
        return [{**texts, "idx": row["idx"], "label": _label(row, labels, split)}]

    return read


def read_axg(row: Row, split: str) -> list[Example]:
    """Read a line of AX-g: premise, hypothesis and the number of its pair."""
    (example,) = read_plain("premise", "hypothesis", labels=ENTAILMENT)(row, split)
    if "pair_id" in row:  # a pair of lines differs only in a gender
        example["pair_id"] = row["pair_id"]
    return [example]


def read_copa(row: Row, split: str) -> list[Example]:
    """Read a line of COPA; in "train" the example comes a second time with its choices swapped."""
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


def read_multirc(row: Row, split: str) -> list[Example]:
    """Read a passage of MultiRC: one example for every answer."""
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


def read_record(row: Row, split: str) -> list[Example]:
    """Read a passage of ReCoRD: one example for every question, in "train" one for every right answer."""
    text = _texts(row["passage"], "text")["text"]
    # The end of an entity is its last letter: (4, 7) of "and Rosa" is "Rosa".
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


def read_wsc(row: Row, split: str) -> list[Example]:
    """Read a line of WSC; `add_candidates` completes the examples of a file."""
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
    Put asterisks around the pronoun: the word with number `index`, or one of its neighbours, as some files are wrong.

    Punctuation at the pronoun becomes a word of its own, and white space of any length one space.

    >>> _mark_pronoun("Tom ran, as did he.", "he", 4)
    ('Tom ran, as did *he* .', 'he')
    """
    found = re.search(r"\w(.*\w)?", pronoun, re.DOTALL)
    bare = found[0] if found else ""
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


def add_candidates(examples: list[Example]) -> list[Example]:
    """Give WSC examples without candidates the first spans of all that ask for the same pronoun, their own first."""
    spans: dict[str, list[str]] = {}
    for example in examples:
        spans.setdefault(example["marked_text"], []).append(example["span1"])
    for example in examples:
        if "candidates" not in example:
            example["candidates"] = list(dict.fromkeys([example["span1"], *spans[example["marked_text"]]]))
    return examples
