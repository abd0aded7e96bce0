"""The code in model cards runs, for every class and every vocabulary."""

import re
from pathlib import Path

import pytest
import torch

from modeling_glm import (
    GLMConfig,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForSequenceClassification,
    GLMTokenizer,
    PatternVerbalizer,
)
from modeling_glm.hub.card import PIPELINE_TAGS, create_model_card, write_model_card
from tests.support.models import make_model, randomise, tiny_config
from tests.support.original_files import VOCABULARIES, write_vocabulary

TEXTS = ["The quick brown fox jumps over the lazy dog.", "Paris is the capital of France."]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small tensors gain nothing from threads, which wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer() -> GLMTokenizer:
    return GLMTokenizer.train_from_iterator(TEXTS * 10, 300)


@pytest.fixture(
    scope="module",
    params=["trained", *(pytest.param(family, marks=pytest.mark.slow) for family in VOCABULARIES)],
)
def any_tokenizer(request, tmp_path_factory) -> GLMTokenizer:
    """A tokenizer with each vocabulary of the originals, and one with a new one."""
    if request.param == "trained":
        return GLMTokenizer.train_from_iterator(TEXTS * 10, 300)
    return GLMTokenizer.from_pretrained(write_vocabulary(request.param, tmp_path_factory.mktemp(request.param)))


def config_for(tokenizer: GLMTokenizer, **overrides) -> GLMConfig:
    settings = {"vocab_size": len(tokenizer), "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    settings["max_position_embeddings"] = 80 if len(tokenizer) < 1000 else 32  # as texts need in tokens
    return tiny_config(
        **{
            **settings,
            **dict.fromkeys(("smask_token_id", "gmask_token_id")),
            **tokenizer.special_token_ids,
            **overrides,
        }
    )


def save(model_class, tokenizer: GLMTokenizer, folder: Path, monkeypatch, **overrides) -> Path:
    """Save a model, its tokenizer and its card to the folder "model" in the working directory. Returns the card."""
    model = randomise(model_class(config_for(tokenizer, **overrides)))
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    monkeypatch.chdir(folder)
    return write_model_card("model", model, tokenizer)


def snippets(card: str) -> dict[str, str]:
    return dict(re.findall(r"### ([^\n]+)\n\n```python\n(.*?)```", card, flags=re.DOTALL))


def run(card: str, capsys) -> list[str]:
    """Run the code of a card from top to bottom. Returns what each block prints."""
    names: dict = {}
    printed = []
    for title, code in snippets(card).items():
        exec(compile(code, title, "exec"), names)
        printed.append(capsys.readouterr().out.strip())
    return printed


@pytest.mark.parametrize("model_class", PIPELINE_TAGS, ids=lambda model_class: model_class.__name__)
def test_runs(model_class, any_tokenizer, tmp_path, monkeypatch, capsys):
    path = save(model_class, any_tokenizer, tmp_path, monkeypatch)
    capsys.readouterr()
    assert all(run(path.read_text(encoding="utf-8"), capsys))


TASKS = {
    "one field": PatternVerbalizer("{text|shorten} It was [MASK].", {"pos": ["great", "good"], "neg": "bad"}),
    "two fields": PatternVerbalizer("{premise}? [MASK], {hypothesis}", {"yes": "Yes", "no": "No"}),
    "own choices": PatternVerbalizer("{question} [MASK]", choices="{options}"),
    "templates": PatternVerbalizer("{premise} so [MASK]", choices=["{first}", "{second}"]),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("model_class", [GLMForMultipleChoice, GLMForConditionalGeneration])
def test_a_classifier_is_asked_with_its_task(name, model_class, tokenizer, tmp_path, monkeypatch, capsys):
    path = save(model_class, TASKS[name].attach(tokenizer), tmp_path, monkeypatch)
    capsys.readouterr()
    card = path.read_text(encoding="utf-8")
    assert list(snippets(card)) == ["Classify with a pipeline", "Classify in Python"]
    piped, proba = run(card, capsys)
    assert piped.startswith("[{'label': ")
    assert proba.startswith("[[0.")
    assert "Ice is" not in card
    assert "import modeling_glm" in card


def test_other_heads_do_not_answer_a_task(tokenizer, tmp_path, monkeypatch):
    path = save(GLMForSequenceClassification, TASKS["one field"].attach(tokenizer), tmp_path, monkeypatch)
    assert list(snippets(path.read_text(encoding="utf-8"))) == ["Classify a text"]


def test_labels_are_named(any_tokenizer, tmp_path, monkeypatch, capsys):
    labels = {0: "dull", 1: "fun"}
    path = save(GLMForSequenceClassification, any_tokenizer, tmp_path, monkeypatch, id2label=labels)
    capsys.readouterr()
    assert run(path.read_text(encoding="utf-8"), capsys)[0] in labels.values()
    assert "# one of: dull, fun" in path.read_text()


@pytest.mark.parametrize("model_class", PIPELINE_TAGS, ids=lambda model_class: model_class.__name__)
@pytest.mark.parametrize("special", [True, False])
def test_runs_without_a_tokenizer(model_class, special, tmp_path, monkeypatch, capsys):
    model = make_model(model_class)
    model.save_pretrained(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    config = model.config if special else GLMConfig(vocab_size=64)
    card = str(create_model_card(config, model_class=model_class, model_id="model"))
    capsys.readouterr()
    assert list(snippets(card)) == ["Feed ids"]
    # Without ids of blanks no choices can be scored: the code loads the model and shows its config.
    shows_config = model_class is GLMForMultipleChoice and not special
    assert ("GLMConfig" if shows_config else "tensor") in run(card, capsys)[0]


@pytest.mark.parametrize(
    ("problem", "expected"),
    [("regression", r"\[-?\d"), ("multi_label_classification", r"\{'LABEL_0': 0\."), (None, "LABEL_")],
)
def test_of_classification_follows_the_kind_of_problem(problem, expected, tokenizer, tmp_path, monkeypatch, capsys):
    model = GLMForSequenceClassification(config_for(tokenizer, num_labels=3, problem_type=problem))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    card = write_model_card("model", model, tokenizer).read_text()
    capsys.readouterr()
    assert re.match(expected, run(card, capsys)[0])


def test_uses_the_blanks_and_the_language_of_the_vocabulary(any_tokenizer):
    card = str(
        create_model_card(config_for(any_tokenizer, architectures=["GLMForConditionalGeneration"]), any_tokenizer)
    )
    titles = ["Fill blanks", "Fill in a sentence", "Continue a text", "Score choices"]
    has_tasks = any_tokenizer.gmask_token is not None
    assert list(snippets(card)) == (titles if has_tasks else ["Fill blanks", "Score choices"])
    chinese = any_tokenizer.vocab_size > 49000 and "▁" in "".join(any_tokenizer.tokenize("a b"))
    assert ("中国的首都是[MASK]" in card) == chinese
    glued = len(any_tokenizer) < 1000 or any_tokenizer.convert_tokens_to_ids("Ġthe") != any_tokenizer.unk_token_id
    choices = '"北京", "上海"' if chinese else '" cold", " hot"' if glued else '"cold", "hot"'
    assert f"choices = [{choices}]" in card


def test_names_are_quoted(tokenizer):
    card = str(create_model_card(config_for(tokenizer), tokenizer, model_id='a"b/c'))
    assert r'from_pretrained("a\"b/c")' in card
