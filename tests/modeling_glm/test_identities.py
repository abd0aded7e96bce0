"""Identities: padding, caches, packing, compilation, precision and saving do not change the result."""

import copy
import itertools

import pytest
import torch
import transformers
from packaging.version import Version
from transformers import DynamicCache, StaticCache
from transformers.trainer_pt_utils import LabelSmoother

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from modeling_glm.cpu_functions import switch
from modeling_glm.layout_glm import compute_position_ids
from tests.support.models import TOKEN_IDS, make_model, pad_rows, words

MASK, SMASK, GMASK = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "smask", "gmask"))
SOP, EOP, EOS, CLS, PAD = (TOKEN_IDS[f"{name}_token_id"] for name in ("sop", "eop", "eos", "cls", "pad"))
CLOSE = {"atol": 2e-5, "rtol": 2e-5}
IMPLEMENTATIONS = ["eager", "sdpa", "flex_attention"]
HEADS = [
    GLMModel,
    GLMForConditionalGeneration,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMForQuestionAnswering,
]


def rows() -> list[list[int]]:
    """Make texts of different length with different numbers of blanks and pieces."""
    w = words(40)
    return [
        [CLS, *w[:3], MASK, *w[3:5], EOS, SOP, *w[5:8]],
        [CLS, MASK, w[8], SMASK, *w[9:14], EOS, SOP, *w[14:16], SOP, w[16]],
        [CLS, *w[17:20], GMASK, SOP, *w[20:28]],
        [CLS, *w[28:31], EOS],
    ]


def primary(outputs) -> torch.Tensor:
    """Pick the states or logits of every token, or of every row."""
    return outputs.start_logits if "start_logits" in outputs else outputs[0]


def tokenwise(model_class) -> bool:
    return model_class is not GLMForSequenceClassification


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("model_class", HEADS)
def test_padding_changes_nothing(model_class, implementation, side):
    model = make_model(model_class, attn_implementation=implementation)
    ids = pad_rows(rows(), side, PAD)
    mask = pad_rows([[1] * len(row) for row in rows()], side)
    with torch.no_grad():
        together = primary(model(ids, attention_mask=mask))
        for index, row in enumerate(rows()):
            alone = primary(model(torch.tensor([row])))[0]
            found = together[index][mask[index].bool()] if tokenwise(model_class) else together[index]
            torch.testing.assert_close(found, alone, **CLOSE)


LABELS_OF = {
    GLMForConditionalGeneration: lambda row: {"labels": [-100] * row.index(SOP) + row[row.index(SOP) + 1 :] + [EOP]},
    GLMForSequenceClassification: lambda row: {"labels": 1},
    GLMForTokenClassification: lambda row: {"labels": [token % 2 for token in row]},
    GLMForQuestionAnswering: lambda row: {"start_positions": 1, "end_positions": 3},
}


@pytest.mark.parametrize("model_class", LABELS_OF)
def test_padding_changes_no_loss(model_class):
    model, losses = make_model(model_class), []
    for row, padding in itertools.product((rows()[0], rows()[2]), (0, 1, 20)):
        labels = LABELS_OF[model_class](row)
        filled = {
            name: given + [-100] * padding if isinstance(given, list) else given for name, given in labels.items()
        }
        mask = torch.tensor([[1] * len(row) + [0] * padding])
        with torch.no_grad():
            inputs = {name: torch.tensor([given]) for name, given in filled.items()}
            losses.append(model(torch.tensor([row + [PAD] * padding]), attention_mask=mask, **inputs).loss)
    torch.testing.assert_close(losses, [losses[0]] * 3 + [losses[3]] * 3, **CLOSE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_padding_in_the_middle_changes_nothing(implementation):
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation)
    row = rows()[1]
    start = row.index(SOP)
    gapped = torch.tensor([[*row[:start], PAD, PAD, *row[start:]]])
    mask = (torch.arange(gapped.shape[1]) < start) | (torch.arange(gapped.shape[1]) >= start + 2)
    with torch.no_grad():
        alone = model(torch.tensor([row])).logits[0]
        found = model(gapped, attention_mask=mask[None].long()).logits[0][mask]
    torch.testing.assert_close(found, alone, **CLOSE)


@pytest.mark.parametrize("implementation", ["sdpa", "flex_attention"])
@pytest.mark.parametrize("model_class", HEADS)
def test_attention_functions_agree(model_class, implementation):
    ids = pad_rows(rows(), "left", PAD)
    mask = pad_rows([[1] * len(row) for row in rows()], "left")
    with torch.no_grad():
        expected = primary(make_model(model_class, attn_implementation="eager")(ids, attention_mask=mask))
        found = primary(make_model(model_class, attn_implementation=implementation)(ids, attention_mask=mask))
    keep = mask.bool() if tokenwise(model_class) else slice(None)
    torch.testing.assert_close(found[keep], expected[keep], **CLOSE)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_cached_equals_uncached_token_by_token(static, implementation):
    if static and implementation == "flex_attention" and Version(transformers.__version__) < Version("5.23"):
        pytest.skip("older versions cannot combine a static cache with flex attention")
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation)
    ids = pad_rows(rows()[:3], "left", PAD)
    mask = pad_rows([[1] * len(row) for row in rows()[:3]], "left")
    positions = compute_position_ids(ids, model.config, mask)
    with torch.no_grad():
        expected = model(ids, attention_mask=mask).logits
        cache = StaticCache(config=model.config, max_cache_len=ids.shape[1] + 3) if static else DynamicCache()
        # Part A of every row ends before this column, and the rest is fed one token at a time.
        split = max(row.index(SOP) + ids.shape[1] - len(row) for row in rows()[:3])
        outputs = [model(ids[:, :split], attention_mask=mask[:, :split], past_key_values=cache).logits]
        for step in range(split, ids.shape[1]):
            outputs.append(
                model(
                    ids[:, step : step + 1],
                    attention_mask=mask[:, : step + 1],
                    position_ids=positions[..., step : step + 1],
                    past_key_values=cache,
                ).logits
            )
    torch.testing.assert_close(torch.cat(outputs, dim=1)[mask.bool()], expected[mask.bool()], **CLOSE)


def test_several_tokens_behind_a_cache():
    model = make_model(GLMForConditionalGeneration)
    ids = torch.tensor([rows()[2]])
    positions = compute_position_ids(ids, model.config)
    with torch.no_grad():
        expected = model(ids).logits
        first = model(ids[:, :7])
        second = model(ids[:, 7:], position_ids=positions[..., 7:], past_key_values=first.past_key_values)
    torch.testing.assert_close(torch.cat((first.logits, second.logits), 1), expected, **CLOSE)


def packed(model) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Put all rows one behind the other, with a label on every token of Part B."""
    ids, positions, labels = [], [], []
    for row in rows():
        tensor = torch.tensor([row])
        ids.append(tensor)
        positions.append(compute_position_ids(tensor, model.config))
        labels.append(torch.where(positions[-1][:, 1] > 0, tensor.roll(-1, 1), -100))
    return torch.cat(ids, 1), torch.cat(positions, 2), torch.cat(labels, 1)


def labelled(model) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Put the same rows one below the other, padded."""
    _ids, _positions, labels = packed(model)
    bounds = torch.tensor([0, *(len(row) for row in rows())]).cumsum(0)
    cut = [labels[0, start:stop].tolist() for start, stop in itertools.pairwise(bounds)]
    return (
        pad_rows(rows(), "right", PAD),
        pad_rows([[1] * len(row) for row in rows()], "right"),
        pad_rows(cut, "right", -100),
    )


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_packed_outputs_equal_unpacked(implementation):
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation)
    ids, positions, _ = packed(model)
    with torch.no_grad():
        found = model(ids, position_ids=positions).logits[0]
        expected = torch.cat([model(torch.tensor([row])).logits[0] for row in rows()])
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_packed_gradients_equal_unpacked(implementation):
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation).train()
    other = copy.deepcopy(model)
    ids, positions, labels = packed(model)
    loss = model(ids, position_ids=positions, labels=labels).loss
    batch, mask, targets = labelled(model)
    expected = other(batch, attention_mask=mask, labels=targets).loss
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected, **CLOSE)
    assert_same_gradients(model, other)


def assert_same_gradients(model, other):
    gradients = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            parameter.grad, gradients[name].grad, **CLOSE, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_packed_rows_may_be_padded():
    model = make_model(GLMForConditionalGeneration)
    ids, positions, _ = packed(model)
    padded = torch.nn.functional.pad(ids, (2, 3), value=PAD)
    mask = torch.nn.functional.pad(torch.ones_like(ids), (2, 3))
    with torch.no_grad():
        expected = model(ids, position_ids=positions).logits
        found = model(padded, attention_mask=mask, position_ids=torch.nn.functional.pad(positions, (2, 3))).logits
    torch.testing.assert_close(found[:, 2:-3], expected, **CLOSE)


def test_labelled_positions_alone_give_the_same_loss_and_gradients():
    model = make_model(GLMForConditionalGeneration).train()
    naive = copy.deepcopy(model)
    ids, mask, labels = labelled(model)
    outputs = model(ids, attention_mask=mask, labels=labels)
    assert outputs.logits is None
    logits = naive(ids, attention_mask=mask).logits
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels)
    outputs.loss.backward()
    expected.backward()
    torch.testing.assert_close(outputs.loss, expected, **CLOSE)
    assert_same_gradients(model, naive)
    asked = model(ids, attention_mask=mask, labels=labels, logits_to_keep=0)
    torch.testing.assert_close(asked.logits, logits, **CLOSE)
    torch.testing.assert_close(asked.loss, expected, **CLOSE)


@pytest.mark.parametrize("keep", [1, 4, torch.tensor([0, 2])], ids=["last", "last four", "two"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_kept_logits_change_no_loss(keep, training):
    model = make_model(GLMForConditionalGeneration).train(training)
    ids, mask, labels = labelled(model)
    logits = model(ids, attention_mask=mask).logits
    found = model(ids, attention_mask=mask, labels=labels, logits_to_keep=keep)
    torch.testing.assert_close(found.loss, torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels), **CLOSE)
    kept = logits[:, -keep:] if isinstance(keep, int) else logits[:, keep]
    torch.testing.assert_close(found.logits, kept, **CLOSE)


@pytest.mark.parametrize("count", [None, 7, torch.tensor(7)], ids=["mean", "over 7", "over a tensor"])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_label_smoothing_is_that_of_the_library(count, training):
    model = make_model(GLMForConditionalGeneration).train(training)
    naive = copy.deepcopy(model)
    ids, mask, labels = labelled(model)
    found = model(ids, attention_mask=mask, labels=labels, label_smoothing=0.3, num_items_in_batch=count).loss
    expected = LabelSmoother(0.3)(naive(ids, attention_mask=mask), labels)
    if count is not None:
        expected = expected * (labels != -100).sum() / 7
    torch.testing.assert_close(found, expected, **CLOSE)
    found.backward()
    expected.backward()
    assert_same_gradients(model, naive)


@pytest.fixture(params=["installed", "uploaded"])
def functions(request):
    """Run with the functions of the installed package, and with those that the hub has."""
    if request.param == "uploaded":
        switch.disable()
    yield
    switch.enable()


@pytest.mark.parametrize("frozen", ["nothing", "embeddings", "all but attention"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_nothing(functions, reentrant, implementation, dropout, frozen):
    """What the backward pass computes again is what was computed, with the same dropout masks."""
    rates = dict.fromkeys(("embedding_dropout", "attention_dropout", "hidden_dropout"), dropout)
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation, **rates).train()
    if frozen == "embeddings":
        model.get_input_embeddings().requires_grad_(False)
    elif frozen == "all but attention":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("query_key_value" in name)
    model.enable_input_require_grads()
    checkpointed = copy.deepcopy(model)
    checkpointed.enable_input_require_grads()  # the hook of the copy would set it on the original
    # The name of the method before and since Transformers 5.2x.
    enable = getattr(checkpointed, "activation_checkpointing_enable", checkpointed.gradient_checkpointing_enable)
    enable({"use_reentrant": reentrant})
    ids, mask, labels = labelled(model)
    losses = []
    for each in (model, checkpointed):
        torch.manual_seed(0)
        losses.append(each(ids, attention_mask=mask, labels=labels).loss)
        losses[-1].backward()
    torch.testing.assert_close(*losses, atol=0, rtol=0)
    for first, second in zip(model.parameters(), checkpointed.parameters(), strict=True):
        assert (first.grad is None) == (second.grad is None)
    assert_same_gradients(model, checkpointed)


def test_kept_logits():
    model = make_model(GLMForConditionalGeneration)
    ids = torch.tensor([rows()[0]])
    with torch.no_grad():
        full = model(ids).logits
        torch.testing.assert_close(model(ids, logits_to_keep=3).logits, full[:, -3:], **CLOSE)
        torch.testing.assert_close(model(ids, logits_to_keep=torch.tensor([1, 4])).logits, full[:, [1, 4]], **CLOSE)


def test_embeddings_in_place_of_ids():
    model = make_model(GLMForConditionalGeneration)
    ids = torch.tensor([rows()[1]])
    positions = compute_position_ids(ids, model.config)
    with torch.no_grad():
        found = model(inputs_embeds=model.get_input_embeddings()(ids), position_ids=positions).logits
        torch.testing.assert_close(found, model(ids).logits, **CLOSE)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_given_4d_mask_is_used_as_it_is(implementation, dtype):
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation)
    row = torch.tensor([rows()[1]])
    positions = compute_position_ids(row, model.config)
    context = positions[0, 1] == 0
    index = torch.arange(row.shape[1])
    prefix = context[None, :] | (index[None, :] <= index[:, None])
    causal = index[None, :] <= index[:, None]
    with torch.no_grad():
        expected = model(row).logits
        found = model(row, attention_mask=prefix[None, None].to(dtype)).logits
        other = model(row, attention_mask=causal[None, None].to(dtype)).logits
    torch.testing.assert_close(found, expected, **CLOSE)
    assert not torch.allclose(other, expected, atol=1e-2)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_stay_close_and_finite(dtype, implementation):
    model = make_model(GLMForConditionalGeneration, attn_implementation=implementation)
    ids = pad_rows(rows(), "left", PAD)
    mask = pad_rows([[1] * len(row) for row in rows()], "left")
    hidden = torch.zeros(len(ids), 1, ids.shape[1], ids.shape[1], dtype=torch.bool)  # no query may see anything
    with torch.no_grad():
        expected = model(ids, attention_mask=mask).logits
        other = model.to(dtype)
        found = other(ids, attention_mask=mask).logits.float()
        assert other(ids, attention_mask=hidden).logits.isfinite().all()
    error = (found - expected)[mask.bool()].abs().max() / expected[mask.bool()].abs().max()
    assert error < 16 * max(torch.finfo(dtype).eps, torch.finfo(expected.dtype).eps)


@pytest.mark.parametrize("model_class", [*HEADS, GLMForMultipleChoice])
def test_saved_and_loaded(model_class, tmp_path):
    model = make_model(model_class)
    model.save_pretrained(tmp_path)
    loaded, report = model_class.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    inputs = {"input_ids": torch.tensor([rows()[0]])}
    if model_class is GLMForMultipleChoice:
        inputs = {"input_ids": torch.tensor([rows()[0][:8]]), "choice_ids": torch.tensor([[[11, 12], [13, -100]]])}
    with torch.no_grad():
        expected, found = model(**inputs), loaded.eval()(**inputs)
    for key, value in expected.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(found[key], value, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("model_class", [GLMModel, GLMForConditionalGeneration])
def test_compiled_equals_eager(model_class):
    model = make_model(model_class)
    ids = pad_rows(rows(), "right", PAD)
    mask = pad_rows([[1] * len(row) for row in rows()], "right")
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        expected, found = primary(model(ids, attention_mask=mask)), primary(compiled(ids, attention_mask=mask))
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.slow
def test_compiled_training_step_equals_eager():
    model = make_model(GLMForConditionalGeneration).train()
    other = copy.deepcopy(model)
    ids, mask, labels = labelled(model)
    torch.compile(model, fullgraph=True, backend="aot_eager")(ids, attention_mask=mask, labels=labels).loss.backward()
    other(ids, attention_mask=mask, labels=labels).loss.backward()
    assert_same_gradients(model, other)
