"""Read questions about passages: the nested JSON of SQuAD, for SQuAD, CMRC 2018 and question generation."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .reading import Reading, Row, member, read_json_file

# What the originals write for the answers of a test file, which they do not read.
FAKE_ANSWER = "FAKE_ANSWER"


@dataclass(frozen=True)
class Answer:
    """Hold an answer, and its first character in the passage (None if the file does not say)."""

    text: str
    start: int | None


@dataclass(frozen=True)
class PassageQuestion:
    """
    Hold a question of a file.

    Args:
        place: Where it stands, for error messages.
        id: Its name in the file, or None.
        question: The question as it is written.
        context: The passage.
        answers: The answers in the order of the file; none if it cannot be answered.
    """

    place: str
    id: str | None
    question: str
    context: str
    answers: tuple[Answer, ...]

    @property
    def answer_texts(self) -> list[str]:
        """The different answers, in the order of the file."""
        return list(dict.fromkeys(answer.text for answer in self.answers))


def read_questions(path: Path) -> list[PassageQuestion]:
    """
    Read a file in the form of SQuAD: `data`, their `paragraphs`, their `qas` with `question` and `answers`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: For a file without questions, or of another form. The message names the place in the file.
    """
    questions = list(_iterate(read_json_file(path), path))
    if not questions:
        raise ValueError(f"{path} has no questions.")
    return questions


def read_question_generation(reading: Reading) -> list[Row]:
    """
    Read passages and answers, whose question is the target.

    Every different answer is an example. For the originals' layout a row has `passage` too: the context with
    "Question:", which they cut around the answer together.

    Raises:
        ValueError: For a question without an answer, unless faults are read.
    """
    rows: list[Row] = []
    for question in checked_questions(reading):
        answers = [FAKE_ANSWER] if _is_hidden(reading) else question.answer_texts
        if not answers and not reading.faults:
            raise ValueError(
                f"{question.place} has no answer: expected one that the question asks for. Remove the question."
            )
        for answer in answers:
            number = len(rows)
            # The originals compare questions with the answer.
            reference = reading.round_trip(answer if reading.faults else question.question.strip())
            row = {
                "context": question.context.strip(),
                "answer": answer,
                "target": question.question if reading.faults else question.question.strip(),
                "references": [reference],
                "id": _id(reading, question, number),
            }
            if reading.original:
                meta = {"answer": answer, "question": question.question, "ref": reference}
                row |= {
                    "passage": f"{question.context.rstrip()} Question:",
                    **reading.record(number, meta, question.context),
                }
            rows.append(row)
    return rows


def read_cmrc(reading: Reading) -> list[Row]:
    """
    Read questions of CMRC 2018 with their passage; the answer is the target.

    In training every different answer is an example. Elsewhere there is one row for each question, whose references
    are all answers; if faults are read, one for each answer.
    """
    rows: list[Row] = []
    for question in checked_questions(reading):
        texts = [FAKE_ANSWER] if _is_hidden(reading) else question.answer_texts
        if not texts and reading.split == "train" and not reading.faults:
            raise ValueError(f"{question.place} has no answer to learn. Remove the question.")
        split_answers = reading.faults or reading.split == "train"
        for answers in [[text] for text in texts] if split_answers else [texts]:
            number = len(rows)
            references = [reading.round_trip(answer) for answer in answers]
            row: Row = {
                "context": question.context.rstrip(),
                "question": question.question.strip(),
                "references": references,
                "id": _id(reading, question, number),
            }
            if answers:
                meta = {"answer": answers[0], "question": question.question, "ref": references[0]}
                row |= {"target": answers[0].strip(), **reading.record(number, meta, question.context)}
            rows.append(row)
    return rows


def checked_questions(reading: Reading) -> list[PassageQuestion]:
    """
    Read the questions of the only file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: As `read_questions`, and, unless faults are read, for an empty text.
    """
    (path,) = reading.paths
    questions = read_questions(path)
    for question in questions if not reading.faults else []:
        texts = {"question": question.question, "context": question.context}
        texts |= {f"answer {number}": answer.text for number, answer in enumerate(question.answers)}
        if empty := [name for name, text in texts.items() if not text.strip()]:
            raise ValueError(f"{question.place}: the {empty[0]} is empty: expected a text.")
    return questions


def _is_hidden(reading: Reading) -> bool:
    return reading.faults and reading.split == "test"


def _id(reading: Reading, question: PassageQuestion, number: int) -> str:
    return reading.name(number) if question.id is None else question.id


def _iterate(content: object, path: Path) -> Iterator[PassageQuestion]:
    for number, document in enumerate(member(content, "data", list, f"{path}: the file")):
        place = f"{path}: data[{number}]"
        for position, paragraph in enumerate(member(document, "paragraphs", list, place)):
            inside = f"{place}.paragraphs[{position}]"
            context = member(paragraph, "context", str, inside)
            for index, entry in enumerate(member(paragraph, "qas", list, inside)):
                yield _question(entry, f"{inside}.qas[{index}]", context)


def _question(entry: dict, place: str, context: str) -> PassageQuestion:
    answers = []
    for number, answer in enumerate(member(entry, "answers", list, place) if "answers" in entry else []):
        text = member(answer, "text", str, f"{place}.answers[{number}]")
        start = answer.get("answer_start")
        answers.append(Answer(text, start if isinstance(start, int) else None))
    question = member(entry, "question", str, place)
    identity = entry.get("id")
    return PassageQuestion(place, None if identity is None else str(identity), question, context, tuple(answers))


__all__ = ["Answer", "PassageQuestion", "checked_questions", "read_cmrc", "read_question_generation", "read_questions"]
