"""Branches, pull requests, replaced weights and refused pushes, on a hub on loopback."""

import json
from pathlib import Path

import pytest

from modeling_glm.hub.repository import stale_weights
from tests.support.hub_runs import last_commit


@pytest.mark.parametrize(
    ("existing", "new", "stale"),
    [
        (["model.safetensors", "README.md"], ["model-00001-of-00002.safetensors"], ["model.safetensors"]),
        (
            ["model-00001-of-00002.safetensors", "model.safetensors.index.json"],
            ["model.safetensors"],
            ["model-00001-of-00002.safetensors", "model.safetensors.index.json"],
        ),
        (["model.safetensors"], ["model.safetensors"], []),
        (["model.safetensors"], ["tokenizer.json"], []),
        (["model.fp16.safetensors", "pytorch_model.bin"], ["model.safetensors"], []),
        (  # an adapter that was merged
            ["adapter_config.json", "adapter_model.safetensors", "README.md"],
            ["model.safetensors"],
            ["adapter_config.json", "adapter_model.safetensors"],
        ),
        (["model.safetensors"], ["adapter_config.json", "adapter_model.safetensors"], []),
    ],
)
def test_stale_weights(existing, new, stale):
    assert stale_weights(existing, [Path("folder", name) for name in new]) == stale


def test_branch(hub, pushed):
    assert pushed["branch"]  # has other logits
    branch = last_commit(hub, "branches", "try-out")
    assert branch.message == "Another"
    assert "My own words." in branch.text("README.md")  # of main, where the branch began
    assert 'from_pretrained("writer/branches")' in branch.text("README.md")


def test_pull_requests_leave_the_branch_alone(hub, pushed):
    assert pushed["pull_request"]["revision"] == "refs/pr/1"
    assert last_commit(hub, "branches").message == "A card of my own"
    weights = {
        last_commit(hub, "branches", ref).files["model.safetensors"] for ref in hub.repos["writer/branches"].refs
    }
    assert len(weights) == 4


def test_of_two_cards_each_stays_in_its_place(hub, work):
    card = last_commit(hub, "branches", "refs/pr/2").text("README.md")
    assert "My own words." in card
    assert "### Fill blanks" in card
    assert "Not the card" not in card
    assert (work / "as-pr" / "README.md").read_text() == "# Not the card of the repository\n"


def test_weights_in_other_files_replace_the_old_ones(hub):
    _, one, many, again = hub.repos["writer/shards"].history()
    assert [name for name in one.files if "safetensors" in name] == ["model.safetensors"]
    assert "model.safetensors" not in many.files
    shards = set(json.loads(many.text("model.safetensors.index.json"))["weight_map"].values())
    assert len(shards) > 1
    assert shards | {"model.safetensors.index.json"} == {name for name in many.files if "safetensors" in name}
    assert [name for name in again.files if "safetensors" in name] == ["model.safetensors"]


def test_what_fails_says_why_and_leaves_nothing_half_done(hub, pushed):
    assert "403" in pushed["refuse"]
    assert "You don't have the rights to write to writer/trouble" in pushed["refuse"]
    assert "Error" in pushed["break"]
    assert "disconnected" in pushed["break"]
    assert "You don't have the rights to write to somebody/model" in pushed["none"]
    assert [commit.message for commit in hub.repos["writer/trouble"].history()] == [
        "initial commit",
        "Upload model",
    ]
    assert "somebody/model" not in hub.repos
