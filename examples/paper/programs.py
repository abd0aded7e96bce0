"""Start the programs that do the work: their commands, a check of their data, and where their scores are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from modeling_glm.cli.lines import read_lines
from modeling_glm.cloze.sources import load_published
from modeling_glm.configuration_glm import read_json
from modeling_glm.seq2seq.arguments import read_recipe
from modeling_glm.seq2seq.originals.scores import compute_multi_bleu
from modeling_glm.seq2seq.sources import load_task
from modeling_glm.tokenization.row_files import read_file_text, read_json_lines
from modeling_glm.tokenization.seq2seq.published import read_seq2seq_task
from modeling_glm.tokenization.seq2seq.word_blanks import BLANK

from .tables import Settings

EXAMPLES = Path(__file__).parents[1]
RECIPES = EXAMPLES / "recipes" / "seq2seq"
REPORT = "report.json"  # of modeling-glm evaluate


@dataclass(frozen=True)
class Program:
    """
    Describe a program.

    Attributes:
        command: Makes the words of a command, without the interpreter: from the settings, the weights, the data, and the
            folder for the results.
        count: Reads the data as the program does, and returns the number of examples to report on: from the settings, the
            weights and the data. Raises an `OSError` or a `ValueError` for data that are missing or of another form.
        scores: Reads the scores in percent, or perplexities, from the folder of a finished run.
        trains: Whether it trains a model, which several processes may share.
    """

    command: Callable[[Settings, str, Path, Path], list[str]]
    count: Callable[[Settings, str, Path], int]
    scores: Callable[[Path], dict[str, float]]
    trains: bool = True


def _options(settings: Settings) -> Iterator[str]:
    """Write settings as the arguments of a script."""
    for name, value in settings.items():
        yield f"--{name}"
        yield from map(_word, value if isinstance(value, list) else [value])


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flags(settings: Settings) -> Iterator[str]:
    """Write settings as the options of the command line, where a switch has no value."""
    for name, value in settings.items():
        if value is not False:
            yield f"--{name.replace('_', '-')}"
            yield from () if value is True else (str(value),)


def _script(name: str) -> Callable[[Settings, str, Path, Path], list[str]]:
    def command(settings: Settings, weights: str, data: Path, folder: Path) -> list[str]:
        places = {"model": weights, "data_dir": data, "output_dir": folder}
        return [str(EXAMPLES / name), *_options({**settings, **places})]

    return command


def _evaluate(measure: str) -> Callable[[Settings, str, Path, Path], list[str]]:
    def command(settings: Settings, weights: str, data: Path, folder: Path) -> list[str]:
        words = ["-m", "modeling_glm", "evaluate", measure, weights, str(data)]
        return [*words, *_flags({**settings, "output": folder / REPORT})]

    return command


def _count_cloze(settings: Settings, weights: str, data: Path) -> int:
    return len(load_published(settings["task"], settings.get("pattern_ids", [0]), data).test)


def _count_pairs(settings: Settings, weights: str, data: Path) -> int:
    known = {**read_recipe(settings["recipe"], RECIPES), **settings}
    found = load_task(
        read_seq2seq_task(known["task"]),
        data,
        AutoTokenizer.from_pretrained(weights),
        max_source_length=known.get("max_source_length"),
        mask_ratio=known.get("mask_ratio", 0.3),
        original=known.get("layout") == "original",
    )
    if not found.test:
        raise ValueError(
            f"{data} has no test rows with targets for {known['task']!r}: the paper reports on the test set."
        )
    return len(found.test)


def _count_texts(settings: Settings, weights: str, data: Path) -> int:
    if not data.is_file():
        raise FileNotFoundError(f"There is no file {data}.")
    count = 0
    for line in read_lines([], data):
        if isinstance(line.text, ValueError):
            raise ValueError(f"{line.place}: {line.text}")
        count += 1
    return count


def _count_words(settings: Settings, weights: str, data: Path) -> int:
    if not data.is_file():
        raise FileNotFoundError(f"There is no file {data}.")
    words = len(read_file_text(data).split())
    if not words:
        raise ValueError(f"{data} has no words: expected the text of the corpus.")
    return words


def _cloze_scores(folder: Path) -> dict[str, float]:
    of_model, *_ = read_json(folder / "results.json").values()  # baselines follow
    return {name: 100 * score for name, score in of_model.items()}


def _pair_scores(folder: Path) -> dict[str, float]:
    scores = read_json(folder / "results.json")["GLM"]
    rows = [row for _, row in read_json_lines(folder / "model" / "answers.jsonl")]
    return {**scores, **compute_text_bleu(rows)}


def _report_scores(folder: Path) -> dict[str, float]:
    return read_json(folder / REPORT)["metrics"]


def compute_text_bleu(rows: list[dict[str, Any]]) -> dict[str, float]:
    """
    Compute BLEU of filled texts, as the paper does for Yahoo: with multi-bleu.perl, in lower case.

    Args:
        rows: Lines of answers.jsonl.

    Returns:
        `text_bleu` in percent; nothing if the rows have no texts with blanks.
    """
    if not rows or any("text" not in row for row in rows):
        return {}
    filled = [_fill(row["source"], row["prediction"]["answers"]) for row in rows]
    return {"text_bleu": compute_multi_bleu(filled, [row["text"] for row in rows], lowercase=True).bleu}


def _fill(source: str, answers: list[str]) -> str:
    first, *others = source.split(BLANK)
    answers = [*answers, *[""] * len(others)][: len(others)]
    pieces = [first, *(piece for pair in zip(answers, others, strict=True) for piece in pair)]
    return " ".join(" ".join(pieces).split())


PROGRAMS = {
    "classification": Program(_script("02_cloze_classification.py"), _count_cloze, _cloze_scores),
    "seq2seq": Program(_script("04_seq2seq.py"), _count_pairs, _pair_scores),
    "lambada": Program(_evaluate("lambada"), _count_texts, _report_scores, trains=False),
    "perplexity": Program(_evaluate("perplexity"), _count_words, _report_scores, trains=False),
}


__all__ = ["PROGRAMS", "Program", "compute_text_bleu"]
