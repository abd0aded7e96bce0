"""Importing the package registers GLM and changes nothing else of other libraries."""

import json
import os
import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, GlmConfig, Trainer, pipeline
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.trainer import DEFAULT_CALLBACKS

import modeling_glm
from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMTokenizer, embedded_checkpoint
from modeling_glm.hub import push
from modeling_glm.registration import register
from tests.support.models import make_model, tiny_config
from tests.support.paths import ROOT

SCRIPT = ROOT / "tests" / "support" / "import_changes.py"


# These registries are made for entries of others: the Auto classes, the tasks of `pipeline`, quantization methods, and
# the classes of outputs.
REGISTRIES = (
    "transformers.models.auto.",
    "transformers.pipelines:SUPPORTED_TASKS",
    "transformers.quantizers.auto:AUTO_QUANTIZ",
    "torch.export.dynamic_shapes:SUPPORTED_NODES",
    "torch.utils._pytree:",
    "torch.utils._cxx_pytree:",
    "torch._library.simple_registry:singleton._data",
)
# Where the libraries list classes of outputs and operations, ours as well, without a place for each.
LISTS = {
    "transformers.utils.generic:_registered_model_output_types",
    "torch.library:_defs",
    "torch.library:_impls",
    "torch.library:_keep_alive",
    "torch.ops:_dir",
}


@pytest.fixture(scope="module")
def found() -> dict:
    """Every attribute of other libraries, compared before and after the import in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_importing_only_adds_entries_to_registries(found):
    assert found["modules"] > 1000
    assert found["classes"] > 3000
    changes = [change for change in found["import_package"] if change["place"] not in LISTS]
    assert len(changes) == len(found["import_package"]) - len(LISTS)
    for change in changes:
        assert change["how"] == "added", change
        assert change["registry"].startswith(REGISTRIES), change
        assert "modeling_glm" in change["entry"], change
    places = {change["place"] for change in found["import_package"]}
    assert "transformers.pipelines:SUPPORTED_TASKS[blank-infilling]" in places
    assert "transformers.pipelines:SUPPORTED_TASKS[cloze-classification]" in places
    assert "transformers.quantizers.auto:AUTO_QUANTIZER_MAPPING[glm_int8]" in places
    # This entry stands in front of the one for GLM-4, see `SharedGlmConfig`.
    assert "transformers.models.auto.configuration_auto:CONFIG_MAPPING._extra_content[glm]" in places


@pytest.mark.slow
def test_the_comparison_finds_what_it_looks_for(found):
    """Among others all that earlier versions of this package changed."""
    assert {change["place"]: change["how"] for change in found["patch_libraries"]} == {
        "transformers.trainer:Trainer.create_model_card": "replaced",
        "transformers.trainer:Trainer.marker": "added",
        "transformers.trainer:DEFAULT_CALLBACKS": "changed",
        "transformers.pipelines:SUPPORTED_TASKS[text-generation]": "changed",
        "transformers.modeling_utils:AttentionInterface._global_mapping[sdpa]": "replaced",
        "transformers.modeling_utils:AttentionInterface._global_mapping[mine]": "added",
    }


def test_registering_again_changes_nothing():
    tasks = {task: dict(entry) for task, entry in PIPELINE_REGISTRY.supported_tasks.items()}
    callbacks = list(DEFAULT_CALLBACKS)
    method = Trainer.create_model_card
    register()
    assert {task: dict(entry) for task, entry in PIPELINE_REGISTRY.supported_tasks.items()} == tasks
    assert callbacks == DEFAULT_CALLBACKS
    assert Trainer.create_model_card is method


def test_own_classes_push_with_a_card():
    assert GLMForConditionalGeneration.publisher is GLMTokenizer.publisher is push
    assert modeling_glm.GLMPreTrainedModel.push_to_hub.__module__ == "modeling_glm.modeling_glm"
    assert GLMTokenizer.push_to_hub.__module__ == "modeling_glm.tokenization.tokenization_glm"


def test_both_kinds_of_glm_have_their_config(tmp_path):
    """The model type "glm" belongs to GLM-4 and to the original folders of GLM."""
    GlmConfig(num_hidden_layers=2).save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is GlmConfig
    assert config.num_hidden_layers == 2
    (tmp_path / "config.json").write_text('{"model_type": "glm", "block_position_encoding": true, "num_layers": 2}')
    assert type(AutoConfig.from_pretrained(tmp_path)) is GLMConfig
    tiny_config().save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is GLMConfig


@pytest.mark.parametrize("text", ["The quick [MASK] fox.", ["The [MASK] and the [MASK]."]])
def test_fill_mask_names_the_pipeline_to_use(tokenizer, text):
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    filler = pipeline("fill-mask", model=model, tokenizer=tokenizer)
    with pytest.raises(ValueError, match=r'use pipeline\("blank-infilling"\)'):
        filler(text)
    with pytest.raises(ValueError, match="blank-infilling"):
        filler(text, top_k=2, targets=["fox"])


def test_a_folder_is_no_masked_language_model(tokenizer, tmp_path):
    make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids).save_pretrained(
        tmp_path
    )
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="blank-infilling"):
        pipeline("fill-mask", model=str(tmp_path))
    with pytest.raises(ValueError, match="blank-infilling"):
        AutoModelForMaskedLM.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="blank-infilling"):
        AutoModelForMaskedLM.from_config(tiny_config())
    assert "AutoModelForMaskedLM" not in (tmp_path / "config.json").read_text()


def test_the_output_is_as_the_librarys_in_all_else():
    outputs = make_model(GLMForConditionalGeneration)(torch.tensor([[2, 11, 3, 1]]))
    assert isinstance(outputs, CausalLMOutputWithPast)
    assert [*outputs] == ["logits", "past_key_values"]
    outputs["loss"] = torch.zeros(())
    assert outputs.loss == 0
    assert torch.equal(outputs["logits"], outputs[0])


def test_pipelines_without_a_model_take_the_embedded_one():
    filler = pipeline("blank-infilling", dtype="float32", device="cpu")
    assert filler.model.config.name_or_path == embedded_checkpoint()
    assert filler("The opposite of [MASK] is cold.")[0]["text"] == "The opposite of hot is cold."
    classifier = pipeline("cloze-classification", dtype="float32", device="cpu")
    assert classifier.model.config.name_or_path == embedded_checkpoint()
