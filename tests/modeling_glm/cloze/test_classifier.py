"""Cloze tasks as classifiers: scores against one forward per choice, calibration against its definition, what is saved."""

import dataclasses
import pickle
import warnings
from dataclasses import FrozenInstanceError

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import (
    Calibration,
    ClozeClassifier,
    DataCollatorForCloze,
    GLMForMultipleChoice,
    GLMTokenizer,
    PatternVerbalizer,
    expected_calibration_error,
)
from modeling_glm.cloze.answers.rule import AnswerRule
from modeling_glm.utils.rows import RowError
from tests.support.containers import CONTAINERS
from tests.support.drawn_classes import draw_examples
from tests.support.missing import MISSING, NOT_TEXTS
from tests.support.models import make_model
from tests.support.own_choices import CHOICES, QUESTIONS

PATTERN = "{text|shorten} It was [MASK]."
VERBALIZER = {"good": ["lazy", "quick fox"], "bad": "capital of France", "odd": "dog"}
PREMISE = "The verdict is [MASK]."
TEXTS = [
    "The fox jumps.",
    "Paris",
    "In the year 1987 the number 404 was not found over the lazy dog",
    "And Rome is the capital, the quick brown capital",
    "",
    "the cat",
]
EXAMPLES = [
    {"text": text, "label": label} for text, label in zip(TEXTS, ["good", "odd", 1, "bad", 0, "good"], strict=True)
]


@pytest.fixture
def parts(tokenizer):
    tokenizer = pickle.loads(pickle.dumps(tokenizer))
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 120, **tokenizer.special_token_ids}
    return make_model(GLMForMultipleChoice, **settings), tokenizer


def labelled() -> PatternVerbalizer:
    return PatternVerbalizer(PATTERN, VERBALIZER)


def alone(model, tokenizer, context: str, words: list[list[str]]) -> np.ndarray:
    """The log-probability of every label, each form of a word in a forward of its own behind the written context."""
    scores = []
    for row in words:
        ids = tokenizer([f"{space}{word}" for word in row for space in (" ", "")], add_special_tokens=False).input_ids
        encoded = tokenizer(context, return_tensors="pt")
        with torch.no_grad():
            logits = [model(encoded.input_ids, choice_ids=torch.tensor([[word]])).logits[0, 0] for word in ids]
        scores.append(torch.stack(logits).logsumexp(0).item())
    return np.array(scores)


def naive_scores(model, tokenizer, pattern: str = PATTERN, texts=TEXTS) -> np.ndarray:
    words = [["lazy", "quick fox"], ["capital of France"], ["dog"]]
    return np.stack(
        [alone(model, tokenizer, pattern.replace("{text|shorten}", text).rstrip(), words) for text in texts]
    )


def softmax(scores: np.ndarray) -> np.ndarray:
    return torch.from_numpy(scores).double().softmax(-1).numpy()


class TestScores:
    def test_every_word_alone(self, parts):
        classifier = ClozeClassifier(*parts, labelled(), batch_size=4)
        found = classifier.scores(EXAMPLES)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, naive_scores(*parts), atol=1e-4)
        np.testing.assert_allclose(classifier.predict_proba(EXAMPLES), softmax(found), atol=1e-6)
        assert classifier.predict(EXAMPLES) == [list(VERBALIZER)[index] for index in found.argmax(1)]
        assert classifier.score(EXAMPLES) == (found.argmax(1) == [0, 2, 1, 1, 0, 0]).mean()

    def test_choices_of_the_examples(self, parts):
        classifier = ClozeClassifier(*parts, PatternVerbalizer(*CHOICES), batch_size=2)
        found = classifier.scores(QUESTIONS)
        assert found.shape == (3, 4)
        for row, question in zip(found, QUESTIONS, strict=True):
            words = [[option] for option in question["options"]]
            expected = alone(*parts, f"{question['text']} [MASK]!", words)
            np.testing.assert_allclose(row[: len(words)], expected, atol=1e-4)
            assert np.isneginf(row[len(words) :]).all()
        probabilities = classifier.predict_proba(QUESTIONS)
        np.testing.assert_allclose(probabilities.sum(1), 1)
        assert (probabilities[0, 2:] == 0).all()
        chosen = classifier.predict(QUESTIONS)
        assert chosen == [q["options"][index] for q, index in zip(QUESTIONS, found.argmax(1), strict=True)]
        assert classifier.score(QUESTIONS) == (found.argmax(1) == [0, 2, 1]).mean()

    def test_patterns_are_averaged_as_the_model_does(self, parts):
        patterns = [PATTERN, "Just [MASK]! {text|shorten}"]
        found = ClozeClassifier(*parts, PatternVerbalizer(patterns, VERBALIZER)).scores(EXAMPLES)
        each = [np.log(softmax(naive_scores(*parts, pattern))) for pattern in patterns]
        np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-4)

    def test_long_texts_are_shortened_to_what_the_model_reads(self, parts):
        model, tokenizer = parts
        classifier = ClozeClassifier(model, tokenizer, labelled())
        assert classifier.max_length == 120
        long = {"text": "the lazy dog " * 200}
        assert np.isfinite(classifier.scores([long])).all()
        unshortened = ClozeClassifier(model, tokenizer, PatternVerbalizer("{text} It was [MASK].", VERBALIZER))
        with pytest.raises(ValueError, match="Example 1: An example does not fit"):
            unshortened.scores([EXAMPLES[0], long])
        tokenizer.model_max_length = 30
        assert ClozeClassifier(model, tokenizer, labelled()).max_length == 30
        assert ClozeClassifier(model, tokenizer, labelled(), max_length=40).max_length == 40
        assert ClozeClassifier(model, tokenizer, labelled(), max_length=400).max_length == 120  # the position table

    def test_truncation_cuts_the_other_fields_too(self, parts):
        long = {"text": "the lazy dog " * 200}
        task = PatternVerbalizer("{text} It was [MASK].", VERBALIZER)
        cut = ClozeClassifier(*parts, task, truncation=True).scores([long])
        np.testing.assert_allclose(cut, ClozeClassifier(*parts, labelled()).scores([long]), atol=1e-5)

    def test_labels_are_not_read(self, parts):
        classifier = ClozeClassifier(*parts, labelled())
        hidden = [{**example, "label": -1} for example in EXAMPLES[:3]] + EXAMPLES[3:4] + [{"text": "x"}]
        assert len(classifier.predict(hidden)) == 5

    def test_no_examples(self, parts):
        classifier = ClozeClassifier(*parts, labelled()).calibrate("contextual")
        assert classifier.predict_proba([]).shape == (0, 3)
        assert classifier.predict([]) == []


SPACES = st.sampled_from(["", " ", "  ", "\n", "\u3000", "\t"])
WORD = st.text("abctheßЖ北 -.1", min_size=1, max_size=8).filter(str.strip)


class TestWhiteSpaceAtTheBlank:
    @pytest.fixture(scope="class")
    def models(self, of_family):
        def build(family):
            tokenizer = of_family(family)
            settings = {
                "vocab_size": len(tokenizer),
                "max_position_embeddings": 64,
                "hidden_size": 8,
                "num_hidden_layers": 1,
                **tokenizer.special_token_ids,
            }
            return make_model(GLMForMultipleChoice, **settings), tokenizer

        return {family: build(family) for family in ("own", "gpt2", "roberta", "bert", "chinese")}

    @pytest.mark.parametrize("family", ["own", "gpt2", "roberta", "bert", "chinese"])
    @settings(max_examples=15)
    @given(data=st.data())
    def test_the_same_ids_give_the_same_results(self, models, family, data):
        words = data.draw(st.lists(WORD, min_size=2, max_size=3, unique_by=str.strip))
        before, after = data.draw(st.sampled_from(["{text}", "{text} is", "{text} (", "So: {text}:"])), ".) "
        tasks = [
            PatternVerbalizer(f"{before}{space}[MASK]{after}", dict(zip("abc", words, strict=False)))
            for space in ("", data.draw(SPACES))
        ]
        method = data.draw(st.sampled_from([None, "contextual", "pmi"]))
        premises = [f"It is{space}[MASK]." for space in ("", data.draw(SPACES))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # words may have the same tokens
            found = [
                ClozeClassifier(*models[family], task)
                .calibrate(method, domain_premise=premise if method == "pmi" else None)
                .predict_proba(["The fox", "Paris"])
                for task, premise in zip(tasks, premises, strict=True)
            ]
        np.testing.assert_array_equal(*found)

    def test_choices_of_examples(self, parts):
        found = [
            ClozeClassifier(*parts, PatternVerbalizer(pattern, choices="{options}")).scores(QUESTIONS)
            for pattern in ("{text} [MASK]!", "{text}[MASK]!")
        ]
        np.testing.assert_array_equal(*found)

    def test_a_word_with_a_space_is_literal(self, parts):
        words = {"good": " lazy", "bad": "lazy"}
        with pytest.warns(UserWarning, match="Words of the labels 'good' and 'bad' have the same tokens"):
            (scores,) = ClozeClassifier(*parts, PatternVerbalizer("{text}[MASK].", words)).scores(["x"])
        model, tokenizer = parts
        encoded = tokenizer("x[MASK].", return_tensors="pt")
        ids = [tokenizer(word, add_special_tokens=False).input_ids for word in (" lazy", "lazy")]
        with torch.no_grad():
            spaced, glued = (model(encoded.input_ids, choice_ids=torch.tensor([[i]])).logits.item() for i in ids)
        np.testing.assert_allclose(scores, [spaced, np.logaddexp(spaced, glued)], atol=1e-4)


class TestContextualCalibration:
    def test_a_text_without_content_gets_uniform_probabilities(self, parts):
        classifier = ClozeClassifier(*parts, labelled()).calibrate("contextual", content_free=("N/A",))
        np.testing.assert_allclose(classifier.predict_proba([{"text": "N/A"}]), [[1 / 3] * 3], atol=1e-6)

    def test_definition(self, parts):
        texts = ["N/A", "[MASK]", ""]
        classifier = ClozeClassifier(*parts, labelled()).calibrate("contextual")
        raw = ClozeClassifier(*parts, labelled())
        mean = raw.predict_proba([{"text": text} for text in texts]).mean(0)
        expected = raw.predict_proba(EXAMPLES) / mean
        expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(classifier.predict_proba(EXAMPLES), expected, atol=1e-5)
        np.testing.assert_array_equal(classifier.scores(EXAMPLES), raw.scores(EXAMPLES))  # as they are

    def test_is_measured_once_for_labels(self, parts):
        model, tokenizer = parts
        rows = []
        model.register_forward_pre_hook(
            lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        task = PatternVerbalizer("{both|shorten} It was [MASK].", VERBALIZER, derived={"both": "{a}, {b}"})
        classifier = ClozeClassifier(model, tokenizer, task).calibrate("contextual", content_free=("N/A", ""))
        for _ in range(2):
            classifier.predict([{"a": "Paris", "b": "Rome"}])
        assert rows == [1, 2, 1]
        assert task.fields == {"a", "b"}
        # The derived field is replaced as a whole.
        np.testing.assert_allclose(
            classifier.calibrate("contextual", content_free=("N/A",)).predict_proba(
                [{"a": "", "b": "", "both": "N/A"}]
            ),
            [[1 / 3] * 3],
            atol=1e-6,
        )

    def test_choices_are_measured_for_every_example(self, parts):
        task = PatternVerbalizer(*CHOICES)
        classifier = ClozeClassifier(*parts, task, batch_size=2).calibrate("contextual", content_free=("N/A", ""))
        raw = ClozeClassifier(*parts, PatternVerbalizer(*CHOICES))
        expected = raw.predict_proba(QUESTIONS)
        for row, question in zip(expected, QUESTIONS, strict=True):
            row /= raw.predict_proba([{**question, "text": text} for text in ("N/A", "")]).mean(0).tolist() + [1.0] * (
                4 - len(question["options"])
            )
        expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(classifier.predict_proba(QUESTIONS), expected, atol=1e-5)
        alike = [{**question, "text": "N/A"} for question in QUESTIONS]
        uniform = classifier.calibrate("contextual", content_free=("N/A",)).predict_proba(alike)
        np.testing.assert_allclose(uniform, [[0.5, 0.5, 0, 0], [0.25] * 4, [1 / 3] * 3 + [0]], atol=1e-6)


class TestPmi:
    def test_difference_of_scores(self, parts):
        classifier = ClozeClassifier(*parts, labelled()).calibrate("pmi", domain_premise=PREMISE)
        expected = naive_scores(*parts) - naive_scores(*parts, PREMISE, [""])
        np.testing.assert_allclose(classifier.calibrated_scores(EXAMPLES), expected, atol=1e-4)
        np.testing.assert_allclose(classifier.predict_proba(EXAMPLES), softmax(expected), atol=1e-4)

    def test_choices_and_a_premise_with_fields(self, parts):
        classifier = ClozeClassifier(*parts, PatternVerbalizer(*CHOICES))
        classifier.calibrate("pmi", domain_premise=PREMISE)
        raw = ClozeClassifier(*parts, PatternVerbalizer(*CHOICES)).scores(QUESTIONS)
        found = classifier.calibrated_scores(QUESTIONS)
        for row, scores, question in zip(found, raw, QUESTIONS, strict=True):
            words = [[option] for option in question["options"]]
            np.testing.assert_allclose(
                row[: len(words)], scores[: len(words)] - alone(*parts, PREMISE, words), atol=1e-4
            )
            assert np.isneginf(row[len(words) :]).all()
        classifier = ClozeClassifier(*parts, labelled()).calibrate("pmi", domain_premise="{text} [MASK].")
        expected = naive_scores(*parts) - naive_scores(*parts, "{text|shorten} [MASK].")
        np.testing.assert_allclose(classifier.calibrated_scores(EXAMPLES), expected, atol=1e-4)

    def test_several_patterns(self, parts):
        entries = [{"pattern": PATTERN, "verbalizer": VERBALIZER}, {"pattern": "{text|shorten} A [MASK]"}]
        entries[1]["verbalizer"] = {"good": "fox", "bad": "cat", "odd": "year"}
        classifier = ClozeClassifier(*parts, PatternVerbalizer(entries))
        raw = classifier.scores(EXAMPLES)
        premises = [PatternVerbalizer(PREMISE, entry["verbalizer"]) for entry in entries]
        each = [np.log(ClozeClassifier(*parts, premise).predict_proba([{}])) for premise in premises]
        classifier.calibrate("pmi", domain_premise=PREMISE)
        np.testing.assert_allclose(classifier.calibrated_scores(EXAMPLES), raw - np.mean(each, axis=0), atol=1e-4)

    @pytest.mark.parametrize(
        ("premise", "message"), [("The verdict.", "has 0 blanks"), (None, "needs a domain_premise")]
    )
    def test_errors(self, parts, premise, message):
        classifier = ClozeClassifier(*parts, labelled())
        with pytest.raises(ValueError, match=message):
            classifier.calibrate("pmi", domain_premise=premise)
        assert classifier.calibration == Calibration()
        assert classifier.task.calibration is None


class TestTemperature:
    @pytest.mark.slow
    def test_is_found_again_and_calibrates(self, drawn):
        """The labels are drawn from what the model says at a temperature of 2: it is overconfident."""
        make, examples = drawn
        classifier, labels = make(), [example["label"] for example in examples]
        predicted = classifier.predict(examples)
        before = expected_calibration_error(classifier.predict_proba(examples), labels)
        assert classifier.fit_temperature(examples) == pytest.approx(2, rel=0.15)
        assert expected_calibration_error(classifier.predict_proba(examples), labels) < before / 4
        assert classifier.predict(examples) == predicted

    def test_divides_calibrated_scores(self, parts):
        classifier = ClozeClassifier(*parts, labelled()).calibrate("contextual")
        scores = classifier.calibrated_scores(EXAMPLES)
        temperature = classifier.fit_temperature(EXAMPLES)
        np.testing.assert_allclose(classifier.predict_proba(EXAMPLES), softmax(scores / temperature), atol=1e-6)
        assert classifier.calibration == Calibration("contextual", temperature=temperature)
        assert classifier.calibrate("contextual").calibration.temperature == 1.0


@pytest.fixture(scope="module")
def drawn(tokenizer):
    return draw_examples(tokenizer, labelled(), temperature=2.0)


class TestAnswerRule:
    def test_is_saved_with_the_task(self, parts, tmp_path):
        model, tokenizer = parts
        classifier = ClozeClassifier(model, tokenizer, labelled()).calibrate("contextual")
        classifier.fit_temperature(EXAMPLES)
        classifier.fit_threshold(EXAMPLES, 0.2)
        classifier.fit_coverage(EXAMPLES, 0.7)
        rule = classifier.answer_rule
        assert None not in (rule.threshold, rule.coverage, rule.quantile)
        model.save_pretrained(tmp_path)
        classifier.task.attach(tokenizer).save_pretrained(tmp_path)
        loaded = ClozeClassifier(
            GLMForMultipleChoice.from_pretrained(tmp_path), GLMTokenizer.from_pretrained(tmp_path)
        )
        assert loaded.answer_rule == rule
        assert loaded.calibration == classifier.calibration
        assert loaded.predict_or_abstain(TEXTS) == classifier.predict_or_abstain(TEXTS)
        assert loaded.predict_sets(TEXTS) == classifier.predict_sets(TEXTS)

    def test_belongs_to_its_calibration(self, parts):
        task = labelled().with_answer_rule({"threshold": 0.9})
        classifier = ClozeClassifier(*parts, task)
        assert classifier.answer_rule == AnswerRule(0.9)
        assert ClozeClassifier(*parts, task, calibration=Calibration(temperature=2.0)).answer_rule == AnswerRule()
        classifier.calibrate(None)  # as it was
        assert classifier.answer_rule == AnswerRule(0.9)
        for change in (lambda: classifier.set_temperature(2.0), lambda: classifier.calibrate("contextual")):
            classifier.set_answer_rule(AnswerRule(0.9))
            with pytest.warns(
                UserWarning, match=r"The answer rule {'threshold': 0.9} was fitted for another calibration"
            ):
                change()
            assert classifier.answer_rule == AnswerRule()
        assert task.answer_rule == {"threshold": 0.9}

    def test_a_rule_that_cannot_be_read_is_refused_early(self, parts):
        with pytest.raises(ValueError, match=r"Unknown keys \['least'\] of an answer rule"):
            ClozeClassifier(*parts, labelled().with_answer_rule({"least": 0.9}))


class TestWhatIsKept:
    def test_nothing_is_written_to_what_was_given(self, parts):
        model, tokenizer = parts
        task = labelled()
        classifier, other = (ClozeClassifier(model, tokenizer, task) for _ in range(2))
        before = other.predict_proba(EXAMPLES)
        classifier.calibrate("contextual", content_free=("N/A",))
        classifier.fit_temperature(EXAMPLES)
        assert tokenizer.cloze is None
        assert task.to_dict() == labelled().to_dict()
        assert other.task is task
        assert other.calibration == Calibration()
        np.testing.assert_array_equal(other.predict_proba(EXAMPLES), before)
        assert classifier.task.calibration == classifier.calibration.to_dict()
        assert classifier.task.calibration["content_free"] == ["N/A"]
        classifier.calibrate(None)
        assert classifier.task.to_dict() == labelled().to_dict()

    def test_calibration_is_one_value(self, parts):
        classifier = ClozeClassifier(*parts, labelled())
        for calibration in (
            Calibration("contextual", ("N/A",), temperature=2.0),
            Calibration("pmi", domain_premise=PREMISE),
            Calibration(),
        ):
            expected = ClozeClassifier(*parts, labelled(), calibration=calibration)
            classifier.calibrate(calibration)
            assert classifier.calibration is calibration
            np.testing.assert_array_equal(classifier.predict_proba(EXAMPLES), expected.predict_proba(EXAMPLES))
            copied = pickle.loads(pickle.dumps(classifier))
            assert copied.calibration == calibration
            np.testing.assert_array_equal(copied.predict_proba(EXAMPLES), expected.predict_proba(EXAMPLES))
        with pytest.raises(AttributeError):
            classifier.calibration = Calibration()
        with pytest.raises(FrozenInstanceError):
            classifier.calibration.temperature = 2.0

    def test_the_task_is_read(self, parts):
        classifier = ClozeClassifier(*parts, labelled())
        with pytest.raises(AttributeError):
            classifier.task = labelled()

    def test_task_calibration_and_bias_change_together(self, parts):
        """What one calibration measured is not used for another, and what was read before stays as it was."""
        classifier = ClozeClassifier(*parts, labelled()).calibrate("contextual")
        unmeasured = classifier._calibrated
        classifier.predict(EXAMPLES)
        assert unmeasured.references.bias is None
        assert classifier._calibrated == dataclasses.replace(
            unmeasured,
            references=dataclasses.replace(unmeasured.references, bias=classifier._calibrated.references.bias),
        )
        classifier.fit_temperature(EXAMPLES)  # keeps the bias
        assert classifier.task.calibration == classifier.calibration.to_dict()
        assert classifier._calibrated.references.bias is not None
        classifier.calibrate("pmi", domain_premise=PREMISE)
        assert classifier._calibrated.references.bias is None
        fresh = ClozeClassifier(*parts, classifier.task)
        np.testing.assert_array_equal(classifier.predict_proba(EXAMPLES), fresh.predict_proba(EXAMPLES))

    def test_a_calibration_set_while_the_bias_of_another_is_measured_stays(self, parts, monkeypatch):
        classifier = ClozeClassifier(*parts, labelled()).calibrate("contextual")
        expected = classifier.predict_proba(EXAMPLES)
        classifier.calibrate("contextual")
        score = classifier._scorer.score

        def set_another(*args):
            classifier.calibrate(None)  # as another thread does
            return score(*args)

        encoded = [classifier.encode(example) for example in EXAMPLES]
        monkeypatch.setattr(classifier._scorer, "score", set_another)
        found = classifier.score_encoded(encoded)
        assert classifier.calibration == Calibration()
        np.testing.assert_allclose(softmax(found), expected, atol=1e-6)

    @pytest.mark.parametrize("method", ["contextual", "pmi"])
    def test_a_saved_classifier_gives_the_same_probabilities(self, parts, method, tmp_path):
        model, tokenizer = parts
        classifier = ClozeClassifier(model, tokenizer, labelled())
        classifier.calibrate(method, domain_premise=PREMISE if method == "pmi" else None)
        classifier.fit_temperature(EXAMPLES)
        model.save_pretrained(tmp_path)
        classifier.task.attach(tokenizer).save_pretrained(tmp_path)
        loaded = ClozeClassifier(
            GLMForMultipleChoice.from_pretrained(tmp_path), GLMTokenizer.from_pretrained(tmp_path)
        )
        assert loaded.calibration == classifier.calibration
        np.testing.assert_allclose(loaded.predict_proba(EXAMPLES), classifier.predict_proba(EXAMPLES), atol=1e-7)


class TestRows:
    def test_any_form_of_texts_has_the_order_of_its_rows(self, parts):
        classifier = ClozeClassifier(*parts, labelled())
        texts = TEXTS[:3]
        expected = classifier.predict_proba([{"text": text} for text in texts])
        for make in CONTAINERS.values():
            np.testing.assert_allclose(classifier.predict_proba(make(texts)), expected)
        assert [classifier.predict(make([])) for make in CONTAINERS.values()] == [[]] * len(CONTAINERS)

    @pytest.mark.parametrize("make_frame", [pd.DataFrame, lambda rows: pd.DataFrame(rows).to_dict("list")])
    def test_labels_stay_with_their_rows(self, parts, make_frame):
        classifier = ClozeClassifier(*parts, labelled())
        rows = [
            {"text": example["text"], "label": classifier.task.labels[index % 3]}
            for index, example in enumerate(EXAMPLES)
        ]
        shuffled = make_frame(rows)
        assert classifier.score(shuffled) == classifier.score(rows)
        assert classifier.fit_temperature(shuffled) == classifier.fit_temperature(rows)

    def test_bad_rows_stand_in_their_places(self, parts):
        classifier = ClozeClassifier(*parts, labelled())
        rows = [EXAMPLES[0], {"premise": "x"}, EXAMPLES[1], {}]
        first, bad, second, worse = classifier.predict(iter(rows), on_error="record")
        assert [first, second] == classifier.predict(EXAMPLES[:2])
        assert isinstance(bad, RowError)
        assert str(bad).startswith("Example 1: The pattern asks for a field 'text'")
        assert (bad.row, worse.row) == (1, 3)
        assert [error.row for error in classifier.predict([{}, {}], on_error="record")] == [0, 1]


class TestInputs:
    def test_one_example(self, parts):
        classifier = ClozeClassifier(*parts, labelled())
        expected = classifier.predict(EXAMPLES)[:1]
        assert classifier.predict(TEXTS[0]) == classifier.predict({"text": TEXTS[0]}) == expected
        choosing = ClozeClassifier(*parts, PatternVerbalizer(*CHOICES))
        assert choosing.predict(QUESTIONS[0]) == choosing.predict(QUESTIONS)[:1]

    def test_columns_with_lists_of_choices(self, parts):
        classifier = ClozeClassifier(*parts, PatternVerbalizer(*CHOICES))
        columns = {name: [question[name] for question in QUESTIONS] for name in ("text", "options")}
        expected = classifier.predict(QUESTIONS)
        for table in (columns, pd.DataFrame(columns), datasets.Dataset.from_dict(columns)):
            assert classifier.predict(table) == expected

    @pytest.mark.parametrize("value", [*MISSING, *NOT_TEXTS])
    def test_a_value_without_a_text_names_its_row(self, parts, value):
        classifier = ClozeClassifier(*parts, labelled())
        for rows in (["a", "b", value], [{"text": "a"}, {"text": "b"}, {"text": value}]):
            with pytest.raises(RowError, match=r"^Example 2: (Field 'text' is|The pattern asks for)") as caught:
                classifier.predict(rows)
            assert caught.value.row == 2
        choosing = ClozeClassifier(*parts, PatternVerbalizer(*CHOICES)).calibrate("contextual")
        with pytest.raises(RowError, match=r"^Example 1: Choice 0 of the field 'options' is"):
            choosing.predict([QUESTIONS[0], {"text": "x", "options": [value, "a"]}])

    def test_bad_rows_cost_no_good_row(self, parts):
        classifier = ClozeClassifier(*parts, labelled()).calibrate("contextual")
        mixed = [TEXTS[0], float("nan"), *TEXTS[1:], None]
        found = classifier.predict(mixed, on_error="record")
        assert [found[0], *found[2:-1]] == classifier.predict(TEXTS)
        assert [(error.row, error.reason) for error in (found[1], found[-1])] == [
            (1, "Field 'text' is missing (nan): expected a text."),
            (7, "Field 'text' is missing (None): expected a text."),
        ]
        probabilities = classifier.predict_proba(mixed, on_error="record")
        assert np.isnan(probabilities[[1, -1]]).all()
        good = np.delete(probabilities, [1, 7], axis=0)
        np.testing.assert_allclose(good, classifier.predict_proba(TEXTS), atol=1e-5)
        assert len(classifier.predict([None, None], on_error="record")) == 2
        assert np.isnan(classifier.predict_proba([None, None], on_error="record")).all()
        with pytest.raises(ValueError, match="on_error='ignore'"):
            classifier.predict(mixed, on_error="ignore")

    def test_a_text_is_not_enough_for_two_fields(self, parts):
        classifier = ClozeClassifier(*parts, PatternVerbalizer("{a} {b} [MASK]", VERBALIZER))
        with pytest.raises(RowError, match=r"^Example 0: The task reads the fields \['a', 'b'\]: give a dict"):
            classifier.predict(["text"])


NUMBERED = {"1": "lazy", "-1": "dog", "0": "capital"}


class TestLabelsOfExamples:
    @pytest.mark.parametrize(
        "convert",
        [
            lambda labels: [str(label) for label in labels],
            lambda labels: labels,
            lambda labels: [float(label) for label in labels],
            lambda labels: np.array(labels, dtype=np.int8),
            lambda labels: pd.Series(labels, index=range(len(labels), 0, -1)),
            lambda labels: pd.Series([*labels, None])[:-1],
            lambda labels: pd.Series(labels, dtype="Int64"),
            lambda labels: pd.Series(labels).astype("category"),
            torch.tensor,
        ],
        ids=["names", "int", "float", "numpy", "pandas", "pandas_float", "Int64", "category", "torch"],
    )
    @pytest.mark.parametrize("keys", [int, str, np.int64], ids=["int", "str", "numpy"])
    def test_a_label_is_its_name_in_every_type(self, parts, convert, keys):
        task = PatternVerbalizer(PATTERN, {keys(label): word for label, word in NUMBERED.items()})
        classifier = ClozeClassifier(*parts, task)
        labels = [int(label) for label in classifier.predict(TEXTS)]
        rows = [{"text": text, "label": label} for text, label in zip(TEXTS, convert(labels), strict=True)]
        assert classifier.score(rows) == 1.0
        wrong = [{0: 1, 1: -1, -1: 0}[label] for label in labels]
        rows = [{"text": text, "label": label} for text, label in zip(TEXTS, convert(wrong), strict=True)]
        assert classifier.score(rows) == 0.0

    @pytest.mark.parametrize("names", [["odd", "good", "bad"], ["good", "bad", "odd"]])
    def test_class_labels_of_datasets(self, parts, names):
        classifier = ClozeClassifier(*parts, labelled())
        features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
        columns = {"text": TEXTS, "label": classifier.predict(TEXTS)}
        dataset = datasets.Dataset.from_dict(columns, features=features)
        assert classifier.score(dataset) == 1.0
        says_so = PatternVerbalizer(PATTERN, VERBALIZER, integer_labels=names)
        assert ClozeClassifier(*parts, says_so).score(list(dataset)) == 1.0
        batch = DataCollatorForCloze(parts[1], says_so)(list(dataset))
        assert [says_so.labels[index] for index in batch["labels"]] == columns["label"]
        other = datasets.Features({**features, "label": datasets.ClassLabel(names=["x", "y", "z"])})
        with pytest.raises(RowError, match=r"Example 0: Label \d \('[xyz]'\) is not one of .*='place'"):
            classifier.score(dataset.cast(other))
        by_place = PatternVerbalizer(PATTERN, VERBALIZER, integer_labels="place")
        places = datasets.Dataset.from_dict({"text": TEXTS, "label": classifier.scores(TEXTS).argmax(1)})
        assert ClozeClassifier(*parts, by_place).score(places.cast(other)) == 1.0

    @pytest.mark.parametrize("missing", MISSING)
    def test_missing_labels_are_named(self, parts, missing):
        classifier = ClozeClassifier(*parts, labelled())
        rows = [EXAMPLES[0], {"text": "x", "label": missing}]
        for method in (classifier.score, classifier.fit_temperature):
            with pytest.raises(RowError, match=r"^Example 1 has no label \('label'\): expected one for every example"):
                method(rows)
        assert len(classifier.predict(rows)) == 2


class TestErrorsOfClassifier:
    def test_no_task(self, parts):
        with pytest.raises(ValueError, match="saved without a cloze task: give task=PatternVerbalizer"):
            ClozeClassifier(*parts)

    def test_examples(self, parts):
        classifier = ClozeClassifier(*parts, labelled())
        with pytest.raises(ValueError, match="Example 1: The pattern asks for a field 'text'"):
            classifier.predict([EXAMPLES[0], {"premise": "x"}])
        with pytest.raises(ValueError, match=r"Example 1 has no label \('label'\)"):
            classifier.score([EXAMPLES[0], {"text": "x"}])
        with pytest.raises(ValueError, match="Example 0: Label 'ugly' is not one of the task's"):
            classifier.fit_temperature([{"text": "x", "label": "ugly"}])
        with pytest.raises(ValueError, match="There are no examples"):
            classifier.score([])
