"""Score given answers exactly, many for one text in one forward pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Any, NamedTuple, cast

from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ..branches_glm import PieceLayout, Query, look_up, pad_layouts
from ..configuration_glm import GLMConfig
from ..modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice
from ..tokenization import GLMTokenizer
from ..tokenization.blanks import forms_of_answers, read_given
from ..utils.inference import compute_hidden_states, evaluation_mode, require_class
from ..utils.numbers import check_batch_size, check_truth_value, shorten
from ..utils.rows import read_list, read_rows, read_text
from .results import Filling, ScoredCandidate, ScoredPiece, build_filling, count_blanks, encode_context

# The most tokens behind a text in one row; a text with more candidates takes several rows.
MAX_BRANCH_TOKENS = 512

# Answers of a filling with at most this many combinations of forms are all scored. For more, the likelier form is found
# blank by blank.
MAX_JOINT_FORMS = 16

ScoringModel = GLMForConditionalGeneration | GLMForMultipleChoice
Pieces = Sequence[Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """
    Hold a text and the candidates for its blanks.

    Attributes:
        context: The ids of the text.
        order: The blanks to fill, numbered from 0, in the order in which the model fills them.
        pieces: The candidates. Each has one piece for every blank in `order`: tokens without start and end.
    """

    context: Sequence[int]
    order: Sequence[int]
    pieces: Sequence[Pieces]


@dataclass(frozen=True, kw_only=True)
class GivenAnswers:
    """
    Hold a text and given answers for its blanks, each in all its forms.

    Attributes:
        context: The ids of the text.
        order: The blanks to fill, numbered from 0, in the order in which the model fills them.
        rows: The answers. Each row has for every blank in `order` the forms of its answer; see `answer_forms`.
    """

    context: Sequence[int]
    order: Sequence[int]
    rows: Sequence[Sequence[Pieces]]


class _Chunk(NamedTuple):
    """Candidates of one text that fit into one row."""

    text: int  # the number of the text
    first: int  # the number of the first candidate
    candidates: Candidates

    @property
    def length(self) -> int:
        return len(self.candidates.context) + sum(map(_count_tokens, self.candidates.pieces))


def score_candidates(
    model: ScoringModel,
    texts: Sequence[Candidates],
    batch_size: int = 32,
    *,
    score_ends: bool = True,
    progress: bool = False,
) -> list[list[ScoredCandidate]]:
    """
    Score all candidates of all texts, token by token.

    The model reads a text once for all its candidates. Each candidate is a branch behind the text that sees the text and
    itself, as the choices of `GLMForMultipleChoice` do.

    Args:
        model: A model with a projection to the vocabulary.
        texts: The texts with their candidates.
        batch_size: The number of rows in a forward pass.
        score_ends: Whether to score the end of a candidate's last piece. Without it that end is not predicted, so the
            last token is not fed and a candidate of one token costs nothing behind the text.
        progress: Whether to show a progress bar.

    Returns:
        For every text its scored candidates, in the order given. All tokens that end a piece or a text count as one end.

    Raises:
        ValueError: If an order names a blank twice or one that the text does not have, or if a text or a piece is longer
            than the position table.
    """
    chunks = sorted(_split_into_chunks(texts), key=lambda chunk: chunk.length)
    scored = [[ScoredCandidate((), ()) for _ in text.pieces] for text in texts]
    for start in tqdm(range(0, len(chunks), batch_size), disable=not progress, desc="scoring"):
        batch = chunks[start : start + batch_size]
        rows = _score_rows(model, [chunk.candidates for chunk in batch], score_ends)
        for chunk, candidates in zip(batch, rows, strict=True):
            scored[chunk.text][chunk.first : chunk.first + len(candidates)] = candidates
    return scored


def score_likeliest_forms(
    model: ScoringModel, texts: Sequence[GivenAnswers], batch_size: int = 32
) -> list[list[ScoredCandidate]]:
    """
    Score given answers in the likeliest of their forms.

    The form of all answers of a row is found jointly where it has at most 16 combinations. Otherwise the likelier form is
    found blank by blank, behind those before it, until that many are left.

    Returns:
        For every text one candidate for each of its rows.
    """
    rows = [[list(row) for row in text.rows] for text in texts]
    chains = [
        (row, _Chain(text, row[:crowded], row[:crowded]))
        for text, of_text in zip(texts, rows, strict=True)
        for row in of_text
        if (crowded := _count_crowded(row))
    ]
    _choose_forms(model, [of_row for _, of_row in chains], batch_size)
    for row, of_row in chains:
        row[: len(of_row.forms)] = [[forms[0]] for forms in of_row.forms]
    combined = [[list(product(*row)) for row in of_text] for of_text in rows]
    candidates = [
        Candidates(context=text.context, order=text.order, pieces=list(chain(*of_text)))
        for text, of_text in zip(texts, combined, strict=True)
    ]
    likeliest = []
    for of_text, scored in zip(combined, score_candidates(model, candidates, batch_size), strict=True):
        found = iter(scored)
        likeliest.append(
            [
                max((next(found) for _ in row), key=lambda candidate: sum(map(_log_prob, candidate.pieces)))
                for row in of_text
            ]
        )
    return likeliest


def _count_crowded(row: Sequence[Pieces]) -> int:
    """Count the blanks in front whose forms must be found one by one, so that few combinations are left."""
    combinations = 1
    for place in range(len(row), 0, -1):
        combinations *= len(row[place - 1])
        if combinations > MAX_JOINT_FORMS:
            return place
    return 0


@dataclass
class _Chain:
    """
    Hold answers whose forms are found one by one, each behind those before it.

    Attributes:
        text: The text.
        given: For every blank the forms of its answer. The first of two that are equally likely counts.
        forms: The same forms with the guess in front.
        settled: How many guesses in front are right.
    """

    text: GivenAnswers
    given: Sequence[Pieces]
    forms: list[Pieces]
    settled: int = 0

    @property
    def length(self) -> int:
        return len(self.text.context) + sum(map(_count_tokens, self.forms))

    def lay_out(self, config: GLMConfig) -> tuple[PieceLayout, list[Query]]:
        """
        Lay out the guesses behind each other in branch 0, and the other forms beside them: a form sees the guesses before
        it. With two forms for each of two blanks, x and y guessed:

            ids     [CLS] M M <eos> S  X  x  S  Y  y
            branch     0  0 0   0   0  1  0  0  2  0
        """
        layout, queries = PieceLayout(self.text.context, config), list[Query]()
        branch = 0
        for blank, forms in zip(self.text.order, self.forms, strict=False):
            start = layout.append(blank, [layout.sop_token_id])
            # The others come first, because the guess in branch 0 is seen by all that follows.
            others = []
            for form in forms[1:]:
                branch += 1
                others.append(layout.append(blank, form, first=2, branch=branch))
            for form, columns in zip(forms, [layout.append(blank, forms[0], first=2), *others], strict=True):
                queries += map(Query, chain(start, columns), [*form, -1])
        return layout, queries

    def choose(self, found: Iterator[float]) -> None:
        """Read the scores in the order of the queries, and guess the likeliest forms from them."""
        settled = len(self.forms)
        for place, (forms, given) in enumerate(zip(self.forms, self.given, strict=True)):
            scores = {tuple(form): sum(next(found) for _ in range(len(form) + 1)) for form in forms}
            if place < self.settled:
                continue
            best = max(map(tuple, given), key=scores.__getitem__)
            if best != tuple(forms[0]):
                settled = min(settled, place + 1)  # behind right guesses, this one is right from now on
                self.forms[place] = [best, *(form for form in scores if form != best)]
        self.settled = settled


def _choose_forms(model: ScoringModel, chains: Sequence[_Chain], batch_size: int) -> None:
    """
    Put the likeliest form of every blank of chains in front.

    One pass scores the forms of all blanks behind a guess of those before. Up to the first wrong guess that is a search
    blank by blank. Few guesses are wrong, and the next ones follow from the scores, so a few passes are enough.
    """
    while left := sorted((one for one in chains if one.settled < len(one.forms)), key=lambda one: one.length):
        size = max(1, min(batch_size, batch_size * MAX_BRANCH_TOKENS // left[-1].length))
        for start in range(0, len(left), size):
            part = left[start : start + size]
            layouts, queries = zip(*(one.lay_out(model.config) for one in part), strict=True)
            found = _score_layouts(model, layouts, queries)
            for one in part:
                one.choose(found)


def _log_prob(piece: ScoredPiece) -> float:
    return piece.log_prob


def score_fillings(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    text: str,
    fillings: Any,
    *,
    truncation: bool = False,
    batch_size: int = 32,
) -> list[Filling]:
    """
    Score given answers for the blanks of a text: exactly, and all of them in one forward pass.

    Example:

    ```python
    >>> fillings = score_fillings(model, tokenizer, "The [MASK] runs [MASK].", [["dog", "home"], ["cat", "away"]])
    >>> [filling.log_prob for filling in fillings]
    [-7.31, -9.04]
    ```

    Args:
        model: A `GLMForConditionalGeneration` or `GLMForMultipleChoice`.
        tokenizer: The tokenizer of the model.
        text: A text with blanks.
        fillings: The fillings to score, in any form of rows: a list, NumPy array, pandas Series, ... Each has one answer for
            every blank; for a text with one blank it may be a plain string. A table has a column for every blank. An
            answer without white space in front means the word behind a space as well as the word glued to what stands
            before: the likelier one is scored. One with white space in front is literal. What `fill_blanks` found has the
            tokens that it found.
        truncation: Whether the model reads only the tokens nearest to the blanks of a text that is longer than the position
            table. Without it such a text is an error.
        batch_size: The number of rows in a forward pass. A text with very many answers takes several rows.

    Returns:
        A `Filling` for each entry of `fillings`, in the order given. Its `log_prob` sums over the tokens of all answers
        and their ends. The model reads the text and all answers before a token (paper equation 1). Which form each answer
        has is found jointly for up to 16 combinations, and blank by blank for more.

    Raises:
        ValueError: If the text has no blank, if an entry does not have one answer for every blank, or if the text or an
            answer is longer than the position table.
    """
    require_class(model, GLMForConditionalGeneration.__name__, GLMForMultipleChoice.__name__)
    batch_size, truncation = check_batch_size("batch_size", batch_size), check_truth_value("truncation", truncation)
    text = read_text(text)
    num_blanks = count_blanks(tokenizer, text)
    answers = []
    for number, filling in enumerate(read_rows(fillings, wide=True)):
        row = [filling] if isinstance(filling, str) else read_list(filling, f"fillings[{number}]")
        if len(row) != num_blanks:
            raise ValueError(
                f"fillings[{number}] has {len(row)} answers, but the text has {num_blanks} blanks: {shorten(text)}."
            )
        answers.append(row)
    if not answers:
        return []
    config = cast(ScoringModel, model).config
    context = encode_context(tokenizer, config, text, truncation)
    most = config.max_piece_length - 1  # one position is that of the start
    forms = iter(forms_of_answers(tokenizer, list(chain(*answers))))
    rows = [
        [_fit(next(forms), answer, most, f"fillings[{number}][{blank}]") for blank, answer in enumerate(row)]
        for number, row in enumerate(answers)
    ]
    given = GivenAnswers(context=context, order=range(num_blanks), rows=rows)
    with evaluation_mode(model):
        (scored,) = score_likeliest_forms(cast(ScoringModel, model), [given], batch_size)
    return [
        build_filling(
            tokenizer,
            text,
            [
                read_given(tokenizer, answer, piece.token_ids)
                for answer, piece in zip(row, candidate.pieces, strict=True)
            ],
            dict(enumerate(candidate.pieces)),
        )
        for row, candidate in zip(answers, scored, strict=True)
    ]


def _fit(forms: Pieces, answer: str, most: int, name: str) -> Pieces:
    if fitting := [form for form in forms if len(form) <= most]:
        return fitting
    raise ValueError(
        f"{name} has {min(map(len, forms))} tokens, but the position table holds {most}: shorten {shorten(answer)}."
    )


def _split_into_chunks(texts: Sequence[Candidates]) -> Iterator[_Chunk]:
    for number, text in enumerate(texts):
        if not text.order or not text.pieces:  # nothing to score
            continue
        first, width = 0, 0
        for index, pieces in enumerate(text.pieces):
            added = _count_tokens(pieces)
            if index > first and width + added > MAX_BRANCH_TOKENS:
                yield _Chunk(number, first, _cut(text, first, index))
                first, width = index, 0
            width += added
        yield _Chunk(number, first, _cut(text, first, len(text.pieces)))


def _cut(text: Candidates, first: int, stop: int) -> Candidates:
    return Candidates(context=text.context, order=text.order, pieces=text.pieces[first:stop])


def _count_tokens(pieces: Pieces) -> int:
    """Count the tokens of a candidate, with the starts of its pieces."""
    return sum(map(len, pieces)) + len(pieces)


def _score_rows(model: ScoringModel, rows: Sequence[Candidates], score_ends: bool) -> list[list[ScoredCandidate]]:
    layouts, queries = zip(*(_lay_out_row(row, model.config, score_ends) for row in rows), strict=True)
    found = _score_layouts(model, layouts, queries)
    return [[_take(row.order, pieces, found, score_ends) for pieces in row.pieces] for row in rows]


def _score_layouts(
    model: ScoringModel, layouts: Sequence[PieceLayout], queries: Sequence[Sequence[Query]]
) -> Iterator[float]:
    """Find the log-probabilities of the queries of all layouts, in their order."""
    inputs = pad_layouts(layouts, 0, model.device)  # the id does not matter: it is masked
    hidden_states = compute_hidden_states(
        model, inputs.input_ids, inputs.attention_mask, inputs.position_ids, inputs.branch
    )
    return iter(look_up(model, hidden_states, layouts, queries))


def _take(order: Sequence[int], pieces: Pieces, found: Iterator[float], score_ends: bool) -> ScoredCandidate:
    """Read the scores of one candidate, which come in the order of its queries."""
    scored = []
    for place, piece in enumerate(pieces):
        has_end = score_ends or place < len(pieces) - 1
        log_probs = tuple(next(found) for _ in range(len(piece) + has_end))
        scored.append(ScoredPiece(tuple(piece), log_probs))
    return ScoredCandidate(tuple(order), tuple(scored))


def _lay_out_row(row: Candidates, config: GLMConfig, score_ends: bool) -> tuple[PieceLayout, list[Query]]:
    """
    Lay out a text and its candidates, and say what is predicted where. The first start of piece stands in branch 0,
    which all branches see:

        ids     [CLS] a M b M <eos> S | x  S z | y  S z
        branch     0  0 0 0 0   0   0 | 1  1 1 | 2  2 2
    """
    layout = PieceLayout(row.context, config)
    order, num_blanks = list(row.order), len(layout.blanks)
    if len(set(order)) < len(order) or not set(order) <= set(range(num_blanks)):
        raise ValueError(f"order={order} must name blanks of the text, 0 to {num_blanks - 1}, once each.")
    (shared_start,) = layout.append(order[0], [layout.sop_token_id])
    queries: list[Query] = []
    for branch, pieces in enumerate(row.pieces, start=1):
        for place, (blank, piece) in enumerate(zip(order, pieces, strict=True)):
            has_end = score_ends or place < len(pieces) - 1
            fed = list(piece if has_end else piece[:-1])
            if place == 0:
                columns = chain([shared_start], layout.append(blank, fed, first=2, branch=branch))
            else:
                columns = chain(layout.append(blank, [layout.sop_token_id, *fed], branch=branch))
            queries += map(Query, columns, [*piece, -1] if has_end else piece)
    return layout, queries
