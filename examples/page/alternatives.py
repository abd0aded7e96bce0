"""Find what else a blank may hold, with the probability that the model gives each answer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import LogitsProcessorList

from modeling_glm import BlankConstraint, GLMForConditionalGeneration
from modeling_glm.branches_glm import PieceLayout, pad_layouts
from modeling_glm.constraints.rules import BlankRules
from modeling_glm.filling.jobs import JobBuilder
from modeling_glm.filling.processors import BlankConstraintLogitsProcessor
from modeling_glm.filling.results import Filling
from modeling_glm.settings_glm import end_token_ids
from modeling_glm.tokenization.blanks import answer_forms
from modeling_glm.utils.inference import evaluation_mode

BEAMS = 16
ALTERNATIVES = 5


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """Hold an answer of a blank and its probability."""

    text: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class BlankView:
    """
    Hold what the model thinks of one blank of a filling.

    All probabilities are from one distribution: that of the blank's answer after the text, the answers that the reader
    has set in other blanks, and the answers of the filling in the blanks before.

    Attributes:
        probability: The probability of the filling's own answer.
        others: The likeliest other answers, best first.
    """

    probability: float
    others: tuple[Alternative, ...]


def view_blank(
    model: GLMForConditionalGeneration,
    builder: JobBuilder,
    text: str,
    fillings: Sequence[Filling],
    chosen: int,
    blank: int,
    free: BlankConstraint,
) -> BlankView:
    """
    Find the distribution of one blank of a filling.

    Args:
        model: The model.
        builder: Prepares texts for it. It remembers the patterns of answers, so use one for all blanks of a text.
        text: The text with its blanks.
        fillings: The fillings of the text. Their answers count as found where they are for the same distribution.
        chosen: The number of the filling.
        blank: The number of the blank. If the reader has set it, the model reads the text without that answer.
        free: What the answers may be.
    """
    filling, tokenizer = fillings[chosen], builder.tokenizer
    constraints = [
        BlankConstraint(answer=answer.text) if answer.given and number != blank else free
        for number, answer in enumerate(filling.answers)
    ]
    job = builder.build(0, text, constraints)
    place = job.blanks.index(blank)
    before = [filling.answers[number].token_ids for number in job.blanks[:place]]
    own = filling.answers[blank]
    own_pieces = [own.token_ids]
    if own.given:  # the word however it is spaced, and the tokens that the model wrote
        own_pieces = [*answer_forms(tokenizer, str(own.text)), *answer_forms(tokenizer, own.text)]

    layout = PieceLayout(job.context, model.config)
    for number, piece in enumerate([*before, ()]):
        layout.append(number, [layout.sop_token_id, *piece])
    with evaluation_mode(model):
        pieces = {*own_pieces, *_find_pieces(model, layout, job.rules[place])}
        pieces |= {
            other.answers[blank].token_ids
            for other in fillings
            if not own.given and [other.answers[number].token_ids for number in job.blanks[:place]] == before
        }
        log_probs = _score_pieces(model, layout, place, sorted(pieces))
    likeliest: dict[str, float] = {}
    for piece in sorted(log_probs, key=log_probs.__getitem__, reverse=True):
        answer = job.rules[place].read(tokenizer, piece)
        if answer is not None and answer != own.text:
            likeliest.setdefault(answer, log_probs[piece])
    return BlankView(
        probability=math.exp(max(log_probs[piece] for piece in own_pieces)),
        others=tuple(
            Alternative(text=text, probability=math.exp(log_prob))
            for text, log_prob in list(likeliest.items())[:ALTERNATIVES]
        ),
    )


def _find_pieces(model: GLMForConditionalGeneration, layout: PieceLayout, rule: BlankRules) -> set[tuple[int, ...]]:
    """Find likely pieces with beams behind a layout, which ends with the start of a piece. Later blanks stay open."""
    config, ends = model.config, end_token_ids(model.config)
    inputs = pad_layouts([layout], model.padding_id, model.device)
    # The text is read once, and not by every beam.
    cache = model.glm(
        inputs.input_ids[:, :-1],
        attention_mask=inputs.attention_mask[:, :-1],
        position_ids=inputs.position_ids[:, :, :-1],
        use_cache=True,
    ).past_key_values
    cache.batch_repeat_interleave(BEAMS)
    sequences = model.generate(
        inputs.input_ids,
        attention_mask=inputs.attention_mask,
        position_ids=inputs.position_ids,
        past_key_values=cache,
        logits_processor=LogitsProcessorList([BlankConstraintLogitsProcessor(config, ends, [[rule]])]),
        num_beams=BEAMS,
        num_return_sequences=BEAMS,
        max_new_tokens=rule.longest + 1,
        eos_token_id=ends,
        length_penalty=0.0,
        do_sample=False,
    )
    found = set()
    for ids in sequences[:, inputs.input_ids.shape[1] :].tolist():
        end = next((column for column, token_id in enumerate(ids) if token_id in ends), None)
        if end is not None:
            found.add(tuple(ids[:end]))
    return found


def _score_pieces(
    model: GLMForConditionalGeneration, layout: PieceLayout, place: int, pieces: Sequence[tuple[int, ...]]
) -> dict[tuple[int, ...], float]:
    """
    Find the log-probability of every piece with its end. All are branches behind a layout in one forward pass:

        ids     [CLS] a M b M <eos> S x S | y | y z
        branch     0  0 0 0 0   0   0 0 0 | 1 | 2 2
    """
    start = len(layout.ids) - 1
    columns = [
        [0, *(column - start for column in layout.append(place, piece, first=2, branch=branch))]
        for branch, piece in enumerate(pieces, start=1)
    ]
    inputs = pad_layouts([layout], model.padding_id, model.device)
    hidden_states = model.glm(
        inputs.input_ids,
        attention_mask=inputs.attention_mask,
        position_ids=inputs.position_ids,
        branch=inputs.branch,
        use_cache=False,
    ).last_hidden_state
    scores = model.vocabulary_logits(hidden_states[0, start:]).float().log_softmax(-1)  # (columns, vocabulary)
    of_ends = scores[:, end_token_ids(model.config)].logsumexp(-1)
    return {
        piece: float(scores[of_piece[:-1], list(piece)].sum() + of_ends[of_piece[-1]])
        for piece, of_piece in zip(pieces, columns, strict=True)
    }
