"""Choices of a causal model: the numbers of lm-evaluation-harness, resumed runs, and arguments."""

import json

import pytest

from modeling_glm import GLMTokenizer
from modeling_glm.evaluation.causal.choices import is_causal
from modeling_glm.evaluation.choices import evaluate_choices
from tests.support.causal import make_causal_model, make_causal_tokenizer
from tests.support.models import make_text_model
from tests.support.paths import EXAMPLES

ROWS = [
    {"text": "Paris is the capital of", "choices": ["France", "Italy and Rome", "the lazy dog"], "label": 0},
    {"text": "The year", "choices": ["1987", "404 was found."], "label": 1},
    {"text": "The quick [MASK] jumps over the dog.", "choices": ["fox", "brown cat"], "label": 0},
]


@pytest.fixture(scope="module")
def tokenizer():
    return make_causal_tokenizer()


@pytest.fixture(scope="module")
def model():
    return make_causal_model()


@pytest.fixture(scope="module")
def glm_tokenizer():
    return GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")


def test_scores_are_those_of_the_harness(model, tokenizer):
    """The harness' own model for Transformers is the one with which published numbers are measured."""
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2)
    requests, found = [], evaluate_choices(model, tokenizer, ROWS)
    for row in ROWS:
        before, _, behind = row["text"].partition(" [MASK]")
        for choice in row["choices"]:
            requests.append(Instance("loglikelihood", {}, (before, f" {choice}{behind}"), 0))
    expected = [log_prob for log_prob, _ in harness.loglikelihood(requests, disable_tqdm=True)]
    assert [score for scores in found.scores for score in scores] == pytest.approx(expected, abs=1e-4)
    behind = evaluate_choices(model, tokenizer, ROWS[2:], scored="behind")
    requests = [
        Instance("loglikelihood", {}, (f"The quick {choice}", " jumps over the dog."), 0)
        for choice in ROWS[2]["choices"]
    ]
    expected = [log_prob for log_prob, _ in harness.loglikelihood(requests, disable_tqdm=True)]
    assert list(behind.scores[0]) == pytest.approx(expected, abs=1e-4)


def test_lengths(model, tokenizer):
    plain, *others = (
        evaluate_choices(model, tokenizer, ROWS[:2], length_penalty=penalty, length_unit=unit)
        for penalty, unit in ((0, "token"), (1, "token"), (1, "character"), (0.5, "character"))
    )
    token_counts = [
        [len(tokenizer(f" {choice}", add_special_tokens=False)["input_ids"]) for choice in row["choices"]]
        for row in ROWS[:2]
    ]
    characters = [[len(choice) for choice in row["choices"]] for row in ROWS[:2]]
    for found, counts, power in zip(others, (token_counts, characters, characters), (1, 1, 0.5), strict=True):
        for scores, raw, of_row in zip(found.scores, plain.scores, counts, strict=True):
            expected = [score / count**power for score, count in zip(raw, of_row, strict=True)]
            assert scores == pytest.approx(expected)


def test_batches_change_nothing_and_runs_resume(model, tokenizer, tmp_path):
    file = tmp_path / "choices.partial"
    once = evaluate_choices(model, tokenizer, ROWS, batch_size=1, partial_file=file)
    lines = file.read_text().splitlines()
    assert json.loads(lines[0])["scored"] == "sentence"
    assert len(lines) == 4
    file.write_text("\n".join(lines[:2]) + "\n")
    again = evaluate_choices(model, tokenizer, ROWS, batch_size=3, partial_file=file)
    for first, second in zip(once.scores, again.scores, strict=True):
        assert first == pytest.approx(second, abs=1e-5)
    with pytest.raises(ValueError, match="scored='sentence', but this run has scored='behind'"):
        evaluate_choices(model, tokenizer, ROWS[2:], scored="behind", partial_file=file)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scored": "all"}, "scored='all': expected 'sentence' or 'behind'"),
        ({"length_unit": "word"}, "length_unit='word': expected 'token' or 'character'"),
        ({"max_length": 65}, "max_length=65: expected 2 to 64, because config.max_position_embeddings=64"),
    ],
)
def test_bad_arguments(model, tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_choices(model, tokenizer, ROWS, **options)


def test_a_glm_is_not_causal(model, glm_tokenizer):
    glm = make_text_model(glm_tokenizer)
    assert is_causal(model)
    assert not is_causal(glm)
    with pytest.raises(ValueError, match="scored='behind' is for causal models"):
        evaluate_choices(glm, glm_tokenizer, ROWS, scored="behind")
