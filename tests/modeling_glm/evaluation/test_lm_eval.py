"""lm-evaluation-harness from its tasks to its results: local tasks of every output type, as our own evaluation finds them."""

import configparser
import importlib.util
import json
import math
import re
import sys
from functools import partial
from pathlib import Path

import datasets
import pytest
import yaml
from lm_eval import simple_evaluate
from lm_eval.api.registry import get_model, model_registry
from lm_eval.tasks import TaskManager

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.evaluation import lm_eval
from modeling_glm.evaluation.choices import evaluate_choices
from modeling_glm.evaluation.lambada import evaluate_lambada
from modeling_glm.evaluation.lm_eval import GLMHarnessModel
from modeling_glm.evaluation.perplexity import compute_perplexity
from tests.support.models import TEXTS, make_text_model
from tests.support.paths import ROOT

LINES = [*TEXTS[:3], "Rome is a city", "The lazy dog and the quick cat were not found in the year 404."]
CHOICES = [
    {"text": "Paris is the [MASK] of France.", "choices": ["capital", "lazy dog", "fox"], "label": 0},
    {"text": "In the [MASK], the number was not found.", "choices": ["year", "dog"], "label": 0},
    {"text": "The quick brown [MASK] jumps.", "choices": ["over", "fox"], "label": 1},
    {"text": "Rome is the capital of", "choices": ["Italy", "the lazy dog"], "label": 0},
    {"text": "Paris is", "choices": ["the capital", "a city"], "label": 0},
]
LAST_WORD = "{{text.rsplit(' ', 1)[0]}}", "{{' ' + text.rsplit(' ', 1)[1]}}"
TASKS = {
    "choices": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{text}}",
        "doc_to_choice": "choices",
        "doc_to_target": "label",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    },
    "last_word": {
        "output_type": "loglikelihood",
        "doc_to_text": LAST_WORD[0],
        "doc_to_target": LAST_WORD[1],
        "target_delimiter": "",
        "metric_list": [
            {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
            {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
        ],
    },
    "texts": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [
            {"metric": name, "aggregation": aggregation, "higher_is_better": False}
            for name, aggregation in {
                "word_perplexity": "weighted_perplexity",
                "bits_per_byte": "bits_per_byte",
            }.items()
        ],
    },
    "written": {
        "output_type": "generate_until",
        "doc_to_text": LAST_WORD[0],
        "doc_to_target": "{{text}}",
        "generation_kwargs": {"until": ["."], "max_gen_toks": 5, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer) -> Path:
    """Write a model, the data of the tasks and the tasks. Nothing comes from the network, or goes to the home folder."""
    folder = tmp_path_factory.mktemp("tasks")
    make_text_model(tokenizer).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    for name, task in TASKS.items():
        rows = CHOICES if name == "choices" else [{"text": line} for line in LINES]
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        source = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}, "test_split": "test"}
        settings = {"task": f"local_{name}", **source, **task, "metadata": {"version": 1}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


def evaluate(folder: Path, **options) -> dict:
    """Run all tasks through the harness, found by the name of the model."""
    return simple_evaluate(
        model="glm",
        model_args={"pretrained": str(folder / "model"), **options},
        tasks=[f"local_{name}" for name in TASKS],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        batch_size=2,
        device="cpu",
        bootstrap_iters=0,
    )


@pytest.fixture(scope="module")
def results(folder, offline) -> dict:
    return evaluate(folder)


@pytest.fixture(scope="module")
def model(folder) -> GLMForConditionalGeneration:
    return GLMForConditionalGeneration.from_pretrained(folder / "model", dtype="float32")


def responses(results: dict, name: str) -> list:
    """Return the model's answers to a task, by the number of the document."""
    samples = sorted(results["samples"][f"local_{name}"], key=lambda sample: sample["doc_id"])
    return [sample["filtered_resps"] for sample in samples]


def test_multiple_choice_is_that_of_our_evaluation(results, model, tokenizer):
    ours = evaluate_choices(model, tokenizer, CHOICES)
    found = [[score for score, _ in row] for row in responses(results, "choices")]
    for row, expected in zip(found, ours.scores, strict=True):
        assert row == pytest.approx(list(expected), rel=1e-6)
    assert 100 * results["results"]["local_choices"]["acc,none"] == pytest.approx(ours.accuracy)


def test_loglikelihood_is_that_of_our_lambada(results, model, tokenizer):
    ours = evaluate_lambada(model, tokenizer, LINES)
    found = [answer for (answer,) in responses(results, "last_word")]
    assert [score for score, _ in found] == pytest.approx(list(ours.log_probs), rel=1e-6)
    assert [greedy for _, greedy in found] == list(ours.correct)
    found = results["results"]["local_last_word"]
    assert 100 * found["acc,none"] == pytest.approx(ours.accuracy)
    assert math.log(found["perplexity,none"]) == pytest.approx(math.log(ours.perplexity), rel=1e-6)


def test_rolling_is_that_of_our_perplexity(results, model, tokenizer):
    ours = compute_perplexity(model, tokenizer, LINES, score_first=True)
    found = results["results"]["local_texts"]
    assert sum(score for (score,) in responses(results, "texts")) == pytest.approx(ours.log_prob, rel=1e-6)
    assert math.log(found["word_perplexity,none"]) == pytest.approx(math.log(ours.word_perplexity), rel=1e-6)
    assert found["bits_per_byte,none"] == pytest.approx(ours.bits_per_byte, rel=1e-6)


def test_generated_texts_end_at_stop_strings(results, model, tokenizer):
    for line, (text,) in zip(LINES, responses(results, "written"), strict=True):
        inputs = tokenizer(f"{line.rsplit(' ', 1)[0]} [gMASK]", return_tensors="pt")
        ((answer,),) = tokenizer.decode_blanks(model.generate(**inputs, max_new_tokens=5, do_sample=False))
        assert text == answer.literal.partition(".")[0]


def test_results_say_how_the_model_was_read(results):
    assert results["config"]["glm_mask_token"] == "[gMASK]"
    assert results["config"]["batch_size"] == 2


def test_options_reach_the_model(folder, offline, model, tokenizer):
    results = evaluate(folder, window=9, stride=4, unidirectional=True, mask_token="[MASK]", read_blanks=False)
    ours = compute_perplexity(model, tokenizer, LINES, window=9, stride=4, unidirectional=True, score_first=True)
    other = compute_perplexity(model, tokenizer, LINES, window=9, stride=4, score_first=True)
    assert results["config"]["glm_mask_token"] == "[MASK]"
    found = results["results"]["local_texts"]["bits_per_byte,none"]
    assert abs(found - ours.bits_per_byte) > 1e-3  # the other mask
    assert found != pytest.approx(other.bits_per_byte, abs=1e-3)


def test_the_command_registers_the_model(folder, offline, tmp_path, monkeypatch, capsys):
    arguments = (
        f"--model glm --model_args pretrained={folder / 'model'} --tasks local_choices --device cpu --batch_size 3"
    )
    folders = ["--include_path", str(folder), "--output_path", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["lm_eval", *arguments.split(), *folders])
    own_tasks = partial(TaskManager, include_defaults=False)  # reading those of the harness takes long
    monkeypatch.setattr("lm_eval.tasks.TaskManager", own_tasks)
    lm_eval.main()
    assert "local_choices" in capsys.readouterr().out
    (written,) = (tmp_path / "out").rglob("results_*.json")
    found = json.loads(written.read_text(encoding="utf-8"))
    assert found["config"]["model"] == "glm"
    assert found["results"]["local_choices"]["acc,none"] in (0, 0.2, 0.4, 0.6, 0.8, 1)


def test_the_name_is_registered_once():
    assert get_model("glm") is GLMHarnessModel
    lm_eval.register()
    assert model_registry["glm"] is GLMHarnessModel


def test_the_entry_point_names_the_class():
    """Versions of the harness that look for entry points find the class there. It does not register itself."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    name, _, target = settings["options.entry_points"]["lm_eval.models"].strip().partition(" = ")
    module, _, attribute = target.partition(":")
    assert name == "glm"
    assert getattr(importlib.import_module(module), attribute) is GLMHarnessModel


def test_the_guide_names_tasks_of_the_harness():
    """A task is a file that names itself, a group or a tag."""
    guide = (ROOT / "docs" / "guides" / "evaluate.md").read_text(encoding="utf-8")
    rows = [line for line in guide.splitlines() if line.startswith("| ") and "--tasks" in line]
    named = {name.removeprefix("--tasks ") for row in rows for name in re.findall("`([^`]+)`", row)}
    tasks = Path(importlib.util.find_spec("lm_eval.tasks").origin).parent
    folders = ("blimp", "hellaswag", "lambada", "piqa", "race", "super_glue", "wikitext")
    files = [path.read_text(encoding="utf-8") for folder in folders for path in (tasks / folder).rglob("*.yaml")]
    known = {
        name for text in files for name in re.findall(r"""^(?:task:|group:|  -) *"?([\w-]+)"?$""", text, re.MULTILINE)
    }
    assert len(named) == 15
    assert named <= known


def test_a_missing_harness_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", None)
    spec = importlib.util.find_spec("modeling_glm.evaluation.harness")
    with pytest.raises(ImportError, match=r"pip install 'modeling-glm\[eval\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
