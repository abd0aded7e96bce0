"""Config, vocabulary and `[gMASK]` of a checkpoint, and errors where they do not belong together."""

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from modeling_glm import (
    GLMConfig,
    GLMForConditionalGeneration,
    convert_checkpoint,
)
from modeling_glm.checkpoints.files import CheckpointError
from modeling_glm.configuration_glm import PRESETS
from tests.support.checkpoints import (
    CONFIG,
    SHARDED,
    base_weights,
    save_module,
    shrink_preset,
)
from tests.support.models import tiny_config
from tests.support.original_files import write_vocabulary


@pytest.mark.parametrize("content", ["[1]", "7", "{", "null"])
def test_a_config_that_is_none(tmp_path, refuse, content):
    source = save_module(tmp_path / "a.pt", base_weights())
    (tmp_path / "config.json").write_text(content)
    refuse(source, r"config.json is not the config of a model", config=tmp_path / "config.json")


def test_a_tokenizer_that_is_damaged(tmp_path, refuse):
    source = save_module(tmp_path / "a.pt", base_weights())
    (tmp_path / "vocabulary").mkdir()
    (tmp_path / "vocabulary" / "tokenizer.json").write_text('{"version": "1.0"')
    refuse(source, r"The vocabulary in .*vocabulary cannot be read", vocabulary=tmp_path / "vocabulary")


@pytest.mark.parametrize("tied", [True, False])
def test_output_projections(tmp_path, tied):
    """A projection that equals the word embedding is left out, another one is kept."""
    weights = base_weights()
    weights["lm_head.weight"] = weights["word_embeddings.weight"] + (0 if tied else 1)
    save_module(tmp_path / "a.pt", weights)
    done = convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config())
    assert done.config.tie_word_embeddings is tied
    model = GLMForConditionalGeneration.from_pretrained(tmp_path / "glm")
    assert torch.equal(model.lm_head.weight, weights["lm_head.weight"])
    assert torch.equal(model.glm.word_embeddings.weight, weights["word_embeddings.weight"])


def test_without_a_vocabulary(tmp_path):
    source = save_module(tmp_path / "source" / "a.pt", base_weights())
    done = convert_checkpoint(source, tmp_path / "glm", config=tiny_config())
    assert not done.has_tokenizer
    assert not [path for path in (tmp_path / "glm").iterdir() if "token" in path.name]
    GLMForConditionalGeneration.from_pretrained(tmp_path / "glm")


def test_a_vocabulary_of_another_model(tmp_path):
    folder = write_vocabulary("bert", tmp_path / "bert")
    rows = GLMConfig.from_pretrained(CONFIG).vocab_size
    with pytest.raises(CheckpointError, match=rf"has 30524 tokens, but word_embeddings.weight has {rows} rows"):
        convert_checkpoint(SHARDED[1], tmp_path / "glm", config=CONFIG, vocabulary=folder)
    with pytest.raises(FileNotFoundError, match=r"The vocabulary .*nowhere is not a folder"):
        convert_checkpoint(SHARDED[1], tmp_path / "glm", config=CONFIG, vocabulary=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"No vocabulary: expected tokenizer.json"):
        convert_checkpoint(SHARDED[1], tmp_path / "glm", config=CONFIG, vocabulary=SHARDED[1])


def test_vocabularies_of_the_same_size_are_told_apart(tmp_path, monkeypatch):
    """GPT-2's and RoBERTa's are padded to the same number of rows."""
    save_module(tmp_path / "a.pt", shrink_preset(monkeypatch, "glm-roberta-large"))
    gpt2, roberta = (write_vocabulary(name, tmp_path / name) for name in ("gpt2", "roberta"))
    with pytest.raises(CheckpointError, match=r"has the \w+_token_id \d+, but the published checkpoint of this size"):
        convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", vocabulary=gpt2)
    assert convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", vocabulary=roberta).config.mask_token_id == 50264
    with pytest.raises(
        CheckpointError, match=r"has the cls_token_id 50259, but the config has 0: it belongs to another"
    ):
        convert_checkpoint(
            tmp_path / "a.pt", tmp_path / "mine", vocabulary=gpt2, config=GLMConfig(**PRESETS["glm-roberta-large"])
        )
    # A config without ids accepts any vocabulary.
    shape = {name: value for name, value in PRESETS["glm-roberta-large"].items() if not name.endswith("_token_id")}
    done = convert_checkpoint(tmp_path / "a.pt", tmp_path / "mine", vocabulary=gpt2, config=GLMConfig(**shape))
    assert done.config.mask_token_id == 50260


@pytest.mark.slow
@pytest.mark.parametrize(("shared", "expected"), [(None, 50009), (True, 50007), (False, 50009)])
def test_shared_gmask_of_other_sizes_has_to_be_said(tmp_path, shared, expected):
    weights = base_weights(vocab_size=50048, hidden_size=64, num_hidden_layers=1)
    save_module(tmp_path / "a.pt", weights)
    vocabulary = write_vocabulary("chinese", tmp_path / "chinese")
    done = convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", vocabulary=vocabulary, shared_gmask=shared)
    assert done.config.gmask_token_id == AutoTokenizer.from_pretrained(tmp_path / "glm").gmask_token_id == expected
    assert done.config.eop_token_id == 50007


@pytest.mark.slow
@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("copied", [True, False])
def test_shared_gmask_of_10b_chinese(tmp_path, monkeypatch, copied, ids):
    """As trained, one token is [gMASK] and the end of a piece. The hub's weights have a copy of its row for [gMASK]."""
    weights = shrink_preset(monkeypatch, "glm-10b-chinese")
    rows = weights["word_embeddings.weight"]
    if copied:
        rows[50009] = rows[50007]
    save_module(tmp_path / "a.pt", weights)
    vocabulary = write_vocabulary("chinese", tmp_path / "chinese")
    # An original config has no ids.
    shape = {name: value for name, value in PRESETS["glm-10b-chinese"].items() if not name.endswith("_token_id")}
    config = None if ids else GLMConfig(**shape)
    done = convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", vocabulary=vocabulary, config=config)
    expected = 50009 if copied else 50007
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "glm")
    assert tokenizer.gmask_token_id == done.config.gmask_token_id == expected
    assert tokenizer.eop_token_id == done.config.eop_token_id == 50007
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "glm")
    inputs = tokenizer("中国的首都是[gMASK]", return_tensors="pt")
    assert inputs.input_ids[0, -1] == expected
    ids = model.generate(**inputs, max_new_tokens=3, eos_token_id=-1)
    assert len(tokenizer.decode_blanks(ids)[0]) == 1
