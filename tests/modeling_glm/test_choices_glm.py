"""Several words for a label, several patterns for a question, and the losses over choices, against naive references."""

import pytest
import torch
from torch.nn import functional as F

from modeling_glm import GLMForMultipleChoice
from modeling_glm.choices_glm import WordScores, choice_loss, class_scores
from tests.support.models import TOKEN_IDS, make_model, pad_rows, tiny_config, words

MASK, EOS, CLS, PAD = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "eos", "cls", "pad"))
CONTEXTS = [  # two questions in two patterns each
    [[CLS, *words(4, 1), MASK, *words(3, 2), EOS], [CLS, MASK, *words(2, 3), EOS]],
    [[CLS, MASK, *words(9, 4), EOS], [CLS, *words(6, 5), MASK, EOS]],
]
LABELS = [  # for each question its labels, each with its words
    [[words(1, 7), words(3, 8)], [words(2, 9)], [words(4, 10), words(2, 11)]],
    [[words(2, 12)], [words(1, 13), words(1, 14)]],
]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def pad_labels(labels: list[list[list[list[int]]]]) -> torch.Tensor:
    """(batch, labels, words, length)"""
    shape = (
        len(labels),
        max(map(len, labels)),
        max(len(row) for question in labels for row in question),
        max(len(word) for question in labels for row in question for word in row),
    )
    padded = torch.full(shape, -100)
    for i, question in enumerate(labels):
        for j, row in enumerate(question):
            for k, word in enumerate(row):
                padded[i, j, k, : len(word)] = torch.tensor(word)
    return padded


def alone(model, context: list[int], word: list[int]) -> torch.Tensor:
    """One choice with a context of its own, unpadded."""
    return model(torch.tensor([context]), choice_ids=torch.tensor([[word]])).logits[0, 0]


def inputs(side: str = "right", patterns: slice = slice(0, 2)) -> dict[str, torch.Tensor]:
    rows = [context for question in CONTEXTS for context in question[patterns]]
    shape = (len(CONTEXTS), -1, max(map(len, rows))) if patterns == slice(0, 2) else (len(CONTEXTS), -1)
    labels = pad_labels(LABELS)
    return {
        "input_ids": pad_rows(rows, side, PAD).view(shape),
        "attention_mask": pad_rows([[1] * len(row) for row in rows], side).view(shape),
        "choice_ids": labels.unsqueeze(1).expand(-1, 2, -1, -1, -1) if patterns == slice(0, 2) else labels,
    }


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_words_and_patterns_equal_every_word_alone(side, penalty):
    model = make_model(GLMForMultipleChoice, choice_length_penalty=penalty)
    with torch.no_grad():
        single = model(**inputs(side, slice(0, 1))).logits
        both = model(**inputs(side)).logits
        for row, labels in enumerate(LABELS):
            per_pattern = []
            for context in CONTEXTS[row]:
                scores = [
                    torch.stack([alone(model, context, word) for word in words]).logsumexp(0) for words in labels
                ]
                per_pattern.append(torch.stack(scores))
            torch.testing.assert_close(single[row, : len(labels)], per_pattern[0], **CLOSE)
            averaged = torch.stack([scores.log_softmax(-1) for scores in per_pattern]).mean(0)
            torch.testing.assert_close(both[row, : len(labels)], averaged, **CLOSE)
    assert (single[1, 2:] == -torch.inf).all()
    assert (both[1, 2:] == -torch.inf).all()


def test_length_penalty_divides_the_score():
    plain, penalised = (make_model(GLMForMultipleChoice, choice_length_penalty=penalty) for penalty in (0.0, 1.0))
    word = words(3, 8)
    with torch.no_grad():
        torch.testing.assert_close(
            alone(penalised, CONTEXTS[0][0], word), alone(plain, CONTEXTS[0][0], word) / 3, **CLOSE
        )


def test_single_tokens_are_one_distribution():
    """All choices of one token are read where one start of piece stands: as many as the vocabulary has sum to 1."""
    model = make_model(GLMForMultipleChoice)
    with torch.no_grad():
        outputs = model(
            torch.tensor([CONTEXTS[0][0]]),
            choice_ids=torch.arange(64).view(1, 64, 1),
            output_hidden_states=True,
        )
    assert outputs.hidden_states[-1].shape[1] == len(CONTEXTS[0][0]) + 1
    torch.testing.assert_close(outputs.logits.exp().sum(), torch.tensor(1.0), **CLOSE)


@pytest.mark.parametrize("words_per_label", [False, True])
def test_gradients_of_absent_choices(words_per_label):
    model = make_model(GLMForMultipleChoice).train()
    batch = inputs()
    if not words_per_label:
        batch["choice_ids"] = batch["choice_ids"][..., 0, :]
    model(**batch, labels=torch.tensor([2, 0])).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_hinge_loss():
    config = tiny_config(choice_loss="hinge")
    logits = torch.tensor([[-1.0, -1.5, -4.0], [-2.0, -1.0, -torch.inf]], requires_grad=True)
    loss = choice_loss(logits, logits, torch.tensor([0, 0]), config)
    # First example: max(0, 1 - 1.5 + 1) + max(0, 1 - 4 + 1) = 0.5; second: 1 - 1 + 2 = 2
    torch.testing.assert_close(loss, torch.tensor((0.5 + 2.0) / 2))
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]]))


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_loss_of_filling_the_blank(penalty):
    model = make_model(GLMForMultipleChoice, choice_fill_weight=0.5, choice_length_penalty=penalty)
    batch, labels = inputs(patterns=slice(0, 1)), torch.tensor([2, 0])
    with torch.no_grad():
        outputs = model(**batch, labels=labels)
        filled = [
            torch.stack([alone(make_model(GLMForMultipleChoice), context[0], word) for word in row[label]])
            for context, row, label in zip(CONTEXTS, LABELS, labels.tolist(), strict=True)
        ]
    expected = F.cross_entropy(outputs.logits, labels) - 0.5 * torch.stack([f.logsumexp(0) for f in filled]).mean()
    torch.testing.assert_close(outputs.loss, expected, **CLOSE)


def test_class_scores_by_hand():
    counts = torch.tensor([[[[1, 2], [3, 0]]]])
    scores = torch.tensor([[[[-1.0, -4.0], [-6.0, 0.0]]]])
    expected = torch.tensor([[torch.logsumexp(torch.tensor([-1.0, -2.0]), 0), -2.0]])
    torch.testing.assert_close(class_scores(WordScores(counts, scores), 1.0), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choice_loss": "focal"}, "choice_loss='focal': expected one of cross_entropy, hinge"),
        ({"choice_fill_weight": -1.0}, "choice_fill_weight=-1.0 must not be negative"),
    ],
)
def test_config_errors(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choice_ids": torch.ones(2, 3, 4, 5, 6, 7, dtype=torch.long)}, r"\(batch, patterns, choices, length\)"),
        ({"choice_ids": torch.ones(2, 1, 3, 4, dtype=torch.long)}, r"\(batch, patterns\) = \(2, 2\)"),
        ({"attention_mask": torch.ones(2, 11, dtype=torch.long)}, r"attention_mask has shape \(2, 11\)"),
        ({"labels": torch.tensor([3, 0])}, "names an absent choice"),
        ({"labels": torch.tensor([-1, 0])}, "names an absent choice"),
    ],
)
def test_shape_errors(change, message):
    with pytest.raises(ValueError, match=message):
        make_model(GLMForMultipleChoice)(**{**inputs(), **change})


def test_choices_longer_than_the_position_table():
    choices = torch.full((1, 2, 60), 11)
    with pytest.raises(ValueError, match=r"piece of Part B .* reaches 60 tokens, but 48 are the limit"):
        make_model(GLMForMultipleChoice)(torch.tensor([CONTEXTS[0][0]]), choice_ids=choices)
