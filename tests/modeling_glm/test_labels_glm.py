"""Labels of every head: what is refused, in which words, and what stays as it was."""

import copy
import warnings

import pytest
import torch
from torch.nn import functional as F
from transformers import DataCollatorForLanguageModeling, DataCollatorForSeq2Seq

from modeling_glm import (
    DataCollatorForBlankInfilling,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
)
from modeling_glm.labels_glm import can_read_labels, check_choice_labels, check_piece_labels, find_text_alone
from tests.support.models import TEXTS, TOKEN_IDS, make_model, tiny_config

MASK, SOP, EOP, EOS, CLS, PAD = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "sop", "eop", "eos", "cls", "pad"))
N = -100
# The second row is padded in the middle, between Part A and Part B, as `build_inputs_for_generation` pads.
IDS = torch.tensor([[CLS, 11, MASK, 12, EOS, SOP, 13, 14], [CLS, MASK, 15, EOS, PAD, SOP, 16, PAD]])
ATTENDED = (IDS != PAD).long()
LABELS = torch.tensor([[N, N, N, N, N, 13, 14, EOP], [N, N, N, N, N, 16, EOP, N]])


def change(place: tuple[int, int], value: int, labels: torch.Tensor = LABELS) -> torch.Tensor:
    changed = labels.clone()
    changed[place] = value
    return changed


@pytest.fixture(scope="module")
def model() -> GLMForConditionalGeneration:
    return make_model(GLMForConditionalGeneration)


WRONG = {
    "another length": (LABELS[:, :5], r"labels has the shape \(2, 5\): expected \(batch, seq\) = \(2, 8\)"),
    "other rows": (LABELS[:1], r"labels has the shape \(1, 8\): expected \(batch, seq\) = \(2, 8\)"),
    "transposed": (LABELS.T, r"labels has the shape \(8, 2\)"),
    "one for a row": (LABELS[:, 0], r"labels has the shape \(2,\)"),
    "floats": (LABELS.float(), r"labels has the type torch.float32: expected integers"),
    "copied inputs": (IDS, r"labels\[0, 0\] = 2 stands on Part A.* \(as do 8 more\), in labels of shape \(2, 8\)"),
    "copied without padding": (IDS.masked_fill(IDS == PAD, N), r"labels\[0, 0\] = 2 stands on Part A"),
    "copied pieces": (
        IDS.masked_fill(LABELS == N, N),
        r"labels\[0, 5\] = 6 repeats the token on which it stands instead of naming the next one \(as do 4 more\)",
    ),
    "copied pieces without their starts": (
        IDS.masked_fill((LABELS == N) | (IDS == SOP), N),
        r"labels\[0, 6\] = 13 repeats the token",
    ),
    "on the text": (change((1, 2), 15), r"labels\[1, 2\] = 15 stands on Part A, the text with its blanks, in labels"),
    "on a blank": (change((1, 1), 16), r"labels\[1, 1\] = 16 stands on Part A"),
    "on padding inside": (change((1, 4), 16), r"labels\[1, 4\] = 16 stands on padding"),
    "on padding behind": (change((1, 7), PAD), r"labels\[1, 7\] = 0 stands on padding"),
    "too large": (change((0, 6), 64), r"labels\[0, 6\] = 64 is outside the vocabulary, 0 ... 63, and is not -100"),
    "negative": (change((0, 6), -1), r"labels\[0, 6\] = -1 is outside the vocabulary"),
}


@pytest.mark.parametrize("mode", ["training", "evaluation", "with logits"])
@pytest.mark.parametrize(("labels", "message"), WRONG.values(), ids=WRONG)
def test_labels_that_are_not_those_of_pieces(model, labels, message, mode):
    keep = {"logits_to_keep": 0} if mode == "with logits" else {}
    with pytest.raises(ValueError, match=rf"(?s){message}.*DataCollatorForBlankInfilling"):
        model.train(mode == "training")(IDS, attention_mask=ATTENDED, labels=labels, **keep)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(("place", "value"), [((0, 1), 11), ((1, 3), 12), ((1, 4), 99)])
def test_given_positions_tell_the_parts(model, place, value, rows):
    """The ids have no start of piece. One row of positions serves all rows."""
    ids = torch.tensor([[CLS, 11, MASK, EOS, 13, 14, 15, 16]]).repeat(2, 1)
    positions = torch.tensor([[[0, 1, 2, 3, 2, 2, 2, 2], [0, 0, 0, 0, 1, 2, 3, 4]]]).expand(rows, -1, -1)
    labels = ids.roll(-1, dims=1).masked_fill(torch.arange(8) < 4, N)
    assert model(ids, position_ids=positions, labels=labels).loss.isfinite()
    with pytest.raises(ValueError, match=rf"labels\[{place[0]}, {place[1]}\] = {value} (stands on Part A|is outside)"):
        model(ids, position_ids=positions, labels=change(place, value, labels))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16])
def test_other_integers_are_labels_too(model, dtype):
    expected = model(IDS, attention_mask=ATTENDED, labels=LABELS).loss
    assert torch.equal(model(IDS, attention_mask=ATTENDED, labels=LABELS.to(dtype)).loss, expected)


def test_one_token_may_be_followed_by_itself(model):
    labels = torch.full_like(LABELS, N)
    labels[0, 6] = 13
    assert model(IDS, attention_mask=ATTENDED, labels=labels).loss.isfinite()


def test_texts_without_a_blank_give_a_warning(model):
    """There is nothing to fill, so a copy of the text may be meant: the loss is computed."""
    ids = torch.tensor([[CLS, 11, 12, EOS], [CLS, 13, EOS, PAD]])
    labels = ids.masked_fill(ids == PAD, N)
    with pytest.warns(UserWarning, match=r"labels\[0, 0\] = 2 stands on a text without a blank.*BlankInfilling"):
        loss = model(ids, attention_mask=(ids != PAD).long(), labels=labels).loss
    assert loss.isfinite()
    with pytest.raises(ValueError, match=r"labels\[0, 0\] = 2 stands on Part A"):
        model(ids.index_fill(1, torch.tensor([1]), MASK), labels=labels)


COLLATORS = ["pieces", "packed", "masked_lm", "block masks", "no block positions", "sentinels", "short", "targets"]


@pytest.mark.parametrize("name", COLLATORS)
def test_labels_of_our_collators_are_right(tokenizer, name):
    options = {
        "packed": {"packed_length": 200},
        "masked_lm": {"masked_lm": True},
        "block masks": {"block_mask_probability": 0.9, "context_mask_ratio": 0.1},
        "no block positions": {"block_positions": False},
        "sentinels": {"sentinels": [(330 + k, 320 + k) for k in range(30)]},
        "short": {"short_probability": 1.0, "packed_length": 100},
    }
    objectives = {"token": 0.4, "sentence": 0.3, "document": 0.3}
    if name == "targets":
        inputs = tokenizer(["the [MASK] dog [MASK].", "In the year [MASK]."], return_tensors="pt", padding=True)
        batch = tokenizer.build_inputs_for_generation(inputs, targets=[["lazy", "runs"], ["1987"]], padding=True)
    else:
        rows = tokenizer(TEXTS, add_special_tokens=False).input_ids
        batch = DataCollatorForBlankInfilling(tokenizer, objectives=objectives, **options.get(name, {}))(
            [{"input_ids": row, "sample_id": number} for number, row in enumerate(rows)]
        )
    config = tiny_config(vocab_size=400, **tokenizer.special_token_ids)
    labels = batch.pop("labels")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(check_piece_labels(labels, config, **batch), labels)


@pytest.mark.parametrize("name", ["causal", "masked", "encoder-decoder", "encoder-decoder of one length"])
def test_labels_of_collators_for_other_models_are_refused(tokenizer, name):
    texts, targets = ["the [MASK] dog runs and runs", "In the year [MASK] it was found"], ["lazy", "1987 404"]
    config = tiny_config(vocab_size=400, **tokenizer.special_token_ids)
    if name in ("causal", "masked"):
        batch = DataCollatorForLanguageModeling(tokenizer, mlm=name == "masked", mlm_probability=0.9, seed=0)(
            [dict(tokenizer(text)) for text in texts]
        )
    else:
        padded = {"padding": "max_length", "max_length": 30} if "length" in name else {}
        batch = DataCollatorForSeq2Seq(tokenizer)(
            [dict(tokenizer(text, text_target=target, **padded)) for text, target in zip(texts, targets, strict=True)]
        )
    with pytest.raises(ValueError, match=r"labels.*DataCollatorForBlankInfilling"):
        check_piece_labels(batch["labels"], config, batch["input_ids"], attention_mask=batch["attention_mask"])


def test_where_the_parts_cannot_be_told_only_values_are_checked(model):
    embedded = model.get_input_embeddings()(IDS)
    check_piece_labels(IDS, tiny_config(sop_token_id=None), IDS)
    with pytest.raises(ValueError, match="stands on padding"):
        check_piece_labels(IDS, model.config, inputs_embeds=embedded, attention_mask=ATTENDED)
    with pytest.raises(ValueError, match=r"expected \(batch, seq\) = \(2, 8\)"):
        check_piece_labels(IDS[:, 1:], model.config, inputs_embeds=embedded)


def test_a_traced_graph_is_not_checked(model):
    """A graph has no values to read. Shapes are checked, and right labels give the loss of eager mode."""
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    expected = model(IDS, attention_mask=ATTENDED, labels=LABELS).loss
    torch.testing.assert_close(compiled(IDS, attention_mask=ATTENDED, labels=LABELS).loss, expected)
    assert not can_read_labels(LABELS.to("meta"))


@pytest.mark.slow
def test_a_graph_of_any_shape_takes_labels(model):
    """A graph that has seen two shapes has symbols for the sizes of the ids; the labels are new to it."""
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for rows, width in ((2, 8), (1, 6)):
        compiled(IDS[:rows, :width], attention_mask=ATTENDED[:rows, :width])
    expected = model(IDS, attention_mask=ATTENDED, labels=LABELS).loss
    torch.testing.assert_close(compiled(IDS, attention_mask=ATTENDED, labels=LABELS).loss, expected)


class TestHeads:
    @staticmethod
    def run(model_class, labels, mode: str = "training", **config):
        model = make_model(model_class, **config).train(mode == "training")
        names = ("start_positions", "end_positions") if model_class is GLMForQuestionAnswering else ("labels",)
        return model(IDS, attention_mask=ATTENDED, **dict.fromkeys(names, labels)).loss

    @pytest.mark.parametrize("mode", ["training", "evaluation"])
    @pytest.mark.parametrize(
        ("labels", "config", "message"),
        [
            (LABELS, {}, r"labels has the shape \(2, 8\): expected \(batch,\) = \(2,\).*DataCollatorWithPadding"),
            (torch.tensor([0]), {}, r"labels has the shape \(1,\): expected \(batch,\) = \(2,\)"),
            (torch.tensor([0, 3]), {}, r"labels\[1\] = 3 is outside the classes, 0 ... 2, and is not -100"),
            (torch.tensor([-1, 0]), {}, r"labels\[0\] = -1 is outside the classes"),
            (torch.tensor([[0, 1, 0], [1, 1, 0]]), {}, r"\(2, 3\): .* give floats of shape \(2, 3\)"),
            (torch.tensor([0.0, 1.0]), {}, r"labels has the shape \(2,\): expected \(batch, labels\) = \(2, 3\)"),
            (torch.full((2, 3), 2.0), {}, r"labels\[0, 0\] = 2.0 is not between 0 and 1 \(as do 5 more\)"),
            (torch.tensor([[0.5] * 3, [torch.nan] * 3]), {}, r"labels\[1, 0\] = nan is not between 0 and 1"),
            (torch.ones(2, 2), {"num_labels": 1}, r"\(2, 2\): expected \(batch,\) = \(2,\).*num_labels=1 say so"),
            (torch.ones(8), {"num_labels": 1}, r"\(8,\): expected \(batch,\) = \(2,\)"),
            (torch.tensor([1.0, torch.inf]), {"num_labels": 1}, r"labels\[1\] = inf is not finite"),
            (torch.ones(2), {"problem_type": "regression"}, r"expected \(batch, labels\) = \(2, 3\)"),
            (torch.ones(2), {"problem_type": "single_label_classification"}, r"type torch.float32: expected integers"),
        ],
    )
    def test_texts(self, labels, config, message, mode):
        with pytest.raises(ValueError, match=rf"(?s){message}"):
            self.run(GLMForSequenceClassification, labels, mode, **{"num_labels": 3, **config})

    @pytest.mark.parametrize(
        ("labels", "same", "config"),
        [
            (torch.tensor([2, 0]), torch.tensor([[2], [0]]), {}),
            (torch.tensor([2, 0]), torch.tensor([2, 0], dtype=torch.int16), {}),
            (torch.tensor([1.0, 0.0]), torch.tensor([[1], [0]]), {"num_labels": 1}),
            (torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 5.0], [0.0, 5.0]])[:, 0], {"num_labels": 1}),
            (torch.tensor([[1.0, 0, 1], [0, 0, 1]]), torch.tensor([[True, False, True], [False, False, True]]), {}),
            (
                torch.tensor([[1.0, 0, 1], [0, 0, 1]]),
                torch.tensor([[1, 0, 1], [0, 0, 1]]),
                {"problem_type": "multi_label_classification"},
            ),
        ],
    )
    def test_forms_of_the_same_labels_of_texts(self, labels, same, config):
        config = {"num_labels": 3, **config}
        expected = self.run(GLMForSequenceClassification, labels, **config)
        torch.testing.assert_close(self.run(GLMForSequenceClassification, same, **config), expected)

    @pytest.mark.parametrize(
        ("labels", "config"),
        [
            (torch.tensor([N, 1, 0, 2]), {"num_labels": 3}),
            (torch.tensor([0.5, -3.0, 2.0, 7.0]), {"num_labels": 1}),
            (torch.arange(8.0).view(4, 2), {"num_labels": 2, "problem_type": "regression"}),
            (torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0]]), {"num_labels": 3}),
        ],
        ids=["classes", "regression", "several targets", "several labels"],
    )
    @pytest.mark.parametrize("as_tensor", [True, False])
    def test_losses_of_parts_add_up_to_that_of_the_batch(self, labels, config, as_tensor):
        """As Trainer accumulates gradients: it counts the labels of all parts, and divides by nothing itself."""
        model = make_model(GLMForSequenceClassification, **config)
        ids = torch.arange(11, 27).view(4, 4)
        count = (labels != N).sum() if as_tensor else int((labels != N).sum())
        parts = [
            model(ids[part], labels=labels[part], num_items_in_batch=count).loss for part in (slice(0, 1), slice(1, 4))
        ]
        torch.testing.assert_close(sum(parts), model(ids, labels=labels).loss)

    @pytest.mark.parametrize(
        ("target", "config"),
        [([1987.0], {"num_labels": 1}), ([0.9987, 0.0], {"problem_type": "multi_label_classification"})],
    )
    @pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
    def test_targets_are_not_rounded_to_the_precision_of_the_logits(self, target, config, weights):
        model = make_model(GLMForSequenceClassification, **config).to(weights)
        with torch.no_grad():
            model.classifier.out_proj.weight.zero_()
            model.classifier.out_proj.bias.fill_(1984.0 if len(target) == 1 else 1.0)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(torch.tensor([[CLS, 11, 12, EOS]]), labels=torch.tensor([target])).loss
        logits = torch.full((1, len(target)), 1984.0 if len(target) == 1 else 1.0)
        expected = (F.mse_loss if len(target) == 1 else F.binary_cross_entropy_with_logits)(
            logits, torch.tensor([target])
        )
        torch.testing.assert_close(loss, expected)

    def test_texts_without_a_label(self):
        model = make_model(GLMForSequenceClassification, num_labels=3)
        outputs = model(IDS, attention_mask=ATTENDED, labels=torch.tensor([N, 1]))
        torch.testing.assert_close(outputs.loss, F.cross_entropy(outputs.logits[1:], torch.tensor([1])))

    @pytest.mark.parametrize("mode", ["training", "evaluation"])
    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (torch.zeros(2, 7).long(), r"labels has the shape \(2, 7\): expected \(batch, seq\) = \(2, 8\)"),
            (torch.zeros(8, 2).long(), r"labels has the shape \(8, 2\).*DataCollatorForTokenClassification"),
            (torch.zeros(2).long(), r"labels has the shape \(2,\)"),
            (torch.zeros(2, 8), r"labels has the type torch.float32"),
            (torch.zeros(2, 8).long(), r"labels\[1, 4\] = 0 stands on padding \(as do 1 more\)"),
            (
                torch.full((2, 8), 3).masked_fill(ATTENDED == 0, N),
                r"labels\[0, 0\] = 3 is outside the classes, 0 ... 2",
            ),
        ],
    )
    def test_tokens(self, labels, message, mode):
        with pytest.raises(ValueError, match=rf"(?s){message}"):
            self.run(GLMForTokenClassification, labels, mode, num_labels=3)

    def test_tokens_of_the_text_have_labels(self):
        labels = (IDS % 3).masked_fill(ATTENDED == 0, N)
        assert self.run(GLMForTokenClassification, labels, num_labels=3).isfinite()

    @pytest.mark.parametrize("mode", ["training", "evaluation"])
    @pytest.mark.parametrize(
        ("positions", "message"),
        [
            (torch.zeros(3).long(), r"start_positions has the shape \(3,\): expected \(batch,\) = \(2,\)"),
            (LABELS, r"start_positions has the shape \(2, 8\).*default_data_collator"),
            (torch.zeros(2), r"start_positions has the type torch.float32"),
            (torch.tensor([0, 8]), r"start_positions\[1\] = 8 is outside the tokens of the row, 0 ... 7"),
            (torch.tensor([-1, 0]), r"start_positions\[0\] = -1 is outside"),
            (torch.tensor([0, 4]), r"start_positions\[1\] = 4 names padding"),
        ],
    )
    def test_answers(self, positions, message, mode):
        with pytest.raises(ValueError, match=rf"(?s){message}"):
            self.run(GLMForQuestionAnswering, positions, mode)

    def test_answers_that_are_not_there(self):
        """They count for nothing, and not as an answer at the first token."""
        model = make_model(GLMForQuestionAnswering)
        starts, ends = torch.tensor([1, N]), torch.tensor([[2], [N]])
        outputs = model(IDS, attention_mask=ATTENDED, start_positions=starts, end_positions=ends)
        expected = F.cross_entropy(outputs.start_logits[:1], starts[:1]) / 2
        expected = expected + F.cross_entropy(outputs.end_logits[:1], ends[:1, 0]) / 2
        torch.testing.assert_close(outputs.loss, expected)


class TestChoices:
    CHOICES = torch.tensor([[[20], [21], [22]], [[20], [21], [N]]])

    def run(self, labels, **config):
        contexts = torch.tensor([[CLS, 11, MASK, EOS], [CLS, MASK, 12, EOS]])
        return make_model(GLMForMultipleChoice, **config)(contexts, choice_ids=self.CHOICES, labels=labels)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (torch.tensor([0, 2]), r"labels\[1\] = 2 names an absent choice: the row with most choices has 3"),
            (torch.tensor([3, 0]), r"labels\[0\] = 3 names an absent choice"),
            (torch.tensor([-1, 0]), r"labels\[0\] = -1 names an absent choice"),
            (torch.tensor([0]), r"labels has the shape \(1,\): expected \(batch,\) = \(2,\).*DataCollatorForCloze"),
            (torch.zeros(2, 4).long(), r"labels has the shape \(2, 4\)"),
            (torch.tensor([0.0, 1.0]), r"labels has the type torch.float32"),
        ],
    )
    def test_errors(self, labels, message):
        with pytest.raises(ValueError, match=message):
            self.run(labels)

    @pytest.mark.parametrize("fill_weight", [0.0, 0.5])
    @pytest.mark.parametrize("loss", ["cross_entropy", "hinge"])
    @pytest.mark.parametrize("labels", [[N, 1], [1, N]])
    def test_examples_without_a_label_do_not_count(self, loss, fill_weight, labels):
        config = {"choice_loss": loss, "choice_fill_weight": fill_weight}
        found = self.run(torch.tensor(labels), **config).loss
        row = labels.index(1)
        alone = make_model(GLMForMultipleChoice, **config)(
            torch.tensor([[CLS, 11, MASK, EOS], [CLS, MASK, 12, EOS]])[row : row + 1],
            choice_ids=self.CHOICES[row : row + 1],
            labels=torch.tensor([1]),
        )
        torch.testing.assert_close(found, alone.loss)

    def test_one_column_of_labels(self):
        assert torch.equal(check_choice_labels(torch.tensor([[1], [0]]), torch.zeros(2, 3)), torch.tensor([1, 0]))


def test_labels_stay_as_they_are():
    labels = copy.deepcopy(LABELS)
    make_model(GLMForConditionalGeneration)(IDS, attention_mask=ATTENDED, labels=labels)
    assert torch.equal(labels, LABELS)


def test_hidden_masks_and_starts_are_not_read(model):
    """A hidden start opens no piece, and a hidden mask is no blank."""
    ids = torch.tensor([[CLS, SOP, 11, MASK, EOS, SOP, 13], [CLS, MASK, 11, MASK, EOS, SOP, 13]])
    mask = torch.tensor([[1, 0, 1, 1, 1, 1, 1]] * 2)
    labels = torch.full_like(ids, N)
    labels[:, 5:] = torch.tensor([13, EOP])
    removed = [values[:, [0, 2, 3, 4, 5, 6]] for values in (ids, labels)]
    expected = model(removed[0], labels=removed[1]).loss
    torch.testing.assert_close(model(ids, attention_mask=mask, labels=labels).loss, expected)
    with pytest.raises(ValueError, match=r"labels\[0, 2\] = 12 stands on Part A"):
        model(ids, attention_mask=mask, labels=change((0, 2), 12, labels))
    without = torch.tensor([[CLS, MASK, 11, EOS]])  # its only mask is hidden: a text without a blank
    with pytest.warns(UserWarning, match="stands on a text without a blank"):
        model(without, attention_mask=torch.tensor([[1, 0, 1, 1]]), labels=torch.tensor([[N, N, EOS, N]]))


TEXT, BLANK, FILLED, EMPTY = [CLS, 11, 12, EOS], [CLS, MASK, 11, EOS], [CLS, MASK, SOP, 11], [PAD, PAD, PAD, PAD]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([TEXT], 0),
        ([BLANK], None),
        ([FILLED], None),
        ([EMPTY], None),
        ([[11, SOP, 12, 13]], None),  # a piece without a blank, as a chat template may write one
        ([FILLED, BLANK, EMPTY, TEXT, TEXT], 3),
    ],
    ids=["text", "blank", "piece", "padding", "piece alone", "mixed"],
)
@pytest.mark.parametrize("side", ["none", "cache"])
def test_rows_with_neither_a_blank_nor_a_piece(rows, expected, side):
    """A mask may be wider than the ids: then it covers what a cache holds as well."""
    ids = torch.tensor(rows)
    mask = (ids != PAD).long()
    if side == "cache":
        mask = F.pad(mask, (3, 0), value=1)
    assert find_text_alone(ids, tiny_config(), mask) == expected


def test_hidden_blanks_and_pieces_leave_a_text_alone():
    ids = torch.tensor([[CLS, MASK, 11, SOP]])
    assert find_text_alone(ids, tiny_config()) is None
    assert find_text_alone(ids, tiny_config(), torch.tensor([[1, 0, 1, 1]])) is None
    assert find_text_alone(ids, tiny_config(), torch.tensor([[1, 1, 1, 0]])) is None
    assert find_text_alone(ids, tiny_config(), torch.tensor([[1, 0, 1, 0]])) == 0


def test_the_callers_own_layout_is_not_judged():
    ids = torch.tensor([TEXT])
    assert find_text_alone(ids, tiny_config(), torch.ones(1, 1, 4, 4, dtype=torch.bool).tril()) is None
    assert find_text_alone(ids, tiny_config(sop_token_id=None)) is None
