"""Fine-tuning: what is trained, how it resumes, how answers are measured, and what is refused before it starts."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMTokenizer
from modeling_glm.runs.manifest import last_good_checkpoint
from modeling_glm.seq2seq.arguments import Seq2SeqRunArguments
from modeling_glm.seq2seq.decoding import SearchSettings
from modeling_glm.seq2seq.predictions import encode_prompt, predict_targets
from modeling_glm.seq2seq.sources import Columns, Seq2SeqData
from modeling_glm.seq2seq.training import (
    Seq2SeqSettings,
    build_collator,
    build_model,
    evaluate,
    load_collator,
    predict,
    set_defaults,
    train,
)
from modeling_glm.utils.rows import RowError
from tests.support.seq2seq_runs import make_rows

ROWS = make_rows(12)
DATA = Seq2SeqData(name="reverse", columns=Columns(), train=ROWS[:8], validation=ROWS[8:10], test=ROWS[10:])
SEARCH = SearchSettings(max_new_tokens=4)


def make_run_arguments(folder, **settings) -> Seq2SeqRunArguments:
    defaults = {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-3, "num_train_epochs": 1}
    defaults |= {"use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False}
    return Seq2SeqRunArguments(str(folder), **{**defaults, **settings})


@pytest.fixture(scope="module")
def loaded(saved) -> GLMTokenizer:
    """The tokenizer as it is loaded: it knows the position table."""
    return GLMTokenizer.from_pretrained(saved)


@pytest.fixture
def settings(saved):
    return Seq2SeqSettings(model=str(saved))


class TestTrain:
    def run(self, loaded, settings, folder, data=DATA, **arguments):
        model, collator = build_model(settings, seed=0), build_collator(loaded, data, settings)
        log = train(model, collator, data, settings, SEARCH, make_run_arguments(folder, **arguments))
        return model, log

    @pytest.mark.parametrize("lora_rank", [0, 2])
    def test_checkpoints_carry_the_pattern(self, loaded, settings, tmp_path, lora_rank):
        _, log = self.run(loaded, replace(settings, lora_rank=lora_rank), tmp_path)
        assert log[-1]["step"] == 2
        assert any("eval_loss" in entry for entry in log)
        checkpoint = last_good_checkpoint(tmp_path).path
        loaded = DataCollatorForInfillingSeq2Seq.from_pretrained(checkpoint, GLMTokenizer.from_pretrained(checkpoint))
        assert (loaded.pattern, loaded.target) == ("{source|shorten} [gMASK]", "target")
        assert (checkpoint / "adapter_config.json").is_file() == bool(lora_rank)

    def test_a_run_resumes(self, loaded, settings, tmp_path):
        arguments = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "load_best_model_at_end": False}
        arguments["save_total_limit"] = None
        expected, _ = self.run(loaded, settings, tmp_path / "run", **arguments)
        for path in (tmp_path / "run" / "checkpoint-4").iterdir():
            path.unlink()
        (tmp_path / "run" / "checkpoint-4").rmdir()
        resumed, _ = self.run(loaded, settings, tmp_path / "run", **arguments)
        for name, value in expected.state_dict().items():
            assert torch.equal(resumed.state_dict()[name], value), name

    def test_another_run_is_refused(self, loaded, settings, tmp_path):
        self.run(loaded, settings, tmp_path)
        for data, changed, message in (
            (replace(DATA, train=ROWS[1:8]), {}, "examples"),
            (replace(DATA, columns=Columns(pattern="{source} [MASK]")), {}, "pattern"),
            (DATA, {"label_smoothing_factor": 0.0}, "arguments"),
        ):
            with pytest.raises(ValueError, match=f"holds a run with other {message}: choose another output_dir"):
                self.run(loaded, settings, tmp_path, data, **changed)
        with pytest.raises(ValueError, match="holds a run with other settings"):
            self.run(loaded, replace(settings, lora_rank=2), tmp_path)

    def test_bad_rows_are_refused_before_training(self, loaded, settings, tmp_path):
        long = {"source": "red", "target": "word " * 200}
        for data, message in (
            (replace(DATA, train=[*ROWS[:2], long]), "Training row 2: .*1002 tokens .* position table"),
            (replace(DATA, train=[*ROWS[:2], long]), r"The row is \{'source': 'red', 'target': 'word word "),
            (replace(DATA, validation=[long]), "Validation row 0: .*position table"),
            (
                replace(
                    DATA, columns=Columns(pattern="{source} [MASK]"), test=[{"source": "a b " * 99, "target": "x"}]
                ),
                r"Test row 0: .*\|shorten. The row is \{'source': 'a b a b",
            ),
        ):
            with pytest.raises(RowError, match=message):
                self.run(loaded, settings, tmp_path / "run", data)
        assert not (tmp_path / "run").exists()

    def test_what_only_shows_after_training_is_refused_before_it(self, loaded, settings, tmp_path):
        with pytest.raises(ValueError, match="metric_for_best_model is 'rouge1', but without predict_with_generate"):
            self.run(loaded, settings, tmp_path / "run", metric_for_best_model="rouge1")
        collator, arguments = build_collator(loaded, DATA, settings), make_run_arguments(tmp_path / "run")
        for search, message in (
            (SearchSettings(num_beams=0), "num_beams=0: expected at least 1"),
            (SearchSettings(original_search=True), "original_search=True needs max_new_tokens"),
        ):
            with pytest.raises(ValueError, match=message):
                train(build_model(settings, seed=0), collator, DATA, settings, search, arguments)
        assert not (tmp_path / "run").exists()

    def test_beams_of_the_originals_fill_one_blank(self, loaded, settings, tmp_path):
        """Their search says so only when it runs, after the training."""
        columns = Columns(pattern="{source} [MASK] and [MASK]")
        rows = [{"source": "red", "target": ["a", "b"]}]
        data = replace(DATA, columns=columns, train=rows, validation=rows, test=rows)
        collator, arguments = build_collator(loaded, data, settings), make_run_arguments(tmp_path / "run")
        search = SearchSettings(original_search=True, num_beams=2, max_new_tokens=4)
        model = build_model(settings, seed=0)
        message = r"Test row 0: The row has 2 blanks, but the beams of original_search=True fill one: give num_beams=1"
        with pytest.raises(RowError, match=message):
            train(model, collator, data, settings, search, arguments)
        assert not (tmp_path / "run").exists()
        (recorded,) = predict(model, collator, rows, search)
        assert recorded.reason.startswith("The row has 2 blanks")
        (found,) = predict(model, collator, rows, replace(search, original_search=False))
        assert len(found.answers) == 2
        for possible in ((True, 1), (False, 2)):
            ids = encode_prompt(collator, rows[0], original_search=possible[0], num_beams=possible[1])
            assert ids == collator.encode_prompt(rows[0])

    def test_without_validation_the_last_checkpoint_counts(self, loaded, settings, tmp_path):
        _, log = self.run(loaded, settings, tmp_path, replace(DATA, validation=[]))
        assert not any("eval_loss" in entry for entry in log)
        assert last_good_checkpoint(tmp_path).path.name == "checkpoint-2"

    def test_the_best_model_may_be_chosen_by_answers(self, loaded, settings, tmp_path):
        data = replace(DATA, metrics=("exact_match", "rouge"))
        _, log = self.run(
            loaded, settings, tmp_path, data, predict_with_generate=True, metric_for_best_model="exact_match"
        )
        (found,) = [entry for entry in log if "eval_exact_match" in entry]
        assert {"eval_loss", "eval_rouge1"} <= set(found)


class TestEvaluate:
    def test_answers_are_those_of_predict_targets(self, loaded, ending):
        settings = Seq2SeqSettings(model=str(ending))
        model, collator = build_model(settings, 0, trainable=False), build_collator(loaded, DATA, settings)
        unlabelled = [
            {"source": "blue"},
            ValueError("The line is bad."),
            {"source": " "},
            {"other": "x"},
            {"source": "red"},
        ]
        data = replace(DATA, unlabelled=unlabelled, metrics=("exact_match",))
        outcome = evaluate(model, collator, data, SEARCH, batch_size=2)
        expected = predict_targets(model, collator, DATA.test, max_new_tokens=4)
        assert [found.text for found in outcome.predictions] == [found.text for found in expected]
        assert outcome.rows == DATA.test
        hits = [found.text == row["target"] for found, row in zip(expected, DATA.test, strict=True)]
        assert outcome.metrics == {"exact_match": 100 * np.mean(hits)}
        first, *bad, last = outcome.unlabelled
        again = predict_targets(model, collator, ["blue", "red"], max_new_tokens=4)
        assert [first.text, last.text] == [found.text for found in again]
        assert [error.reason for error in bad[:2]] == ["The line is bad.", "The line has an empty source: source."]
        assert "no column 'source'" in bad[2].reason

    def test_the_gold_as_prediction_scores_100(self, loaded, ending, monkeypatch):
        settings = Seq2SeqSettings(model=str(ending))
        model, collator = build_model(settings, 0, trainable=False), build_collator(loaded, DATA, settings)
        found = predict(model, collator, DATA.test, SEARCH)
        gold = [
            replace(one, answers=(row["target"],), text=row["target"])
            for one, row in zip(found, DATA.test, strict=True)
        ]
        monkeypatch.setattr("modeling_glm.seq2seq.training.predict_targets", lambda *args, **kwargs: gold)
        outcome = evaluate(
            model, collator, replace(DATA, metrics=("rouge", "bleu", "chrf", "exact_match", "squad")), SEARCH
        )
        scores = {name: score for name, score in outcome.metrics.items() if name != "rouge2"}
        assert scores == pytest.approx(dict.fromkeys(scores, 100.0))

    def test_windows_of_a_question_make_one_answer(self, loaded, ending, monkeypatch):
        columns = Columns(pattern="{question} [MASK]. {context}", compared="references")
        rows = [
            {"question": "q", "context": "c", "target": "N/A", "references": ["red"], "id": 1, "window": 0},
            {"question": "q", "context": "d", "target": "red", "references": ["red"], "id": 1, "window": 1},
        ]
        data = Seq2SeqData(name="squad", columns=columns, test=rows, metrics=("squad",))
        settings = Seq2SeqSettings(model=str(ending))
        model, collator = build_model(settings, 0, trainable=False), build_collator(loaded, data, settings)
        found = predict(model, collator, rows, SEARCH)
        answers = [replace(found[0], answers=(text,), text=text) for text in ("N/A", "red")]
        monkeypatch.setattr("modeling_glm.seq2seq.training.predict_targets", lambda *args, **kwargs: answers)
        assert evaluate(model, collator, data, SEARCH).metrics == {"squad_exact_match": 100, "squad_f1": 100}

    def test_a_row_to_report_on_that_does_not_fit(self, loaded, ending):
        settings = Seq2SeqSettings(model=str(ending))
        data = replace(
            DATA, columns=Columns(pattern="{source} [MASK]"), test=[ROWS[0], {"source": "a b " * 99, "target": "x"}]
        )
        model, collator = build_model(settings, 0, trainable=False), build_collator(loaded, data, settings)
        with pytest.raises(RowError, match="Test row 1: "):
            evaluate(model, collator, data, SEARCH)


def test_load_collator(loaded, saved, tmp_path):
    assert load_collator(str(saved), loaded, Seq2SeqSettings(model=str(saved))) is None
    DataCollatorForInfillingSeq2Seq(loaded, "{a} [MASK]", target="b", max_source_length=9).save_pretrained(tmp_path)
    settings = Seq2SeqSettings(model=str(tmp_path), max_source_length=12)
    loaded = load_collator(str(tmp_path), loaded, settings)
    assert (loaded.pattern, loaded.target, loaded.max_source_length) == ("{a} [MASK]", "b", 12)


def test_defaults(saved, tmp_path):
    model = build_model(Seq2SeqSettings(model=str(saved)), seed=0)
    chosen = make_run_arguments(tmp_path, learning_rate=0.0, num_train_epochs=0.0)
    set_defaults(chosen, model, 8)
    assert (chosen.learning_rate, chosen.num_train_epochs) == (5e-4, 60)


def test_the_learning_rate_ends_at_its_share(loaded, settings, tmp_path):
    arguments = make_run_arguments(tmp_path, min_lr_ratio=0.1, max_steps=10, warmup_steps=2, logging_steps=1)
    model, collator = build_model(settings, seed=0), build_collator(loaded, DATA, settings)
    set_defaults(arguments, model, 8)
    log = train(model, collator, replace(DATA, validation=[]), settings, SEARCH, arguments)
    rates = [float(entry["learning_rate"]) for entry in log if "learning_rate" in entry]
    # Two steps of warm-up, then linear from 1e-3 to 1e-4 in eight steps.
    assert rates == pytest.approx([0, 5e-4, *(1e-3 - 9e-4 * step / 8 for step in range(8))], abs=1e-6)


@pytest.mark.parametrize("steps", [{"max_steps": 1}, {"max_steps": -1, "num_train_epochs": 1}])
def test_a_run_that_is_all_warm_up(loaded, settings, tmp_path, steps):
    arguments = make_run_arguments(tmp_path, min_lr_ratio=0.1, gradient_accumulation_steps=2, **steps)
    model, collator = build_model(settings, seed=0), build_collator(loaded, DATA, settings)
    set_defaults(arguments, model, 8)
    assert arguments.warmup_steps == 0
    log = train(model, collator, replace(DATA, validation=[]), settings, SEARCH, arguments)
    assert log[-1]["step"] == 1


def test_json_of_the_description(loaded, settings, tmp_path):
    model, collator = build_model(settings, seed=0), build_collator(loaded, DATA, settings)
    train(model, collator, DATA, settings, SEARCH, make_run_arguments(tmp_path, max_steps=1))
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["pattern"] == "{source|shorten} [gMASK]"
    assert set(described) == {"pattern", "examples", "settings", "arguments"}
