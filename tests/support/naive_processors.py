"""
Fill blanks one row and one token at a time, with the history of a processor built by hand.

Every setting of `generate` is written out here as a rule for one row: what was generated so far in this row, piece by
piece, and how many tokens the running piece has.
"""

from collections.abc import Callable, Sequence

import torch

Pieces = list[list[int]]
# Changes the scores (vocabulary,) of the next token of a row: the pieces so far (the last one is running), the prompt.
Rule = Callable[[torch.Tensor, Pieces, list[int]], torch.Tensor]


def no_repeat_ngrams(size: int) -> Rule:
    def ban(scores: torch.Tensor, pieces: Pieces, prompt: list[int]) -> torch.Tensor:
        running = pieces[-1]
        for piece in pieces:
            for start in range(len(piece) - size + 1):
                *first, last = piece[start : start + size]
                if len(running) >= size - 1 and running[len(running) - size + 1 :] == first:
                    scores[last] = -torch.inf
        return scores

    return ban


def no_copied_ngrams(size: int, words: Sequence[int]) -> Rule:
    """Forbid n-grams of the prompt. `words` are the ids that count as words."""

    def ban(scores: torch.Tensor, pieces: Pieces, prompt: list[int]) -> torch.Tensor:
        running = pieces[-1]
        for start in range(len(prompt) - size + 1):
            *first, last = ngram = prompt[start : start + size]
            is_text = all(token in words for token in ngram)
            if is_text and len(running) >= size - 1 and running[len(running) - size + 1 :] == first:
                scores[last] = -torch.inf
        return scores

    return ban


def penalise(penalty: float, tokens: Callable[[Pieces, list[int]], set[int]]) -> Rule:
    """Divide positive scores of some tokens by the penalty and multiply negative ones by it."""

    def change(scores: torch.Tensor, pieces: Pieces, prompt: list[int]) -> torch.Tensor:
        for token in tokens(pieces, prompt):
            scores[token] = scores[token] / penalty if scores[token] > 0 else scores[token] * penalty
        return scores

    return change


def bias(sequences: dict[tuple[int, ...], float]) -> Rule:
    def add(scores: torch.Tensor, pieces: Pieces, prompt: list[int]) -> torch.Tensor:
        for (*first, last), value in sequences.items():
            running = pieces[-1]
            if not first or (len(running) >= len(first) and running[-len(first) :] == first):
                scores[last] += value
        return scores

    return add


def at_places(places: Callable[[int], bool], change: Callable[[torch.Tensor, int], torch.Tensor]) -> Rule:
    """Change the scores where the running piece has some numbers of tokens."""

    def change_there(scores: torch.Tensor, pieces: Pieces, prompt: list[int]) -> torch.Tensor:
        place = len(pieces[-1])
        return change(scores, place) if places(place) else scores

    return change_there


def forbid(tokens: Sequence[int]) -> Callable[[torch.Tensor, int], torch.Tensor]:
    return lambda scores, _: scores.index_fill(0, torch.tensor(tokens), -torch.inf)


def force(token: int) -> Callable[[torch.Tensor, int], torch.Tensor]:
    return lambda scores, _: torch.full_like(scores, -torch.inf).index_fill(0, torch.tensor([token]), 0.0)


def favour_ends(ends: Sequence[int], start: int, factor: float) -> Callable[[torch.Tensor, int], torch.Tensor]:
    def change(scores: torch.Tensor, place: int) -> torch.Tensor:
        scores = scores.clone()
        for end in ends:
            scores[end] += scores[end].abs() * (factor ** (place - start) - 1)
        return scores

    return change


@torch.no_grad()
def fill_with_rules(model, prompt: list[int], limit: int, rules: Sequence[Rule]) -> Pieces:
    """
    Fill all blanks of a prompt greedily, with the scores changed by rules.

    A piece that the limit ends is followed by pieces that do not see its last token, as in `generate`.
    """
    config = model.config
    ends = sorted({config.eop_token_id, config.eos_token_id})
    pieces: Pieces = []
    for _ in range(sum(token in config.mask_token_ids for token in prompt)):
        pieces.append([])
        while len(pieces[-1]) < limit:
            ids, seen = list(prompt), [1] * len(prompt)
            for number, piece in enumerate(pieces):
                ids += [config.sop_token_id, *piece]
                seen += [1] * (len(piece) + 1)
                if len(piece) == limit and number < len(pieces) - 1:
                    seen[-1] = 0
            row0, row1 = positions(prompt, pieces, config)
            scores = model(
                torch.tensor([ids]), attention_mask=torch.tensor([seen]), position_ids=torch.tensor([[row0, row1]])
            ).logits[0, -1]
            scores[config.sop_token_id] = -torch.inf
            for rule in rules:
                scores = rule(scores.clone(), pieces, prompt)
            scores[config.sop_token_id] = -torch.inf
            token = int(scores.argmax())
            if token in ends:
                break
            pieces[-1].append(token)
    return pieces


def positions(prompt: list[int], pieces: Pieces, config) -> tuple[list[int], list[int]]:
    """Write out the two rows of positions of a prompt and its pieces."""
    places = [place for place, token in enumerate(prompt) if token in config.mask_token_ids]
    row0, row1 = list(range(len(prompt))), [0] * len(prompt)
    for place, piece in zip(places, pieces, strict=False):
        row0 += [place] * (len(piece) + 1)
        row1 += range(1, len(piece) + 2)
    return row0, row1
