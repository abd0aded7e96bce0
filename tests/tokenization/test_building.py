"""Inputs that the tokenizer builds for models: targets and choices by hand, and what they refuse."""

import pytest


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
