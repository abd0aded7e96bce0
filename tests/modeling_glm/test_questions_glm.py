"""Requests as texts with blanks and options behind them: by hand, and what is refused in words."""

import json
from datetime import date
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import GLMDecisionConfig
from modeling_glm.questions_glm import FILTERS, PUNCTUATION
from modeling_glm.tokenization.blanks import answer_forms, encode_text
from modeling_glm.tokenization.patterns import syntax
from modeling_glm.tokenization.patterns.encoding import encode_context
from tests.support.decisions import CHOICE, NOUL, SCORE, STATE, ask

CONFIG = GLMDecisionConfig(max_length=64)


@pytest.mark.parametrize(
    ("settings", "request_", "texts"),
    [
        ({}, ask("Ice is", q={"type": "choice", "criteria": {"cold": None, "hot": None}}), ["Ice is [MASK]."]),
        ({}, ask("Ice melts.", q={**NOUL, "instructions": "Is it hot?"}), ["Ice melts. Is it hot? [MASK]."]),
        ({}, ask("", q=NOUL), [" Is it Rome? [MASK]."]),
        (
            {},
            ask("It melts.", a={**CHOICE, "criteria": {"water": "blue", "air": {"b": 1}}}, b=SCORE),
            ['It melts. The fox is air: {"b": 1}; water: blue. [MASK]. How lazy? [MASK].'],
        ),
        ({}, ask("A.", a={**NOUL, "criteria": {"true": "big"}}), ["A. Is it Rome? Yes: big. [MASK]."]),
        ({"share_state": False}, ask("A.", a=NOUL, b=SCORE), ["A. Is it Rome? [MASK].", "A. How lazy? [MASK]."]),
        # Where the question or the blank comes first, a text cannot be shared.
        ({"pattern": "{question} {state}: [MASK]"}, ask("A.", a=NOUL, b=SCORE), ["Is it Rome? A.: [MASK]", "How lazy? A.: [MASK]"]),
        ({"pattern": "[MASK]: {state}"}, ask("A.", a=NOUL, b=NOUL), ["[MASK]: A.", "[MASK]: A."]),
        ({"pattern": "{state|bare|lower_first}! {question}[MASK]"}, ask("Ice?", a=NOUL, b=SCORE), ["ice! Is it Rome?[MASK]! How lazy?[MASK]"]),
        ({"pattern": "{name} is [MASK], says {who}."}, ask({"name": "Ice", "who": "Bo"}, a=NOUL), ["Ice is [MASK], says Bo."]),
        ({"pattern": "{name} is [MASK]."}, ask("Ice", a=NOUL), ["Ice is [MASK]."]),
        # A key of the state may have the name of another field, or one that begins with it.
        ({"pattern": "{state.question} {question} [MASK]"}, ask({"question": "Ice?"}, a=NOUL), ["Ice? Is it Rome? [MASK]"]),
        ({"pattern": "{state.state|bare}: [MASK]"}, ask("Ice.", a=NOUL), ["Ice: [MASK]"]),
        ({"pattern": "{statement} {question} [MASK]"}, ask("A.", a=NOUL, b=SCORE), ["A. Is it Rome? [MASK]", "A. How lazy? [MASK]"]),
        ({"separate_fields": True}, ask("A.", a=NOUL, b=SCORE), ["A. Is it Rome? [MASK]. How lazy? [MASK]."]),
        ({}, ask({"n": np.int64(3), "x": np.float64(0.5), "m": MappingProxyType({"a": 1})}, a={"type": "noul"}),
         ['{"n": 3, "x": 0.5, "m": {"a": 1}} [MASK].']),
        ({}, ask({"a": "é"}, a={**NOUL, "instructions": None}), ['{"a": "é"} [MASK].']),
        ({}, json.dumps(ask("A.", a=NOUL)), ["A. Is it Rome? [MASK]."]),
        # The mask token of a request is no blank.
        ({}, ask("A [MASK].", a=NOUL), ["A [MASK]. Is it Rome? [MASK]."]),
    ],
)  # fmt: skip
def test_texts_by_hand(settings, request_, texts):
    assert GLMDecisionConfig(**settings).render(request_) == texts


def test_rows_by_hand(tokenizer):
    """Two questions in one text: the options of both behind it, sorted by tokens, each with its slot and blank."""
    request = ask("Paris.", a=NOUL, b={"type": "choice", "criteria": {"quick fox": None, "lazy": None}})
    (row,), questions = CONFIG.encode(request, tokenizer)
    assert [question.options for question in questions] == [["true", "false"], ["quick fox", "lazy"]]
    assert list(row.context) == tokenizer("Paris. Is it Rome? [MASK]. [MASK].")["input_ids"]
    expected = [
        (slot, blank, form)
        for slot, (blank, option) in enumerate([(0, "Yes"), (0, "No"), (1, "quick fox"), (1, "lazy")])
        for form in answer_forms(tokenizer, option)
    ]
    found = [(form.slot, form.blank, form.token_ids) for form in row.forms]
    assert sorted(found) == sorted(expected)
    assert found == sorted(found, key=lambda form: form[1:])


def test_states_without_content_are_asked_too(tokenizer):
    config = GLMDecisionConfig(content_free=["", "N/A"], max_length=64)
    rows, _ = config.encode(ask(STATE, a=NOUL), tokenizer)
    texts = [f"{STATE} Is it Rome? [MASK].", " Is it Rome? [MASK].", "N/A Is it Rome? [MASK]."]
    assert [list(row.context) for row in rows] == encode_text(tokenizer, texts)
    assert [sorted({form.slot for form in row.forms}) for row in rows] == [[0, 1], [2, 3], [4, 5]]
    rows, _ = GLMDecisionConfig(pattern="{x} [MASK] {y}", content_free=["N/A"]).encode(
        ask({"x": "a", "y": "b"}, a=NOUL), tokenizer
    )
    assert [list(row.context) for row in rows] == encode_text(tokenizer, ["a [MASK] b", "N/A [MASK] N/A"])


def test_equal_texts_are_read_once(tokenizer):
    config = GLMDecisionConfig(pattern="{state} is [MASK].", share_state=False)
    rows, _ = config.encode(ask("It", a=NOUL, b=CHOICE), tokenizer)
    assert len(rows) == 1
    assert {form.slot for form in rows[0].forms} == set(range(5))


def test_many_options_take_several_rows(tokenizer):
    criteria = {f"{number} quick brown foxes": None for number in range(100, 300)}
    rows, _ = CONFIG.encode(ask("A.", a={"type": "choice", "criteria": criteria}), tokenizer)
    assert len(rows) > 1
    assert {form.slot for row in rows for form in row.forms} == set(range(200))
    assert all(sum(len(form.token_ids) for form in row.forms) <= 512 for row in rows)


@pytest.mark.parametrize("family", ["own", "gpt2", "bert", "chinese"])
@settings(max_examples=20)
@given(parts=st.lists(st.text("ab .,é数\n", max_size=6), min_size=2, max_size=4), data=st.data())
def test_control_tokens_are_ordinary_characters(of_family, family, parts, data):
    """A text without special tokens has its usual ids. One with any has as many blanks as the pattern, and no other token."""
    tokenizer = of_family(family)
    assert tokenizer.encode_parts(parts) == encode_text(tokenizer, ["[MASK]".join(parts)])[0]
    special = ["[MASK]", tokenizer.sop_token, tokenizer.cls_token, tokenizer.eos_token]
    spoiled = [part + data.draw(st.sampled_from(special)) + part for part in parts]
    ids = tokenizer.encode_parts(spoiled)
    inner = ids[1:-1]
    assert [ids[0], ids[-1]] == [tokenizer.cls_token_id, tokenizer.eos_token_id]
    assert sum(token_id in tokenizer.mask_token_ids for token_id in inner) == len(parts) - 1
    assert not {tokenizer.sop_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id} & set(inner)


PATTERNS = [
    "{a}. It was [MASK].",
    "{a|bare}? [MASK], {b|lower_first}",
    " {a}{b} \u3000[MASK]{a}",
    "So {a|inline}, {b} and[MASK] {b|inline|strip}!",
]


@pytest.mark.parametrize("family", ["own", "gpt2", "bert", "chinese"])
@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=20)
@given(a=st.text("ab .,!é数\n", max_size=6), b=st.sampled_from(["Great!!!", "[MASK]", " x ", "", "Ab"]))
def test_fields_that_are_tokenized_alone_have_the_ids_of_cloze_patterns(of_family, family, pattern, a, b):
    tokenizer, example = of_family(family), {"a": a, "b": b}
    config = GLMDecisionConfig(pattern=pattern, separate_fields=True)
    segments = syntax.fill_segments(syntax.parse(pattern), example)
    (row,), _ = config.encode(ask(example, q=NOUL), tokenizer)
    assert list(row.context) == encode_context(segments, tokenizer, None, "longest", pattern)


def ring() -> list:
    """A list that holds itself."""
    made: list = []
    made.append(made)
    return made


def many(count: int) -> dict:
    return {"type": "choice", "criteria": {f"option {number}": None for number in range(count)}}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ask("A."), "at least one question"),
        ({"state": "A."}, 'expected {"state": ..., "questions"'),
        ({"questions": {"a": NOUL}}, 'expected {"state": ..., "questions"'),
        (17, "The request is 17"),
        ("{", "expected a dict or its JSON"),
        (ask(17, a=NOUL), "The state is 17: expected a string"),
        ({**ask("A.", a=NOUL), "assets": {"img-1": 1}}, "GLM reads text only"),
        (ask("A.", a="spam?"), "`type` must be one of noul, choice, score"),
        (ask("A.", a={"type": "essay"}), "Question 'a': `type` must be one of noul, choice, score"),
        (ask("A.", a={"type": "choice", "criteria": {}}), "Question 'a': a choice question needs `criteria`"),
        (ask("A.", a={"type": "score", "criteria": []}), "Question 'a': a score question needs `criteria`"),
        (ask("A.", a={"type": "choice"}), "Question 'a'"),
        (ask("A.", a={"type": "choice", "criteria": ["x", "y"]}), "Question 'a'"),
        (ask("A.", a={"type": "choice", "criteria": {"fox": None, " ": None}}), "option ' ' has no tokens"),
        ('{"state": "A.", "questions": {"a": {"type": "choice", "criteria": {"x": null, "x": null}}}}', "'x' twice"),
        (ask("A.", a={"type": "score", "criteria": ["low", "low"]}), "'1' has the same tokens as '0'"),
        (ask("A.", a={"type": "choice", "criteria": {"fox": None, " fox": None}}), "cannot tell them apart"),
        (
            ask("A.", a={"type": "choice", "criteria": {"the dog and cat": None, "the dog": None}}),
            "'the dog' is the beginning of 'the dog and cat'.*score_ends=True",
        ),
        (ask("A.", a=many(10_000)), "Question 'a' has 10000 options: expected at most 256"),
        (ask("fox " * 80, a=NOUL), r"The state with the question has \d+ tokens, but the position table holds 64"),
        (ask("fox " * 80, a=NOUL, b=SCORE), "ask fewer questions at once"),
        (ask("A.", a={"type": "choice", "criteria": {"fox " * 70: None, "dog": None}}), "has 7[0-9] tokens"),
        (ask("\ud800", a=NOUL), "half of a surrogate pair"),
        ("[" * 200_000, "expected a dict or its JSON"),
        (ask({"day": date(2026, 1, 2)}, a=NOUL), r"holds {'day': datetime.date.*is a date"),
        (ask("A.", a={**NOUL, "instructions": ["a", {"set"}]}), "expected texts, or what JSON can hold"),
        (ask(ring(), a=NOUL), "expected texts, or what JSON can hold"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_in_words(tokenizer, request_, message):
    with pytest.raises(ValueError, match=message):
        CONFIG.encode(request_, tokenizer)


@pytest.mark.parametrize("place", ["state", "instructions", "option", "description"])
@pytest.mark.parametrize("token", ["[MASK]", "<|startofpiece|>", "<|endoftext|>"])
def test_control_tokens_are_refused_if_the_config_says_so(tokenizer, place, token):
    question = {"type": "choice", "instructions": "a", "criteria": {"fox": "b", "dog": None}}
    state = f"A {token}" if place == "state" else "A"
    question["instructions"] += token * (place == "instructions")
    question["criteria"]["cat" + token * (place == "option")] = "c" + token * (place == "description")
    strict = GLMDecisionConfig(sanitize_control_tokens=False)
    with pytest.raises(ValueError, match=r"control token.*sanitize_control_tokens=True"):
        strict.encode(ask(state, a=question), tokenizer)
    (row,), _ = CONFIG.encode(ask(state, a=question), tokenizer)
    assert sum(token_id in tokenizer.mask_token_ids for token_id in row.context) == 1


def test_the_end_of_an_option_tells_a_beginning_apart(tokenizer):
    question = {"type": "choice", "criteria": {"the dog and cat": None, "the dog": None}}
    (row,), _ = GLMDecisionConfig(score_ends=True).encode(ask("A.", a=question), tokenizer)
    assert {form.token_ids[-1] for form in row.forms} == {tokenizer.eop_token_id}


def test_long_states_are_cut_around_the_blank_if_the_config_says_so(tokenizer):
    config = GLMDecisionConfig(truncation=True, max_length=20)
    (row,), _ = config.encode(ask("fox " * 80, a=NOUL), tokenizer)
    assert len(row.context) == 20
    assert list(row.context[-3:]) == tokenizer("[MASK].")["input_ids"][-3:]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pattern": "{state}"}, "0 blanks"),
        ({"pattern": "[MASK] [MASK]"}, "2 blanks"),
        ({"pattern": "{state [MASK]"}, "'{' that is not part of a field"),
        ({"pattern": "{state|upper} [MASK]"}, "the filter 'upper'"),
        ({"words": {"good": []}}, "expected at least one word"),
        ({"words": {"good": [" "]}}, "none empty"),
        ({"labels": {"noul": ["Yes"]}}, "expected two answers"),
        ({"max_options": 0}, "max_options=0"),
        ({"max_length": 0}, "max_length=0"),
        ({"temperature": {"choice": 0.0}}, "a number above 0"),
        ({"pattern": 3}, "pattern"),
        ({"noul_options": ["yes", "no"]}, "'true' and 'false'"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GLMDecisionConfig(**settings)


def test_a_task_without_instructions_answers_only_with_its_options():
    config = GLMDecisionConfig(pattern="{text} It was [MASK].", words={"good": ["great", "fine"], "bad": ["terrible"]})
    assert config.render(ask("Soup.", a={"type": "choice", "criteria": {"bad": None, "good": None}})) == [
        "Soup. It was [MASK]."
    ]
    with pytest.raises(ValueError, match=r"one task with the options \['good', 'bad'\].*cannot answer with 'spam'"):
        config.render(ask("Soup.", a={"type": "choice", "criteria": {"spam": None, "good": None}}))
    with pytest.raises(ValueError, match="reads the field 'text' of the state, but the state is a dict with the keys"):
        config.render(ask({"body": "Soup."}, a={"type": "choice", "criteria": {"bad": None, "good": None}}))


def test_answers_of_yes_or_no_questions_follow_the_order_of_their_options(tokenizer):
    for options in (["true", "false"], ["false", "true"]):
        _, (question,) = GLMDecisionConfig(noul_options=options).encode(ask("A.", a=NOUL), tokenizer)
        assert dict(zip(question.options, question.labels, strict=True)) == {"true": "Yes", "false": "No"}
    _, (question,) = GLMDecisionConfig(labels={"noul": ["right", "wrong"]}).encode(ask("A.", a=NOUL), tokenizer)
    assert question.labels == ["right", "wrong"]


def test_filters_are_those_of_cloze_patterns():
    assert PUNCTUATION == syntax.PUNCTUATION
    assert FILTERS.keys() == syntax.FILTERS.keys()
    for name, apply in FILTERS.items():
        for text in ("Fox?! ", " “Dog。”", "é", ""):
            assert apply(text) == syntax.FILTERS[name](text)


def test_settings_survive_json(tmp_path):
    config = GLMDecisionConfig(
        pattern="{state}: [MASK]", words={"a": ["b"]}, temperature={"noul": 2.0}, content_free=["N/A"]
    )
    config.save_pretrained(tmp_path)
    assert GLMDecisionConfig.from_pretrained(tmp_path) == config
    (tmp_path / "decision.json").write_text("{}")
    assert GLMDecisionConfig.from_pretrained(tmp_path) == GLMDecisionConfig()


def test_another_tokenizer_is_refused(tokenizer):
    with pytest.raises(ValueError, match="The tokenizer is a str that cannot encode questions"):
        CONFIG.encode(ask("A.", a=NOUL), "bert")
