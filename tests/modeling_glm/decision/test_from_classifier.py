"""Decision models from cloze classifiers: the probabilities of the classifier, also after saving."""

import pytest
from transformers import pipeline

from modeling_glm import ClozeClassifier, GLMForMultipleChoice, PatternVerbalizer
from modeling_glm.decision.from_classifier import build_decision_model
from tests.support.decisions import ask, shares_of
from tests.support.models import make_text_model

PATTERN = "{text|shorten} It was [MASK]."
WORDS = {"good": ["quick", "the fox"], "bad": "lazy"}
TEXTS = ["Paris is the capital.", "The dog was not found!", "404"]
QUESTION = {"type": "choice", "criteria": {"good": None, "bad": None}}


@pytest.fixture(scope="module")
def chooser(tokenizer) -> GLMForMultipleChoice:
    model = make_text_model(tokenizer)
    chooser = GLMForMultipleChoice(model.config).eval()
    chooser.load_state_dict(model.state_dict())
    return chooser


@pytest.mark.parametrize("method", [None, "contextual"])
@pytest.mark.parametrize("end_of_piece", [False, True])
def test_probabilities_are_those_of_the_classifier(chooser, tokenizer, tmp_path, method, end_of_piece):
    task = PatternVerbalizer(PATTERN, WORDS, end_of_piece=end_of_piece)
    classifier = ClozeClassifier(chooser, tokenizer, task).calibrate(method)
    classifier.set_temperature(1.5)
    expected = classifier.predict_proba(TEXTS)
    decider = build_decision_model(classifier)
    decider.save_pretrained(tmp_path)
    for model in (decider, str(tmp_path)):
        decide = pipeline("decision", model=model, tokenizer=tokenizer)
        for text, row in zip(TEXTS, expected, strict=True):
            for state in (text, {"text": text}):
                found = decide(ask(state, tone=QUESTION))["tone"]
                assert shares_of(found) == pytest.approx(row.tolist(), abs=1e-5)


@pytest.mark.parametrize("family", ["own", "gpt2", "bert"])
@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        ("{text}. It was [MASK].", {"text": "Great!!!"}),
        ("{ text | bare | shorten }, [MASK]", {"text": "Great!!!"}),
        ("{question}? {passage} [MASK].", {"question": "Is it Rome", "passage": "Paris is it."}),
        ("{state}: {descriptions} [MASK].", {"state": "Rome", "descriptions": "old"}),
        ("So {text|inline}, it was [MASK].", {"text": "Great!!"}),
    ],
)
def test_texts_have_the_tokens_of_the_classifier(of_family, family, pattern, example):
    """Also where a field has the name of one of a decision pattern, and where joining would make other tokens."""
    tokenizer = of_family(family)
    model = make_text_model(tokenizer)
    chooser = GLMForMultipleChoice(model.config).eval()
    chooser.load_state_dict(model.state_dict())
    classifier = ClozeClassifier(chooser, tokenizer, PatternVerbalizer(pattern, WORDS))
    decide = pipeline("decision", model=build_decision_model(classifier), tokenizer=tokenizer)
    found = decide(ask(example, tone=QUESTION))["tone"]
    assert shares_of(found) == pytest.approx(classifier.predict_proba([example])[0].tolist(), abs=1e-5)


def test_several_fields_with_filters(chooser, tokenizer):
    task = PatternVerbalizer("{a|bare|shorten}? [MASK], {b|lower_first}", {"true": "quick", "false": "lazy"})
    classifier = ClozeClassifier(chooser, tokenizer, task)
    example = {"a": "The dog.", "b": "Rome is it."}
    decide = pipeline("decision", model=build_decision_model(classifier), tokenizer=tokenizer)
    found = decide(ask(example, holds={"type": "noul"}))["holds"]["noul"]
    assert found == pytest.approx(classifier.predict_proba([example])[0, 0], abs=1e-5)


@pytest.mark.parametrize(
    ("task", "method", "message"),
    [
        (PatternVerbalizer([PATTERN, "{text} [MASK]"], WORDS), None, r"asks in 2 ways.*task.select\(\[0\]\)"),
        (PatternVerbalizer("{text} [MASK]", choices="{options}"), None, "come from its examples"),
        (
            PatternVerbalizer("{both} [MASK]", WORDS, derived={"both": "{a} {b}"}),
            None,
            r"derives the fields \['both'\]",
        ),
        (PatternVerbalizer("{text}{soft:2} [MASK]", WORDS), None, "trained prompt tokens"),
        (PatternVerbalizer("{text} [sMASK]", WORDS), None, "0 blanks"),
        (PatternVerbalizer("{text} {{x}} [MASK]", WORDS), None, "not part of a field"),
        (PatternVerbalizer("{text}<|endoftext|> [MASK]", WORDS), None, "has the special token '<|endoftext|>'"),
        (PatternVerbalizer(PATTERN, WORDS), "pmi", "calibrated by 'pmi'"),
    ],
)
def test_what_a_config_cannot_express_is_refused(chooser, tokenizer, task, method, message):
    classifier = ClozeClassifier(chooser, tokenizer, task)
    if method:
        classifier.calibrate(method, domain_premise="It was [MASK].")
    with pytest.raises(ValueError, match=message):
        build_decision_model(classifier)
