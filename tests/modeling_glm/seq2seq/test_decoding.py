"""Settings of a search come from arguments, or else from the model; a run names its finished model."""

import pytest

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.seq2seq.decoding import SearchSettings, find_model, load_settings, save_settings


def test_settings_are_saved_with_the_model(ending, tmp_path):
    model = GLMForConditionalGeneration.from_pretrained(ending)
    assert SearchSettings.for_model(model) == SearchSettings()
    search = SearchSettings(
        num_beams=3, length_penalty=0.6, no_repeat_ngram_size=3, min_new_tokens=2, max_new_tokens=9
    )
    search.write_to(model)
    model.save_pretrained(tmp_path)
    loaded = GLMForConditionalGeneration.from_pretrained(tmp_path)
    assert SearchSettings.for_model(loaded) == search
    greedy = SearchSettings(length_penalty=0.6, original_search=True)
    greedy.write_to(model)
    model.save_pretrained(tmp_path / "greedy")  # the library refuses a penalty without beams
    loaded_greedy = GLMForConditionalGeneration.from_pretrained(tmp_path / "greedy")
    assert SearchSettings.for_model(loaded_greedy) == SearchSettings(original_search=True)
    given = SearchSettings.for_model(loaded, num_beams=1, length_penalty=None, original_search=True)
    assert given == SearchSettings(
        length_penalty=0.6, no_repeat_ngram_size=3, min_new_tokens=2, max_new_tokens=9, original_search=True
    )
    assert SearchSettings(**given.as_arguments()) == given


def test_settings_are_saved_beside_an_adapter(ending, tmp_path):
    peft = pytest.importorskip("peft")
    model = GLMForConditionalGeneration.from_pretrained(ending)
    config = peft.LoraConfig(r=2, target_modules=["query_key_value"], task_type="SEQ_2_SEQ_LM")
    adapted = peft.get_peft_model(model, config)
    search = SearchSettings(num_beams=3, length_penalty=0.6, original_search=True)
    search.write_to(adapted)
    adapted.save_pretrained(tmp_path)
    save_settings(adapted, tmp_path)
    loaded = GLMForConditionalGeneration.from_pretrained(tmp_path)
    load_settings(loaded, str(tmp_path))
    assert SearchSettings.for_model(loaded) == search
    plain = GLMForConditionalGeneration.from_pretrained(ending)
    load_settings(plain, str(ending))
    assert SearchSettings.for_model(plain) == SearchSettings()


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["model/config.json"], "model"),
        (["model/adapter_config.json"], "model"),
        (["config.json", "model/config.json"], "."),
        (["adapter_config.json", "model/config.json"], "."),
        (["checkpoint-2/config.json"], "."),
        (["run.json", "config.json", "model/config.json"], "model"),  # a run that is pushed
        (["run.json", "adapter_config.json"], "."),
    ],
)
def test_the_model_of_a_run(tmp_path, files, found):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert find_model(str(tmp_path)) == str((tmp_path / found).resolve())
    assert find_model("owner/name") == "owner/name"
