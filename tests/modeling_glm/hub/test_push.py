"""Push models and tokenizers to a hub on loopback, and use saved folders without this package."""

import hashlib
import json
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMultipleChoice, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.dynamic_module_utils import get_imports

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.hub.card import PIPELINE_TAGS
from modeling_glm.hub.push import save_code
from tests.support.checkpoints import ORIGINAL, assert_same, weights_of
from tests.support.hub_runs import (
    last_commit,
    read_metadata,
)
from tests.support.models import make_model, tiny_config
from tests.support.uploaded import MODEL_CODE, TOKENIZER_CODE

TEXT = "The quick brown [MASK] jumps over the [MASK] dog."
CHOICES = [[" fox", " dog", " lazy cat"]]


@pytest.mark.slow
class TestConversion:
    """Convert a repository like the original ones."""

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
    @pytest.mark.parametrize("model_class", PIPELINE_TAGS, ids=lambda model_class: model_class.__name__)
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

    def test_needs_nothing_that_comes_without_transformers_and_torch(self, work):
        assert {path.name for path in (work / "local").glob("*.py")} == MODEL_CODE | TOKENIZER_CODE
        imported = {name for path in (work / "local").glob("*.py") for name in get_imports(path)}
        assert imported - sys.stdlib_module_names == {
            "huggingface_hub",
            "numpy",
            "tokenizers",
            "torch",
            "transformers",
        }


@pytest.mark.slow
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
        assert last_commit(hub, "remote-code").files.keys() > MODEL_CODE | TOKENIZER_CODE

    def test_which_leaves_the_card_of_the_repository_alone(self, bare, hub):
        history = hub.repos["writer/again"].history()
        assert [commit.message for commit in history[-2:]] == [
            "Upload GLMForConditionalGeneration",
            "Upload tokenizer",
        ]
        assert read_metadata(history[-1].text("README.md")) == read_metadata(history[2].text("README.md"))
        assert history[-1].text("README.md").split("---", 2)[2] == history[2].text("README.md").split("---", 2)[2]

    def test_the_code_of_the_card_runs(self, bare):
        assert {"model", "tokenizer", "chooser", "answers", "probabilities"} <= set(bare["card"])


@pytest.mark.slow
class TestPush:
    def test_model_and_tokenizer(self, hub, pushed):
        _, model, tokenizer = hub.repos["writer/plain"].history()
        assert (model.message, tokenizer.message) == ("Upload model", "Upload tokenizer")
        assert model.oid == pushed["plain"]["oid"]
        assert MODEL_CODE | {"config.json", "model.safetensors", "README.md"} < model.files.keys()
        assert TOKENIZER_CODE | {"tokenizer.json", "tokenizer_config.json"} < tokenizer.files.keys()
        assert json.loads(tokenizer.text("tokenizer_config.json"))["auto_map"]["AutoTokenizer"]

    def test_weights_go_by_the_protocol_of_large_files(self, hub):
        weights = last_commit(hub, "plain").files["model.safetensors"]
        assert hub.large[hashlib.sha256(weights).hexdigest()] == weights
        assert all(hashlib.sha256(data).hexdigest() == oid for oid, data in hub.large.items())

    def test_pulled_back_it_gives_the_same_logits(self, pushed):
        assert pushed["plain"]["difference"] == 0

    def test_private(self, hub):
        assert hub.repos["writer/plain"].private
        assert hub.repos["writer/GLMModel"].private
        assert not hub.repos["writer/tokenizer-first"].private

    def test_card(self, hub):
        card = read_metadata(last_commit(hub, "plain").text("README.md"))
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
        assert read_metadata(card)["tags"] == ["early", "glm", "blank-infilling", "cloze", "late"]

    @pytest.mark.parametrize("model_class", PIPELINE_TAGS, ids=lambda model_class: model_class.__name__)
    def test_saving_and_pushing_in_one_call(self, model_class, hub, work):
        name = model_class.__name__
        _, commit = hub.repos[f"writer/{name}"].history()
        assert commit.message == "Saved"
        needed = {"config.json", "model.safetensors", "README.md", "tokenizer.json", "tokenizer_config.json"}
        needed |= MODEL_CODE | TOKENIZER_CODE | {".gitattributes"}
        assert needed == commit.files.keys() - {"generation_config.json", "decision.json"}
        for path in (work / "saved" / name).iterdir():
            assert path.name == "notes.txt" or path.read_bytes() == commit.files[path.name]
        card = commit.text("README.md")
        assert read_metadata(card)["pipeline_tag"] == PIPELINE_TAGS[model_class]
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
        assert read_metadata(card)["tags"] == ["mine", "glm", "blank-infilling", "cloze", "toy"]
        assert read_metadata(card)["datasets"] == "my/data"


class RecordingRepository:
    """A repository without a hub that keeps what is committed."""

    files = ()
    commits: list[dict[str, bytes]]

    def __init__(self, repo_id: str, **settings):
        self.repo_id = repo_id
        self.commits = []
        RecordingRepository.last = self

    def write_card(self, folder, model, tokenizer, **details):
        (folder / "README.md").write_text(f"# {self.repo_id}\n")

    def commit(self, files, message, description):
        self.commits.append({file.name: file.read_bytes() for file in files})


class Saver:
    """A tokenizer that does something when it is saved."""

    def __init__(self, act):
        self.save_pretrained = lambda folder: act()


class TestSavingAndPushing:
    @pytest.fixture(autouse=True)
    def _recorded(self, monkeypatch):
        monkeypatch.setattr("modeling_glm.hub.push.Repository", RecordingRepository)

    def test_files_that_others_write_meanwhile_are_not_pushed(self, tmp_path):
        notes = tmp_path / "notes.txt"
        saver = Saver(lambda: notes.write_text("of somebody else"))
        make_model(GLMForConditionalGeneration).save_pretrained(tmp_path, push_to_hub=True, tokenizer=saver)
        (commit,) = RecordingRepository.last.commits
        assert notes.exists()
        assert commit == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path != notes}
        assert RecordingRepository.last.repo_id == tmp_path.name

    def test_an_interruption_leaves_the_folder_as_it_was(self, tmp_path):
        make_model(GLMForConditionalGeneration).save_pretrained(tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

        def fail():
            raise KeyboardInterrupt

        model = make_model(GLMForConditionalGeneration, seed=1)
        with pytest.raises(KeyboardInterrupt):
            model.save_pretrained(tmp_path, push_to_hub=True, tokenizer=Saver(fail))
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
        assert RecordingRepository.last.commits == []

    def test_a_failing_push_leaves_the_saved_model(self, tmp_path, monkeypatch):
        def refuse(*args, **details):
            raise ValueError("the card cannot be merged")

        monkeypatch.setattr(RecordingRepository, "write_card", refuse)
        model = make_model(GLMForConditionalGeneration)
        with pytest.raises(ValueError, match="cannot be merged"):
            model.save_pretrained(tmp_path, push_to_hub=True)
        loaded = GLMForConditionalGeneration.from_pretrained(tmp_path)
        assert_same(dict(loaded.state_dict()), dict(model.state_dict()))

    @pytest.mark.parametrize("sizes", [("50GB", "50KB"), ("50KB", "50GB")])
    def test_weights_in_other_files_replace_the_old_ones(self, sizes, tmp_path):
        for seed, size in enumerate(sizes):
            model = make_model(GLMForConditionalGeneration, seed=seed)
            model.save_pretrained(tmp_path, push_to_hub=True, max_shard_size=size)
        pushed = RecordingRepository.last.commits[0]
        assert {path.name for path in tmp_path.iterdir()} == pushed.keys()
        loaded = GLMForConditionalGeneration.from_pretrained(tmp_path)
        assert_same(dict(loaded.state_dict()), dict(model.state_dict()))

    def test_other_processes_do_not_push(self, tmp_path, monkeypatch):
        monkeypatch.setattr("modeling_glm.hub.push.Repository", None)
        make_model(GLMForConditionalGeneration).save_pretrained(tmp_path, is_main_process=False, push_to_hub=True)
        assert not {"config.json", "README.md"} & {path.name for path in tmp_path.iterdir()}
