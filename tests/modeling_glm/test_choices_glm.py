"""Several words for a label, several patterns for a question, and the losses over choices, against naive references."""

import pytest
import torch
from torch.nn import functional as F

from modeling_glm import GLMForMultipleChoice
from modeling_glm.choices_glm import (
    WordScores,
    choice_loss,
    class_scores,
    finite_scores,
    lay_out_branches,
    lay_out_rows,
    read_choices,
)
from tests.support.models import TOKEN_IDS, make_model, pad_rows, tiny_config, words

MASK, SOP, EOS, CLS, PAD = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "sop", "eos", "cls", "pad"))
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
    """Pad words to (batch, labels, words, length)."""
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
    """Score one choice in a forward pass of its own, without padding."""
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
    """Choices of one token are scored at one start of piece. Those of the whole vocabulary sum to 1."""
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


def test_finite_scores_smooth_over_the_present_choices():
    """Add up all scores as Trainer's label smoothing does, and see what an absent choice adds: a constant."""
    logits = torch.tensor([[-1.0, -1.5, -torch.inf, -torch.inf], [-90.0, -70.0, -80.0, -95.0]], requires_grad=True)
    scores = finite_scores(logits)
    assert torch.equal(scores[1], logits[1])
    assert torch.equal(scores.softmax(-1)[0, :2], logits[0, :2].softmax(-1))
    assert scores.softmax(-1)[0, 2:].max() < 3e-9
    smoothed = -scores.log_softmax(-1)[0].sum()
    expected = -logits[0, :2].log_softmax(-1).sum() + 2 * 20
    torch.testing.assert_close(smoothed, expected)
    (found,), (right,) = (torch.autograd.grad(loss, logits, retain_graph=True) for loss in (smoothed, expected))
    torch.testing.assert_close(found, right)


@pytest.mark.parametrize("words_per_label", [False, True])
@pytest.mark.parametrize("patterns", [False, True])
def test_a_loss_outside_of_the_model_is_finite(words_per_label, patterns):
    """Without labels, in training or where the batch says so. Scores for users stay infinite."""
    model = make_model(GLMForMultipleChoice)
    batch = inputs() if patterns else inputs(patterns=slice(0, 1))
    if not words_per_label:
        batch["choice_ids"] = batch["choice_ids"][..., 0, :]
    absent = model(**batch).logits == -torch.inf
    assert absent.any()
    told = torch.ones(2, dtype=torch.bool)
    assert model(**batch, finite_logits=told).logits.isfinite().all()
    assert torch.equal(model(**batch, finite_logits=told, labels=torch.tensor([1, 0])).logits == -torch.inf, absent)
    logits = model.train()(**batch).logits
    F.cross_entropy(logits, torch.tensor([1, 0]), label_smoothing=0.1).backward()
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


def numbers(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).view(shape)


def assert_rows(ids_shape, choice_ids: torch.Tensor | None, rows_shape, shape):
    """Read ids that count up, with masks and positions made of them, and compare the rows. Returns what was read."""
    ids = numbers(ids_shape)
    found = read_choices(ids, ids % 2, torch.stack((ids, -ids), dim=-2), choice_ids)
    assert torch.equal(found.input_ids, ids.view(rows_shape))
    assert torch.equal(found.attention_mask, ids.view(rows_shape) % 2)
    assert torch.equal(found.position_ids[:, 0], ids.view(rows_shape))
    assert torch.equal(found.position_ids[:, 1], -ids.view(rows_shape))
    assert found.shape == shape
    return found


@pytest.mark.parametrize(
    ("ids_shape", "rows_shape", "choices_shape", "words_shape", "shape"),
    [
        ((2, 9), (2, 9), (2, 3, 4), (2, 3, 4), (2, 1, 3, 1)),
        ((2, 9), (2, 9), (2, 3, 5, 4), (2, 15, 4), (2, 1, 3, 5)),
        ((2, 6, 9), (12, 9), (2, 6, 3, 4), (12, 3, 4), (2, 6, 3, 1)),
        ((2, 6, 9), (12, 9), (2, 6, 3, 5, 4), (12, 15, 4), (2, 6, 3, 5)),
    ],
)
def test_all_forms_become_one(ids_shape, rows_shape, choices_shape, words_shape, shape):
    """Patterns become rows and words become choices, in the order of the dimensions."""
    choice_ids = numbers(choices_shape)
    found = assert_rows(ids_shape, choice_ids, rows_shape, shape)
    assert torch.equal(found.choice_ids, choice_ids.view(words_shape))


def test_rows_of_filled_blanks_have_no_choices_beside_them():
    assert assert_rows((2, 6, 9), None, (12, 9), (2, 1, 6, 1)).choice_ids is None


def test_branches_by_hand():
    """Lay out the choices [20 21 22] and [23 24] for the blank in [CLS] 11 [MASK] 12 <eos>."""
    ids = torch.tensor([[CLS, 11, MASK, 12, EOS]])
    choices = read_choices(ids, None, None, torch.tensor([[[20, 21, 22], [23, 24, -100]]]))
    branches = lay_out_branches(choices, tiny_config())
    real = [1] * 9 + [0]
    assert branches.input_ids[0, :9].tolist() == [CLS, 11, MASK, 12, EOS, SOP, 20, 21, 23]
    assert branches.attention_mask[0].int().tolist() == real
    assert branches.branch[0].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 2, 2]
    assert branches.position_ids[0].tolist() == [[0, 1, 2, 3, 4, 2, 2, 2, 2, 2], [0, 0, 0, 0, 0, 1, 2, 3, 2, 3]]


def test_rows_by_hand():
    """Every token behind the start of piece is the target of its predecessor. A row of padding is an absent choice."""
    ids = torch.tensor([[[CLS, MASK, EOS, SOP, 20, 21], [PAD] * 6]])
    rows = lay_out_rows(read_choices(ids, (ids != PAD).long(), None, None), tiny_config())
    assert rows.targets.tolist() == [[-100, -100, -100, 20, 21], [-100] * 5]
    assert rows.attention_mask.all()


def test_class_scores_by_hand():
    counts = torch.tensor([[[[1, 2], [3, 0]]]])
    scores = torch.tensor([[[[-1.0, -4.0], [-6.0, 0.0]]]])
    expected = torch.tensor([[torch.logsumexp(torch.tensor([-1.0, -2.0]), 0), -2.0]])
    torch.testing.assert_close(class_scores(WordScores(counts, scores), 1.0), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choice_loss": "focal"}, "choice_loss='focal': expected one of cross_entropy, hinge"),
        ({"choice_fill_weight": -1.0}, "choice_fill_weight=-1.0: expected a finite number that is not negative"),
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
