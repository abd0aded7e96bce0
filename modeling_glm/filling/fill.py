"""Filling the blanks of texts: the best answers of every blank, where they stand and how likely they are."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal, overload

from tqdm.auto import tqdm
from transformers import LogitsProcessor
from transformers.utils import logging

from ..generation_glm import DEFAULT_MAX_NEW_TOKENS_PER_BLANK
from ..tokenization import GLMTokenizer
from ..utils.inference import evaluation_mode
from .automata import Automata
from .confident_first import fill_confident_first
from .jobs import Constraints, Job, make_batches, prepare_job, spread_constraints
from .results import Filling, build_filling, check_blanks
from .row_sampling import SampleByRowLogitsProcessor, sampling_warpers
from .scoring import Candidates, score_pieces
from .search import search_answers

logger = logging.get_logger(__name__)

ORDERS = ("left-to-right", "confident-first")
OWN_SETTINGS = frozenset(
    [
        "attention_mask",
        "do_sample",
        "early_stopping",
        "eos_token_id",
        "input_ids",
        "logits_processor",
        "max_length",
        "max_new_tokens",
        "num_return_sequences",
        "output_scores",
        "position_ids",
        "return_dict_in_generate",
    ]
)


@overload
def fill_blanks(
    model: Any, tokenizer: GLMTokenizer, texts: str, num_answers: int = 1, **settings: Any
) -> list[Filling]: ...


@overload
def fill_blanks(
    model: Any, tokenizer: GLMTokenizer, texts: Sequence[str], num_answers: int = 1, **settings: Any
) -> list[list[Filling]]: ...


def fill_blanks(
    model: Any,
    tokenizer: GLMTokenizer,
    texts: str | Sequence[str],
    num_answers: int = 1,
    *,
    constraints: Constraints | None = None,
    order: Literal["left-to-right", "confident-first"] = "left-to-right",
    num_beams: int | None = None,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int = 0,
    length_penalty: float = 0.0,
    max_new_tokens_per_blank: int | None = None,
    batch_size: int = 32,
    first_number: int = 0,
    progress: bool = False,
    **generate_kwargs: Any,
) -> list[list[Filling]] | list[Filling]:
    """
    Fills all blanks of texts, and says how likely every answer is.

    Example:

    ```python
    >>> fillings = fill_blanks(model, tokenizer, "The capital of [MASK] is [MASK].", num_answers=3)
    >>> fillings[0].text, fillings[0].log_prob
    >>> [(answer.text, answer.score) for answer in fillings[0].answers]
    >>> year = BlankConstraint(regex="(19|20)[0-9]{2}")
    >>> fill_blanks(model, tokenizer, "It was built in [MASK].", constraints=[year])
    ```

    Args:
        model: A [`GLMForConditionalGeneration`].
        tokenizer: Its tokenizer.
        texts: A text with blanks, or a list of them.
        num_answers: How many different fillings of a text to return at most, best first: the best joint ones that beams
            find, or as many samples. Where every blank has a closed set of answers, and these have at most 512
            combinations, all of them are scored and the ranking is exact.
        constraints: What the answers may be: a [`BlankConstraint`] for all blanks; or a list with one, or None, for every
            blank of each text; or for a list of texts a list of such lists.
        order: In which order the blanks of a text are filled. "confident-first" fills all that are left, keeps the
            answer with the highest score per token, and asks again for the others with it in sight; so it costs more,
            and gives one filling.
        num_beams: By default 1 for one answer, which is then greedy, else twice `num_answers` and at least 4.
        do_sample, temperature, top_k, top_p, min_p: Draw answers instead, as in `generate`.
        seed: Of the draws. They depend on it and on the number of the text and the answer, not on the batch.
        length_penalty: The power of the number of tokens that log-probabilities are divided by to compare fillings: 0
            compares their probabilities, 1 the mean over their tokens.
        max_new_tokens_per_blank: Longest answer in tokens, where a constraint says nothing else; by default 64, or
            what the position table holds. An answer that reaches it is complete, and was scored with its end.
        batch_size: Texts of a forward pass; those of similar length go together. It does not change the answers.
        first_number: The number of the first text. Draws for the parts of a long list, each with the number of its first
            text, are those for the whole.
        progress: Whether to show a progress bar.
        generate_kwargs: Further arguments of `generate`, such as `repetition_penalty` or `cache_implementation`; also a
            `streamer`, for the one answer of a single text that is not chosen from a closed set.

    Returns:
        For every text a list of different [`Filling`]s, best first; for a single string one such list. Log-probabilities
        are those of the model itself, whatever temperature or constraint led to an answer. A text for which the beams
        found nothing that its constraints allow has an empty list, with a warning.

    Raises:
        ValueError: for a text without a blank or longer than the position table, constraints that nothing can fulfil or
            that do not fit the blanks, and settings that do not go together.
    """
    single = isinstance(texts, str)
    listed: list[str] = [texts] if isinstance(texts, str) else list(texts)
    for name, value in (("num_answers", num_answers), ("batch_size", batch_size), ("num_beams", num_beams or 1)):
        if value < 1:
            raise ValueError(f"{name}={value}: expected at least 1.")
    if order not in ORDERS:
        raise ValueError(f"order={order!r}: expected one of {', '.join(map(repr, ORDERS))}.")
    if order == "confident-first" and (num_answers > 1 or do_sample or (num_beams or 1) > 1):
        raise ValueError("order='confident-first' gives one filling: leave num_answers, num_beams and do_sample out.")
    if do_sample and (num_beams or 1) > 1:
        raise ValueError(f"do_sample=True and num_beams={num_beams}: expected draws or beams, not both.")
    if taken := sorted(OWN_SETTINGS & set(generate_kwargs)):
        raise ValueError(f"fill_blanks sets {taken[0]} itself: leave it out, or use model.generate.")
    streams = generate_kwargs.get("streamer") is not None
    if streams and (not single or num_answers > 1 or (num_beams or 1) > 1 or order != "left-to-right"):
        raise ValueError("A streamer is for one answer of a single text, without beams, from left to right.")
    numbers_of_blanks = check_blanks(tokenizer, listed)

    # An answer, its start, and one more so that generate never cuts it off.
    longest = model.config.max_piece_length - 2
    limit = max_new_tokens_per_blank
    if limit is None:
        limit = min(longest, DEFAULT_MAX_NEW_TOKENS_PER_BLANK)
    elif not 1 <= limit <= longest:
        raise ValueError(
            f"max_new_tokens_per_blank={limit} must be between 1 and {longest}, the longest answer that the position "
            "table holds."
        )
    of_texts = spread_constraints(constraints, numbers_of_blanks, single)
    automata = Automata(tokenizer, model.config.vocab_size)
    jobs = [
        prepare_job(tokenizer, model.config, automata, number, text, wanted, limit, longest)
        for number, (text, wanted) in enumerate(zip(listed, of_texts, strict=True))
    ]
    if streams and not jobs[0].is_generated(do_sample):
        raise ValueError("A streamer is given, and nothing is generated: all answers are given or from closed sets.")
    if do_sample:
        search: dict[str, Any] = {"num_return_sequences": num_answers, "do_sample": True, "num_beams": 1}
        search |= {"temperature": 1.0, "top_k": 0, "top_p": 1.0}  # they are applied here
        warpers = sampling_warpers(temperature, top_k, top_p, min_p)
    else:
        beams = num_beams or (1 if num_answers == 1 else max(4, 2 * num_answers))
        search = {"num_return_sequences": beams, "do_sample": False, "num_beams": beams}
        search |= {"length_penalty": length_penalty} if beams > 1 else {}
        warpers = []
    generate_kwargs |= search

    results: list[list[Filling]] = [[] for _ in listed]
    with evaluation_mode(model), tqdm(total=len(jobs), disable=not progress, desc="filling") as bar:
        for batch in make_batches(jobs, batch_size):
            scores: Any = None
            if order == "confident-first":
                found = fill_confident_first(model, batch, generate_kwargs)
            elif not batch[0].is_generated(do_sample):
                found = [_list_answers(job) for job in batch]
            else:
                numbers = [(first_number + job.number, sample) for job in batch for sample in range(num_answers)]
                sampler = SampleByRowLogitsProcessor(seed, numbers) if do_sample else None
                found, scores = _search(model, batch, warpers, sampler, generate_kwargs)
            if scores is None:
                scores = score_pieces(model, found, batch_size)
            for job, candidates, of_text in zip(batch, found, scores, strict=True):
                fillings = _build_all(tokenizer, job, candidates, of_text)
                results[job.number] = _best(fillings, num_answers, length_penalty)
                if not results[job.number]:
                    logger.warning(
                        f"Nothing was found for text {job.number} that its constraints allow: raise num_beams or "
                        f"max_new_tokens. It is {job.text!r}."
                    )
            bar.update(len(batch))
    return results[0] if single else results


def _list_answers(job: Job) -> Candidates:
    """All combinations of the closed sets of a text."""
    product = itertools.product(*((rule.choices or {}).values() for rule in job.rules))
    return Candidates(context=job.context, order=range(len(job.blanks)), pieces=[list(pieces) for pieces in product])


def _search(
    model: Any,
    jobs: Sequence[Job],
    warpers: list[LogitsProcessor],
    sampler: SampleByRowLogitsProcessor | None,
    generate_kwargs: dict[str, Any],
) -> tuple[list[Candidates], list[list[Any]] | None]:
    """What is found from left to right, and its log-probabilities if the search made all of them."""
    found = search_answers(model, jobs, warpers, sampler, generate_kwargs)
    candidates = [
        Candidates(context=job.context, order=range(len(job.blanks)), pieces=[answers.pieces for answers in of_text])
        for job, of_text in zip(jobs, found, strict=True)
    ]
    scores = [[answers.log_probs for answers in of_text] for of_text in found]
    return candidates, None if any(None in of_text for of_text in scores) else scores


def _build_all(
    tokenizer: GLMTokenizer, job: Job, candidates: Candidates, scores: Sequence[Sequence[tuple[float, ...]]]
) -> list[Filling]:
    """The fillings of a text that are as asked, with the log-probabilities that the model itself gives them."""
    found = [
        _build(tokenizer, job, candidates.order, pieces, scored)
        for pieces, scored in zip(candidates.pieces, scores, strict=True)
    ]
    return [filling for filling in found if filling is not None]


def _build(
    tokenizer: GLMTokenizer,
    job: Job,
    order: Sequence[int],
    pieces: Sequence[Sequence[int]],
    scores: Sequence[tuple[float, ...]],
) -> Filling | None:
    """The filling that pieces make, or None where an answer is not what its constraint asks."""
    answers = dict(job.given)
    for place, ids in zip(order, pieces, strict=True):
        answer = job.rules[place].read(tokenizer, ids)
        if answer is None:
            return None
        answers[job.blanks[place]] = answer
    blanks = [job.blanks[place] for place in order]
    return build_filling(
        tokenizer,
        job.text,
        [answers[blank] for blank in range(len(answers))],
        dict(zip(blanks, pieces, strict=True)),
        dict(zip(blanks, scores, strict=True)),
    )


def _best(fillings: Sequence[Filling], number: int, length_penalty: float) -> list[Filling]:
    """The best fillings with different answers."""

    def value(filling: Filling) -> float:
        tokens = sum(len(answer.token_log_probs) for answer in filling.answers)
        return filling.log_prob / max(1, tokens) ** length_penalty

    best: dict[tuple[str, ...], Filling] = {}
    for filling in sorted(fillings, key=value, reverse=True):
        best.setdefault(tuple(answer.text for answer in filling.answers), filling)
    return list(best.values())[:number]
