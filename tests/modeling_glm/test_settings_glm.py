"""Settings of `generate`: where they are read, and what they must be."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from transformers import GenerationConfig

from modeling_glm.settings_glm import GenerationSettings, end_token_ids
from tests.support.models import TOKEN_IDS, tiny_config

EOP, EOS = TOKEN_IDS["eop_token_id"], TOKEN_IDS["eos_token_id"]


def test_settings_are_read_from_the_call_then_the_config_then_the_model():
    own = GenerationConfig(max_length=20, pad_token_id=0, eos_token_id=1)
    given = GenerationConfig(pad_token_id=5, max_new_tokens=9)
    settings = GenerationSettings.read({"max_new_tokens": 3}, given, own)
    assert (settings.max_new_tokens, settings.pad_token_id, settings.eos_token_id) == (3, 5, 1)
    assert settings.max_length is None  # 20 is what the library writes into every model
    assert GenerationSettings.read({"max_length": 20}, None, own).max_length == 20
    assert settings.has_total_limit
    assert not GenerationSettings.read({}, None, own).has_total_limit
    with pytest.raises(FrozenInstanceError):
        settings.max_new_tokens = 4


def test_settings_are_checked():
    config = tiny_config()
    checked = GenerationSettings.read({"eos_token_id": torch.tensor([9, 8])}, None, GenerationConfig()).check(config)
    assert checked.eos_token_id == [9, 8]
    for name, wrong, message in (
        ("max_new_tokens", "many", "max_new_tokens"),
        ("max_new_tokens_per_blank", 1.5, "max_new_tokens_per_blank"),
        ("eos_token_id", 1.5, "eos_token_id"),
        ("pad_token_id", -1, "pad_token_id=-1 must be an id"),
    ):
        with pytest.raises(ValueError, match=message):
            GenerationSettings.read({name: wrong}, None, GenerationConfig()).check(config)


def test_the_tokens_that_end_a_piece():
    config = tiny_config()
    assert end_token_ids(config) == sorted({EOP, EOS})
    assert end_token_ids(config, 9) == end_token_ids(config, [9, EOP]) == sorted({EOP, 9})
    assert end_token_ids(config, -1) == end_token_ids(config, [-1]) == []
