"""The tokenizer: its special tokens and how they change, saving, copies, training."""

import copy
import json
import pickle
from itertools import product

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

from modeling_glm import GLMConfig, GLMTokenizer
from tests.support.models import TEXTS
from tests.support.original_files import VOCABULARIES


def names(tokenizer, ids) -> list[str]:
    return [token.replace("Ġ", "_") for token in tokenizer.convert_ids_to_tokens(ids)]


def test_named_tokens(tokenizer):
    for name in ("sop", "eop", "gmask", "smask", "mask", "cls", "sep", "pad", "eos", "dblock"):
        token = getattr(tokenizer, f"{name}_token")
        assert tokenizer.convert_tokens_to_ids(token) == getattr(tokenizer, f"{name}_token_id")
    assert tokenizer.mask_token_ids == [tokenizer.mask_token_id, tokenizer.smask_token_id, tokenizer.gmask_token_id]
    assert GLMConfig(**tokenizer.special_token_ids).mask_token_ids == tokenizer.mask_token_ids


def test_any_vocabulary_gets_what_it_needs_and_no_more():
    backend = Tokenizer(models.WordLevel({"the": 0, "dog": 1, "[UNK]": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = GLMTokenizer(tokenizer_object=backend)
    assert tokenizer.gmask_token is tokenizer.gmask_token_id is None
    assert tokenizer.smask_token_id is tokenizer.dblock_token is tokenizer.dblock_token_id is None
    assert tokenizer.pad_token == tokenizer.eos_token == "<|endoftext|>"
    assert len(tokenizer) == 3 + 5
    assert tokenizer.mask_token_ids == [tokenizer.mask_token_id]
    assert names(tokenizer, tokenizer("the [MASK]", "dog").input_ids) == [
        "[CLS]", "the", "[MASK]", "<|endoftext|>", "dog", "<|endoftext|>",
    ]  # fmt: skip
    with_gmask = GLMTokenizer(tokenizer_object=backend, gmask_token="[gMASK]")
    assert with_gmask.gmask_token_id == 8


@pytest.mark.parametrize("load", [GLMTokenizer.from_pretrained, AutoTokenizer.from_pretrained])
def test_saved_and_loaded(tokenizer, load, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is GLMTokenizer
    assert len(loaded) == len(tokenizer)
    for text in ("the lazy [MASK], 404", "a [sMASK] b [gMASK]", "naïve 漢字 🙂\n\t x"):
        assert loaded(text).input_ids == tokenizer(text).input_ids
    assert loaded.special_token_ids == tokenizer.special_token_ids
    assert (loaded.dblock_token, loaded.eop_token_id) == (tokenizer.dblock_token, tokenizer.eop_token_id)


TASK = {"patterns": ["{text} [MASK]"], "verbalizer": {"good": ["great"]}}


def test_a_task_goes_into_a_copy(tokenizer, tmp_path):
    carrier = tokenizer.with_cloze(TASK)
    assert carrier.cloze == TASK
    assert carrier.cloze is not TASK
    assert tokenizer.cloze is None
    assert carrier.with_cloze(None).cloze is None
    carrier.add_tokens(["<new>"])
    assert "<new>" not in tokenizer.get_vocab()
    tokenizer.save_pretrained(tmp_path / "plain")
    assert not (tmp_path / "plain" / "cloze.json").exists()


@pytest.mark.parametrize("load", [GLMTokenizer.from_pretrained, AutoTokenizer.from_pretrained])
def test_a_task_is_saved_and_loaded(tokenizer, load, tmp_path):
    tokenizer.with_cloze(TASK).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "cloze.json").read_text()) == TASK
    loaded = load(tmp_path)
    assert loaded.cloze == TASK
    assert loaded.with_cloze(None)("the [MASK]").input_ids == tokenizer("the [MASK]").input_ids


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_and_pickles_keep_the_task(tokenizer, duplicate):
    duplicated = duplicate(tokenizer.with_cloze(TASK))
    assert duplicated.cloze == TASK
    assert duplicated("the lazy [gMASK]").input_ids == tokenizer("the lazy [gMASK]").input_ids


def test_tokenizer_json_alone_is_enough(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = GLMTokenizer(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert loaded("the [MASK] dog").input_ids == tokenizer("the [MASK] dog").input_ids
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        GLMTokenizer()


def test_training_is_deterministic_and_sized():
    first, second = (GLMTokenizer.train_from_iterator(iter(TEXTS), 300) for _ in range(2))
    assert first.get_vocab() == second.get_vocab()
    assert len(first) == 300
    with pytest.raises(ValueError, match="at least 267"):
        GLMTokenizer.train_from_iterator(TEXTS, 266)


CHANGES = {
    "eos, new": lambda t: t.add_special_tokens({"eos_token": "<eot>"}),
    "eos, known": lambda t: setattr(t, "eos_token", "[SEP]"),
    "eos, by attribute": lambda t: setattr(t, "eos_token", "<eot>"),
    "eos, by id": lambda t: setattr(t, "eos_token_id", t.sep_token_id),
    "cls": lambda t: t.add_special_tokens({"cls_token": "<start>"}),
    "sep": lambda t: setattr(t, "sep_token", "<sep>"),
    "no sep": lambda t: setattr(t, "sep_token", None),
    "mask": lambda t: t.add_special_tokens({"mask_token": "<blank>"}),
    "mask, by attribute": lambda t: setattr(t, "mask_token", "<blank>"),
    "mask, added before": lambda t: (t.add_tokens(["<blank>"]), setattr(t, "mask_token", "<blank>")),
    "mask, a word of the vocabulary": lambda t: setattr(t, "mask_token", "the"),
    "smask": lambda t: t.add_special_tokens({"smask_token": "<blank>"}),
    "gmask": lambda t: t.add_special_tokens({"gmask_token": "<blank>"}),
    "no gmask": lambda t: setattr(t, "gmask_token", None),
    "pad": lambda t: setattr(t, "pad_token", "<pad>"),
    "no pad": lambda t: setattr(t, "pad_token", None),
    "extra": lambda t: t.add_special_tokens({"extra_special_tokens": ["<blank>"]}),
    "extra, by attribute": lambda t: setattr(t, "extra_special_tokens", ["<blank>"]),
    "no end": lambda t: setattr(t, "add_eos_token", False),
    "two": lambda t: t.add_special_tokens({"eos_token": "<eot>", "gmask_token": "<blank>"}),
}


# Large vocabularies take long to save and load: they get the changes that differ between kinds of vocabularies.
CHANGES_OF_ORIGINALS = ("eos, new", "mask", "mask, a word of the vocabulary", "two")


@pytest.mark.parametrize(
    ("family", "change"),
    [
        *product(["own"], CHANGES),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in product(VOCABULARIES, CHANGES_OF_ORIGINALS)),
    ],
)
def test_a_changed_token_acts_at_once_and_after_loading(of_family, family, change, tmp_path):
    changed = copy.deepcopy(of_family(family))
    CHANGES[change](changed)
    changed.save_pretrained(tmp_path)
    loaded = GLMTokenizer.from_pretrained(tmp_path)
    texts = ["the dog.", "a  <blank> b", "the [gMASK]", "a [MASK] b", "a <blank>", "<eot> b"]
    for now, later in zip(changed(texts).encodings, loaded(texts).encodings, strict=True):
        assert now.tokens == later.tokens
        assert now.offsets == later.offsets
    assert changed(texts, texts).input_ids == loaded(texts, texts).input_ids
    assert changed("the dog").input_ids[0] == changed.cls_token_id
    assert len(changed) == len(loaded)
    assert changed.special_tokens_map == loaded.special_tokens_map
    assert changed.special_token_ids == loaded.special_token_ids
    assert changed.all_special_tokens == loaded.all_special_tokens
    ids = changed("a <blank> b").input_ids
    assert changed.decode(ids, skip_special_tokens=True) == loaded.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("change", ["eos, new", "eos, known", "eos, by attribute", "eos, by id"])
def test_a_new_end_closes_texts(tokenizer, change):
    changed = copy.deepcopy(tokenizer)
    CHANGES[change](changed)
    assert changed("the dog").input_ids[-1] == changed.eos_token_id != tokenizer.eos_token_id
    assert changed("the dog", "a cat").input_ids[-1] == changed.eos_token_id
    assert changed("the [gMASK]").input_ids[-1] == changed.gmask_token_id
    assert tokenizer("the dog").input_ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("name", ["mask_token", "smask_token", "gmask_token"])
@pytest.mark.parametrize("how", ["set", "add", "construct"])
def test_a_new_mask_takes_the_white_space_before_it(tokenizer, name, how):
    if how == "construct":
        changed = GLMTokenizer(tokenizer_object=tokenizer.backend_tokenizer, **{name: "<blank>"})
    else:
        changed = copy.deepcopy(tokenizer)
    if how == "set":
        setattr(changed, name, "<blank>")
    if how == "add":
        assert changed.add_special_tokens({name: "<blank>"}) == 1
        assert changed.add_special_tokens({name: "<blank>"}) == 0
    assert changed("a <blank> b").input_ids[2] == getattr(changed, f"{name}_id")
    assert changed("a <blank> b").input_ids[1:2] == changed.encode("a", add_special_tokens=False)
    literal = AddedToken("<mask>", special=True)
    changed.add_special_tokens({name: literal})
    assert changed.tokenize("a <mask>")[-2:] == ["Ġ", "<mask>"]


@pytest.mark.parametrize("name", ["eos_token", "cls_token", "mask_token", "sop_token", "eop_token"])
def test_a_token_that_glm_needs_is_not_taken_away(tokenizer, name):
    with pytest.raises(ValueError, match=f"{name}=None: GLM needs"):
        setattr(copy.deepcopy(tokenizer), name, None)


def test_new_vocabularies_keep_changed_tokens(tokenizer):
    changed = copy.deepcopy(tokenizer)
    changed.add_special_tokens({"gmask_token": "<long>", "eos_token": "<eot>"})
    new = changed.train_new_from_iterator(TEXTS, 350)
    assert (new.gmask_token, new.eos_token) == ("<long>", "<eot>")
    assert new.tokenize("a <long>")[-1].strip() == "<long>"
    assert new("a <long>").input_ids[-1] == new.gmask_token_id


def test_texts_without_an_end(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    for changed in (
        GLMTokenizer.from_pretrained(tmp_path, add_eos_token=False),
        GLMTokenizer(tokenizer_object=tokenizer.backend_tokenizer, add_eos_token=False),
    ):
        assert not changed.add_eos_token
        assert changed("the dog").input_ids == tokenizer("the dog").input_ids[:-1]
        assert changed("the dog", "a cat").input_ids == tokenizer("the dog", "a cat").input_ids[:-1]
        assert changed(["the [gMASK]", "a"]).input_ids[1] == tokenizer("a").input_ids[:-1]
        changed.save_pretrained(tmp_path / "open")
        loaded = GLMTokenizer.from_pretrained(tmp_path / "open")
        assert not loaded.add_eos_token
        assert loaded("the dog").input_ids == changed("the dog").input_ids
        loaded.add_eos_token = True
        assert loaded("the dog").input_ids == tokenizer("the dog").input_ids
        assert (
            GLMTokenizer.from_pretrained(tmp_path / "open", add_eos_token=True)("a").input_ids[-1]
            == changed.eos_token_id
        )
    assert tokenizer.add_eos_token


@pytest.mark.parametrize("token", ["é", "ÿ", "Ġthe"])
def test_a_sign_for_bytes_is_not_added(tokenizer, token):
    """It is a token of the vocabulary already, and means other letters."""
    changed = copy.deepcopy(tokenizer)
    with pytest.raises(ValueError, match=f"The token '{token}' cannot be added"):
        changed.add_tokens([token])
    assert changed.decode(changed("é鐵 the", add_special_tokens=False).input_ids) == "é鐵 the"


@pytest.mark.parametrize("family", ["own", *VOCABULARIES])
def test_a_new_vocabulary_knows_signs_that_it_has_not_seen(of_family, family, tmp_path):
    new = of_family(family).train_new_from_iterator(["the lazy dog", "the cat"] * 9, 300)
    new.save_pretrained(tmp_path)
    loaded = GLMTokenizer.from_pretrained(tmp_path)
    for text in ("the ☃ dog", "漢字", "the [MASK]", "☃ [gMASK]"):
        ids = new(text).input_ids
        assert ids == loaded(text).input_ids
        assert None not in ids
        assert max(ids) < len(new)
    seen = new("the dog", add_special_tokens=False).input_ids
    assert new.decode(seen) == "the dog"
    assert new.unk_token_id not in seen
    unseen = new("☃", add_special_tokens=False).input_ids
    assert new.decode(unseen).strip() in ("☃", new.unk_token)


def test_a_vocabulary_without_a_special_token_for_the_unknown_is_trained_anew():
    backend = Tokenizer(models.BPE({"<unk>": 0, "a": 1, "b": 2}, [], unk_token="<unk>"))
    new = GLMTokenizer(tokenizer_object=backend).train_new_from_iterator(["abc"] * 9, 30)
    assert new.tokenize("az") == ["a", "<unk>"]
