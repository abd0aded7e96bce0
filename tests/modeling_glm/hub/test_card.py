"""What the cards of models say, and that the code in them runs, for every class and every vocabulary."""

import re
from pathlib import Path

import pytest
import torch
import transformers
import yaml
from huggingface_hub import EvalResult
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import DEFAULT_CALLBACKS

import modeling_glm
from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMForSequenceClassification, GLMTokenizer
from modeling_glm.hub.card import TASKS, count_parameters, create_model_card, write_model_card
from modeling_glm.hub.trainer import HubCallback
from tests.support.models import make_model, randomise, tiny_config
from tests.support.original_files import VOCABULARIES, write_vocabulary

TEXTS = ["The quick brown fox jumps over the lazy dog.", "Paris is the capital of France."]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Small tensors gain nothing from threads, which wait for each other wherever the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer() -> GLMTokenizer:
    return GLMTokenizer.train_from_iterator(TEXTS * 10, 300)


@pytest.fixture(scope="module", params=["trained", *VOCABULARIES])
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


def snippets(card: str) -> dict[str, str]:
    return dict(re.findall(r"### ([^\n]+)\n\n```python\n(.*?)```", card, flags=re.DOTALL))


def run(card: str, capsys) -> list[str]:
    """Runs the code of a card from top to bottom; what each block prints."""
    names: dict = {}
    printed = []
    for title, code in snippets(card).items():
        exec(compile(code, title, "exec"), names)
        printed.append(capsys.readouterr().out.strip())
    return printed


def metadata(card) -> dict:
    return yaml.safe_load(str(card).split("---")[1])


class TestCode:
    @pytest.mark.parametrize("model_class", TASKS, ids=lambda model_class: model_class.__name__)
    def test_runs(self, model_class, any_tokenizer, tmp_path, monkeypatch, capsys):
        labels = {0: "dull", 1: "fun"}
        model = randomise(model_class(config_for(any_tokenizer, id2label=labels)))
        model.save_pretrained(tmp_path / "model")
        any_tokenizer.save_pretrained(tmp_path / "model")
        monkeypatch.chdir(tmp_path)
        path = write_model_card("model", model, any_tokenizer)
        capsys.readouterr()
        printed = run(path.read_text(encoding="utf-8"), capsys)
        assert all(printed)
        if model_class is GLMForSequenceClassification:
            assert printed[0] in labels.values()
            assert "# one of: dull, fun" in path.read_text()

    @pytest.mark.parametrize("model_class", TASKS, ids=lambda model_class: model_class.__name__)
    @pytest.mark.parametrize("special", [True, False])
    def test_runs_without_a_tokenizer(self, model_class, special, tmp_path, monkeypatch, capsys):
        model = make_model(model_class)
        model.save_pretrained(tmp_path / "model")
        monkeypatch.chdir(tmp_path)
        config = model.config if special else GLMConfig(vocab_size=64)
        card = str(create_model_card(config, model_class=model_class, model_id="model"))
        capsys.readouterr()
        assert list(snippets(card)) == ["Feed ids"]
        # Without ids of blanks no choices can be scored: the code loads the model and shows its config.
        shows_config = model_class is modeling_glm.GLMForMultipleChoice and not special
        assert ("GLMConfig" if shows_config else "tensor") in run(card, capsys)[0]

    @pytest.mark.parametrize(
        ("problem", "expected"),
        [("regression", r"\[-?\d"), ("multi_label_classification", r"\{'LABEL_0': 0\."), (None, "LABEL_")],
    )
    def test_of_classification_follows_the_kind_of_problem(
        self, problem, expected, tokenizer, tmp_path, monkeypatch, capsys
    ):
        model = GLMForSequenceClassification(config_for(tokenizer, num_labels=3, problem_type=problem))
        model.save_pretrained(tmp_path / "model")
        tokenizer.save_pretrained(tmp_path / "model")
        monkeypatch.chdir(tmp_path)
        card = write_model_card("model", model, tokenizer).read_text()
        capsys.readouterr()
        assert re.match(expected, run(card, capsys)[0])

    def test_uses_the_blanks_and_the_language_of_the_vocabulary(self, any_tokenizer):
        card = str(
            create_model_card(config_for(any_tokenizer, architectures=["GLMForConditionalGeneration"]), any_tokenizer)
        )
        titles = ["Fill blanks", "Fill in a sentence", "Continue a text", "Score choices"]
        has_tasks = any_tokenizer.gmask_token is not None
        assert list(snippets(card)) == (titles if has_tasks else ["Fill blanks", "Score choices"])
        chinese = any_tokenizer.vocab_size > 49000 and "▁" in "".join(any_tokenizer.tokenize("a b"))
        assert ("中国的首都是[MASK]" in card) == chinese
        glued = len(any_tokenizer) < 1000 or any_tokenizer.convert_tokens_to_ids("Ġthe") != any_tokenizer.unk_token_id
        if not chinese:
            assert (' cold", " hot"]' in card) == glued

    def test_names_are_quoted(self, tokenizer):
        card = str(create_model_card(config_for(tokenizer), tokenizer, model_id='a"b/c'))
        assert r'from_pretrained("a\"b/c")' in card


def history(**metrics: float) -> list[dict]:
    """What Trainer remembers of a short run."""
    evaluation = {"eval_loss": 0.25, **{f"eval_{name}": value for name, value in metrics.items()}}
    return [
        {"loss": 0.5, "epoch": 1.0, "step": 3},
        {**evaluation, "epoch": 1.0, "step": 3},
        {"train_runtime": 1.0, "train_loss": 0.5, "epoch": 1.0, "step": 3},
    ]


class TestContent:
    @pytest.mark.parametrize("model_class", TASKS, ids=lambda model_class: model_class.__name__)
    def test_metadata(self, model_class):
        card = create_model_card(make_model(model_class))
        assert metadata(card) == {
            "library_name": "transformers",
            "pipeline_tag": TASKS[model_class],
            "tags": ["glm", "blank-infilling", "cloze"],
        }
        assert f"A `{model_class.__name__}`" in card.text
        assert f"{make_model(model_class).num_parameters():,} parameters" in card.text

    def test_a_class_of_ones_own_is_the_class_that_it_derives_from(self):
        own = type("Mine", (GLMForSequenceClassification,), {})
        for card in (create_model_card(make_model(own)), create_model_card(tiny_config(), model_class=own)):
            assert metadata(card)["pipeline_tag"] == "text-classification"

    def test_what_the_caller_knows(self):
        figure = EvalResult("multiple-choice", "super_glue", "SuperGLUE", "accuracy", 0.5, dataset_config="copa")
        card = create_model_card(
            tiny_config(architectures=["GLMForMultipleChoice"]),
            model_id="me/mine",
            base_model="them/theirs",
            license="mit",
            language=["en", "zh"],
            datasets="super_glue",
            tags="toy",
            eval_results=[figure],
            sections={"notes": "## Notes\n\nmine", "limits": "## Limits\n\nnone"},
        )
        assert metadata(card) == {
            "base_model": "them/theirs",
            "datasets": "super_glue",
            "language": ["en", "zh"],
            "library_name": "transformers",
            "license": "mit",
            "metrics": ["accuracy"],
            "pipeline_tag": "multiple-choice",
            "tags": ["glm", "blank-infilling", "cloze", "toy"],
            "model-index": [
                {
                    "name": "mine",
                    "results": [
                        {
                            "task": {"type": "multiple-choice"},
                            "dataset": {"name": "SuperGLUE", "type": "super_glue", "config": "copa"},
                            "metrics": [{"type": "accuracy", "value": 0.5}],
                        }
                    ],
                }
            ],
        }
        assert card.text.startswith("\n# mine\n")
        assert re.findall(r"<!-- modeling-glm: (\w+) -->", card.text) == [
            "description",
            "usage",
            "notes",
            "limits",
            "citation",
        ]
        assert "## Limits\n\nnone\n" in card.text
        assert "A text may have up to" not in card.text

    def test_what_is_wrong_is_named(self):
        with pytest.raises(TypeError, match="Expected a model of GLM or a GLMConfig, got BertConfig"):
            create_model_card(BertConfig())
        with pytest.raises(ValueError, match="sections has the name 'my notes'"):
            create_model_card(tiny_config(), sections={"my notes": "x"})

    def test_parameters_are_counted_without_memory(self):
        model = make_model(GLMForConditionalGeneration)
        assert count_parameters(model.config) == model.num_parameters()
        assert count_parameters(GLMConfig.from_preset("10b")) == 9_880_682_496

    def test_writing_twice_changes_nothing(self, tokenizer, tmp_path):
        model = GLMForConditionalGeneration(config_for(tokenizer))
        first = write_model_card(tmp_path, model, tokenizer, license="mit").read_bytes()
        assert write_model_card(tmp_path, model, tokenizer).read_bytes() == first
        assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
        assert f'from_pretrained("{tmp_path.name}")'.encode() in first


class TestTrainer:
    def make(self, tmp_path, model, **settings) -> Trainer:
        arguments = TrainingArguments(tmp_path / "run", report_to="none", use_cpu=True, **settings)
        trainer = Trainer(model, arguments)
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
        found = metadata(card)
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
        (figure,) = metadata((tmp_path / "run" / "README.md").read_text())["model-index"][0]["results"]
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
        trainer = self.make(tmp_path, BertForSequenceClassification(config))
        trainer.create_model_card(model_name="bert", tags=["toy"])
        card = (tmp_path / "run" / "README.md").read_text()
        Trainer.create_model_card.__wrapped__(trainer, model_name="bert", tags=["toy"])
        assert (tmp_path / "run" / "README.md").read_text() == card
        assert "modeling-glm" not in card
        trainer.callback_handler.on_push_begin(trainer.args, trainer.state, trainer.control)
        assert {path.name for path in (tmp_path / "run").iterdir()} == {"README.md"}

    def test_those_of_adapters_too(self, tmp_path):
        from peft import LoraConfig, get_peft_model

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

    def test_registering_again_wraps_nothing_twice(self):
        before = Trainer.create_model_card, list(DEFAULT_CALLBACKS), modeling_glm.GLMPreTrainedModel.push_to_hub
        modeling_glm.register()
        assert (Trainer.create_model_card, DEFAULT_CALLBACKS, modeling_glm.GLMPreTrainedModel.push_to_hub) == before
        assert DEFAULT_CALLBACKS.count(HubCallback) == 1
        assert not hasattr(Trainer.create_model_card.__wrapped__, "__wrapped__")
