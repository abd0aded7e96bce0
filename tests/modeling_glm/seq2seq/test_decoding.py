"""Settings of a search come from arguments, or else from the model; a run names its finished model."""

import pytest

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.seq2seq.decoding import SearchSettings, find_model


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
    given = SearchSettings.for_model(loaded, num_beams=1, length_penalty=None, original_search=True)
    assert given == SearchSettings(
        length_penalty=0.6, no_repeat_ngram_size=3, min_new_tokens=2, max_new_tokens=9, original_search=True
    )
    assert SearchSettings(**given.as_arguments()) == given


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["model/config.json"], "model"),
        (["model/adapter_config.json"], "model"),
        (["config.json", "model/config.json"], "."),
        (["adapter_config.json", "model/config.json"], "."),
        (["checkpoint-2/config.json"], "."),
    ],
)
def test_the_model_of_a_run(tmp_path, files, found):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert find_model(str(tmp_path)) == str((tmp_path / found).resolve())
    assert find_model("owner/name") == "owner/name"
