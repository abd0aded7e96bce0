"""A hub on loopback after everything was pushed to it: one process pushes, and one without the package reads, for all tests."""

import json
from pathlib import Path

import pytest

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.hub.card import write_model_card
from tests.support.hub_runs import pushed_hub, use_without_package, whole_commits
from tests.support.models import make_model

# Functions of hub_scripts/push.py.
STEPS = (
    "push_model_then_tokenizer",
    "push_tokenizer_then_model",
    "save_and_push_every_class",
    "push_again",
    "push_to_an_existing_card",
    "convert_from_the_hub",
    "train_with_our_trainer",
    "train_with_the_callback",
    "train_without_a_name",
    "push_a_branch_and_a_pull_request",
    "push_other_shards",
    "fail",
)


@pytest.fixture(scope="session")
def work(tmp_path_factory) -> Path:
    """The working folder of the steps, with a saved model, its tokenizer and its card in `local`."""
    work = tmp_path_factory.mktemp("hub")
    tokenizer = GLMTokenizer.train_from_iterator(["The quick brown fox jumps over the lazy dog."] * 10, 300)
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 80, **tokenizer.special_token_ids}
    model = make_model(GLMForConditionalGeneration, **settings)
    model.save_pretrained(work / "local")
    tokenizer.save_pretrained(work / "local")
    write_model_card(work / "local", model, tokenizer, model_id=str(work / "local"))
    return work


@pytest.fixture(scope="session")
def run(work):
    with pushed_hub(work, *STEPS) as run:
        yield run


@pytest.fixture(scope="session")
def hub(run):
    """The hub after everything was pushed to it."""
    return run[0]


@pytest.fixture(scope="session")
def pushed(run) -> dict:
    """The results of the steps."""
    return run[1]


@pytest.fixture(scope="session")
def bare(hub, work) -> dict:
    """The results of the script that runs without this package, and loads every commit of three repositories."""
    names = ("plain", "trained", "called-back")
    commits = [(f"writer/{name}", commit.oid) for name in names for commit in whole_commits(hub, name)]
    (work / "commits.json").write_text(json.dumps(commits))
    return use_without_package(work, hub, "use_local", "use_commits")
