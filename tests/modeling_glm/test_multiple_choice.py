"""Scores of choices: one pass over the shared context equals one forward per choice."""

import pytest
import torch

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice
from tests.support.models import TOKEN_IDS, make_model, pad_rows, words

MASK, SOP, EOS, CLS, PAD = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "sop", "eos", "cls", "pad"))
CONTEXTS = [
    [CLS, *words(4, 1), MASK, *words(3, 2), EOS],
    [CLS, MASK, *words(2, 3), MASK, *words(9, 4), EOS],
    [CLS, MASK, *words(2, 5), MASK, EOS, SOP, *words(3, 6)],  # the first blank is filled
]
CHOICES = [
    [words(1, 7), words(3, 8), words(2, 9)],
    [words(5, 10), words(1, 11)],
    [words(2, 12), words(2, 13), words(1, 14)],
]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def choice_tensor() -> torch.Tensor:
    length = max(len(choice) for row in CHOICES for choice in row)
    padded = torch.full((len(CHOICES), max(map(len, CHOICES)), length), -100)
    for row, choices in enumerate(CHOICES):
        for column, choice in enumerate(choices):
            padded[row, column, : len(choice)] = torch.tensor(choice)
    return padded


def naive_scores(model) -> torch.Tensor:
    """Score every choice in a forward pass of its own, through the language-modelling head."""
    language_model = make_model(GLMForConditionalGeneration)
    language_model.load_state_dict(model.state_dict())
    scores = torch.full((len(CHOICES), max(map(len, CHOICES))), -torch.inf)
    for row, (context, choices) in enumerate(zip(CONTEXTS, CHOICES, strict=True)):
        for column, choice in enumerate(choices):
            with torch.no_grad():
                logits = language_model(torch.tensor([[*context, SOP, *choice[:-1]]])).logits
            log_probabilities = logits[0, len(context) :].log_softmax(-1)
            scores[row, column] = sum(log_probabilities[i, token] for i, token in enumerate(choice))
    return scores


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "flex_attention"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_shared_context_equals_one_forward_per_choice(side, implementation):
    model = make_model(GLMForMultipleChoice, attn_implementation=implementation)
    ids = pad_rows(CONTEXTS, side, PAD)
    mask = pad_rows([[1] * len(row) for row in CONTEXTS], side)
    with torch.no_grad():
        found = model(ids, attention_mask=mask, choice_ids=choice_tensor()).logits
    torch.testing.assert_close(found, naive_scores(model), **CLOSE)


def test_rows_of_three_dimensions():
    model = make_model(GLMForMultipleChoice)
    rows = [[*context, SOP, *choice] for context, row in zip(CONTEXTS, CHOICES, strict=True) for choice in row[:2]]
    ids = pad_rows(rows, "right", PAD).view(len(CONTEXTS), 2, -1)
    mask = pad_rows([[1] * len(row) for row in rows], "right").view_as(ids)
    labels = torch.tensor([0, 1, 0])
    with torch.no_grad():
        outputs = model(ids, attention_mask=mask, labels=labels)
        mask[1, 1] = 0
        absent = model(ids, attention_mask=mask).logits
    # The score of a row with a filled blank counts the tokens that fill it as well: compare the others.
    torch.testing.assert_close(outputs.logits[:2], naive_scores(model)[:2, :2], **CLOSE)
    torch.testing.assert_close(outputs.loss, torch.nn.functional.cross_entropy(outputs.logits, labels))
    assert absent[1, 1] == -torch.inf
    absent[1, 1] = outputs.logits[1, 1]
    torch.testing.assert_close(absent, outputs.logits, **CLOSE)


def test_loss_trains_every_parameter():
    model = make_model(GLMForMultipleChoice).train()
    ids, mask = pad_rows(CONTEXTS, "right", PAD), pad_rows([[1] * len(row) for row in CONTEXTS], "right")
    inputs = {"attention_mask": mask, "choice_ids": choice_tensor(), "labels": torch.tensor([2, 1, 0])}
    loss = model(ids, **inputs).loss
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    # A small step against the gradient lowers the loss by the step times the squared norm.
    weight = model.glm.transformer.layers[0].attention.query_key_value.weight
    with torch.no_grad():
        weight -= 1e-3 * weight.grad
        lowered = loss - model(ids, **inputs).loss
    assert lowered.item() == pytest.approx(1e-3 * weight.grad.square().sum().item(), rel=0.02)


def test_compiled_equals_eager():
    model = make_model(GLMForMultipleChoice)
    inputs = {
        "input_ids": pad_rows(CONTEXTS, "right", PAD),
        "attention_mask": pad_rows([[1] * len(row) for row in CONTEXTS], "right"),
        "choice_ids": choice_tensor(),
    }
    with torch.no_grad():
        expected = model(**inputs).logits
        found = torch.compile(model, fullgraph=True, backend="eager")(**inputs).logits
    torch.testing.assert_close(found, expected, **CLOSE)


def test_bf16_stays_close():
    model = make_model(GLMForMultipleChoice)
    inputs = {"input_ids": torch.tensor(CONTEXTS[:1]), "choice_ids": choice_tensor()[:1]}
    with torch.no_grad():
        expected = model(**inputs).logits
        found = model.bfloat16()(**inputs).logits
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.2, rtol=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choice_ids": torch.full((1, 2, 3), -100)}, "without a single choice"),
        ({"choice_ids": None}, r"choice_ids has shape None.*\(batch, choices, length\)"),
        ({"choice_ids": torch.ones(2, 3, dtype=torch.long)}, r"choice_ids has shape \(2, 3\)"),
        ({"input_ids": torch.tensor([[CLS, 11, 12, EOS]])}, "no blank left"),
        ({"input_ids": torch.tensor([[CLS, MASK, EOS, SOP, 12]])}, "no blank left"),
        ({"labels": torch.tensor([2])}, "absent choice"),
        ({"input_ids": torch.tensor([[[CLS, MASK, EOS, 11]]]), "choice_ids": None}, "holds no choice"),
        ({"input_ids": torch.tensor([[[CLS, MASK, EOS, SOP, 11]]])}, "give no choice_ids"),
    ],
)
def test_errors(change, message):
    inputs = {
        "input_ids": torch.tensor(CONTEXTS[:1]),
        "choice_ids": torch.tensor([[[11, 12], [13, -100], [-100, -100]]]),
    }
    with pytest.raises(ValueError, match=message):
        make_model(GLMForMultipleChoice)(**{**inputs, **change})


def test_error_without_the_ids_of_a_vocabulary():
    model = make_model(GLMForMultipleChoice, sop_token_id=None)
    with pytest.raises(ValueError, match=r"sop_token_id.*special_token_ids"):
        model(torch.tensor(CONTEXTS[:1]), choice_ids=torch.tensor([[[11]]]))


def scatter(rows: list[list[int]], hidden: list[int], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Put hidden tokens in front of every second token, and behind the last: ids and mask."""
    ids, mask = [], []
    for row in rows:
        new, real = [], []
        for place, token in enumerate(row):
            if place % 2:
                new.append(hidden[place % len(hidden)])
                real.append(0)
            new.append(token)
            real.append(1)
        ids.append(new + [hidden[0]] * (width - len(new)))
        mask.append(real + [0] * (width - len(real)))
    return torch.tensor(ids), torch.tensor(mask)


@pytest.mark.parametrize("hidden", [[SOP], [MASK], [SOP, MASK, 11, EOS]], ids=["starts", "masks", "all"])
def test_hidden_tokens_of_contexts_are_as_removed(hidden):
    model = make_model(GLMForMultipleChoice)
    ids, mask = scatter(CONTEXTS, hidden, 32)
    with torch.no_grad():
        found = model(ids, attention_mask=mask, choice_ids=choice_tensor()).logits
    torch.testing.assert_close(found, naive_scores(model), **CLOSE)


@pytest.mark.parametrize("hidden", [[SOP], [MASK], [SOP, MASK, 11, EOS]], ids=["starts", "masks", "all"])
def test_hidden_tokens_of_choices_are_as_removed(hidden):
    """Also between the tokens of a choice: the next token that is not hidden is the target."""
    model = make_model(GLMForMultipleChoice)
    rows = [
        [*context, SOP, *choice] for context, row in zip(CONTEXTS[:2], CHOICES, strict=False) for choice in row[:2]
    ]
    ids, mask = scatter(rows, hidden, 40)
    with torch.no_grad():
        found = model(ids.view(2, 2, -1), attention_mask=mask.view(2, 2, -1)).logits
    torch.testing.assert_close(found, naive_scores(model)[:2, :2], **CLOSE)
