"""The tokenizer: layouts by hand, round trips, saving, copies, and inputs that it builds for models."""

import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

from modeling_glm import GLMConfig, GLMTokenizer
from tests.support.models import TEXTS
from tests.support.original_files import VOCABULARIES


def names(tokenizer, ids) -> list[str]:
    return [token.replace("Ġ", "_") for token in tokenizer.convert_ids_to_tokens(ids)]


def test_text_by_hand(tokenizer):
    ids = tokenizer("the lazy [MASK], 404").input_ids
    assert names(tokenizer, ids) == [
        "[CLS]", "the", "_lazy", "[MASK]", ",", "_4", "0", "4", "<|endoftext|>",
    ]  # fmt: skip


def test_pair_by_hand(tokenizer):
    encoded = tokenizer("the lazy", "the capital", return_token_type_ids=True)
    assert names(tokenizer, encoded.input_ids) == [
        "[CLS]",
        "the",
        "_lazy",
        "[SEP]",
        "the",
        "_capital",
        "<|endoftext|>",
    ]
    assert encoded.token_type_ids == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("text", ["the lazy [gMASK]", "the lazy[gMASK]"])
def test_text_to_be_continued_has_no_end(tokenizer, text):
    assert names(tokenizer, tokenizer(text).input_ids) == ["[CLS]", "the", "_lazy", "[gMASK]"]


def test_white_space_behind_the_blank_is_text(tokenizer):
    found = names(tokenizer, tokenizer("the [gMASK] ").input_ids)
    assert found == ["[CLS]", "the", "[gMASK]", "_", "<|endoftext|>"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_batch_with_and_without_an_end(tokenizer, side):
    texts = ["the lazy [gMASK]", "the [MASK] dog and the cat", "the dog"]
    batch = tokenizer(texts, padding=True, padding_side=side, return_tensors="pt", return_special_tokens_mask=True)
    assert batch.input_ids.shape == batch.attention_mask.shape == batch.special_tokens_mask.shape
    for row, text in enumerate(texts):
        alone = tokenizer(text).input_ids
        assert batch.input_ids[row][batch.attention_mask[row].bool()].tolist() == alone
        assert len(batch.tokens(row)) == batch.input_ids.shape[1]
    assert (batch.input_ids[batch.attention_mask == 0] == tokenizer.pad_token_id).all()


def test_padding_options_hold_for_texts_to_be_continued(tokenizer):
    texts = ["the lazy [gMASK]", "the dog"]
    assert tokenizer(texts, padding="max_length", max_length=9, return_tensors="pt").input_ids.shape == (2, 9)
    assert tokenizer(texts, padding=True, pad_to_multiple_of=8, return_tensors="pt").input_ids.shape == (2, 8)
    assert [len(row) for row in tokenizer(texts).input_ids] == [4, 4]
    assert tokenizer(texts[0], return_tensors="pt").input_ids.shape == (1, 4)
    assert tokenizer(texts, return_length=True)["length"] == [4, 4]
    offsets = tokenizer(texts[0], return_offsets_mapping=True).offset_mapping
    assert [texts[0][start:stop].strip() for start, stop in offsets] == ["", "the", "lazy", "[gMASK]"]
    pairs = tokenizer(["the dog", "a"], ["the [gMASK]", "cat"], padding=True, return_tensors="pt")
    assert names(tokenizer, pairs.input_ids[0]) == ["[CLS]", "the", "_dog", "[SEP]", "the", "[gMASK]"]
    assert names(tokenizer, pairs.input_ids[1][pairs.attention_mask[1].bool()])[-1] == "<|endoftext|>"
    assert names(tokenizer, tokenizer("the [gMASK]", add_special_tokens=False).input_ids) == ["the", "[gMASK]"]


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


@settings(max_examples=100)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_is_restored(tokenizer, text):
    assume(not any(token in text for token in tokenizer.all_special_tokens))
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == text


def test_training_is_deterministic_and_sized():
    first, second = (GLMTokenizer.train_from_iterator(iter(TEXTS), 300) for _ in range(2))
    assert first.get_vocab() == second.get_vocab()
    assert len(first) == 300
    with pytest.raises(ValueError, match="at least 267"):
        GLMTokenizer.train_from_iterator(TEXTS, 266)


def test_answers_are_read_from_sequences(tokenizer):
    t = tokenizer
    lazy, dog, cat = (t.encode(word, add_special_tokens=False) for word in (" lazy", " dog", " cat"))
    prompt = t("the [MASK] fox and the [MASK]").input_ids
    full = [*prompt, t.sop_token_id, *lazy, *dog, t.sop_token_id, *cat, t.eop_token_id, t.pad_token_id]
    unreached = [*prompt, t.sop_token_id, *lazy]
    assert t.decode_blanks([full, unreached, prompt]) == [["lazy dog", "cat"], ["lazy", ""], ["", ""]]
    assert t.decode_blanks(torch.tensor([full])) == [["lazy dog", "cat"]]
    assert t.decode_blanks([full[len(prompt) :]]) == [["lazy dog", "cat"]]
    ended = [*prompt, t.sop_token_id, t.sop_token_id, *cat, t.eos_token_id, *dog]
    assert t.decode_blanks([ended]) == [["", "cat"]]


def test_fill(tokenizer):
    assert tokenizer.fill("The [MASK] ran [sMASK]. [gMASK]", ["dog", "home", "End."]) == "The dog ran home. End."
    assert tokenizer.fill("un[MASK]able", ["think"]) == "unthinkable"
    assert tokenizer.fill("not [MASK].", [""]) == "not."
    assert tokenizer.fill("none", []) == "none"
    with pytest.raises(ValueError, match="2 blanks, but 1 answers"):
        tokenizer.fill("[MASK] and [MASK]", ["one"])


def test_targets_by_hand(tokenizer):
    t = tokenizer
    inputs = t(["the [MASK] dog", "[MASK] and [MASK]"], return_tensors="pt", padding=True)
    lazy, cat = (t.encode(word, add_special_tokens=False) for word in ("lazy", "cat"))
    built = t.build_inputs_for_generation(inputs, targets=[["lazy"], ["cat", "lazy"]])
    start = inputs.input_ids.shape[1]
    row = built.input_ids[1, start:].tolist()
    assert row == [t.sop_token_id, *cat, t.sop_token_id, *lazy]
    assert built.labels[1, start:].tolist() == [*cat, t.eop_token_id, *lazy, t.eop_token_id]
    assert (built.labels[:, :start] == -100).all()
    assert built.attention_mask[0, start:].tolist() == [1] * (1 + len(lazy)) + [0] * (len(row) - 1 - len(lazy))
    assert built.labels[0][built.attention_mask[0] == 0].eq(-100).all()


def test_targets_are_cut_and_padded_as_asked(tokenizer):
    inputs = tokenizer(["the [MASK]", "a [MASK]"], return_tensors="pt", padding=True)
    built = tokenizer.build_inputs_for_generation(inputs, targets=["lazy dog and cat", "fox"], max_gen_length=2)
    assert built.input_ids.shape[1] == inputs.input_ids.shape[1] + 2
    assert tokenizer.eop_token_id not in built.labels[0]  # a target that was cut does not end
    built = tokenizer.build_inputs_for_generation(inputs, targets=["lazy", "fox"], max_gen_length=9, padding=True)
    assert built.input_ids.shape[1] == built.labels.shape[1] == inputs.input_ids.shape[1] + 9
    opened = tokenizer.build_inputs_for_generation(inputs, max_gen_length=512)
    assert opened.input_ids[:, -1].tolist() == [tokenizer.sop_token_id] * 2
    assert "labels" not in opened


def test_choices_by_hand(tokenizer):
    inputs = tokenizer(["the [MASK]", "a [MASK] dog"], return_tensors="pt", padding=True)
    built = tokenizer.build_inputs_for_multiple_choice(inputs, [["lazy", "fox", "the lazy"], ["cat"]])
    lazy, fox, the, cat = (tokenizer.encode(w, add_special_tokens=False) for w in ("lazy", "fox", "the", "cat"))
    rows = [[lazy, fox, tokenizer.encode("the lazy", add_special_tokens=False)], [cat, [], []]]
    for row, found_row in zip(rows, built.choice_ids.tolist(), strict=True):
        for ids, found in zip(row, found_row, strict=True):
            assert found == ids + [-100] * (len(found) - len(ids))
    assert the[0] in built.choice_ids[0, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, x: t.build_inputs_for_generation(x, targets=["a"]), "2 texts, but targets for 1"),
        (lambda t, x: t.build_inputs_for_generation(x, targets=[["a", "b"], "c"]), "Text 0 has 1 blanks, but 2"),
        (lambda t, x: t.build_inputs_for_multiple_choice(x, [["a"]]), "2 texts, but choices for 1"),
        (lambda t, x: t.build_inputs_for_multiple_choice(x, [["a", ""], ["b"]]), r"choices\[0\]\[1\] is empty"),
        (lambda t, x: t.build_inputs_for_multiple_choice(x, [["a"], []]), r"choices\[1\] is \[\]"),
        (lambda t, x: t.build_inputs_for_multiple_choice(x, ["ab", "c"]), r"choices\[0\] is 'ab'"),
        (lambda t, x: t.build_inputs_for_generation(t(["no blank"])), "return_tensors='pt'"),
        (
            lambda t, x: t.build_inputs_for_generation(t(["no blank"], return_tensors="pt")),
            r"Text 0 has 0 blanks.*\[MASK\]",
        ),
    ],
)
def test_errors(tokenizer, call, message):
    inputs = tokenizer(["the [MASK]", "a [MASK]"], return_tensors="pt", padding=True)
    with pytest.raises(ValueError, match=message):
        call(tokenizer, inputs)


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
    [*product(["own"], CHANGES), *product(VOCABULARIES, CHANGES_OF_ORIGINALS)],
)
def test_a_changed_token_acts_at_once_and_after_loading(of_family, family, change, tmp_path):
    folder = tmp_path / "before"
    of_family(family).save_pretrained(folder)
    changed = GLMTokenizer.from_pretrained(folder)
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


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("added", ["naïve", "éé", "café au lait", "<ä>", "漢字", "Ġx", "plain"])
def test_added_tokens_are_decoded_as_they_are_written(tokenizer, added, special):
    changed = copy.deepcopy(tokenizer)
    changed.add_tokens([AddedToken(added, special=special)])
    for text in (f"the {added} dog 漢é", added, f"{added}{added}", f"ï{added}ï"):
        ids = changed(text, add_special_tokens=False).input_ids
        assert len(changed) - 1 in ids
        assert changed.decode(ids) == text
        assert changed.batch_decode([ids]) == [text]
        assert changed.convert_tokens_to_string(changed.convert_ids_to_tokens(ids)) == text
    assert changed.decode(len(changed) - 1) == added
    assert changed.decode(torch.tensor(changed("é").input_ids)) == "[CLS]é<|endoftext|>"
    skipped = changed.decode(changed(f"ï{added}ï").input_ids, skip_special_tokens=True)
    assert skipped == ("ïï" if special else f"ï{added}ï")


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


def test_threads_do_not_see_each_other(tokenizer):
    """A text that continues changes nothing for texts that others encode at the same time."""
    expected = tokenizer("the lazy dog").input_ids
    with ThreadPoolExecutor(4) as pool:
        texts = ["the lazy dog", "the lazy [gMASK]"] * 200
        found = list(pool.map(lambda text: tokenizer(text).input_ids, texts))
    assert found[::2] == [expected] * 200
    assert {row[-1] for row in found[1::2]} == {tokenizer.gmask_token_id}
