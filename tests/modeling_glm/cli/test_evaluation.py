"""modeling-glm evaluate on the embedded checkpoint: reports, bad lines, and runs that resume."""

import json
import sys

import pytest

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.evaluation import partial_results
from modeling_glm.evaluation.causal.loading import load_causal_model
from modeling_glm.evaluation.choices import evaluate_choices
from modeling_glm.evaluation.perplexity import compute_perplexity
from modeling_glm.seq2seq import metrics
from modeling_glm.tokenization.seq2seq.detokenizers import detokenize_wikitext
from tests.support.causal import save_causal
from tests.support.command import objects

TINY = "examples/glm-tiny"
TEXTS = [
    "The number 4836 is written four thousand eight hundred and thirty-six.",
    "The time 19:20 has the hour 19 and the minute 20.",
    "HTTP status 404 is Not Found, a client error.",
]
QUESTIONS = [
    {"text": "HTTP status 404 is Not Found, a [MASK] error.", "choices": ["server", "client"], "label": "client"},
    {"inputs_pretokenized": "The time 19:20 is in the", "choices_pretokenized": [" morning", " evening"], "label": 1},
]


@pytest.fixture(scope="module")
def loaded():
    model = GLMForConditionalGeneration.from_pretrained(TINY, dtype="float32")
    return model.eval(), GLMTokenizer.from_pretrained(TINY)


def write(path, rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_perplexity_of_lines(run, tmp_path, loaded):
    file = write(tmp_path / "texts.txt", [TEXTS[0], "", *TEXTS[1:]])
    (report,) = objects(run("evaluate", "perplexity", TINY, file, "--window", 12, "--stride", 4))
    expected = compute_perplexity(*loaded, TEXTS, window=12, stride=4)
    assert report["metrics"]["perplexity"] == pytest.approx(expected.perplexity, rel=1e-4)
    assert report["metrics"]["original_loss"] == pytest.approx(expected.as_originals()["loss"], rel=1e-4)
    assert report["counts"] == expected.counts()
    assert report["settings"]["window"] == 12
    assert report["model"]["name"] == TINY
    assert report["model"]["dtype"] == "float32"
    assert {"python", "torch", "transformers", "modeling-glm"} <= set(report["versions"])
    assert len(report["file"]["sha256"]) == 64


def test_perplexity_of_one_document_with_defaults(run, tmp_path, loaded):
    file = write(tmp_path / "wiki.tokens", [" = Title = ", "", " The hour 19 @,@ 20 . "])
    options = ("--one-document", "--detokenize", "wikitext", "--unidirectional", "--score-first")
    (report,) = objects(run("evaluate", "perplexity", TINY, file, *options))
    text = file.read_text(encoding="utf-8")
    expected = compute_perplexity(*loaded, text, detokenize=detokenize_wikitext, unidirectional=True, score_first=True)
    assert report["metrics"]["loss"] == pytest.approx(expected.loss, rel=1e-4)
    assert report["counts"] == expected.counts()
    assert (report["settings"]["window"], report["settings"]["stride"]) == (255, 64)


def test_lambada_and_choices_with_details(run, tmp_path, loaded):
    file = write(tmp_path / "texts.jsonl", [{"text": text} for text in TEXTS])
    (report,) = objects(run("evaluate", "lambada", TINY, file, "--details", tmp_path / "details.jsonl"))
    details = [json.loads(line) for line in (tmp_path / "details.jsonl").read_text().splitlines()]
    assert [entry["line"] for entry in details] == [1, 2, 3]
    assert [entry["answer"] for entry in details] == ["thirty-six.", "20.", "error."]
    assert report["metrics"]["accuracy"] == pytest.approx(100 * sum(one["correct"] for one in details) / 3)

    questions = write(tmp_path / "questions.jsonl", QUESTIONS)
    (report,) = objects(run("evaluate", "choices", TINY, questions, "--details", tmp_path / "scores.jsonl"))
    expected = evaluate_choices(*loaded, QUESTIONS)
    assert report["metrics"] == pytest.approx(expected.metrics())
    scores = [json.loads(line)["scores"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    for found, wanted in zip(scores, expected.scores, strict=True):
        assert found == pytest.approx(wanted, abs=1e-4)


def test_choices_of_a_table(run, tmp_path):
    table = write(
        tmp_path / "questions.csv",
        ["text,choices,label", f'"{QUESTIONS[0]["text"]}",server|client,1', 'x [MASK],"[""a"", ""b""]",a'],
    )
    (report,) = objects(run("evaluate", "choices", TINY, table))
    assert report["counts"]["num_examples"] == 2


def test_choices_of_a_causal_model(run, tmp_path):
    folder = save_causal(tmp_path / "causal")
    questions = write(tmp_path / "questions.jsonl", QUESTIONS[:1])
    options = ("--scored", "behind", "--length-penalty", "1", "--length-unit", "character")
    (report,) = objects(run("evaluate", "choices", folder, questions, *options))
    expected = evaluate_choices(
        *load_causal_model(str(folder)), QUESTIONS[:1], scored="behind", length_penalty=1, length_unit="character"
    )
    assert report["metrics"] == pytest.approx(expected.metrics())
    assert report["settings"]["scored"] == "behind"


def test_a_cell_that_begins_with_a_bracket_is_no_json(run, tmp_path):
    table = write(tmp_path / "questions.csv", ["text,choices,label", "The token is,[MASK]|[CLS],1"])
    (report,) = objects(run("evaluate", "choices", TINY, table))
    assert report["counts"]["num_examples"] == 1


def test_a_text_field_comes_before_that_of_the_authors(run, tmp_path):
    question = {
        "inputs_pretokenized": "no blank",
        "choices_pretokenized": ["a", "b"],
        "label": 0,
        "prompt2": "x [MASK]",
    }
    file = write(tmp_path / "questions.jsonl", [question])
    (report,) = objects(run("evaluate", "choices", TINY, file, "--text-field", "prompt2"))
    assert report["counts"]["num_examples"] == 1


def test_a_text_field_that_a_line_lacks_is_an_error(run, tmp_path):
    file = write(tmp_path / "questions.jsonl", QUESTIONS)
    code, _, err = run("evaluate", "choices", TINY, file, "--text-field", "question")
    assert code == 1
    assert f'line 1 of {file} has no "question"' in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--details", "FILE"), "--details and FILE are the same file"),
        (("--output", "FILE"), "--output and FILE are the same file"),
        (("--output", "FILE.json", "--details", "FILE.json"), "--output and --details are the same file"),
        (("--output", "FOLDER"), "is a folder: name a file in it"),
    ],
)
def test_files_to_write_are_checked_first(run, tmp_path, options, message):
    file = write(tmp_path / "questions.jsonl", QUESTIONS)
    before = file.read_text()
    named = [option.replace("FILE", str(file)).replace("FOLDER", str(tmp_path)) for option in options]
    code, out, err = run("evaluate", "choices", TINY, file, *named)
    assert (code, out) == (1, "")
    assert message in err
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


def test_infilling_for_people_and_programs(run, tmp_path):
    file = write(tmp_path / "texts.txt", TEXTS)
    options = ("--ratio", 0.1, "--ratio", 0.2, "--max-new-tokens", 4)
    (report,) = objects(run("evaluate", "infilling", TINY, file, *options, "--details", tmp_path / "filled.jsonl"))
    assert set(report["metrics"]) == {"0.1", "0.2"}
    assert set(report["metrics"]["0.2"]) == {"bleu", "exact_match", "answer_perplexity", "log_prob"}
    filled = [json.loads(line) for line in (tmp_path / "filled.jsonl").read_text().splitlines()]
    assert [one["line"] for one in filled if one["ratio"] == 0.2] == [1, 2, 3]
    result = run("evaluate", "infilling", TINY, file, *options, "--format", "text")
    assert result.returncode == 0
    header, first, *_ = result.stdout.splitlines()
    assert header.split()[:2] == ["ratio", "bleu"]
    assert first.split()[:2] == ["0.1", f"{report['metrics']['0.1']['bleu']:.2f}"]


def test_a_table_is_for_people(run, tmp_path):
    file = write(tmp_path / "texts.txt", TEXTS)
    result = run("evaluate", "perplexity", TINY, file, "--format", "text")
    assert result.returncode == 0
    assert "word perplexity" in result.stdout
    assert "{" not in result.stdout


@pytest.mark.parametrize(
    ("measure", "rows", "message"),
    [
        ("lambada", [{"text": "a b"}, "", {"text": " "}], "line 3 of FILE has no word"),
        ("lambada", [{"text": "a b"}, {"sentence": "a"}], 'line 2 of FILE has no "text"'),
        ("perplexity", ["{"], "line 1 of FILE is not a JSON object"),
        ("choices", [QUESTIONS[0], {"text": "a", "label": 0}], "line 2 of FILE has no 'choices'"),
        ("choices", [{**QUESTIONS[0], "label": 2}], "line 1 of FILE: label=2: expected 0 to 1"),
        ("choices", ["[1, 2]"], "line 1 of FILE is a JSON list"),
        ("infilling", [{"text": "a [MASK]"}], "line 1 of FILE has a blank already"),
        ("perplexity", [{"text": "The"}], "There is no token to score: the longest of 1 texts has 1 tokens"),
        ("perplexity", [], "FILE is empty"),
    ],
)
def test_bad_lines_are_named(run, tmp_path, measure, rows, message):
    file = write(tmp_path / "rows.jsonl", rows)
    code, out, err = run("evaluate", measure, TINY, file, "--output", tmp_path / "report.json")
    assert (code, out) == (1, "")
    assert message.replace("FILE", str(file)) in err
    assert not list(tmp_path.glob("report*"))


def test_bad_lines_can_be_left_out(run, tmp_path):
    file = write(tmp_path / "rows.jsonl", [{"text": TEXTS[0]}, "", {"text": ""}, {"text": TEXTS[1]}])
    (report,) = objects(run("evaluate", "lambada", TINY, file, "--skip-errors"))
    assert report["counts"]["num_examples"] == 2
    assert [error["line"] for error in report["errors"]] == [3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--window", 300), "window=300: expected 2 to 256"),
        (("--window", 20, "--stride", 21), "stride=21: expected 1 to 20"),
        (("--one-document",), "--one-document reads a plain text"),
    ],
)
def test_wrong_settings(run, tmp_path, options, message):
    file = write(tmp_path / "rows.jsonl", [{"text": TEXTS[0]}])
    code, _, err = run("evaluate", "perplexity", TINY, file, *options)
    assert code == 1
    assert message in err


def test_a_missing_file_and_a_missing_package(run, tmp_path, monkeypatch):
    code, _, err = run("evaluate", "lambada", TINY, tmp_path / "none.jsonl")
    assert code == 1
    assert "none.jsonl" in err
    metrics._import_package.cache_clear()
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    code, _, err = run("evaluate", "infilling", TINY, write(tmp_path / "texts.txt", TEXTS))
    assert code == 1
    assert "sacrebleu: pip install 'modeling-glm[eval]'" in err


def test_an_interrupted_run_resumes(run, tmp_path, monkeypatch):
    file, output = write(tmp_path / "texts.txt", TEXTS), tmp_path / "out" / "report.json"
    command = ("evaluate", "perplexity", TINY, file, "--window", 8, "--stride", 2, "--batch-size", 4, "-o", output)
    add, batches = partial_results.PartialResults.add, []

    def interrupt(self, results):
        add(self, results)
        batches.append(sorted(results))
        if len(batches) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(partial_results.PartialResults, "add", interrupt)
    code, _, err = run(*command)
    assert code == 130
    assert "run the same command again to resume" in err
    assert not output.exists()
    kept = output.with_name("report.json.partial")
    assert kept.exists()
    (report,) = objects(run(*command))
    assert not kept.exists()
    assert json.loads(output.read_text()) == report
    done = [number for batch in batches for number in batch]
    assert sorted(done) == list(range(report["counts"]["num_windows"]))
    (whole,) = objects(run(*command[:-2]))
    assert report["metrics"] == pytest.approx(whole["metrics"], rel=1e-5)
