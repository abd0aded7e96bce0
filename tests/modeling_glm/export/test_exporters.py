"""
What the tests of Transformers ask of each of its models: its own exporters give the outputs of the model, leaf by leaf.

As there, every class is exported with plain inputs and with sizes that are fixed or all dynamic. The names of the outputs
are those of the model, the keys and values of the default cache among them.
"""

import copy

import pytest
import torch
from transformers import DynamicCache

from modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from tests.support.models import TOKEN_IDS, make_model

exporters = pytest.importorskip("transformers.exporters")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*children_specs.*:FutureWarning"),  # in the exporters of Transformers 5.23
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]
CLASSES = [
    GLMModel,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMForQuestionAnswering,
]
SMALL = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "max_position_embeddings": 64}
FORMATS = {
    "dynamo": (exporters.DynamoExporter, exporters.DynamoConfig),
    "onnx": (exporters.OnnxExporter, exporters.OnnxConfig),
}
KINDS = [
    pytest.param("dynamo", True, id="dynamo-dynamic"),
    pytest.param("dynamo", False, id="dynamo-fixed", marks=pytest.mark.slow),
    pytest.param("onnx", True, id="onnx-dynamic", marks=pytest.mark.slow),
    pytest.param("onnx", False, id="onnx-fixed", marks=pytest.mark.slow),
]


def make_inputs(model_class: type) -> dict[str, torch.Tensor]:
    """Make two texts with a blank, one of them padded, and choices of different lengths."""
    ids = torch.tensor([[2, 11, TOKEN_IDS["mask_token_id"], 12, 1], [2, TOKEN_IDS["mask_token_id"], 12, 1, 0]])
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    if model_class is GLMForMultipleChoice:
        inputs["choice_ids"] = torch.tensor([[[11, 12, 13], [14, -100, -100]], [[15, 16, -100], [17, 18, 19]]])
    return inputs


def leaves_of(outputs) -> dict[str, torch.Tensor]:
    from transformers.exporters.utils import get_leaf_tensors

    return get_leaf_tensors(outputs)


def check(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]):
    assert expected
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, atol=1e-4, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def cases():
    """Yield classes and kinds. Fixed sizes are a special case, so that of one class is enough; one case is quick."""
    for model_class in CLASSES:
        for kind in KINDS:
            if kind.values[1] or model_class is GLMModel:
                quick = model_class is GLMForConditionalGeneration
                marks = kind.marks if quick else pytest.mark.slow
                yield pytest.param(model_class, *kind.values, id=f"{model_class.__name__}-{kind.id}", marks=marks)


@pytest.mark.parametrize(("model_class", "kind", "dynamic"), list(cases()))
def test_an_export_gives_every_output_of_the_model(model_class, kind, dynamic):
    exporter, config = FORMATS[kind]
    model, inputs = make_model(model_class, **SMALL), make_inputs(model_class)
    exported = exporter().export(model, copy.deepcopy(inputs), config(dynamic=dynamic))
    with torch.no_grad():
        check(leaves_of(exported(**copy.deepcopy(inputs))), leaves_of(model(**inputs)))


@pytest.mark.parametrize(("kind", "dynamic"), KINDS)
def test_every_stage_of_generation_gives_the_outputs_of_the_model(kind, dynamic):
    """With the cache that `generate` makes by default, as the stage got it."""
    from transformers.exporters.utils import decompose_for_generation

    exporter, config = FORMATS[kind]
    model = make_model(GLMForConditionalGeneration, **SMALL)
    stages = decompose_for_generation(model, make_inputs(GLMForConditionalGeneration))
    assert list(stages) == ["prefill", "decode"]
    for module, inputs in stages.values():
        exported = exporter().export(module, copy.deepcopy(inputs), config(dynamic=dynamic))
        with torch.no_grad():
            check(leaves_of(exported(**copy.deepcopy(inputs))), leaves_of(module(**copy.deepcopy(inputs))))


@pytest.mark.slow
def test_stages_in_onnx_are_chained():
    """A prefill and two steps of other sizes than those of the example, behind the cache of the stage before."""
    model = make_model(GLMForConditionalGeneration, **SMALL)
    exported = exporters.OnnxExporter().export_for_generation(
        model, make_inputs(GLMForConditionalGeneration), exporters.OnnxConfig(dynamic=True)
    )
    prefill, decode = (exported.runners[name] for name in ("prefill", "decode"))
    ids = torch.tensor([[2, 11, 12, 13, 3, 14, 15, 1, 6]] * 3)
    ids[1, 1], ids[2, 5] = 16, 17
    mask = torch.ones_like(ids)
    positions = torch.stack((torch.arange(9), torch.zeros(9, dtype=torch.long))).expand(3, -1, -1).clone()
    positions[:, :, -1] = torch.tensor([4, 1])  # the start of the piece stands at the blank
    found = prefill(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=DynamicCache(config=model.config)
    )
    with torch.no_grad():
        expected = model(ids, mask, positions, DynamicCache(config=model.config))
        for _ in range(2):
            torch.testing.assert_close(found.logits[:, -1], expected.logits[:, -1], atol=1e-4, rtol=0)
            new, mask = expected.logits[:, -1:].argmax(-1), torch.nn.functional.pad(mask, (0, 1), value=1)
            positions = torch.stack((positions[:, 0, -1:], positions[:, 1, -1:] + 1), dim=1)
            step = {"input_ids": new, "attention_mask": mask, "position_ids": positions}
            found = decode(**step, past_key_values=found.past_key_values)
            expected = model(**step, past_key_values=expected.past_key_values)
        torch.testing.assert_close(found.logits[:, -1], expected.logits[:, -1], atol=1e-4, rtol=0)
