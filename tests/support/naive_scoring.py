"""Scores of pieces, computed one token at a time."""

import torch


@torch.no_grad()
def naive_log_probs(model, context, order, pieces) -> list[list[float]]:
    """One forward pass for every token: nothing is shared, cached or padded."""
    blanks = [place for place, token_id in enumerate(context) if token_id in model.config.mask_token_ids]
    ends = [model.config.eop_token_id, model.config.eos_token_id]
    own = list(range(len(context)))
    ids, row0, row1, found = list(context), own, [0] * len(context), []
    for blank, piece in zip(order, pieces, strict=True):
        ids, row0, row1 = [*ids, model.config.sop_token_id], [*row0, blanks[blank]], [*row1, 1]
        scores = []
        for step, target in enumerate([*piece, None]):
            positions = torch.tensor([[row0, row1]])
            log_probs = model(torch.tensor([ids]), position_ids=positions).logits[0, -1].log_softmax(-1)
            if target is None:
                scores.append(log_probs[ends].logsumexp(-1).item())
            else:
                scores.append(log_probs[target].item())
                ids, row0, row1 = [*ids, target], [*row0, blanks[blank]], [*row1, step + 2]
        found.append(scores)
    return found


def naive_choice_scores(model, tokenizer, text: str, choices: list[str]) -> list[float]:
    """
    Score every choice for the blank of a text alone, without the end of the piece: with a space in front, and without one
    where the choice begins with none. For byte-level vocabularies.
    """
    context = tokenizer(text)["input_ids"]
    scores = []
    for choice in choices:
        spellings = [choice] if choice[0].isspace() else [f" {choice}", choice]
        pieces = tokenizer(spellings, add_special_tokens=False)["input_ids"]
        found = [sum(naive_log_probs(model, context, [0], [piece])[0][:-1]) for piece in pieces]
        scores.append(torch.tensor(found).logsumexp(0).item())
    return scores
