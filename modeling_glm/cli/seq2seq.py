"""Predict targets for the rows of a file: the command seq2seq."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.text import Text

from .inputs import (
    BatchSize,
    Device,
    InputFile,
    InputForm,
    Model,
    OldDtype,
    Precision,
    PrecisionName,
    Revision,
    load,
    read_precision,
)
from .lines import InputFormat, Line, read_lines
from .outputs import OutputFile, ResultForm, RowFormat, RowOutput, result_writer

if TYPE_CHECKING:
    from ..seq2seq.predictions import TargetPrediction
    from ..tokenization import DataCollatorForInfillingSeq2Seq, GLMTokenizer

# Rows of similar length share a batch, so a few batches are read at a time.
BATCHES_AT_A_TIME = 8


def seq2seq(
    model: Model,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="A file of rows (.jsonl, .csv, .tsv) with the columns that the pattern reads, or sources as texts if it reads "
            "one column. Without any, or with -, rows come from standard input: a JSON object or a text on each line. Other "
            "columns pass through to the answer.",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="The pattern, such as '[sMASK] Content: {source|shorten}'. Without it: the one that the model was trained "
            "with (seq2seq.json).",
        ),
    ] = None,
    num_answers: Annotated[
        int,
        typer.Option("-n", "--num-answers", min=1, help="Number of answers per row, best first. Needs as many beams."),
    ] = 1,
    num_beams: Annotated[
        int | None, typer.Option(min=1, help="Number of beams. Without it: that of the saved model, or 1.")
    ] = None,
    length_penalty: Annotated[
        float | None, typer.Option(help="With beams: divide the sum of log-probabilities by this power of the length.")
    ] = None,
    no_repeat_ngram_size: Annotated[
        int | None, typer.Option(min=0, help="No n-gram of this size occurs twice in an answer; 0 allows all.")
    ] = None,
    min_new_tokens: Annotated[int | None, typer.Option(min=0, help="Shortest answer in tokens.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of all answers of a row.")] = None,
    original_search: Annotated[
        bool,
        typer.Option(
            "--original-search", help="Use the beam search of the authors' code, which scores beams in another way."
        ),
    ] = False,
    max_source_length: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of a source. Fields marked |shorten are cut to fit.")
    ] = None,
    batch_size: BatchSize = 32,
    input: InputFile = None,
    input_format: InputForm = InputFormat.auto,
    output: OutputFile = None,
    format: RowFormat = RowOutput.auto,
    device: Device = None,
    precision: Precision = PrecisionName.auto,
    dtype: OldDtype = None,
    revision: Revision = None,
):
    """
    Predict targets with a model that was trained from source to target: summaries, questions, translations.

    The model is a folder that examples/04_seq2seq.py wrote, or any GLM with --pattern. A bad row gets its
    error in its place. The others get their answers, and the exit code is 1.

    Examples:

        modeling-glm seq2seq runs/seq2seq rows.jsonl > answers.jsonl

        modeling-glm seq2seq runs/seq2seq rows.csv --num-beams 4 -n 4 --output answers.csv

        modeling-glm seq2seq my-model --pattern "{article|shorten} In short: [sMASK]" < articles.jsonl
    """
    from ..modeling_glm import GLMForConditionalGeneration
    from ..seq2seq.decoding import SearchSettings, find_model, load_settings
    from ..seq2seq.predictions import TargetPrediction, predict_targets
    from ..utils.numbers import check_batch_size
    from ..utils.rows import check_rows, in_batches

    model = find_model(model)
    check_batch_size("batch_size", batch_size)
    loaded, tokenizer = load(GLMForConditionalGeneration, model, device, read_precision(dtype, precision), revision)
    load_settings(loaded, model, revision)
    collator = load_collator(model, tokenizer, pattern, max_source_length, revision)
    search = SearchSettings.for_model(
        loaded,
        num_beams=num_beams,
        length_penalty=length_penalty,
        no_repeat_ngram_size=no_repeat_ngram_size,
        min_new_tokens=min_new_tokens,
        max_new_tokens=max_new_tokens,
        original_search=original_search or None,
    )
    lines = read_lines(sources or [], input, input_format, min(collator.fields))
    with result_writer(PREDICTIONS, format, output) as writer:
        for _, chunk in in_batches(lines, batch_size * BATCHES_AT_A_TIME):
            checked = check_rows(chunk, lambda line: read_row(line, collator), kind="Line", on_error="record")
            found: list[Any] = predict_targets(
                loaded,
                collator,
                checked.good,
                batch_size=batch_size,
                num_return_sequences=num_answers,
                on_error="record",
                **search.as_arguments(),
            )
            results = [[answer] if isinstance(answer, TargetPrediction) else answer for answer in found]
            for line, predictions in zip(chunk, checked.restore(results), strict=True):
                writer.write(line, predictions)


def load_collator(
    model: str, tokenizer: "GLMTokenizer", pattern: str | None, max_source_length: int | None, revision: str | None
) -> "DataCollatorForInfillingSeq2Seq":
    """
    Make the collator of a pattern, or load the one that the model was trained with.

    Raises:
        ValueError: If the model has none and no pattern is given, and for a pattern that reads no column.
    """
    from ..tokenization import DataCollatorForInfillingSeq2Seq

    lengths: dict[str, Any] = {} if max_source_length is None else {"max_source_length": max_source_length}
    if pattern is not None:
        return DataCollatorForInfillingSeq2Seq(tokenizer, pattern, **lengths)
    options = {"revision": revision} if revision else None
    try:
        return DataCollatorForInfillingSeq2Seq.from_pretrained(model, tokenizer, hub_options=options, **lengths)
    except OSError as error:
        raise ValueError(
            f"{model} carries no pattern, because it has no seq2seq.json: give one, such as --pattern "
            f"'{{source|shorten}} {tokenizer.gmask_token or tokenizer.mask_token}'."
        ) from error


def read_row(line: Line, collator: "DataCollatorForInfillingSeq2Seq") -> dict[str, Any]:
    """Read a line as a row with the columns of the pattern. Raises a `ValueError` for a bad line."""
    text = line.read_text()
    if line.fields:
        return dict(line.fields)
    if len(collator.fields) > 1:
        names = ", ".join(map(repr, sorted(collator.fields)))
        raise ValueError(f"The line is a text, but the pattern reads {names}: give a JSON object or a table.")
    return dict.fromkeys(collator.fields, text)


def as_rows(predictions: "Sequence[TargetPrediction]") -> list[dict[str, Any]]:
    """Describe answers as rows of a table."""
    rows = []
    for rank, prediction in enumerate(predictions, start=1):
        found = prediction.as_dict()
        rows.append({"rank": rank, "answer": found.pop("text"), **found})
    return rows


def show_predictions(predictions: "Sequence[TargetPrediction]", stream: TextIO | None = None):
    """Show answers on a line each, with their probabilities."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    for prediction in predictions:
        probability = Text(f"{math.exp(prediction.log_prob):6.1%}  ", style="dim")
        console.print(probability.append_text(Text(" | ".join(prediction.answers), style="default")))
    if len(predictions) != 1:
        console.print()


PREDICTIONS: "ResultForm[Sequence[TargetPrediction]]" = ResultForm(
    "predictions",
    (),
    ("rank", "answer", "answers", "probability", "log_prob", "score"),
    lambda found: [prediction.as_dict() for prediction in found],
    as_rows,
    show_predictions,
)
