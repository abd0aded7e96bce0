"""Trainers push code and cards, during training and at its end."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification, GLMTrainer, HubCallback
from modeling_glm.hub.trainer import HubTrainerMixin
from tests.support.hub_runs import (
    last_commit,
    read_metadata,
    whole_commits,
)
from tests.support.models import make_model
from tests.support.uploaded import MODEL_CODE, TOKENIZER_CODE


def history(**metrics: float) -> list[dict]:
    """Return what Trainer logs in a short run."""
    evaluation = {"eval_loss": 0.25, **{f"eval_{name}": value for name, value in metrics.items()}}
    return [
        {"loss": 0.5, "epoch": 1.0, "step": 3},
        {**evaluation, "epoch": 1.0, "step": 3},
        {"train_runtime": 1.0, "train_loss": 0.5, "epoch": 1.0, "step": 3},
    ]


class TestCard:
    def make(self, tmp_path, model, trainer_class=GLMTrainer, **settings) -> Trainer:
        arguments = TrainingArguments(tmp_path / "run", report_to="none", use_cpu=True, **settings)
        trainer = trainer_class(model, arguments)
        Path(arguments.output_dir).mkdir(exist_ok=True)
        return trainer

    def test_its_arguments_are_followed(self, tmp_path):
        trainer = self.make(tmp_path, make_model(GLMForSequenceClassification), learning_rate=0.0321)
        trainer.state.log_history = history(accuracy=0.75)
        trainer.create_model_card(
            language="en",
            license="mit",
            tags="toy",
            model_name="my-model",
            finetuned_from="them/theirs",
            dataset_tags="glue",
            dataset="GLUE",
            dataset_args="sst2",
        )
        card = (tmp_path / "run" / "README.md").read_text()
        found = read_metadata(card)
        assert found["language"] == ["en"]
        assert found["license"] == "mit"
        assert found["base_model"] == "them/theirs"
        assert found["datasets"] == ["glue"]
        assert found["metrics"] == ["accuracy"]
        assert found["tags"] == ["glm", "blank-infilling", "cloze", "toy", "generated_from_trainer"]
        (figure,) = found["model-index"][0]["results"]
        assert figure["task"]["type"] == "text-classification"
        assert figure["dataset"] == {"name": "GLUE", "type": "glue", "args": "sst2"}
        assert figure["metrics"][0]["value"] == 0.75
        assert "# my-model\n" in card
        assert "Fine-tuned from [them/theirs](https://huggingface.co/them/theirs) on GLUE." in card
        assert "- Accuracy: 0.75\n" in card
        assert "- learning_rate: 0.0321\n" in card
        assert f"- Transformers {transformers.__version__}\n- Pytorch {torch.__version__}" in card

    def test_another_task_is_followed(self, tmp_path):
        trainer = self.make(tmp_path, make_model(GLMForConditionalGeneration))
        trainer.state.log_history = history(accuracy=0.5)
        trainer.create_model_card(tasks="fill-mask", dataset_tags="xsum")
        (figure,) = read_metadata((tmp_path / "run" / "README.md").read_text())["model-index"][0]["results"]
        assert figure["task"] == {"type": "fill-mask", "name": "Masked Language Modeling"}

    def test_an_existing_card_is_completed(self, tmp_path):
        trainer = self.make(tmp_path, make_model(GLMForConditionalGeneration))
        path = tmp_path / "run" / "README.md"
        path.write_text("---\nlicense: mit\n---\n\n# Mine\n\nwords\n")
        for _ in range(2):
            trainer.create_model_card()
        assert "# Mine\n\nwords\n" in path.read_text()
        assert path.read_text().count("### Training hyperparameters") == 1

    def test_only_the_first_process_writes(self, tmp_path, monkeypatch):
        trainer = self.make(tmp_path, make_model(GLMForConditionalGeneration))
        monkeypatch.setattr(trainer, "is_world_process_zero", lambda: False)
        trainer.create_model_card()
        assert not (tmp_path / "run" / "README.md").exists()

    def test_cards_of_other_models_are_the_library_s(self, tmp_path):
        config = BertConfig(
            vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
        )
        cards = []
        for trainer_class in (Trainer, GLMTrainer):
            trainer = self.make(tmp_path, BertForSequenceClassification(config), trainer_class)
            trainer.create_model_card(model_name="bert", tags=["toy"])
            cards.append((tmp_path / "run" / "README.md").read_text())
        assert cards[0] == cards[1]
        assert "modeling-glm" not in cards[0]
        trainer.callback_handler.on_push_begin(trainer.args, trainer.state, trainer.control)
        assert {path.name for path in (tmp_path / "run").iterdir()} == {"README.md"}

    def test_those_of_adapters_too(self, tmp_path):
        model = get_peft_model(make_model(GLMForConditionalGeneration), LoraConfig(target_modules=["dense"]))
        trainer = self.make(tmp_path, model)
        trainer.create_model_card()
        assert "modeling-glm" not in (tmp_path / "run" / "README.md").read_text()

    def test_a_broken_card_stops_a_run_before_it_begins(self, tmp_path):
        (tmp_path / "README.md").write_text("---\ntags: [glm\n---\n")
        arguments = TrainingArguments(
            tmp_path, push_to_hub=True, hub_model_id="me/mine", report_to="none", use_cpu=True
        )
        state = TrainerState(is_world_process_zero=True)
        with pytest.raises(ValueError, match=r"README\.md cannot be merged"):
            HubCallback().on_init_end(
                arguments, state, TrainerControl(), model=make_model(GLMForConditionalGeneration)
            )

    def test_other_trainer_classes_take_the_mixin(self, tmp_path):
        mine = type("Mine", (HubTrainerMixin, Seq2SeqTrainer), {})
        callback = HubCallback()
        arguments = Seq2SeqTrainingArguments(tmp_path, report_to="none", use_cpu=True)
        trainer = mine(make_model(GLMForConditionalGeneration), arguments, callbacks=[callback])
        assert [found for found in trainer.callback_handler.callbacks if isinstance(found, HubCallback)] == [callback]
        trainer.create_model_card()
        assert "## Training procedure" in (tmp_path / "README.md").read_text()
        assert "## Citation" in (tmp_path / "README.md").read_text()

    def test_nobody_has_the_callback_who_did_not_ask_for_it(self, tmp_path):
        trainer = self.make(tmp_path, make_model(GLMForConditionalGeneration), Trainer)
        assert not any(isinstance(callback, HubCallback) for callback in trainer.callback_handler.callbacks)


@pytest.mark.slow
class TestPushes:
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
        card = last_commit(hub, "trained").text("README.md")
        assert "- learning_rate: 0.0123" in card
        assert "| Training Loss | Epoch | Step | Validation Loss |" in card
        assert "### Framework versions" in card
        assert "Trained on Facts." in card
        assert 'from_pretrained("writer/trained")' in card
        assert card.count("## Use") == card.count("## Training procedure") == card.count("## Citation") == 1
        assert read_metadata(card)["tags"] == [
            "mine",
            "glm",
            "blank-infilling",
            "cloze",
            "toy",
            "generated_from_trainer",
        ]
        assert read_metadata(card)["datasets"] == ["my/facts"]

    def test_a_run_without_a_name_goes_by_its_folder(self, hub):
        _, commit = hub.repos["writer/short-name"].history()
        assert commit.message == "By its folder"
        assert MODEL_CODE | TOKENIZER_CODE | {"model.safetensors"} <= commit.files.keys()
        assert 'from_pretrained("writer/short-name")' in commit.text("README.md")

    @pytest.mark.parametrize("name", ["trained", "called-back"])
    def test_every_commit_of_a_run_loads(self, bare, hub, name):
        commits = whole_commits(hub, name)
        assert len(commits) == 3  # of two saves, and of the end
        assert all(len(bare["commits"][commit.oid]["answers"][0]) == 2 for commit in commits)
        scores = [str(bare["commits"][commit.oid]["scores"]) for commit in commits]
        assert len(set(scores)) > 1

    def test_pulled_back_it_gives_the_same_logits(self, pushed):
        assert pushed["trained"] == 0

    def test_with_the_callback_every_commit_has_code_and_those_of_the_run_our_card(self, hub):
        """The card at the end is the one of Transformers, which it writes after it called the callback."""
        _, _, *during, end = hub.repos["writer/called-back"].history()
        assert len(during) == 2
        for commit in (*during, end):
            assert commit.files.keys() >= MODEL_CODE | TOKENIZER_CODE
        for commit in during:
            assert "My own words." in commit.text("README.md")
            assert "### Fill blanks" in commit.text("README.md")
        assert "modeling-glm" not in end.text("README.md")
        assert "- learning_rate: 0.0123" in end.text("README.md")
