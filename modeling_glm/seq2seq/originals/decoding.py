"""
Decode as the authors' code does: their beams for one blank, and their greedy infilling for several.

Beams of Transformers differ in two things. They divide the score of an answer of n tokens by (n + 1)^penalty and not by
n^penalty, and their early end follows from that. So they find the same answers with a length penalty of 0 or with one beam.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from ...configuration_glm import GLMConfig
from ...utils.numbers import check_real_number, check_whole_number
from .branches import BranchDecoder, Prefill


@dataclass(frozen=True, kw_only=True)
class OriginalSettings:
    """
    Say how the originals search.

    Attributes:
        num_beams: The number of beams. 1 is a greedy search.
        length_penalty: The score of an answer of n tokens is the sum of its log-probabilities / n^penalty.
        no_repeat_ngram_size: No n-gram of this length is generated twice. 0 bans nothing.
        min_new_tokens: No answer ends with fewer tokens.
        max_new_tokens: The most tokens of an answer, the originals' `--tgt-seq-length`. With as many an answer has no end.
        num_return_sequences: How many answers to return, the best first.
    """

    num_beams: int = 1
    length_penalty: float = 0.0
    no_repeat_ngram_size: int = 0
    min_new_tokens: int = 0
    max_new_tokens: int
    num_return_sequences: int = 1

    def check(self, config: GLMConfig) -> "OriginalSettings":
        """Return the settings as plain numbers. Raises a `ValueError` for those that the model or the search cannot follow."""
        longest = config.max_piece_length if config.block_position_embeddings else None
        table = f", because the position table has {longest} rows (config.max_position_embeddings)"
        beams = check_whole_number(
            "num_beams",
            self.num_beams,
            least=1,
            most=config.vocab_size // 2,
            because=", because two candidates for every beam are taken from the vocabulary",
        )
        most = check_whole_number(
            "max_new_tokens", self.max_new_tokens, least=1, most=longest, because=table if longest else ""
        )
        return OriginalSettings(
            num_beams=beams,
            length_penalty=check_real_number("length_penalty", self.length_penalty),
            no_repeat_ngram_size=check_whole_number("no_repeat_ngram_size", self.no_repeat_ngram_size),
            min_new_tokens=check_whole_number(
                "min_new_tokens", self.min_new_tokens, most=most, because=", the most tokens of an answer"
            ),
            max_new_tokens=most,
            num_return_sequences=check_whole_number(
                "num_return_sequences", self.num_return_sequences, least=1, most=beams, because=", the number of beams"
            ),
        )


class FoundAnswer(NamedTuple):
    """
    Hold one answer of a search.

    Attributes:
        token_ids: The new tokens, with `<eop>` if the answer ended, and with the starts of further pieces.
        score: The score of the originals.
    """

    token_ids: list[int]
    score: float


@dataclass
class BestAnswers:
    """Keep the best finished answers of one row."""

    most: int
    length_penalty: float
    found: list[FoundAnswer] = field(default_factory=list)

    def add(self, token_ids: list[int], total: float, *, ended: int) -> None:
        """Add an answer whose log-probabilities sum to `total`. Its last `ended` tokens do not count for its length."""
        score = total / max(1, len(token_ids) - ended) ** self.length_penalty
        if len(self.found) == self.most and score <= self.worst:
            return
        self.found.append(FoundAnswer(token_ids, score))
        if len(self.found) > self.most:
            del self.found[min(range(len(self.found)), key=lambda place: (self.found[place].score, place))]

    @property
    def worst(self) -> float:
        return min(answer.score for answer in self.found)

    def is_done(self, best_total: float, tokens_before: int) -> bool:
        """Return whether no beam can do better, by the originals' estimate."""
        return len(self.found) == self.most and self.worst >= best_total / tokens_before**self.length_penalty

    def ranked(self, count: int) -> list[FoundAnswer]:
        # Of equal scores the originals take the later one first.
        return sorted(self.found, key=lambda answer: answer.score)[::-1][:count]


def search_beams(model: Any, start: Prefill, settings: OriginalSettings) -> list[list[FoundAnswer]]:
    """
    Find the answer of one blank in every row with the originals' beams.

    Args:
        model: A `GLMForConditionalGeneration`.
        start: What the model read of the prompts.
        settings: How to search.

    Returns:
        For every row its best answers.

    Raises:
        ValueError: For one beam with a length penalty, where an answer is empty: its length of 0 divides.
    """
    config, beams, penalty = model.config, settings.num_beams, settings.length_penalty
    count, vocabulary = start.log_probs.shape
    device = start.log_probs.device
    best = [BestAnswers(beams, penalty) for _ in range(count)]
    active = list(range(count))
    decoder = BranchDecoder(model, start)
    log_probs = start.log_probs[:, None].clone()  # (rows, 1, vocabulary): before the first token all beams are one
    tokens = torch.empty(count, 1, 0, dtype=torch.long, device=device)
    sums = torch.zeros(count, 1, device=device)
    places = torch.arange(count, device=device)  # of the rows in `start`
    for step in range(settings.max_new_tokens):
        ban_tokens(log_probs, tokens, settings, config)
        totals = (sums[..., None] + log_probs).flatten(1)
        values, indices = totals.topk(min(2 * beams, totals.shape[1]), dim=1)
        parents, chosen = indices // vocabulary, indices % vocabulary
        kept, unfinished = [], []
        for place, (row, row_values, row_parents, row_chosen) in enumerate(
            zip(active, values.tolist(), parents.tolist(), chosen.tolist(), strict=True)
        ):
            open_beams: list[int] = []  # ranks of the candidates that continue
            for rank, token_id in enumerate(row_chosen):
                if token_id != config.eop_token_id:
                    open_beams.append(rank)
                    if len(open_beams) == beams:
                        break
                elif rank < beams:
                    written = tokens[place, row_parents[rank]].tolist()
                    best[row].add([*written, token_id], row_values[rank], ended=1)
            if step == 0 and penalty != 0 and len(best[row].found) == beams:
                raise ValueError(
                    f"The answer of row {row} is empty, and with one beam and length_penalty={penalty} the originals "
                    "divide by its length of 0 tokens. With one beam the penalty changes no answer: give length_penalty=0, "
                    "or min_new_tokens=1."
                )
            if not best[row].is_done(row_values[0], step):
                unfinished.append(place)
                kept.append(open_beams)
        if not unfinished:
            return [answers.ranked(settings.num_return_sequences) for answers in best]
        going = torch.tensor(unfinished, device=device)
        active = [active[place] for place in unfinished]
        if len(active) < len(places):
            decoder.keep(going)
            places, tokens = places[going], tokens[going]
            values, parents, chosen = values[going], parents[going], chosen[going]
        ranks = torch.tensor(kept, device=device)
        sums, parents, chosen = (of_rank.gather(1, ranks) for of_rank in (values, parents, chosen))
        tokens = torch.cat(
            (tokens.gather(1, parents[..., None].expand(-1, -1, step)), chosen[..., None]), dim=-1
        )  # (rows, beams, step + 1)
        if step + 1 < settings.max_new_tokens:
            positions = start.positions_of(step)[places, :, None].expand(-1, -1, beams)
            log_probs = decoder.feed(chosen, parents, positions)
    for row, row_tokens, row_sums in zip(active, tokens.tolist(), sums.tolist(), strict=True):
        for written, total in zip(row_tokens, row_sums, strict=True):
            best[row].add(written, total, ended=0)
    return [answers.ranked(settings.num_return_sequences) for answers in best]


def fill_blanks_greedily(
    model: Any, start: Prefill, settings: OriginalSettings, blanks: Sequence[Sequence[int]]
) -> list[FoundAnswer]:
    """
    Fill the blanks of every row greedily, as the originals' infilling does.

    The end of an answer becomes the start of the next one. All limits hold for the tokens of a row together, starts of
    further pieces included, and n-grams run across them. Blanks that are not reached have no piece.

    Args:
        model: A `GLMForConditionalGeneration`.
        start: What the model read of the prompts.
        settings: How to search.
        blanks: For every row the positions of its blanks.

    Returns:
        The answers of every row, and the sum of their log-probabilities.
    """
    config = model.config
    device = start.log_probs.device
    count = len(blanks)
    found: list[list[int]] = [[] for _ in range(count)]
    totals = [0.0] * count
    number = [0] * count  # of the running piece
    place_in_piece = start.positions[:, 1, start.visible.shape[1] - 1].tolist()
    grows = _grows(start)
    active = list(range(count))
    decoder = BranchDecoder(model, start)
    log_probs = start.log_probs[:, None].clone()
    tokens = torch.empty(count, 1, 0, dtype=torch.long, device=device)
    for step in range(settings.max_new_tokens):
        ban_tokens(log_probs, tokens, settings, config)
        values, chosen = log_probs[:, 0].max(-1)
        fed, positions, unfinished = [], [], []
        for place, (row, value, token_id) in enumerate(zip(active, values.tolist(), chosen.tolist(), strict=True)):
            totals[row] += value
            place_in_piece[row] += grows
            if token_id == config.eop_token_id:
                number[row] += 1
                if number[row] == len(blanks[row]):
                    found[row].append(token_id)
                    continue
                token_id, place_in_piece[row] = config.sop_token_id, 1
            found[row].append(token_id)
            fed.append(token_id)
            positions.append((blanks[row][number[row]], place_in_piece[row]))
            unfinished.append(place)
        if not unfinished or step + 1 == settings.max_new_tokens:
            break
        if len(unfinished) < len(active):
            going = torch.tensor(unfinished, device=device)
            decoder.keep(going)
            tokens = tokens[going]
            active = [active[place] for place in unfinished]
        new = torch.tensor(fed, device=device)[:, None]  # (rows, 1)
        tokens = torch.cat((tokens, new[..., None]), dim=-1)
        log_probs = decoder.feed(new, torch.zeros_like(new), torch.tensor(positions, device=device)[..., None])
    return [FoundAnswer(ids, total) for ids, total in zip(found, totals, strict=True)]


def _grows(start: Prefill) -> int:
    """Return by how much row 1 grows with every token: 1, unless given positions say 0 (the originals' no-block-position)."""
    length = start.visible.shape[1]
    if start.positions.shape[-1] == length:
        return 1
    return int((start.positions[:, 1, length] != start.positions[:, 1, length - 1]).any())


def ban_tokens(log_probs: torch.Tensor, tokens: torch.Tensor, settings: OriginalSettings, config: GLMConfig) -> None:
    """
    Set the log-probabilities of tokens that may not come next to -inf, without changing those of others.

    Args:
        log_probs: (rows, beams, vocabulary), changed in place.
        tokens: (rows, beams, generated) int64.
        settings: How to search.
        config: Gives the id of the end.
    """
    generated, size = tokens.shape[-1], settings.no_repeat_ngram_size
    if generated < settings.min_new_tokens:
        log_probs[..., config.eop_token_id] = -torch.inf
    if 0 < size <= generated:
        # With size 2 and tokens a b a: [a b] begins with the last token, so b is banned.
        ngrams = tokens.unfold(-1, size, 1)  # (rows, beams, n-grams, size)
        begins = (ngrams[..., :-1] == tokens[..., None, generated - size + 1 :]).all(-1)
        ends = ngrams[..., -1]
        banned = log_probs.gather(-1, ends).masked_fill(begins, -torch.inf)
        log_probs.scatter_reduce_(-1, ends, banned, "amin")


__all__ = ["BestAnswers", "FoundAnswer", "OriginalSettings", "ban_tokens", "fill_blanks_greedily", "search_beams"]
