"""Cloze classification as a pipeline of Transformers: what goes in and comes out, batches, zero-shot questions, errors."""

import logging
import pickle

import datasets
import numpy as np
import pandas as pd
import pytest
from transformers import pipeline
from transformers.pipelines.pt_utils import PipelineIterator

from modeling_glm import (
    Calibration,
    ClozeClassificationPipeline,
    ClozeClassifier,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    PatternVerbalizer,
)
from modeling_glm.registration import register
from modeling_glm.utils.rows import RowError
from tests.support.containers import CONTAINERS, LAZY, MapStyle
from tests.support.models import make_model, randomise

TASK = PatternVerbalizer(
    "{text|shorten} It was [MASK].", {"good": ["lazy", "quick fox"], "bad": "capital", "odd": "dog"}
)
PAIRS = PatternVerbalizer("{premise}? [MASK], {hypothesis}", {"yes": "and", "no": "not"})
CHOICES = PatternVerbalizer("{text} [MASK]!", None, "{options}")
TEXTS = ["The fox jumps.", "In the year 1987 the number 404 was not found", "", "Paris", "Rome is the capital"]
QUESTIONS = [
    {"text": "What jumps?", "options": ["the fox", "Rome"]},
    {"text": "Where?", "options": ["over", "the lazy dog", "in Paris", "capital"]},
    {"text": "The number 404", "options": ["was", "was not found", "the"]},
]
LABELS = ["lazy", "the capital", "brown fox"]
PREMISE = "The verdict is [MASK]."


@pytest.fixture(scope="module")
def parts(tokenizer):
    """A model, and a tokenizer without a task."""
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 120, **tokenizer.special_token_ids}
    return make_model(GLMForMultipleChoice, **settings), pickle.loads(pickle.dumps(tokenizer))


def make(parts, task: PatternVerbalizer | None = None, **settings) -> ClozeClassificationPipeline:
    model, tokenizer = parts
    if task is not None:
        tokenizer = task.attach(tokenizer)
    return pipeline("cloze-classification", model=model, tokenizer=tokenizer, device="cpu", **settings)


def expected(parts, task: PatternVerbalizer, examples, calibration: Calibration | None = None) -> np.ndarray:
    return ClozeClassifier(*parts, task, calibration=calibration or Calibration()).predict_proba(examples)


def table(answers: list[list[dict]], labels: list[str]) -> np.ndarray:
    """The scores of ranked answers in the order of the labels."""
    for answer in answers:
        scores = [entry["score"] for entry in answer]
        assert scores == sorted(scores, reverse=True)
    by_label = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    return np.array([[row[label] for label in labels] for row in by_label])


class TestOwnTask:
    def test_saved_folder_of_a_language_model(self, parts, tmp_path):
        model, tokenizer = parts
        language_model = make_model(GLMForConditionalGeneration, **model.config.to_diff_dict())
        language_model.load_state_dict(model.state_dict())
        language_model.save_pretrained(tmp_path)
        classifier = ClozeClassifier(model, tokenizer, TASK).calibrate("contextual")
        classifier.task.attach(tokenizer).save_pretrained(tmp_path)
        loaded = pipeline("cloze-classification", model=str(tmp_path), device="cpu")
        assert type(loaded) is ClozeClassificationPipeline
        assert type(loaded.model) is GLMForMultipleChoice
        found = loaded(TEXTS, top_k=None)
        probabilities = expected(parts, TASK, [{"text": text} for text in TEXTS], Calibration("contextual"))
        np.testing.assert_allclose(table(found, TASK.labels), probabilities, atol=1e-5)

    def test_model_of_the_repository(self):
        classifier = pipeline("cloze-classification", model="examples/glm-tiny", dtype="float32", device="cpu")
        found = classifier("The team won the match.", candidate_labels=["sports", "politics"])
        assert sorted(found["labels"]) == ["politics", "sports"]
        assert sum(found["scores"]) == pytest.approx(1)

    @pytest.mark.parametrize("name", CONTAINERS)
    def test_any_form_of_many_texts(self, parts, name):
        found = make(parts, TASK)(CONTAINERS[name](TEXTS), batch_size=2)
        # These are read lazily, while the answers are taken.
        assert isinstance(found, PipelineIterator if name in LAZY else list)
        found = list(found)
        probabilities = expected(parts, TASK, [{"text": text} for text in TEXTS])
        assert [answer["label"] for answer in found] == [TASK.labels[index] for index in probabilities.argmax(1)]
        np.testing.assert_allclose([answer["score"] for answer in found], probabilities.max(1), atol=1e-5)

    @pytest.mark.parametrize("name", CONTAINERS)
    def test_any_form_without_rows(self, parts, name):
        assert list(make(parts, TASK)(CONTAINERS[name]([]), batch_size=2)) == []

    @pytest.mark.parametrize(
        "make_inputs",
        [
            list,
            iter,
            lambda rows: pd.Series(rows, index=range(len(rows))[::-1]),
            lambda rows: pd.DataFrame(rows, index=["x"] * len(rows)),
            lambda rows: pd.DataFrame(rows).to_dict("list"),
            datasets.Dataset.from_list,
        ],
        ids=["list", "iterator", "series", "frame", "columns", "dataset"],
    )
    def test_examples_with_lists_of_choices(self, parts, make_inputs):
        found = list(make(parts, CHOICES)(make_inputs(QUESTIONS), top_k=None))
        one_by_one = [make(parts, CHOICES)(question, top_k=None) for question in QUESTIONS]
        for together, alone in zip(found, one_by_one, strict=True):
            assert [entry["label"] for entry in together] == [entry["label"] for entry in alone]

    def test_an_example_may_have_the_fields_of_a_chat(self, parts):
        task = PatternVerbalizer("{role} {content} It was [MASK].", {"good": "lazy", "bad": "capital"})
        rows = [{"role": "Rome", "content": "Paris"}, {"role": "fox", "content": "dog"}]
        classifier = make(parts, task)
        assert classifier(rows) == [*classifier(rows[0]), *classifier(rows[1])]

    def test_forms_of_the_output(self, parts):
        """As of text-classification, but that a single example always gets a list."""
        classifier = make(parts, TASK)
        ranked = classifier(TEXTS[0], top_k=None)
        assert sorted(entry["label"] for entry in ranked) == sorted(TASK.labels)
        assert sum(entry["score"] for entry in ranked) == pytest.approx(1)
        assert classifier(TEXTS[0]) == classifier({"text": TEXTS[0]}) == classifier(sequences=TEXTS[0]) == ranked[:1]
        assert classifier(TEXTS[0], top_k=2) == ranked[:2]
        assert classifier([TEXTS[0]]) == ranked[:1]
        assert classifier([TEXTS[0]], top_k=1) == [ranked[:1]]
        assert classifier.predict([TEXTS[0]]) == ranked[:1]
        assert classifier([]) == []
        assert make(parts, TASK, top_k=2)(TEXTS[0]) == ranked[:2]

    def test_two_fields(self, parts):
        example = {"premise": "Rome", "hypothesis": "Paris was found"}
        found = make(parts, PAIRS)([example] * 2, top_k=None)
        np.testing.assert_allclose(table(found, PAIRS.labels), expected(parts, PAIRS, [example] * 2), atol=1e-6)

    def test_workers(self, parts):
        classifier = make(parts, TASK)
        assert classifier(TEXTS, num_workers=1, batch_size=2) == classifier(TEXTS, batch_size=2)


class TestBadRows:
    ROWS = [{"text": TEXTS[0]}, {"txt": "x"}, 3.5, {"text": TEXTS[1]}, {}]
    BAD = [1, 4]

    @pytest.mark.parametrize(("batch_size", "num_workers"), [(1, 0), (2, 1), (5, 0)])
    @pytest.mark.parametrize("make_inputs", [list, iter, MapStyle], ids=["list", "iterator", "dataset"])
    def test_they_are_recorded_in_their_places(self, parts, make_inputs, batch_size, num_workers):
        classifier = make(parts, TASK)
        settings = {"batch_size": batch_size, "num_workers": num_workers}
        found = list(classifier(make_inputs(self.ROWS), on_error="record", **settings))
        assert [entry["row"] for entry in found if "error" in entry] == self.BAD
        assert all("field 'text'" in found[row]["error"] for row in self.BAD)
        for row in (0, 2, 3):
            (alone,) = classifier([self.ROWS[row]])
            assert found[row] == {"label": alone["label"], "score": pytest.approx(alone["score"], abs=1e-6)}

    @pytest.mark.parametrize("num_workers", [0, 1])
    def test_the_first_one_is_raised(self, parts, num_workers):
        with pytest.raises(RowError, match=r"^Example 1: .*asks for a field 'text'") as caught:
            make(parts, TASK)(self.ROWS, batch_size=2, num_workers=num_workers)
        assert caught.value.row == 1

    def test_a_setting_of_the_pipeline_too(self, parts):
        classifier = make(parts, TASK, on_error="record", calibration="contextual")
        assert [entry.get("row") for entry in classifier(self.ROWS, batch_size=5)] == [None, 1, None, None, 4]
        assert classifier(self.ROWS[1])[0]["row"] == 0
        assert classifier([self.ROWS[1]] * 2, batch_size=2)[1]["row"] == 1
        with pytest.raises(RowError, match="Example 1"):
            classifier(self.ROWS, on_error="raise")
        with pytest.raises(ValueError, match="on_error='skip'"):
            classifier(self.ROWS, on_error="skip")

    def test_in_other_forms_of_answers(self, parts):
        found = make(parts)(["Rome", {"texts": ""}], candidate_labels=LABELS, on_error="record")
        assert found[0]["sequence"] == "Rome"
        assert found[1]["row"] == 1
        found = make(parts, CHOICES)([QUESTIONS[0], {"text": "Where?"}], top_k=None, on_error="record", batch_size=2)
        assert len(found[0]) == 2
        assert "'options'" in found[1]["error"]


class TestBatches:
    @pytest.mark.parametrize("calibration", [None, "contextual"])
    @pytest.mark.parametrize("batch_size", [2, 3, 64])
    @pytest.mark.parametrize("task", [TASK, CHOICES], ids=["labels", "choices"])
    def test_any_size_gives_the_same(self, parts, task, batch_size, calibration):
        examples = QUESTIONS if task is CHOICES else TEXTS
        classifier = make(parts, task, top_k=None, calibration=calibration)
        one_by_one = [classifier(example) for example in examples]
        together = classifier(examples, batch_size=batch_size)
        for found, alone in zip(together, one_by_one, strict=True):
            assert [entry["label"] for entry in found] == [entry["label"] for entry in alone]
            scores = [entry["score"] for entry in found]
            np.testing.assert_allclose(scores, [entry["score"] for entry in alone], atol=1e-5)
            assert sum(scores) == pytest.approx(1)

    def test_a_batch_is_one_forward(self, parts):
        classifier = make(parts, TASK, batch_size=40)
        rows = []
        hook = classifier.model.register_forward_pre_hook(
            lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        classifier(TEXTS * 10)
        hook.remove()
        assert rows == [40, 10]

    def test_own_calibration_is_measured_once(self, parts):
        classifier = make(parts, TASK, calibration="contextual")
        rows = []
        hook = classifier.model.register_forward_pre_hook(
            lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        for top_k in (1, None, 2):
            classifier(TEXTS[0], top_k=top_k)
        assert rows == [1, 3, 1, 1]
        rows.clear()
        for _ in range(2):
            classifier(TEXTS[0], temperature=2.0)  # another question
        hook.remove()
        assert rows == [1, 3, 1, 3]

    def test_calls_leave_nothing_behind(self, parts):
        """A call measures its calibration with the model as it is, whatever the call before asked."""
        model, tokenizer = parts
        changed = make_model(GLMForMultipleChoice, **model.config.to_diff_dict())
        classifier = make((changed, tokenizer))
        asked = {"candidate_labels": LABELS, "calibration": "contextual"}
        kept = {**vars(classifier), "call_count": 1}  # the library counts calls
        classifier(TEXTS[0], **asked)
        assert vars(classifier) == kept
        randomise(changed, seed=1)
        assert classifier(TEXTS[0], **asked) == make((changed, tokenizer))(TEXTS[0], **asked)

    def test_choices_are_called_by_their_texts(self, parts):
        found = make(parts, CHOICES)(QUESTIONS, batch_size=3, top_k=None)
        probabilities = expected(parts, CHOICES, QUESTIONS)
        for answer, question, row in zip(found, QUESTIONS, probabilities, strict=True):
            options = question["options"]
            np.testing.assert_allclose(table([answer], options)[0], row[: len(options)], atol=1e-5)


class TestQuestionsOfACall:
    def test_pattern_and_words(self, parts):
        examples = [{"text": text} for text in TEXTS]
        probabilities = expected(parts, TASK, examples)
        words = {"good": ["lazy", "quick fox"], "bad": "capital", "odd": "dog"}
        pattern = "{text|shorten} It was [MASK]."
        for settings in (
            {"pattern": pattern, "verbalizer": words},
            {"pattern": {"pattern": pattern, "verbalizer": words}},
            {"pattern": [pattern], "verbalizer": words},
            {"pattern": TASK},
        ):
            found = make(parts, PAIRS)(TEXTS, top_k=None, **settings)
            np.testing.assert_allclose(table(found, TASK.labels), probabilities, atol=1e-5)
        labels = make(parts)(TEXTS, pattern=pattern, candidate_labels="lazy, dog", top_k=None)
        task = PatternVerbalizer(pattern, {"lazy": "lazy", "dog": "dog"})
        np.testing.assert_allclose(table(labels, task.labels), expected(parts, task, examples), atol=1e-5)

    def test_they_change_nothing(self, parts):
        classifier = make(parts, TASK)
        before = classifier(TEXTS[0])
        saved = classifier.tokenizer.cloze
        classifier(TEXTS[0], candidate_labels=LABELS)
        classifier(TEXTS[0], pattern=PAIRS.patterns[0].text.replace("premise", "text").replace("{hypothesis}", ""),
                   verbalizer={"x": "x", "y": "y"}, calibration="contextual", temperature=3.0)  # fmt: skip
        assert classifier.tokenizer.cloze == saved == TASK.to_dict()
        assert classifier(TEXTS[0]) == before

    def test_settings_of_the_pipeline(self, parts):
        words = {"x": "lazy", "y": "dog"}
        classifier = make(parts, pattern="{text} [MASK]", verbalizer=words)
        assert classifier("Rome")[0]["label"] in words
        assert classifier("Rome", candidate_labels=LABELS)[0]["label"] in LABELS  # in the same pattern
        assert classifier("Rome", pattern="A {text} [MASK]")[0]["label"] in words
        zero_shot = make(parts, candidate_labels=LABELS)
        assert sorted(zero_shot("Rome")["labels"]) == sorted(LABELS)
        template = {"hypothesis_template": "It is {}."}
        assert zero_shot("Rome", **template) == make(parts, **template)("Rome", LABELS)
        assert zero_shot("Rome", pattern="{text} [MASK]")[0]["label"] in LABELS
        assert zero_shot("Rome", pattern="{text} [MASK]", verbalizer=words)[0]["label"] in words

    def test_calibration(self, parts):
        examples = [{"text": text} for text in TEXTS]
        contextual, pmi = Calibration("contextual"), Calibration("pmi", domain_premise=PREMISE)
        own = PatternVerbalizer.from_dict(
            {**TASK.to_dict(), "calibration": {**contextual.to_dict(), "temperature": 2.0}}
        )
        classifier = make(parts, own, top_k=None)
        for settings, calibration in (
            ({}, Calibration("contextual", temperature=2.0)),
            ({"temperature": 5.0}, Calibration("contextual", temperature=5.0)),
            ({"calibration": None}, Calibration()),
            ({"calibration": "contextual"}, contextual),
            ({"calibration": "pmi", "domain_premise": PREMISE}, pmi),
            ({"calibration": pmi, "temperature": 0.5}, Calibration("pmi", domain_premise=PREMISE, temperature=0.5)),
            ({"calibration": Calibration("contextual", ("x",))}, Calibration("contextual", ("x",))),
        ):
            found = table(classifier(TEXTS, **settings), TASK.labels)
            np.testing.assert_allclose(found, expected(parts, TASK, examples, calibration), atol=1e-5)
        uniform = make(parts)("N/A", LABELS, calibration=Calibration("contextual", ("N/A",)))
        np.testing.assert_allclose(uniform["scores"], [1 / 3] * 3, atol=1e-6)

    def test_white_space_before_the_blank_does_not_matter(self, parts):
        words = {"good": ["lazy", "quick fox"], "bad": "capital", "odd": " dog"}
        patterns = [f"{{text|shorten}} It was:{space}[MASK]." for space in ("", " ", "\n")]
        glued, *others = (
            make(parts)(TEXTS, pattern=pattern, verbalizer=words, top_k=None, calibration="contextual")
            for pattern in patterns
        )
        assert others == [glued, glued]
        templates = [f"It is{space}{{}}." for space in ("", " ")]
        zero_shot, spaced = (make(parts)(TEXTS[0], LABELS, hypothesis_template=template) for template in templates)
        assert zero_shot == spaced

    def test_truncation_cuts_fields_that_are_not_marked(self, parts):
        long = " ".join(TEXTS * 30)
        words = {"x": "lazy", "y": "dog"}
        with pytest.raises(RowError, match=r"Example 0: An example does not fit.*truncation=True"):
            make(parts)(long, pattern="{text} [MASK]", verbalizer=words)
        cut = make(parts)(long, pattern="{text} [MASK]", verbalizer=words, truncation=True)
        assert cut == make(parts)(long, pattern="{text|shorten} [MASK]", verbalizer=words)
        assert cut == make(parts, truncation=True)(long, pattern="{text} [MASK]", verbalizer=words)

    def test_long_texts_are_shortened(self, parts):
        classifier = make(parts)
        long = " ".join(TEXTS * 30)
        assert classifier(long, LABELS)["sequence"] == long
        assert classifier(long, LABELS, max_length=60) != classifier(long, LABELS)


class TestZeroShot:
    def test_as_the_zero_shot_pipeline(self, parts):
        classifier = make(parts, PAIRS)
        found = classifier(TEXTS[0], candidate_labels=LABELS)
        task = PatternVerbalizer("{text|shorten} This example is [MASK].", {label: label for label in LABELS})
        (probabilities,) = expected(parts, task, [{"text": TEXTS[0]}])
        order = probabilities.argsort()[::-1]
        assert found["sequence"] == TEXTS[0]
        assert found["labels"] == [LABELS[index] for index in order]
        np.testing.assert_allclose(found["scores"], probabilities[order], atol=1e-6)
        assert list(found) == ["sequence", "labels", "scores"]

    def test_ways_to_call(self, parts):
        classifier = make(parts)
        found = classifier(TEXTS[0], candidate_labels=LABELS)
        assert classifier(TEXTS[0], LABELS) == classifier(sequences=TEXTS[0], candidate_labels=LABELS) == found
        assert classifier({"text": TEXTS[0]}, ", ".join(LABELS) + ",", multi_label=False) == found
        assert classifier([TEXTS[0]], LABELS, hypothesis_template="This example is {}.") == [found]
        assert len(classifier(TEXTS[0], LABELS, top_k=2)["labels"]) == 2
        many = classifier(TEXTS, LABELS, batch_size=3)
        assert [entry["sequence"] for entry in many] == TEXTS

    def test_templates(self, parts):
        classifier = make(parts)
        for template, pattern in (
            ("{} is the topic.", "{text|shorten} [MASK] is the topic."),
            ("It is:{0}", "{text|shorten} It is:[MASK]"),
            ("{{a}} {}", "{text|shorten} {{a}} [MASK]"),
        ):
            found = classifier(TEXTS[0], LABELS, hypothesis_template=template)
            other = classifier(TEXTS[0], LABELS, pattern=pattern, top_k=None)
            assert found["scores"] == [entry["score"] for entry in other]
            assert found["labels"] == [entry["label"] for entry in other]


class TestSeveralLabels:
    ABOUT = PatternVerbalizer("{text|shorten} Is it {candidate}? [MASK].", {"yes": "The fox", "no": "lazy"})

    def test_as_the_classifier(self, parts):
        probabilities = ClozeClassifier(*parts, self.ABOUT).predict_multi_label_proba(TEXTS, LABELS)
        for batch_size in (1, 3):
            found = make(parts, self.ABOUT)(TEXTS, LABELS, multi_label=True, batch_size=batch_size)
            for answer, text, row in zip(found, TEXTS, probabilities, strict=True):
                order = np.argsort(-row)
                assert answer["sequence"] == text
                assert answer["labels"] == [LABELS[place] for place in order]
                np.testing.assert_allclose(answer["scores"], row[order], atol=1e-5)
        listed = make(parts)(TEXTS[0], LABELS, multi_label=True, pattern=self.ABOUT)
        np.testing.assert_allclose(table([listed], LABELS)[0], probabilities[0], atol=1e-5)

    def test_as_the_zero_shot_pipeline(self, parts):
        task = PatternVerbalizer(
            "{text|shorten} It is {candidate}. True or false? [MASK].", {"true": "True", "false": "False"}
        )
        probabilities = ClozeClassifier(*parts, task).predict_multi_label_proba(TEXTS[:1], LABELS)[0]
        classifier = make(parts, PAIRS, multi_label=True)
        found = classifier(TEXTS[0], LABELS, hypothesis_template="It is {}.")
        np.testing.assert_allclose(found["scores"], np.sort(probabilities)[::-1], atol=1e-5)
        assert found == classifier({"text": TEXTS[0]}, ", ".join(LABELS), hypothesis_template="It is {}.")
        assert len(classifier(TEXTS[0], LABELS, top_k=2)["labels"]) == 2

    def test_threshold(self, parts):
        classifier = make(parts, self.ABOUT, multi_label=True, candidate_labels=LABELS)
        scores = classifier(TEXTS[0])["scores"]
        for kept in range(4):
            threshold = [1.0, *(sum(scores[place : place + 2]) / 2 for place in range(2)), 0.0][kept]
            assert classifier(TEXTS[0], threshold=threshold)["scores"] == scores[:kept]

    def test_bad_rows(self, parts):
        classifier = make(parts, self.ABOUT, multi_label=True, candidate_labels=LABELS, on_error="record")
        first, bad, second = classifier([TEXTS[0], None, TEXTS[1]], batch_size=3)
        assert bad == {"row": 1, "error": "Field 'text' is missing (None): expected a text."}
        assert [first["sequence"], second["sequence"]] == TEXTS[:2]

    def test_saved(self, parts, tmp_path):
        make(parts, self.ABOUT).save_pretrained(tmp_path)
        loaded = pipeline("cloze-classification", model=str(tmp_path), device="cpu")
        found = loaded(TEXTS[0], LABELS, multi_label=True)
        expected = make(parts, self.ABOUT)(TEXTS[0], LABELS, multi_label=True)
        assert found["labels"] == expected["labels"]


class TestAnswerRule:
    def test_a_saved_threshold_abstains(self, parts, tmp_path):
        everything = make(parts, TASK)(TEXTS)
        middle = sum(sorted(answer["score"] for answer in everything)[1:3]) / 2
        sure = [answer["score"] >= middle for answer in everything]
        ruled = TASK.with_answer_rule({"threshold": middle})
        make(parts, ruled).save_pretrained(tmp_path)
        classifier = pipeline("cloze-classification", model=str(tmp_path), device="cpu")
        found = classifier(TEXTS)
        expected = [answer["label"] if is_sure else None for answer, is_sure in zip(everything, sure, strict=True)]
        assert [answer["label"] for answer in found] == expected
        np.testing.assert_allclose([a["score"] for a in found], [a["score"] for a in everything], atol=1e-6)
        for off in (None, 0):
            assert None not in [answer["label"] for answer in classifier(TEXTS, threshold=off)]
        assert len(classifier(TEXTS[0], top_k=None)) == 3  # lists keep all labels
        assert {answer["label"] for answer in classifier(TEXTS, threshold=1)} == {None}
        # Another calibration has other probabilities.
        with pytest.warns(UserWarning, match="was fitted for another calibration, so it is dropped"):
            assert None not in [answer["label"] for answer in classifier(TEXTS, temperature=100)]

    def test_a_threshold_shortens_lists(self, parts):
        classifier = make(parts, TASK)
        ranked = classifier(TEXTS[0], top_k=None)
        middle = (ranked[0]["score"] + ranked[1]["score"]) / 2
        assert classifier(TEXTS[0], top_k=None, threshold=middle) == ranked[:1]
        assert classifier(TEXTS[0], LABELS, threshold=1) == {"sequence": TEXTS[0], "labels": [], "scores": []}

    def test_prediction_sets(self, parts):
        ruled = TASK.with_answer_rule({"coverage": 0.9, "quantile": 0.7})
        expected = ClozeClassifier(*parts, ruled).predict_sets(TEXTS)
        found = make(parts, ruled)(TEXTS, prediction_sets=True, batch_size=2)
        assert [[answer["label"] for answer in listed] for listed in found] == expected
        alone = make(parts, ruled, prediction_sets=True)(TEXTS[0])
        np.testing.assert_allclose([a["score"] for a in alone], [a["score"] for a in found[0]], atol=1e-5)
        with pytest.raises(ValueError, match="There are no prediction sets"):
            make(parts, ruled)(TEXTS, prediction_sets=True, temperature=2.0)


class TestSaving:
    def test_folder_needs_no_code(self, parts, tmp_path):
        calibrated = make(parts, PAIRS, pattern=TASK, calibration="contextual", temperature=2.0)
        found = calibrated(TEXTS)
        calibrated.save_pretrained(tmp_path)
        assert calibrated.tokenizer.cloze == PAIRS.to_dict()
        assert "custom_pipelines" not in (tmp_path / "config.json").read_text(encoding="utf-8")
        again = pipeline("cloze-classification", model=str(tmp_path), device="cpu")(TEXTS)
        assert [entry["label"] for entry in again] == [entry["label"] for entry in found]
        np.testing.assert_allclose([entry["score"] for entry in again], [entry["score"] for entry in found], atol=1e-6)
        own = make(parts, PAIRS)
        own.save_pretrained(tmp_path)
        loaded = pipeline("cloze-classification", model=str(tmp_path), device="cpu")
        assert loaded.tokenizer.cloze == PAIRS.to_dict()

    def test_registering_twice(self, caplog):
        with caplog.at_level(logging.WARNING):
            register()
        assert not caplog.records


class TestErrorsOfPipeline:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({}, "There is no task: the tokenizer carries none. Give pattern= and words"),
            ({"pattern": "{text} It was."}, "has no words: give verbalizer= or candidate_labels="),
            ({"pattern": "{text} It was.", "candidate_labels": LABELS}, "has 0 blanks"),
            ({"pattern": "{text} [MASK] [MASK]", "candidate_labels": LABELS}, "has 2 blanks"),
            ({"pattern": "{a} [MASK]", "verbalizer": {"x": "x", "y": "y"}, "candidate_labels": LABELS}, "Give either verb"),
            ({"pattern": "{text} [MASK]", "hypothesis_template": "{}"}, "Give either pattern= or hypothesis_template="),
            ({"pattern": TASK, "candidate_labels": LABELS}, "a task with words of its own"),
            ({"verbalizer": {"x": "x", "y": "y"}}, "verbalizer= needs pattern=: give both"),
            ({"hypothesis_template": "It is {}."}, "hypothesis_template= needs candidate_labels=: give both"),
            ({"candidate_labels": []}, r"candidate_labels=\[\] is empty"),
            ({"candidate_labels": " , "}, "is empty: expected at least two labels"),
            ({"candidate_labels": ["x", "x"]}, "has a label twice"),
            ({"candidate_labels": "x"}, "expected at least two labels"),
            ({"candidate_labels": LABELS, "hypothesis_template": "It is so."}, "expected one {}, where the labels go"),
            ({"candidate_labels": LABELS, "hypothesis_template": "{} or {}"}, "expected one {}, where the labels go"),
            ({"candidate_labels": LABELS, "hypothesis_template": "{label}"}, "expected one {}, where the labels go"),
            ({"multi_label": True}, "give candidate_labels="),
            ({"pattern": TASK, "prediction_sets": True}, "There are no prediction sets: call fit_coverage"),
            ({"candidate_labels": LABELS, "top_k": 0}, "top_k=0"),
            ({"candidate_labels": LABELS, "calibration": "platt"}, "method 'platt'"),
            ({"candidate_labels": LABELS, "calibration": "pmi"}, "needs a domain_premise"),
            ({"candidate_labels": LABELS, "domain_premise": PREMISE}, "is for calibration='pmi', but it is None"),
            ({"pattern": PAIRS}, r"reads the fields \['hypothesis', 'premise'\]: give a dict with them"),
        ],
    )  # fmt: skip
    def test_settings(self, parts, settings, message):
        with pytest.raises(ValueError, match=message):
            make(parts)("Rome", **settings)

    def test_examples(self, parts):
        classifier = make(parts, PAIRS)
        with pytest.raises(ValueError, match="asks for a field 'hypothesis', but the example has"):
            classifier([{"premise": "Rome"}])
        with pytest.raises(ValueError, match="give a dict with them in place of 3"):
            classifier([3])
        with pytest.raises(ValueError, match="The input is a int"):
            classifier(3)
        with pytest.raises(ValueError, match="Give the examples once"):
            classifier()
        with pytest.raises(ValueError, match="Give the examples once"):
            classifier("x", sequences="x")
        with pytest.raises(TypeError, match=r"Unknown arguments \['template'\]"):
            classifier("x", template="{}")

    def test_when_it_is_made(self, parts, tmp_path):
        model, tokenizer = parts
        with pytest.raises(ValueError, match="has 0 blanks"):
            make(parts, pattern="{text}", candidate_labels=LABELS)
        with pytest.raises(ValueError, match="The model is a GLMForConditionalGeneration"):
            make((make_model(GLMForConditionalGeneration), tokenizer))
        with pytest.raises(ValueError, match="needs a tokenizer"):
            ClozeClassificationPipeline(model=model, device="cpu")
