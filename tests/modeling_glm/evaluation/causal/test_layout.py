"""Examples as a causal model reads them: what is scored, where a text is cut, and bad examples."""

import pytest

from modeling_glm.evaluation.causal.layout import find_start, lay_out_causal_choices
from tests.support.causal import make_causal_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return make_causal_tokenizer()


def scored_texts(tokenizer, text, choices, **options):
    """Return for every choice what is read before the scored part, and the scored part."""
    spans, _ = lay_out_causal_choices(tokenizer, text, choices, **{"max_length": None, **options})
    return [
        (tokenizer.decode(span.ids[: span.start]), tokenizer.decode(span.ids[span.start : span.stop]))
        for span in spans
    ]


@pytest.mark.parametrize(
    ("text", "choice", "expected"),
    [
        ("Ice is", "cold", ("Ice is", " cold")),
        ("Ice is", " cold", ("Ice is", " cold")),
        ("Ice is ", "cold", ("Ice is", " cold")),
        ("Ice is ", " cold", ("Ice is", " cold")),
        ("Ice is [MASK]", "cold", ("Ice is", " cold")),
        ("Ice is [MASK].", "cold", ("Ice is", " cold.")),
        ("Ice is (very)[MASK].", "cold", ("Ice is (very)", "cold.")),
        ("[MASK] is cold.", "Ice", ("<|end|>", "Ice is cold.")),
        ("", "Ice", ("<|end|>", "Ice")),
        ("冰", "冷", ("冰", "冷")),
    ],
)
def test_the_choice_and_what_follows_is_scored(tokenizer, text, choice, expected):
    assert scored_texts(tokenizer, text, [choice]) == [expected]


def test_only_what_follows_is_scored(tokenizer):
    found = scored_texts(tokenizer, "Ice is [MASK] in May.", ["cold", "hot"], scored="behind")
    assert found == [("Ice is cold", " in May."), ("Ice is hot", " in May.")]


def test_as_written(tokenizer):
    assert scored_texts(tokenizer, "Ice is", ["cold"], as_written=True) == [("Ice is", "cold")]


def test_tokens_that_reach_over_the_border_are_scored(tokenizer):
    (whole,) = tokenizer(["The quick"], add_special_tokens=False)["input_ids"]
    spans, _ = lay_out_causal_choices(tokenizer, "The q[MASK]", ["uick"], max_length=None)
    assert spans[0].ids == whole
    assert spans[0].start < len(tokenizer("The q")["input_ids"])


def test_a_start_that_the_tokenizer_adds():
    adding = make_causal_tokenizer(adds_start=True)
    assert find_start(adding) == [0]
    (span,), _ = lay_out_causal_choices(adding, "Ice is", ["cold"], max_length=None)
    assert span.ids == adding("Ice is cold")["input_ids"]
    (span,), _ = lay_out_causal_choices(adding, "[MASK] is", ["Ice"], max_length=None)
    assert (span.ids[:1], span.start) == ([0], 1)


def test_special_tokens_in_a_text_are_letters(tokenizer):
    (span,), _ = lay_out_causal_choices(tokenizer, "Ice <|end|>", ["cold"], max_length=None)
    assert 0 not in span.ids


def test_a_long_text_loses_its_start(tokenizer):
    whole, _ = lay_out_causal_choices(tokenizer, "far before " * 9, ["a", "cold and wet"], max_length=None)
    spans, is_cut = lay_out_causal_choices(tokenizer, "far before " * 9, ["a", "cold and wet"], max_length=20)
    assert is_cut
    assert max(span.stop for span in spans) == 21  # the last token is only predicted
    for before, after in zip(whole, spans, strict=True):
        assert before.ids[before.start : before.stop] == after.ids[after.start : after.stop]
        assert before.ids[-len(after.ids) :] == after.ids
        assert before.start - after.start == len(before.ids) - len(after.ids)
    spans, is_cut = lay_out_causal_choices(tokenizer, "Ice is", ["cold"], max_length=20)
    assert not is_cut


@pytest.mark.parametrize(
    ("text", "choice", "options", "message"),
    [
        ("A [MASK] is [MASK].", "b", {}, "has 2 blanks: expected one"),
        ("Ice is [MASK]", "cold", {"scored": "behind"}, "has nothing behind its blank"),
        ("Ice is", "cold", {"scored": "behind"}, "has nothing behind its blank"),
        ("Ice is", "word " * 30, {"max_length": 20}, "a choice of .* tokens, but max_length=20 holds less"),
    ],
)
def test_bad_examples(tokenizer, text, choice, options, message):
    with pytest.raises(ValueError, match=message):
        lay_out_causal_choices(tokenizer, text, [choice], **{"max_length": None, **options})
