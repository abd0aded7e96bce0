"""Saved folders where this package is not installed, and a hub on loopback: each used by real clients in processes."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForMultipleChoice, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.dynamic_module_utils import get_imports

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.hub.card import TASKS, write_model_card
from modeling_glm.hub.push import save_code
from tests.support.checkpoints import ORIGINAL, assert_same, weights_of
from tests.support.fake_hub import TOKEN, Commit, FakeHub, run_hub
from tests.support.models import make_model, tiny_config
from tests.support.paths import ROOT
from tests.support.uploaded import MODEL_CODE

SCRIPTS = ROOT / "tests" / "support" / "hub_scripts"
TOKENIZER_CODE = {"original_vocabularies.py", "tokenization_glm.py"}
TEXT = "The quick brown [MASK] jumps over the [MASK] dog."
CHOICES = [[" fox", " dog", " lazy cat"]]


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with a saved model, its tokenizer and its card in `local`."""
    work = tmp_path_factory.mktemp("hub")
    tokenizer = GLMTokenizer.train_from_iterator(["The quick brown fox jumps over the lazy dog."] * 10, 300)
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 80, **tokenizer.special_token_ids}
    model = make_model(GLMForConditionalGeneration, **settings)
    model.save_pretrained(work / "local")
    tokenizer.save_pretrained(work / "local")
    write_model_card(work / "local", model, tokenizer, model_id=str(work / "local"))
    return work


def run_script(name: str, work: Path, python: str | Path, hub: FakeHub, **environment: str):
    """Runs one of hub_scripts against the hub, with no settings of the caller's own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PYTHON", "TRANSFORMERS_"))}
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(work / "hf"), "HF_HUB_DISABLE_XET": "1"}
    settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [python, "-W", "error::DeprecationWarning:modeling_glm", SCRIPTS / name, work]
    done = subprocess.run(
        command, env={**kept, **settings, **environment}, cwd=work, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-5000:]


@pytest.fixture(scope="module")
def hub(work):
    """The hub after everything was pushed to it."""
    with run_hub() as hub:
        run_script("push.py", work, sys.executable, hub, PYTHONPATH=str(ROOT))
        yield hub


@pytest.fixture(scope="module")
def pushed(hub, work) -> dict:
    return json.loads((work / "pushed.json").read_text())


@pytest.fixture(scope="module")
def bare(hub, work) -> dict:
    """What was found in an environment with all that is installed here, but without this package."""
    packages = work / "packages"
    packages.mkdir()
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(folder).iterdir():
            if "modeling_glm" not in entry.name:
                (packages / entry.name).symlink_to(entry)
    venv.EnvBuilder(with_pip=False, symlinks=True).create(work / "venv")
    site_packages = next((work / "venv").glob("lib/python*/site-packages"))
    (site_packages / "packages.pth").write_text(f"{packages}\n")
    commits = [(f"writer/{name}", commit.oid) for name in ("trained", "plain") for commit in whole_commits(hub, name)]
    (work / "commits.json").write_text(json.dumps(commits))
    run_script("without_package.py", work, work / "venv" / "bin" / "python", hub)
    return json.loads((work / "without_package.json").read_text())


def whole_commits(hub: FakeHub, name: str) -> list[Commit]:
    """The commits of a repository that hold a model and its tokenizer."""
    needed = {"config.json", "tokenizer.json"}
    return [commit for commit in hub.repos[f"writer/{name}"].history() if needed <= commit.files.keys()]


def last(hub: FakeHub, name: str, ref: str = "main") -> Commit:
    return hub.repos[f"writer/{name}"].history(ref)[-1]


def metadata(card: str) -> dict:
    return yaml.safe_load(card.split("---")[1])


class TestConversion:
    """Of a repository like the originals'."""

    def test_weights_and_tokenizer(self, pushed, hub, work):
        assert pushed["converted"]["difference"] <= 1e-5
        assert pushed["converted"]["has_tokenizer"]
        assert_same(weights_of(work / "converted"), load_file(ORIGINAL / "model.safetensors"))
        assert GLMTokenizer.from_pretrained(work / "converted").get_vocab()["[gMASK]"] == 317
        card = (work / "converted" / "README.md").read_text()
        assert "base_model: writer/original" in card
        assert "My own words." in card

    def test_only_what_is_needed_is_downloaded(self, pushed):
        assert pushed["converted"]["downloaded"] == sorted(
            [
                "README.md",
                "added_tokens.json",
                "config.json",
                "merges.txt",
                "pytorch_model.bin",
                "tokenizer_config.json",
                "vocab.json",
            ]
        )

    def test_what_is_not_there(self, pushed, work):
        assert pushed["converted"]["missing"].startswith(
            "FileNotFoundError: There is no file or folder writer/no-such-model here, and the hub does not give"
        )
        assert pushed["converted"]["without_weights"].startswith(
            "CheckpointError: The repository writer/GLMTokenizer has no weights: expected one of model.safetensors"
        )
        assert not (work / "not-converted").exists()


class TestCode:
    @pytest.mark.parametrize("model_class", TASKS, ids=lambda model_class: model_class.__name__)
    def test_saved_folders_name_and_hold_it(self, model_class, tmp_path):
        make_model(model_class).save_pretrained(tmp_path)
        auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
        assert auto_map["AutoConfig"] == "configuration_glm.GLMConfig"
        assert f"modeling_glm.{model_class.__name__}" in auto_map.values()
        assert {path.name for path in tmp_path.glob("*.py")} == MODEL_CODE

    def test_saved_alone(self, tmp_path):
        config = tiny_config()
        save_code(config, tmp_path)
        assert config.auto_map["AutoModelForSeq2SeqLM"] == "modeling_glm.GLMForConditionalGeneration"
        assert {path.name for path in tmp_path.iterdir()} == MODEL_CODE

    def test_other_processes_do_not_push(self, tmp_path, monkeypatch):
        monkeypatch.setattr("modeling_glm.hub.push.Repository", None)
        make_model(GLMForConditionalGeneration).save_pretrained(tmp_path, is_main_process=False, push_to_hub=True)
        assert not {"config.json", "README.md"} & {path.name for path in tmp_path.iterdir()}

    def test_needs_nothing_that_comes_without_transformers_and_torch(self, work):
        assert {path.name for path in (work / "local").glob("*.py")} == MODEL_CODE | TOKENIZER_CODE
        imported = {name for path in (work / "local").glob("*.py") for name in get_imports(path)}
        assert imported - sys.stdlib_module_names == {"huggingface_hub", "tokenizers", "torch", "transformers"}


class TestWithoutThePackage:
    def test_blanks_and_choices_give_the_same_numbers(self, bare, work):
        tokenizer = AutoTokenizer.from_pretrained(work / "local")
        inputs = tokenizer([TEXT], return_tensors="pt")
        model = AutoModelForSeq2SeqLM.from_pretrained(work / "local")
        chooser = AutoModelForMultipleChoice.from_pretrained(work / "local")
        assert isinstance(model, GLMForConditionalGeneration)
        with torch.no_grad():
            filled = model.generate(**inputs, max_new_tokens_per_blank=5)
            scores = chooser(**tokenizer.build_inputs_for_multiple_choice(inputs, CHOICES)).logits
        assert bare["installed"] is False
        assert bare["local"]["module"].startswith("transformers_modules.")
        assert bare["local"]["ids"] == filled.tolist()
        assert bare["local"]["answers"] == tokenizer.decode_blanks(filled)
        torch.testing.assert_close(torch.tensor(bare["local"]["scores"]), scores, atol=1e-5, rtol=1e-5)

    def test_what_was_loaded_by_remote_code_can_be_saved(self, bare, work):
        assert bare["saved_again"]["ids"] == bare["local"]["ids"]
        assert bare["saved_again"]["scores"] == bare["local"]["scores"]
        first, again = work / "local", work / "saved-again"
        assert json.loads((again / "config.json").read_text()) == json.loads((first / "config.json").read_text())
        maps = [json.loads((folder / "tokenizer_config.json").read_text())["auto_map"] for folder in (first, again)]
        assert maps[0] == maps[1]
        assert {path.name for path in again.glob("*.py")} == MODEL_CODE | TOKENIZER_CODE

    def test_and_pushed(self, bare, hub):
        assert bare["pushed_again"]["scores"] == bare["local"]["scores"]
        assert last(hub, "remote-code").files.keys() > MODEL_CODE | TOKENIZER_CODE

    def test_which_leaves_the_card_of_the_repository_alone(self, bare, hub):
        history = hub.repos["writer/again"].history()
        assert [commit.message for commit in history[-2:]] == [
            "Upload GLMForConditionalGeneration",
            "Upload tokenizer",
        ]
        assert metadata(history[-1].text("README.md")) == metadata(history[2].text("README.md"))
        assert history[-1].text("README.md").split("---", 2)[2] == history[2].text("README.md").split("---", 2)[2]

    def test_the_code_of_the_card_runs(self, bare):
        assert {"model", "tokenizer", "chooser", "answers", "probabilities"} <= set(bare["card"])

    def test_every_commit_of_a_run_loads(self, bare, hub):
        commits = whole_commits(hub, "trained")
        assert len(commits) >= 3  # of two saves, and of the end
        assert all(len(bare["commits"][commit.oid]["answers"][0]) == 2 for commit in commits)
        scores = [str(bare["commits"][commit.oid]["scores"]) for commit in commits]
        assert len(set(scores)) > 1


class TestPush:
    def test_model_and_tokenizer(self, hub, pushed):
        _, model, tokenizer = hub.repos["writer/plain"].history()
        assert (model.message, tokenizer.message) == ("Upload model", "Upload tokenizer")
        assert model.oid == pushed["plain"]["oid"]
        assert MODEL_CODE | {"config.json", "model.safetensors", "README.md"} < model.files.keys()
        assert TOKENIZER_CODE | {"tokenizer.json", "tokenizer_config.json"} < tokenizer.files.keys()
        assert json.loads(tokenizer.text("tokenizer_config.json"))["auto_map"]["AutoTokenizer"]

    def test_weights_go_by_the_protocol_of_large_files(self, hub):
        weights = last(hub, "plain").files["model.safetensors"]
        assert hub.large[hashlib.sha256(weights).hexdigest()] == weights
        assert all(hashlib.sha256(data).hexdigest() == oid for oid, data in hub.large.items())

    def test_pulled_back_it_gives_the_same_logits(self, pushed):
        assert pushed["plain"]["difference"] == 0
        assert pushed["trained"] == 0

    def test_private(self, hub):
        assert hub.repos["writer/plain"].private
        assert hub.repos["writer/GLMModel"].private
        assert not hub.repos["writer/tokenizer-first"].private

    def test_card(self, hub):
        card = metadata(last(hub, "plain").text("README.md"))
        assert card["library_name"] == "transformers"
        assert card["license"] == "apache-2.0"
        assert card["tags"] == ["glm", "blank-infilling", "cloze", "toy"]

    def test_the_code_of_the_card_suits_the_tokenizer_pushed_later(self, hub):
        _, model, tokenizer = hub.repos["writer/plain"].history()
        assert "### Feed ids" in model.text("README.md")
        assert "### Feed ids" not in tokenizer.text("README.md")
        assert "### Fill blanks" in tokenizer.text("README.md")

    def test_the_card_of_a_tokenizer_pushed_first_makes_room(self, hub):
        _, tokenizer, model = hub.repos["writer/tokenizer-first"].history()
        assert "[More Information Needed]" in tokenizer.text("README.md")  # the library's
        card = model.text("README.md")
        assert "[More Information Needed]" not in card
        assert "### Fill blanks" in card
        assert metadata(card)["tags"] == ["early", "glm", "blank-infilling", "cloze", "late"]

    @pytest.mark.parametrize("model_class", TASKS, ids=lambda model_class: model_class.__name__)
    def test_saving_and_pushing_in_one_call(self, model_class, hub, work):
        name = model_class.__name__
        _, commit = hub.repos[f"writer/{name}"].history()
        assert commit.message == "Saved"
        needed = {"config.json", "model.safetensors", "README.md", "tokenizer.json", "tokenizer_config.json"}
        needed |= MODEL_CODE | TOKENIZER_CODE | {".gitattributes"}
        assert needed == commit.files.keys() - {"generation_config.json"}
        for path in (work / "saved" / name).iterdir():
            assert path.name == "notes.txt" or path.read_bytes() == commit.files[path.name]
        card = commit.text("README.md")
        assert metadata(card)["pipeline_tag"] == TASKS[model_class]
        assert f'from_pretrained("writer/{name}")' in card
        assert card.count("# A card that was here before\n") == 1

    def test_saving_and_pushing_a_tokenizer(self, hub):
        _, commit = hub.repos["writer/GLMTokenizer"].history()
        assert commit.files.keys() == {".gitattributes", "tokenizer.json", "tokenizer_config.json", *TOKENIZER_CODE}

    def test_the_same_again_is_no_commit_and_new_weights_change_nothing_else(self, hub, pushed):
        _, first, second = hub.repos["writer/again"].history()[:3]
        assert (first.message, second.message) == ("Once more", "Upload model")
        assert second.oid == pushed["again"]
        assert {name for name in second.files if first.files[name] != second.files[name]} == {"model.safetensors"}

    def test_an_existing_card_is_completed(self, hub):
        _, _, model = hub.repos["writer/own-card"].history()
        card = model.text("README.md")
        assert "# My own title\n\nMy own words.\n\n<!-- modeling-glm: description -->" in card
        assert "license: mit\nlanguage: no\n" in card
        assert "thumbnail: picture.png  # ours\n" in card
        assert metadata(card)["tags"] == ["mine", "glm", "blank-infilling", "cloze", "toy"]
        assert metadata(card)["datasets"] == "my/data"

    def test_branch(self, hub, pushed):
        assert pushed["branch"]  # has other logits
        branch = last(hub, "branches", "try-out")
        assert branch.message == "Another"
        assert "My own words." in branch.text("README.md")  # of main, where the branch began
        assert 'from_pretrained("writer/branches")' in branch.text("README.md")

    def test_pull_requests_leave_the_branch_alone(self, hub, pushed):
        assert pushed["pull_request"]["revision"] == "refs/pr/1"
        assert last(hub, "branches").message == "A card of my own"
        weights = {last(hub, "branches", ref).files["model.safetensors"] for ref in hub.repos["writer/branches"].refs}
        assert len(weights) == 4

    def test_of_two_cards_each_stays_in_its_place(self, hub, work):
        card = last(hub, "branches", "refs/pr/2").text("README.md")
        assert "My own words." in card
        assert "### Fill blanks" in card
        assert "Not the card" not in card
        assert (work / "as-pr" / "README.md").read_text() == "# Not the card of the repository\n"

    def test_weights_in_other_files_replace_the_old_ones(self, hub):
        _, one, many, again = hub.repos["writer/shards"].history()
        assert [name for name in one.files if "safetensors" in name] == ["model.safetensors"]
        assert "model.safetensors" not in many.files
        shards = set(json.loads(many.text("model.safetensors.index.json"))["weight_map"].values())
        assert len(shards) > 1
        assert shards | {"model.safetensors.index.json"} == {name for name in many.files if "safetensors" in name}
        assert [name for name in again.files if "safetensors" in name] == ["model.safetensors"]

    def test_what_fails_says_why_and_leaves_nothing_half_done(self, hub, pushed):
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


class TestTrainer:
    def test_every_save_is_whole(self, hub):
        _, _, *commits = hub.repos["writer/trained"].history()
        assert [commit.message for commit in commits] == [
            "Training in progress, step 2",
            "Training in progress, step 4",
            "End of training",
        ]
        needed = {"config.json", "model.safetensors", "README.md", "tokenizer.json", "training_args.bin"}
        for commit in commits:
            assert needed | MODEL_CODE | TOKENIZER_CODE <= commit.files.keys()
            assert "AutoModelForSeq2SeqLM" in json.loads(commit.text("config.json"))["auto_map"]
            assert "My own words." in commit.text("README.md")
            assert "### Fill blanks" in commit.text("README.md")
        assert len({commit.files["model.safetensors"] for commit in commits}) == 2

    def test_the_card_at_the_end(self, hub):
        card = last(hub, "trained").text("README.md")
        assert "- learning_rate: 0.0123" in card
        assert "| Training Loss | Epoch | Step | Validation Loss |" in card
        assert "### Framework versions" in card
        assert "Trained on Facts." in card
        assert 'from_pretrained("writer/trained")' in card
        assert card.count("## Use") == card.count("## Training procedure") == card.count("## Citation") == 1
        assert metadata(card)["tags"] == ["mine", "glm", "blank-infilling", "cloze", "toy", "generated_from_trainer"]
        assert metadata(card)["datasets"] == ["my/facts"]

    def test_a_run_without_a_name_goes_by_its_folder(self, hub):
        _, commit = hub.repos["writer/short-name"].history()
        assert commit.message == "By its folder"
        assert MODEL_CODE | TOKENIZER_CODE | {"model.safetensors"} <= commit.files.keys()
        assert 'from_pretrained("writer/short-name")' in commit.text("README.md")
