"""Ids become texts: round trips, answers of blanks, added tokens."""

import copy

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken


@settings(max_examples=100)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_is_restored(tokenizer, text):
    assume(not any(token in text for token in tokenizer.all_special_tokens))
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == text


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
