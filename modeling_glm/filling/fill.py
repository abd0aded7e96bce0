"""Fill the blanks of texts: the best answers of every blank, where they stand and how likely they are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast, overload

from tqdm.auto import tqdm
from transformers import PreTrainedModel
from transformers.utils import logging

from ..modeling_glm import GLMForConditionalGeneration
from ..tokenization import GLMTokenizer
from ..utils.inference import evaluation_mode, require_class
from ..utils.numbers import shorten
from ..utils.rows import OnError, check_rows, read_rows
from .arguments import check_names, check_rows_of
from .confident_first import fill_confident_first
from .jobs import Constraints, FillingSettings, Job, JobBuilder, Order, default_beams, make_batches, spread_constraints
from .results import Filling, ScoredCandidate, build_filling
from .search import decode_rows, score_closed_sets, search_with_beams

logger = logging.get_logger(__name__)


@overload
def fill_blanks(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: str,
    num_answers: int = 1,
    *,
    constraints: Constraints | None = None,
    order: Order = "left-to-right",
    num_beams: int | None = None,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int = 0,
    length_penalty: float = 0.0,
    max_new_tokens_per_blank: int | None = None,
    truncation: bool = False,
    batch_size: int = 32,
    first_number: int = 0,
    on_error: Literal["raise"] = "raise",
    progress: bool = False,
    **generate_kwargs: Any,
) -> list[Filling]: ...


@overload
def fill_blanks(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: Any,
    num_answers: int = 1,
    *,
    constraints: Constraints | None = None,
    order: Order = "left-to-right",
    num_beams: int | None = None,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int = 0,
    length_penalty: float = 0.0,
    max_new_tokens_per_blank: int | None = None,
    truncation: bool = False,
    batch_size: int = 32,
    first_number: int = 0,
    on_error: Literal["raise"] = "raise",
    progress: bool = False,
    **generate_kwargs: Any,
) -> list[list[Filling]]: ...


@overload
def fill_blanks(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: Any,
    num_answers: int = 1,
    *,
    constraints: Constraints | None = None,
    order: Order = "left-to-right",
    num_beams: int | None = None,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int = 0,
    length_penalty: float = 0.0,
    max_new_tokens_per_blank: int | None = None,
    truncation: bool = False,
    batch_size: int = 32,
    first_number: int = 0,
    on_error: OnError = "raise",
    progress: bool = False,
    **generate_kwargs: Any,
) -> Any: ...


def fill_blanks(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    texts: Any,
    num_answers: int = 1,
    *,
    constraints: Constraints | None = None,
    order: Order = "left-to-right",
    num_beams: int | None = None,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int = 0,
    length_penalty: float = 0.0,
    max_new_tokens_per_blank: int | None = None,
    truncation: bool = False,
    batch_size: int = 32,
    first_number: int = 0,
    on_error: OnError = "raise",
    progress: bool = False,
    **generate_kwargs: Any,
) -> Any:
    """
    Fill all blanks of texts and tell how likely every answer is.

    The model says in its answer whether white space comes first: `thirty [MASK]` and `thirty[MASK]` have the same ids, and
    both become `thirty-six` or both `thirty six`. Only masks are special in a text, so a `[CLS]` in it is read as letters.

    Example:

    ```python
    >>> fillings = fill_blanks(model, tokenizer, "The capital of [MASK] is [MASK].", num_answers=3)
    >>> fillings[0].text, fillings[0].log_prob
    >>> [(answer.text, answer.probability) for answer in fillings[0].answers]
    >>> year = BlankConstraint(regex="(19|20)[0-9]{2}")
    >>> fill_blanks(model, tokenizer, "It was built in [MASK].", constraints=[year])
    ```

    Args:
        model: A `GLMForConditionalGeneration`.
        tokenizer: The tokenizer of the model.
        texts: A text with blanks; or many in a list, generator, NumPy array, pandas Series or DataFrame, as a dict of
            columns or as a `datasets.Dataset`. A row may be a dict with the text as "text".
        num_answers: The most fillings to return for a text, best first: the best joint ones that beams find, or this many
            samples. At most the number of tokens of the vocabulary. If every blank has a closed set of answers with at most
            512 combinations in all, all of them are scored and the ranking is exact.
        constraints: What the answers may be. One `BlankConstraint` is for all blanks. A list has a constraint or None for
            every blank of each text. For a list of texts it may also be a list of such lists.
        order: The order in which the blanks of a text are filled. "confident-first" fills all open blanks, keeps the
            answer with the highest log-probability per token, and fills the others again behind it. It gives one filling,
            and its cost grows with the square of the number of blanks. Its log-probabilities belong to that order; `score_fillings` reads from left to right.
        num_beams: The number of beams, at most the number of tokens of the vocabulary. The default is 1 (greedy) for one
            answer, otherwise twice `num_answers` and at least 4.
        do_sample, temperature, top_k, top_p, min_p: Draw answers instead, as in `generate`.
        seed: The seed of the draws. A draw depends on the seed and on the numbers of the text and the sample, not on
            batching.
        length_penalty: Fillings are compared by their log-probability divided by this power of their number of tokens: 0
            compares probabilities, 1 the mean per token. The power of the longest filling must be in the range of float32.
        max_new_tokens_per_blank: The longest answer in tokens, where no constraint says otherwise. The default is 64 or
            what the position table holds. An answer of this length is complete, and its score includes its end.
        truncation: Whether the model reads only the tokens nearest to the blanks of a text that is longer than the position
            table. The filled text is whole. Without it such a text is an error.
        batch_size: The number of texts in a forward pass. It does not change the answers.
        first_number: The number of the first text. If you fill a long list in parts, give each part the number of its
            first text: the draws are then those of the whole list.
        on_error: "raise" raises the first text that cannot be used, as a `RowError`. "record" puts its `RowError` in the
            place of its fillings, and the other texts get theirs.
        progress: Whether to show a progress bar.
        generate_kwargs: Further arguments of `generate`, such as `repetition_penalty` or `cache_implementation`. A
            `streamer` works for one answer of a single text that is not chosen from a closed set. `max_time` is for each
            batch: its texts that are not filled then have an empty list.

    Returns:
        For every text a list of different `Filling`s, best first; for a single string one such list. Log-probabilities
        are those of the model itself, without temperature or constraints. A text for which the beams found no allowed
        answer has an empty list, with a warning.

    Raises:
        ValueError: If a text has no blank, if it is longer than the position table and `truncation` is not set, if no answer
            can fulfil a constraint or the constraints do not fit the blanks, if settings contradict each other, or if a
            number is out of range.
    """
    settings = FillingSettings(
        num_answers=num_answers,
        order=order,
        num_beams=num_beams,
        do_sample=do_sample,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        seed=seed,
        length_penalty=length_penalty,
        max_new_tokens_per_blank=max_new_tokens_per_blank,
        truncation=truncation,
        batch_size=batch_size,
        first_number=first_number,
        generate_kwargs=generate_kwargs,
    )
    return Filler(model, tokenizer, settings).fill(texts, constraints, on_error=on_error, progress=progress)


class Filler:
    """
    Fill many texts in parts, as they come. What constraints need is prepared once for all parts.

    Args:
        model: A `GLMForConditionalGeneration`.
        tokenizer: The tokenizer of the model.
        settings: The settings of `fill_blanks`.

    Raises:
        ValueError: If the settings do not fit the model.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: GLMTokenizer, settings: FillingSettings):
        require_class(model, GLMForConditionalGeneration.__name__)
        check_names(model, settings.generate_kwargs)
        self.model = cast(GLMForConditionalGeneration, model)
        self.tokenizer = tokenizer
        self.settings = settings
        self._builder = JobBuilder(tokenizer, self.model.config, settings)

    def fill(
        self,
        texts: Any,
        constraints: Constraints | None = None,
        *,
        first_number: int | None = None,
        on_error: OnError = "raise",
        progress: bool = False,
    ) -> Any:
        """
        Fill the blanks of the next texts, as `fill_blanks` does.

        Args:
            texts, constraints, on_error, progress: As in `fill_blanks`.
            first_number: The number of the first text, if it is not that of the settings.
        """
        settings = self.settings
        if first_number is not None:
            settings = replace(settings, first_number=first_number)
        rows = read_rows(texts)
        listed = list(rows)
        check_rows_of(settings.generate_kwargs, len(listed))
        checked = check_rows(
            self._builder.build_all(listed, spread_constraints(constraints, len(listed), rows.single)),
            _require_job,
            kind="Text",
            on_error=on_error,
            first_row=settings.first_number,
        )
        jobs = checked.good
        if settings.streams and not rows.single:
            raise ValueError("A streamer is for one answer of a single text, without beams, from left to right.")
        if settings.streams and jobs and not jobs[0].is_generated(settings):
            raise ValueError(
                "A streamer is given, and nothing is generated: all answers are given or from closed sets."
            )
        found: dict[int, list[Filling]] = {}
        with evaluation_mode(self.model), tqdm(total=len(jobs), disable=not progress, desc="filling") as bar:
            for batch in make_batches(jobs, settings.batch_size):
                for job, candidates in zip(batch, _find_candidates(self.model, batch, settings), strict=True):
                    found[job.number] = _select_best(self.tokenizer, job, candidates, settings)
                    if not found[job.number]:
                        _warn_of_nothing(job, settings)
                bar.update(len(batch))
        results = checked.restore([found[job.number] for job in jobs])
        return results[0] if rows.single else results


def _require_job(job: Job | ValueError) -> Job:
    if isinstance(job, ValueError):
        raise job
    return job


def _warn_of_nothing(job: Job, settings: FillingSettings):
    limits = "num_beams or max_new_tokens" + (" or max_time" if "max_time" in settings.generate_kwargs else "")
    logger.warning(
        f"Nothing was found for text {settings.first_number + job.number} that its constraints allow: raise {limits}. It is "
        f"{shorten(job.text)}."
    )


def _find_candidates(
    model: GLMForConditionalGeneration, jobs: Sequence[Job], settings: FillingSettings
) -> list[list[ScoredCandidate]]:
    """Run the search that fits a batch of `make_batches`."""
    if settings.order == "confident-first":
        return fill_confident_first(model, jobs, settings)
    if not jobs[0].is_generated(settings):
        return score_closed_sets(model, jobs, settings)
    if jobs[0].is_closed and not (settings.do_sample or settings.streams):  # greedy search may miss the best one
        settings = replace(settings, num_beams=settings.num_beams or default_beams(settings.num_answers))
    search = search_with_beams if settings.beams > 1 else decode_rows
    return search(model, jobs, settings)


def _build(tokenizer: GLMTokenizer, job: Job, candidate: ScoredCandidate) -> Filling | None:
    """Build the filling of a candidate. Returns None if an answer breaks the constraint of its blank."""
    answers, pieces = dict(job.given), {}
    for place, piece in zip(candidate.order, candidate.pieces, strict=True):
        answer = job.rules[place].read(tokenizer, piece.token_ids)
        if answer is None:
            return None
        answers[job.blanks[place]], pieces[job.blanks[place]] = answer, piece
    return build_filling(tokenizer, job.text, [answers[blank] for blank in range(len(answers))], pieces)


def _select_best(
    tokenizer: GLMTokenizer, job: Job, candidates: Sequence[ScoredCandidate], settings: FillingSettings
) -> list[Filling]:
    """Build the best fillings with different answers. Of many candidates, only those are decoded that may be returned."""

    def value(candidate: ScoredCandidate) -> float:
        log_prob = sum(piece.log_prob for piece in candidate.pieces)
        return log_prob / max(1, sum(len(piece.log_probs) for piece in candidate.pieces)) ** settings.length_penalty

    best: dict[tuple[str, ...], Filling] = {}
    for candidate in sorted(candidates, key=value, reverse=True):
        if len(best) == settings.num_answers:
            break
        if (filling := _build(tokenizer, job, candidate)) is not None:
            best.setdefault(tuple(answer.text for answer in filling.answers), filling)
    return list(best.values())


__all__ = ["Filler", "fill_blanks"]
