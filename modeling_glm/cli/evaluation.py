"""Measure a model with the commands evaluate perplexity, lambada, infilling and choices."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .inputs import BatchSize, Model, Truncation, load, read_precision
from .lines import ENDINGS, InputFormat, Line, read_lines
from .outputs import Output, print_json, show_table
from .package import PackageCommand
from .run_options import RunOptions, with_options

if TYPE_CHECKING:
    import torch

    from ..utils.rows import RowError

evaluate = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


class LengthUnit(StrEnum):
    token = "token"
    character = "character"


class Scored(StrEnum):
    sentence = "sentence"
    behind = "behind"


class Detokenizer(StrEnum):
    none = "none"
    wikitext = "wikitext"
    ptb = "ptb"


DataFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Lines of text, JSON lines, CSV or TSV. The ending says which.")
]
Unidirectional = Annotated[
    bool,
    typer.Option(
        "--unidirectional", help="Read from left to right only. Without it: read earlier text in both directions."
    ),
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        help="Most tokens of a row; longer texts lose their start. Without it: what the position table holds."
    ),
]


@evaluate.callback()
def _measures():
    """
    Measure a model as the paper does, without training: perplexity, LAMBADA, infilling, multiple choice.

    Prints the measures. With --output the report has the settings, the versions and a digest of the file.

    Example:

        modeling-glm evaluate perplexity examples/glm-tiny README.md
    """


@evaluate.command(cls=PackageCommand)
@with_options("run", without=("details",))
def perplexity(
    model: Model,
    file: DataFile,
    run: RunOptions,
    window: Annotated[
        int | None,
        typer.Option(help="Tokens that the model sees at a time. Without it: one less than the position table holds."),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Tokens that each further window scores. Without it: a quarter of the window.")
    ] = None,
    unidirectional: Unidirectional = False,
    score_first: Annotated[
        bool, typer.Option("--score-first", help="Score the first token of every document, too.")
    ] = False,
    one_document: Annotated[
        bool, typer.Option("--one-document", help="Read a text file as one document. Without it: every line is one.")
    ] = False,
    detokenize: Annotated[
        Detokenizer, typer.Option(help="Undo the tokenization of a corpus. Words are counted as the file has them.")
    ] = Detokenizer.none,
    batch_size: BatchSize = 16,
):
    """
    Compute the perplexity of texts, per token and per word, over windows with a stride.

    Examples:

        modeling-glm evaluate perplexity examples/glm-tiny README.md

        modeling-glm evaluate perplexity my-model wiki.test.tokens --one-document --detokenize wikitext -o wikitext.json
    """
    from ..evaluation.perplexity import compute_perplexity
    from ..evaluation.windows import default_stride, default_window
    from ..modeling_glm import GLMForConditionalGeneration
    from ..tokenization.seq2seq.detokenizers import detokenize_ptb, detokenize_wikitext

    detokenizers: dict[Detokenizer, Callable[[str], str] | None] = {
        Detokenizer.none: None,
        Detokenizer.wikitext: detokenize_wikitext,
        Detokenizer.ptb: detokenize_ptb,
    }
    if one_document:
        lines = [_read_document(file, run.input_format)]
    else:
        lines = list(read_lines([], file, run.input_format, run.text_field))
    loaded, tokenizer = load(GLMForConditionalGeneration, model, run.device, read_precision(run.dtype), run.revision)
    window = default_window(loaded.config) if window is None else window
    settings: dict[str, Any] = {
        "window": window,
        "stride": default_stride(window) if stride is None else stride,
        "unidirectional": unidirectional,
        "score_first": score_first,
        "batch_size": batch_size,
    }
    measure = partial(compute_perplexity, loaded, tokenizer, detokenize=detokenizers[detokenize], **settings)
    settings |= {"one_document": one_document, "detokenize": detokenize.value}
    measured = _Run("perplexity", loaded, model, file, lines, settings, run)
    _show(measured.measure(measure, [line.text for line in lines]), run.format)


@evaluate.command(cls=PackageCommand)
@with_options("run")
def lambada(
    model: Model,
    file: DataFile,
    run: RunOptions,
    unidirectional: Unidirectional = False,
    max_length: MaxLength = None,
    batch_size: BatchSize = 32,
):
    """
    Compute how often the model predicts the last word of a text.

    Example:

        modeling-glm evaluate lambada my-model lambada_test.jsonl --max-length 512 -o lambada.json
    """
    from ..evaluation.lambada import evaluate_lambada
    from ..evaluation.texts import check_max_length
    from ..modeling_glm import GLMForConditionalGeneration

    lines = list(read_lines([], file, run.input_format, run.text_field))
    loaded, tokenizer = load(GLMForConditionalGeneration, model, run.device, read_precision(run.dtype), run.revision)
    settings: dict[str, Any] = {
        "unidirectional": unidirectional,
        "max_length": check_max_length(max_length, loaded.config),
        "batch_size": batch_size,
    }
    measure = partial(evaluate_lambada, loaded, tokenizer, **settings)
    measured = _Run("lambada", loaded, model, file, lines, settings, run)
    _show(measured.measure(measure, [line.text for line in lines]), run.format)


@evaluate.command(cls=PackageCommand)
@with_options("run")
def infilling(
    model: Model,
    file: DataFile,
    run: RunOptions,
    ratio: Annotated[
        list[float] | None,
        typer.Option(
            help="Share of the words to hide. Repeat the option for more. Without it: 0.1, 0.2, 0.3, 0.4 and 0.5."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed for the choice of hidden words.")] = 0,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer of a blank, in tokens.")] = None,
    truncation: Truncation = False,
    batch_size: BatchSize = 32,
):
    """
    Hide random words of texts, fill them, and compare: BLEU, exact match and perplexity. Needs sacrebleu.

    Example:

        modeling-glm evaluate infilling my-model texts.txt --ratio 0.1 --ratio 0.3 --details filled.jsonl
    """
    from ..evaluation.infilling import RATIOS, evaluate_infilling
    from ..modeling_glm import GLMForConditionalGeneration

    lines = list(read_lines([], file, run.input_format, run.text_field))
    loaded, tokenizer = load(GLMForConditionalGeneration, model, run.device, read_precision(run.dtype), run.revision)
    settings: dict[str, Any] = {
        "ratios": ratio or list(RATIOS),
        "seed": seed,
        "max_new_tokens_per_blank": max_new_tokens,
        "truncation": truncation,
        "batch_size": batch_size,
    }
    measure = partial(evaluate_infilling, loaded, tokenizer, **settings)
    measured = _Run("infilling", loaded, model, file, lines, settings, run)
    _show(measured.measure(measure, [line.text for line in lines]), run.format)


@evaluate.command(cls=PackageCommand)
@with_options("run")
def choices(
    model: Model,
    file: DataFile,
    run: RunOptions,
    unidirectional: Unidirectional = False,
    max_length: MaxLength = None,
    length_penalty: Annotated[
        float,
        typer.Option(help="Divide the score of a choice by this power of its length. 1: mean per token."),
    ] = 0.0,
    length_unit: Annotated[
        LengthUnit, typer.Option(help="Count the length in tokens, or in characters as acc_norm of the harness does.")
    ] = LengthUnit.token,
    as_written: Annotated[
        bool, typer.Option("--as-written", help="Encode choices exactly as they stand, as the authors' code does.")
    ] = False,
    scored: Annotated[
        Scored,
        typer.Option(
            help="A causal model scores the choice and what follows it (sentence), or only what follows (behind)."
        ),
    ] = Scored.sentence,
    batch_size: BatchSize = 32,
):
    """
    Choose among the choices of every line, and compare with the right one.

    A line is a JSON object {"text": ..., "choices": [...], "label": 0}; the names of the authors' files work, too:
    inputs_pretokenized, choices_pretokenized, label. In a table, choices stand between bars: cold|hot.

    MODEL may also be a causal model of Transformers, or a GGUF file of one: the same questions, read from left to right.

    Examples:

        modeling-glm evaluate choices my-model questions.jsonl --details scores.jsonl

        modeling-glm evaluate choices SmolLM2-135M-Instruct.Q4_1.gguf questions.jsonl
    """
    from ..evaluation.causal.loading import load_causal_model, names_causal_model
    from ..evaluation.choices import evaluate_choices
    from ..evaluation.texts import check_max_length
    from ..modeling_glm import GLMForConditionalGeneration

    lines = list(read_lines([], file, run.input_format, run.text_field))
    loaded: Any
    if names_causal_model(model, run.revision):
        wanted = None if run.dtype is None else run.dtype.value
        loaded, tokenizer = load_causal_model(model, device=run.device, dtype=wanted, revision=run.revision)
    else:
        loaded, tokenizer = load(
            GLMForConditionalGeneration, model, run.device, read_precision(run.dtype), run.revision
        )
        max_length = check_max_length(max_length, loaded.config)
    settings: dict[str, Any] = {
        "unidirectional": unidirectional,
        "max_length": max_length,
        "length_penalty": length_penalty,
        "length_unit": length_unit.value,
        "as_written": as_written,
        "scored": scored.value,
        "batch_size": batch_size,
    }
    measure = partial(evaluate_choices, loaded, tokenizer, **settings)
    measured = _Run("choices", loaded, model, file, lines, settings, run)
    _show(measured.measure(measure, [_read_choices(line, run.text_field) for line in lines]), run.format)


class _Run:
    """Measure the lines of a file, and write what was found."""

    def __init__(
        self,
        name: str,
        model: "torch.nn.Module",
        model_name: str,
        file: Path,
        lines: Sequence[Line],
        settings: Mapping[str, Any],
        options: RunOptions,
    ):
        self.name = name
        self.model = model
        self.model_name = model_name
        self.file = file
        self.lines = lines
        self.settings = settings
        self.skip_errors = options.skip_errors
        self.output = options.output
        self.details = options.details
        self._check_files()

    def _check_files(self) -> None:
        """Raise a `ValueError` for a file that cannot be written or that the run reads, before anything is computed."""
        named = {"FILE": self.file, "--output": self.output, "--details": self.details}
        for name, path in named.items():
            if name == "FILE" or path is None:
                continue
            if path.is_dir():
                raise ValueError(f"{name} {path} is a folder: name a file in it.")
            for other, taken in named.items():
                if other != name and taken is not None and taken.resolve() == path.resolve():
                    raise ValueError(f"{name} and {other} are the same file, {path}: choose another for {name}.")

    def measure(self, measure: Callable[..., Any], rows: Sequence[Any]) -> dict[str, Any]:
        """Measure the rows of all lines, and return the report. Errors name the line."""
        from ..evaluation.report import build_report
        from ..utils.files import write_whole
        from ..utils.rows import RowError

        partial_file = None if self.output is None else self.output.with_name(f"{self.output.name}.partial")
        started = time.monotonic()
        try:
            measured = measure(
                rows,
                on_error="record" if self.skip_errors else "raise",
                progress=sys.stderr.isatty(),
                partial_file=partial_file,
            )
        except RowError as error:
            raise ValueError(_tell(self.lines[error.row], error)) from error
        except ImportError as error:
            raise ValueError(str(error)) from error
        except (KeyboardInterrupt, SystemExit):
            if partial_file is not None and partial_file.exists():
                print(f"interrupted: run the same command again to resume from {partial_file}.", file=sys.stderr)
            raise
        report = build_report(
            self.name,
            measured,
            model=self.model,
            model_name=self.model_name,
            file=self.file,
            settings=self.settings,
            seconds=time.monotonic() - started,
        )
        if self.skip_errors:
            report["errors"] = [
                {"line": self.lines[error.row].number, "error": error.reason} for error in measured.errors
            ]
        if self.details is not None:
            entries = [{"line": self.lines[entry.pop("row")].number, **entry} for entry in measured.details()]
            write_whole(self.details, "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries))
        if self.output is not None:
            write_whole(self.output, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        if partial_file is not None:
            partial_file.unlink(missing_ok=True)
        return report


def _tell(line: Line, error: "RowError") -> str:
    """Name the line in an error. Errors of reading say "line", those of measuring say "text" or "example"."""
    from ..utils.rows import RowError

    kind = "Line" if error.reason.startswith("The line ") else error.kind
    return line.tell(RowError(error.row, error.reason, kind))


def _read_document(file: Path, form: InputFormat) -> Line:
    """Read a whole file as one line."""
    if file.suffix.lower() in ENDINGS or form not in (InputFormat.auto, InputFormat.lines):
        raise ValueError(f"--one-document reads a plain text, but {file} has a text in each row: leave it out.")
    from ..tokenization.row_files import read_file_text

    return Line(1, str(file), read_file_text(file))


def _read_choices(line: Line, text_field: str) -> Any:
    """Read the fields of an example with choices, or return the error of the line."""
    from ..evaluation.choices import FIELDS, ORIGINAL_FIELDS

    if not line.fields:
        return line.text if isinstance(line.text, ValueError) else {FIELDS[0]: line.text}
    fields = dict(line.fields)
    if text_field in fields:
        names = ORIGINAL_FIELDS if ORIGINAL_FIELDS[0] in fields else FIELDS
        if text_field != FIELDS[0]:  # the default leaves the authors' field as it is
            fields[names[0]] = fields[text_field]
    elif text_field != FIELDS[0]:
        return line.text  # the error of a line without the field that the caller named
    for name in (FIELDS[1], ORIGINAL_FIELDS[1]):
        if isinstance(cell := fields.get(name), str):
            fields[name] = _split_choices(cell)
    return fields


def _split_choices(cell: str) -> list[Any]:
    """Read the choices in a cell of a table: a JSON list, or texts between bars, of which the first may be "[MASK]"."""
    try:
        listed = json.loads(cell)
    except ValueError:
        listed = None
    return listed if isinstance(listed, list) else cell.split("|")


def _show(report: Mapping[str, Any], form: Output) -> None:
    """Show a report to people as a table, and to programs as JSON."""
    if not form.is_for_people:
        print_json(dict(report))
        return
    metrics, counts = report["metrics"], report["counts"]
    if all(isinstance(value, Mapping) or value is None for value in metrics.values()):
        names = list(dict.fromkeys(name for value in metrics.values() for name in value or ()))
        rows = [[ratio, *(_shown((value or {}).get(name)) for name in names)] for ratio, value in metrics.items()]
        show_table(["ratio", *(name.replace("_", " ") for name in names)], rows)
    else:
        show_table(None, [[name.replace("_", " "), _shown(value)] for name, value in metrics.items()])
    numbers = {name: value for name, value in counts.items() if not isinstance(value, Mapping)}
    show_table(None, [[name.removeprefix("num_").replace("_", " "), str(value)] for name, value in numbers.items()])
    for error in report.get("errors", ()):
        print(f"left out: line {error['line']}: {error['error']}", file=sys.stderr)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


__all__ = ["evaluate"]
