"""Every class is exported with all sizes dynamic: ONNX Runtime computes what the model does."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
    GLMPreTrainedModel,
)
from modeling_glm.export.graphs import BUILDERS, build_graph
from modeling_glm.export.save import export_model
from modeling_glm.layout_glm import compute_position_ids, glm_mask_function
from tests.support.models import FIRST_WORD, TOKEN_IDS, make_model

pytest.importorskip("transformers.exporters")
# Batches of 1 to 8, lengths of 4 to 256, and all four corners of these ranges.
SIZES = [(1, 4), (2, 9), (3, 40), (4, 17), (5, 128), (6, 5), (7, 33), (8, 256), (8, 4), (1, 256)]
# The smallest model that has all parts. Its position table is long enough for the longest inputs.
SMALL = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 256}
HEADS = [
    GLMModel,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMForQuestionAnswering,
    GLMForMultipleChoice,
]


def make_inputs(rows: int, length: int) -> dict[str, torch.Tensor]:
    """Make texts with a blank, some with padding on the left or right, and some with a piece."""
    generator = torch.Generator().manual_seed(rows * length)
    ids = torch.randint(FIRST_WORD, 64, (rows, length), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(rows):
        padding = row % 3 if length > 6 else 0
        ids[row, 0 if row % 2 == 0 else padding] = TOKEN_IDS["cls_token_id"]
        ids[row, padding + 1] = TOKEN_IDS["mask_token_id"]
        if padding:
            mask[row, slice(0, padding) if row % 2 else slice(length - padding, length)] = 0
    return {"input_ids": ids, "attention_mask": mask}


def make_choices(rows: int) -> torch.Tensor:
    """Make three choices for every text, one of them shorter than the others."""
    choice_ids = torch.arange(rows * 3 * (rows + 1)).view(rows, 3, rows + 1) % 50 + FIRST_WORD
    choice_ids[:, 1, 1:] = -100
    return choice_ids


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(head, marks=() if head is GLMForSequenceClassification else pytest.mark.slow) for head in HEADS
    ],
    ids=lambda model_class: model_class.__name__,
)
def exported(request, tmp_path_factory):
    model = make_model(request.param, **SMALL)
    target = tmp_path_factory.mktemp("export") / "model"
    export_model(model, target)
    return model, target


def test_every_head_gives_the_outputs_of_the_model(exported):
    model, target = exported
    onnx.checker.check_model(target / "model.onnx", full_check=True)
    session = onnxruntime.InferenceSession(target / "model.onnx")
    outputs = [output.name for output in session.get_outputs()]
    for rows, length in SIZES:
        inputs = make_inputs(rows, length)
        if "choice_ids" in [each.name for each in session.get_inputs()]:
            inputs["choice_ids"] = make_choices(rows)
        found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        with torch.no_grad():
            expected = model(**inputs)
        for name, value in zip(outputs, found, strict=True):
            real = expected[name].numpy()
            if real.shape[:2] == inputs["attention_mask"].shape:  # padding has outputs that nobody reads
                keep = inputs["attention_mask"].numpy() != 0
                value, real = value[keep], real[keep]
            np.testing.assert_allclose(value, real, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*children_specs.*:FutureWarning")  # in the exporters of Transformers 5.23
@pytest.mark.parametrize("model_class", HEADS, ids=lambda model: model.__name__)
def test_programs_of_torch_give_the_outputs_of_the_model(model_class, tmp_path):
    from transformers.exporters import ExportedModel

    model = make_model(model_class, **SMALL)
    export_model(model, tmp_path / "model", format="torch")
    loaded = ExportedModel.from_pretrained(tmp_path / "model")
    for rows, length in [(1, 4), (8, 256)]:
        inputs = make_inputs(rows, length)
        if model_class is GLMForMultipleChoice:
            inputs["choice_ids"] = make_choices(rows)
        with torch.no_grad():
            found, expected = loaded(**inputs), model(**inputs)
        tensors = {name: value for name, value in expected.items() if isinstance(value, torch.Tensor)}
        assert tensors
        for name, value in tensors.items():
            of_tokens = value.shape[:2] == inputs["attention_mask"].shape
            keep = inputs["attention_mask"] != 0 if of_tokens else ...  # padding has outputs that nobody reads
            torch.testing.assert_close(found[name][keep], value[keep], atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    model = make_model(GLMForConditionalGeneration, **SMALL)
    target = tmp_path_factory.mktemp("export") / "model"
    export_model(model, target)
    onnx.checker.check_model(target / "model.onnx", full_check=True)
    return model, onnxruntime.InferenceSession(target / "model.onnx")


@pytest.mark.parametrize(("rows", "length"), SIZES)
def test_prefill_and_decoding_give_the_logits_of_the_model(language_model, rows, length):
    """One graph reads a text behind an empty cache, and then tokens one by one behind what it returned."""
    model, session = language_model
    inputs = make_inputs(rows, length - 1)
    ids = torch.nn.functional.pad(inputs["input_ids"], (0, 4), value=FIRST_WORD)
    ids[:, length - 1] = TOKEN_IDS["sop_token_id"]
    mask = torch.nn.functional.pad(inputs["attention_mask"], (0, 4), value=1)
    with torch.no_grad():
        expected = model(ids, mask).logits.log_softmax(-1)
    positions = compute_position_ids(ids, model.config, mask)
    may_attend = glm_mask_function(positions[:, 1] == 0)
    index = torch.meshgrid(torch.arange(rows), torch.arange(length + 3), torch.arange(length + 3), indexing="ij")
    full = (may_attend(index[0], index[0], index[1], index[2]) & (mask != 0)[:, None])[:, None]
    held = [each.name for each in session.get_inputs() if "past" in each.name]
    cache = [np.zeros((rows, 2, 0, 8), np.float32) for _ in held]
    for start, stop in ((0, length), (length, length + 1), (length + 1, length + 3)):
        width = stop - start
        log_probs, *cache = session.run(
            None,
            {
                "input_ids": ids[:, start:stop].numpy(),
                "attention_mask": full[:, :, start:stop, :stop].numpy(),
                "position_ids": positions[:, :, start:stop].numpy(),
                "places": np.arange(rows) * width + width - 1,
                **dict(zip(held, cache, strict=True)),
            },
        )
        np.testing.assert_allclose(log_probs, expected[:, stop - 1].numpy(), atol=1e-4, rtol=0)


class GLMForSomethingElse(GLMPreTrainedModel):
    """A class that nobody has written an export for."""


def test_other_classes_have_no_export():
    model = make_model(GLMForSomethingElse)
    with pytest.raises(
        ValueError, match="GLMForSomethingElse has no export: expected one of GLMForConditionalGeneration"
    ):
        build_graph(model)
    assert len(BUILDERS) == 6


def test_a_language_model_must_know_its_special_tokens():
    model = make_model(GLMForConditionalGeneration, sop_token_id=None, **SMALL)
    with pytest.raises(ValueError, match="Exporting a language model needs sop_token_id"):
        build_graph(model)
