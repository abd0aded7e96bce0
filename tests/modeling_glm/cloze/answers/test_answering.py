"""What a classifier makes of its scores: one label or none, the best ones, or sets with a coverage that is measured."""

import math

import numpy as np
import pytest
from scipy.stats import betabinom

from modeling_glm import ClozeClassifier, GLMForMultipleChoice, PatternVerbalizer
from modeling_glm.cloze.answers.rule import AnswerRule
from modeling_glm.utils.rows import RowError
from tests.support.drawn_classes import draw_examples
from tests.support.models import make_model
from tests.support.own_choices import CHOICES, QUESTIONS

TEXTS = ["The fox jumps.", "Paris", "In the year 1987 the number 404", "And Rome is the capital", "", "the cat"]
EXAMPLES = [
    {"text": text, "label": label} for text, label in zip(TEXTS, ["good", "odd", 1, "bad", 0, "good"], strict=True)
]


def labelled() -> PatternVerbalizer:
    return PatternVerbalizer(
        "{text|shorten} It was [MASK].", {"good": ["lazy", "quick fox"], "bad": "capital", "odd": "dog"}
    )


@pytest.fixture(scope="module")
def parts(tokenizer):
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 120, **tokenizer.special_token_ids}
    return make_model(GLMForMultipleChoice, **settings), tokenizer


@pytest.fixture(scope="module")
def drawn(tokenizer):
    return draw_examples(tokenizer, labelled(), temperature=2.0)


class TestAbstention:
    @pytest.mark.slow
    def test_fewer_answers_are_better(self, drawn):
        make, examples = drawn
        classifier, fitted, held_out = make(), examples[:500], examples[500:]
        classifier.fit_temperature(fitted)
        overall = classifier.score(held_out)
        threshold = classifier.fit_threshold(fitted, overall + 0.05)
        assert classifier.answer_rule == AnswerRule(threshold)
        assert classifier.find_threshold(fitted, overall + 0.05).value == threshold
        found = classifier.predict_or_abstain(held_out)
        names = [classifier.task.labels[example["label"]] for example in held_out]
        right = [label == name for label, name in zip(found, names, strict=True) if label is not None]
        assert 50 < len(right) < 450
        assert np.mean(right) > overall + 0.02
        assert classifier.score(held_out) == overall  # of all

    def test_definition(self, parts):
        classifier = ClozeClassifier(*parts, labelled()).calibrate("contextual")
        probabilities = classifier.predict_proba(TEXTS)
        middle = float(np.sort(probabilities.max(1))[2:4].mean())
        expected = [labelled().labels[row.argmax()] if row.max() >= middle else None for row in probabilities]
        assert None in expected
        assert classifier.predict_or_abstain(TEXTS, threshold=middle) == expected
        with pytest.raises(ValueError, match="There is no threshold: give threshold=, or call fit_threshold"):
            classifier.predict_or_abstain(TEXTS)
        classifier.set_answer_rule(AnswerRule(middle))
        assert classifier.predict_or_abstain(TEXTS) == expected
        assert classifier.predict_or_abstain(TEXTS, threshold=0) == classifier.predict(TEXTS)
        assert classifier.predict_or_abstain(TEXTS, threshold=1) == [None] * len(TEXTS)
        recorded = classifier.predict_or_abstain([*TEXTS, None], on_error="record")
        assert recorded[:-1] == expected
        assert isinstance(recorded[-1], RowError)
        with pytest.raises(ValueError, match=r"threshold=2: expected a number from 0 to 1"):
            classifier.predict_or_abstain(TEXTS, threshold=2)
        with pytest.raises(RowError, match="Example 1 has no label"):
            classifier.fit_threshold([EXAMPLES[0], {"text": "x"}], 0.5)


class TestTopLabels:
    def test_order_and_probabilities(self, parts):
        classifier = ClozeClassifier(*parts, labelled()).calibrate("contextual")
        probabilities = classifier.predict_proba(TEXTS)
        ranked = classifier.predict_top(TEXTS)
        for found, row in zip(ranked, probabilities, strict=True):
            assert [label for label, _ in found] == [labelled().labels[place] for place in np.argsort(-row)]
            np.testing.assert_allclose([entry.probability for entry in found], np.sort(row)[::-1], atol=1e-6)
        assert classifier.predict_top(TEXTS, 2) == [found[:2] for found in ranked]
        assert [found[0].label for found in ranked] == classifier.predict(TEXTS)
        assert classifier.predict_top([], 2) == []
        with pytest.raises(ValueError, match="k=0: expected at least 1, or None for all labels"):
            classifier.predict_top(TEXTS, 0)

    def test_choices_of_the_examples(self, parts):
        classifier = ClozeClassifier(*parts, PatternVerbalizer(*CHOICES))
        for found, question in zip(classifier.predict_top(QUESTIONS, 3), QUESTIONS, strict=True):
            assert len(found) == min(3, len(question["options"]))
            assert {label for label, _ in found} <= set(question["options"])
        recorded = classifier.predict_top([QUESTIONS[0], {}], on_error="record")
        assert recorded[0] == classifier.predict_top(QUESTIONS[:1])[0]
        assert isinstance(recorded[1], RowError)


class TestPredictionSets:
    @pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
    def test_coverage_of_held_out_examples(self, drawn, coverage):
        """As many sets as asked have the right label, though the probabilities are far off: bounds of 1 in 1,000."""
        make, examples = drawn
        classifier, fitted, held_out = make(), examples[:400], examples[400:]
        least = classifier.fit_coverage(fitted, coverage)
        assert classifier.answer_rule == AnswerRule(coverage=coverage, quantile=1 - least)
        sets = classifier.predict_sets(held_out)
        names = [classifier.task.labels[example["label"]] for example in held_out]
        covered = sum(name in found for name, found in zip(names, sets, strict=True))
        place = math.ceil(round(401 * coverage, 6))
        number = betabinom(len(held_out), place, 401 - place)
        assert number.ppf(0.0005) <= covered <= number.ppf(0.9995)
        assert 0 < np.mean([len(found) for found in sets]) < 3

    def test_definition(self, parts):
        classifier = ClozeClassifier(*parts, PatternVerbalizer(*CHOICES))
        classifier.set_answer_rule(AnswerRule(coverage=0.9, quantile=0.8))
        for found, question, row in zip(
            classifier.predict_sets(QUESTIONS), QUESTIONS, classifier.predict_proba(QUESTIONS), strict=True
        ):
            options = question["options"]
            assert found == [options[place] for place in np.argsort(-row) if row[place] >= 0.2]
        classifier.set_answer_rule(AnswerRule(coverage=0.9, quantile=1))
        for found, question in zip(classifier.predict_sets(QUESTIONS), QUESTIONS, strict=True):
            assert sorted(found) == sorted(question["options"])  # and none that it does not have
        recorded = classifier.predict_sets([QUESTIONS[0], {}], on_error="record")
        assert len(recorded[0]) == 2
        assert isinstance(recorded[1], RowError)

    def test_errors(self, parts):
        classifier = ClozeClassifier(*parts, labelled())
        with pytest.raises(ValueError, match="There are no prediction sets: call fit_coverage"):
            classifier.predict_sets(TEXTS)
        with pytest.raises(ValueError, match="at least 9 labelled examples, but there are 6"):
            classifier.fit_coverage(EXAMPLES)
