"""`choose`: the same as scoring every choice alone, for one text or many, with and without calibration."""

import copy
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch

from modeling_glm import (
    BlankConstraint,
    Calibration,
    Choice,
    GLMForMultipleChoice,
    GLMForSequenceClassification,
    choose,
    fill_blanks,
)
from modeling_glm.tokenization.blanks import answer_forms, decode_piece, encode_text
from modeling_glm.utils.rows import RowError
from tests.support.containers import CONTAINERS
from tests.support.models import make_model
from tests.support.naive_scoring import naive_choice_scores, naive_log_probs

TEXTS = [
    "The [MASK] fox jumps over the dog.",
    "In the year 1987 the number 404 was not found, and Rome is the capital of the [MASK], which is lazy.",
    "The number [gMASK]",
    "[MASK]",
]
CHOICES = [
    ["quick", "the quick brown fox and the lazy dog of Italy in the year 1987", " lazy"],
    ["a", "b c"],
    ["was not found", "404", "dog", "cat", "Paris is the capital"],
    ["fox", "Fox"],
]


@pytest.fixture(scope="module")
def chooser(model) -> GLMForMultipleChoice:
    chooser = GLMForMultipleChoice(model.config).eval()
    chooser.load_state_dict(model.state_dict())
    return chooser


def by_place(choices: list[Choice]) -> list[Choice]:
    return sorted(choices, key=lambda choice: choice.index)


def check_row(choices: list[Choice], texts: list[str], expected: list[float]):
    """Best first, in the caller's words, with the expected log-probabilities and their softmax."""
    assert [choice.text for choice in by_place(choices)] == texts
    assert [choice.log_prob for choice in by_place(choices)] == pytest.approx(expected, abs=1e-4)
    shares = torch.tensor(expected, dtype=torch.float64).softmax(-1).tolist()
    assert [choice.probability for choice in by_place(choices)] == pytest.approx(shares, abs=1e-5)
    assert math.fsum(choice.probability for choice in choices) == pytest.approx(1, abs=1e-12)
    assert choices == sorted(choices, key=lambda choice: -choice.probability)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_every_choice_scores_as_alone(model, tokenizer, batch_size, monkeypatch):
    monkeypatch.setattr("modeling_glm.filling.scoring.MAX_BRANCH_TOKENS", 20)  # several rows for a text
    found = choose(model, tokenizer, TEXTS, CHOICES, batch_size=batch_size)
    for text, choices, row in zip(TEXTS, CHOICES, found, strict=True):
        check_row(row, choices, naive_choice_scores(model, tokenizer, text, choices))


def test_scores_are_the_logits_of_the_multiple_choice_head(model, chooser, tokenizer):
    texts = TEXTS[:2]
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    spaced = [" quick", " lazy dog"]
    logits = chooser(**tokenizer.build_inputs_for_multiple_choice(inputs, [spaced, spaced])).logits
    for one in (model, chooser):
        for row, expected in zip(choose(one, tokenizer, texts, spaced), logits.tolist(), strict=True):
            check_row(row, spaced, expected)


def test_a_single_text_gives_a_single_list(model, tokenizer):
    assert choose(model, tokenizer, TEXTS[0], CHOICES[0]) == choose(model, tokenizer, TEXTS[:1], CHOICES[0])[0]
    assert choose(model, tokenizer, [], ["a"]) == []


def test_texts_and_choices_come_as_any_sequence(model, tokenizer):
    expected = choose(model, tokenizer, TEXTS[:2], ["a", "b"])
    # Labels of a Series are not places.
    series = pd.Series(TEXTS[:2], index=[7, 3])
    for texts, choices in ((series, ("a", "b")), (tuple(TEXTS[:2]), pd.Series(["a", "b"], index=[5, 0]))):
        assert choose(model, tokenizer, texts, choices) == expected


def test_the_end_of_the_piece_does_not_count(model, tokenizer):
    """Here `choose` and a closed set of `fill_blanks` differ."""
    text, names = "The fox is [MASK].", [" lazy", " quick"]
    found = {choice.text.strip(): choice for choice in choose(model, tokenizer, text, names)}
    fillings = fill_blanks(model, tokenizer, text, 2, constraints=BlankConstraint(choices=names))
    for answer in (filling.answers[0] for filling in fillings):
        assert found[answer.text].log_prob == pytest.approx(sum(answer.token_log_probs[:-1]), abs=1e-4)
        assert found[answer.text].log_prob > answer.log_prob


def test_the_length_penalty_of_the_config_ranks(model, chooser, tokenizer):
    choices = [f" {choice.strip()}" for choice in CHOICES[0]]
    plain = by_place(choose(chooser, tokenizer, TEXTS[0], choices))
    lengths = [len(ids) for ids in tokenizer(choices, add_special_tokens=False).input_ids]
    penalised = make_model(GLMForMultipleChoice, **{**model.config.to_dict(), "choice_length_penalty": 1.0})
    penalised.load_state_dict(model.state_dict())
    found = by_place(choose(penalised, tokenizer, TEXTS[0], choices))
    means = torch.tensor([choice.log_prob / length for choice, length in zip(plain, lengths, strict=True)])
    assert [choice.probability for choice in found] == pytest.approx(means.softmax(-1).tolist(), abs=1e-4)
    assert [choice.log_prob for choice in found] == pytest.approx([choice.log_prob for choice in plain], abs=1e-4)


def test_calibration_by_a_domain_premise(model, tokenizer):
    calibration = Calibration("pmi", domain_premise="Rome is [MASK].", temperature=2.0)
    names = ["lazy", "quick"]
    scores = naive_choice_scores(model, tokenizer, "The fox is [MASK].", names)
    premise = naive_choice_scores(model, tokenizer, "Rome is [MASK].", names)
    corrected = (torch.tensor(scores) - torch.tensor(premise)) / 2
    found = choose(model, tokenizer, "The fox is [MASK].", names, calibration=calibration)
    assert [choice.probability for choice in by_place(found)] == pytest.approx(
        corrected.softmax(-1).tolist(), abs=1e-4
    )
    assert [choice.log_prob for choice in by_place(found)] == pytest.approx(scores, abs=1e-4)  # without calibration


def test_calibration_by_texts_that_say_nothing(model, tokenizer):
    """ "[MASK]" among them is read as letters, so there is still one blank."""
    names = [" lazy", " quick", " the cat"]
    calibration = Calibration("contextual", content_free=("N/A", "[MASK]", ""))
    shares = []
    cls, mask, eos = tokenizer("[MASK]").input_ids
    for text in calibration.content_free:
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        pieces = tokenizer(names, add_special_tokens=False).input_ids
        scores = [naive_log_probs(model, [cls, *ids, mask, eos], [0], [piece])[0][:-1] for piece in pieces]
        shares.append(torch.tensor([sum(score) for score in scores]).softmax(-1))
    scores = torch.tensor(naive_choice_scores(model, tokenizer, "The fox is [MASK].", names))
    expected = (scores - torch.stack(shares).mean(0).log()).softmax(-1).tolist()
    (found,) = choose(model, tokenizer, ["The fox is [MASK]."], names, calibration=calibration)
    assert [choice.probability for choice in by_place(found)] == pytest.approx(expected, abs=1e-4)


def test_a_reference_that_texts_share_is_scored_once(model, tokenizer, monkeypatch):
    rows = []
    forward = model.glm.forward
    monkeypatch.setattr(model.glm, "forward", lambda ids, **inputs: rows.append(len(ids)) or forward(ids, **inputs))
    texts = [f"The {animal} is [MASK]." for animal in ("dog", "fox", "cat")]
    choose(model, tokenizer, texts, ["lazy", "quick"], calibration=Calibration("contextual"))
    assert sum(rows) == len(texts) + 3  # three texts that say nothing


def test_no_calibration_is_the_neutral_one(model, tokenizer):
    plain = choose(model, tokenizer, TEXTS, CHOICES)
    assert choose(model, tokenizer, TEXTS, CHOICES, calibration=Calibration()) == plain


def test_the_model_is_left_as_it_was(model, tokenizer):
    model.train()
    try:
        choose(model, tokenizer, TEXTS[0], ["a", "b"])
        assert all(module.training for module in model.modules())
    finally:
        model.eval()


def test_progress_is_shown_on_demand(model, tokenizer, capsys):
    choose(model, tokenizer, TEXTS[0], ["a", "b"])
    assert capsys.readouterr().err == ""
    choose(model, tokenizer, TEXTS[0], ["a", "b"], progress=True)
    assert "scoring" in capsys.readouterr().err


def test_the_penalty_divides_every_form_by_its_own_length(model, tokenizer):
    penalised = make_model(GLMForMultipleChoice, **{**model.config.to_dict(), "choice_length_penalty": 1.0})
    penalised.load_state_dict(model.state_dict())
    names = ["lazy dog", "found"]
    literal = {choice.text: choice.log_prob for choice in choose(model, tokenizer, TEXTS[0], [f" {n}" for n in names])}
    glued = {}
    context = tokenizer(TEXTS[0])["input_ids"]
    for name in names:
        piece = tokenizer(name, add_special_tokens=False)["input_ids"]
        glued[name] = sum(naive_log_probs(model, context, [0], [piece])[0][:-1]) / len(piece)
        literal[f" {name}"] /= len(tokenizer(f" {name}", add_special_tokens=False)["input_ids"])
    scores = torch.tensor([[literal[f" {name}"], glued[name]] for name in names]).logsumexp(-1)
    found = by_place(choose(penalised, tokenizer, TEXTS[0], names))
    assert [choice.probability for choice in found] == pytest.approx(scores.softmax(-1).tolist(), abs=1e-4)


def test_a_word_counts_in_both_forms_and_a_literal_one_in_its_own(model, tokenizer):
    """The probability of a word is that of the word behind a space plus that of the glued word."""
    context = tokenizer("The number 12 is [MASK].")["input_ids"]
    pieces = tokenizer([" fox", "fox"], add_special_tokens=False)["input_ids"]
    spaced, glued = (sum(naive_log_probs(model, context, [0], [piece])[0][:-1]) for piece in pieces)
    for text in ("The number 12 is [MASK].", "The number 12 is[MASK].", "The number 12 is\n[MASK]."):
        found = {choice.text: choice.log_prob for choice in choose(model, tokenizer, text, ["fox", " fox"])}
        assert found == pytest.approx({" fox": spaced, "fox": math.log(math.exp(spaced) + math.exp(glued))}, abs=1e-4)
    # What the model wrote has the form that it wrote.
    written = decode_piece(tokenizer, pieces[1])
    (only,) = choose(model, tokenizer, "The number 12 is [MASK].", [written])
    assert only.log_prob == pytest.approx(glued, abs=1e-4)
    assert only.score == only.probability == 1


def test_special_tokens_in_a_text_are_letters(model, tokenizer):
    text = "The <|startofpiece|> [CLS] fox is [MASK]."
    (ids,) = encode_text(tokenizer, [text])
    assert not {tokenizer.sop_token_id, tokenizer.cls_token_id} & set(ids[1:])
    expected = [sum(naive_log_probs(model, ids, [0], [form])[0][:-1]) for form in answer_forms(tokenizer, " fox")]
    assert [choice.log_prob for choice in choose(model, tokenizer, text, [" fox"])] == pytest.approx(
        expected, abs=1e-4
    )


@pytest.mark.parametrize(
    ("texts", "choices", "settings", "message"),
    [
        ("No blank.", ["a"], {}, "Text 0 has no blank to fill"),
        (["[MASK].", "[MASK] [MASK]"], ["a"], {}, "Text 1 has 2 blanks, but the choices are for one"),
        ("[MASK] " + "fox " * 200, ["a"], {}, "tokens, but the position table holds 65"),
        ("[MASK].", ["a", "fox " * 80], {}, r"Text 0: Choice 1 has \d+ tokens, but the position table holds 64"),
        ("[MASK].", ["a", ""], {}, "Text 0: Choice 1 is '': a choice needs at least one token"),
        ("[MASK].", [], {}, "choices is empty"),
        ("[MASK].", "abc", {}, "choices is 'abc': expected a list of choices"),
        ("[MASK].", {"a"}, {}, r"choices is \{.*\}: expected a list of choices"),
        ("[MASK].", None, {}, "choices is None: expected a list of choices"),
        ("[MASK].", ["a", "b\ud800"], {}, "Text 0: Choice 1 has half of a surrogate pair at character 1"),
        ("[MASK].", [["a"]], {}, "because there is one text"),
        (
            "[MASK].",
            ["a", None],
            {},
            r"The list of choices is \['a', None\]: expected a list with at least one string",
        ),
        (["[MASK]."] * 2, ["a", float("nan")], {}, r"The list of choices is \['a', nan\]"),
        ("[MASK].", ["a", b"b"], {}, r"The list of choices is \['a', b'b'\]"),
        (["[MASK]."], [["a"], ["b"]], {}, "choices has 2 lists, but there are 1 texts"),
        (["[MASK].", "[MASK]."], [["a"], []], {}, r"Text 1: The list of choices is \[\]"),
        (["[MASK].", "[MASK]."], [["a"], "b"], {}, "Text 1: The list of choices is 'b'"),
        (["[MASK].", "[MASK]."], [["a"], [1]], {}, r"Text 1: The list of choices is \[1\]"),
        ("[MASK].", ["a"], {"batch_size": 0}, "batch_size=0: expected at least 1"),
        ("[MASK].", ["a"], {"calibration": Calibration("pmi", domain_premise="None")}, "a text with one blank"),
        ("[MASK].", ["a"], {"calibration": Calibration("pmi", domain_premise="{x} [MASK]")}, "without fields"),
    ],
    ids=str,
)
def test_what_cannot_be_chosen_is_refused(model, tokenizer, texts, choices, settings, message):
    with pytest.raises(ValueError, match=message):
        choose(model, tokenizer, texts, choices, **settings)


def test_a_model_without_a_projection_to_the_vocabulary_is_refused(tokenizer):
    classifier = make_model(GLMForSequenceClassification, num_labels=2)
    with pytest.raises(ValueError, match="a GLMForSequenceClassification: expected a GLMForMultipleChoice or a"):
        choose(classifier, tokenizer, "[MASK].", ["a"])


def test_any_form_of_many_texts(model, tokenizer):
    expected = choose(model, tokenizer, TEXTS, CHOICES)
    for name, make in CONTAINERS.items():
        assert choose(model, tokenizer, make(TEXTS), CHOICES) == expected, name
    assert [choose(model, tokenizer, make([]), ["a"]) for make in CONTAINERS.values()] == [[]] * len(CONTAINERS)


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        iter,
        np.array,
        lambda rows: pd.Series(rows, index=[1, 0]),
        lambda rows: pd.Series([pd.Series(row, index=[1, 0]) for row in rows], index=["x", "x"]),
        lambda rows: pd.DataFrame(rows, index=[1, 0], columns=["first", "second"]),
        lambda rows: {"first": [row[0] for row in rows], "second": [row[1] for row in rows]},
        lambda rows: [np.array(row) for row in rows],
    ],
    ids=["list", "tuple", "iterator", "array", "series", "series of series", "frame", "columns", "arrays"],
)
def test_any_form_of_choices(model, tokenizer, make):
    rows = [["fox", "dog"], ["cat", "Paris"]]
    expected = choose(model, tokenizer, TEXTS[:2], rows)
    assert choose(model, tokenizer, TEXTS[:2], make(rows)) == expected
    one_each = choose(model, tokenizer, TEXTS[:2], np.array([["fox"], ["cat"]]))
    assert [choices[0].text for choices in one_each] == ["fox", "cat"]
    for flat in (pd.Series(rows[0], index=[1, 0]), np.array(rows[0]), iter(rows[0])):
        assert [c.text for c in choose(model, tokenizer, TEXTS[0], flat)] == [c.text for c in expected[0]]


def test_bad_texts_stand_in_their_places(model, tokenizer):
    texts = [TEXTS[0], "None.", "[MASK] [MASK]", TEXTS[3], float("nan"), TEXTS[3], TEXTS[3]]
    choices = [["a", "b"], ["a"], ["a"], ["c"], ["a"], [], ["a", ""]]
    found = choose(model, tokenizer, texts, choices, on_error="record")
    good = choose(model, tokenizer, [TEXTS[0], TEXTS[3]], [["a", "b"], ["c"]])
    assert [found[0], found[3]] == good
    errors = [found[place] for place in (1, 2, 4, 5, 6)]
    assert [type(error) for error in errors] == [RowError] * 5
    assert [error.row for error in errors] == [1, 2, 4, 5, 6]
    assert errors[3].reason == "The list of choices is []: expected a list with at least one string."
    assert choose(model, tokenizer, "None.", ["a"], on_error="record").row == 0
    with pytest.raises(ValueError, match="on_error='skip'"):
        choose(model, tokenizer, TEXTS[0], ["a"], on_error="skip")


def test_a_token_that_the_model_lacks(model, tokenizer):
    larger = copy.deepcopy(tokenizer)
    larger.add_tokens(["<glim>"])
    message = (
        f"the token {len(tokenizer)}, but the vocabulary is 0 ... {model.config.vocab_size - 1}. The tokenizer and the"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        choose(model, larger, "The [MASK].", ["<glim>", "fox"])
