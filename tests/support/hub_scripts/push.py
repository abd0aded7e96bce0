"""
Push to the hub of HF_ENDPOINT in all possible ways, and pull back. The tests of modeling_glm/hub run this script.

    python push.py WORK_FOLDER STEP ...

A step is the name of a function in this file. The results go to WORK_FOLDER/pushed.json.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from huggingface_hub import CommitOperationAdd, HfApi, try_to_load_from_cache
from huggingface_hub.utils import get_session
from safetensors.torch import load_file
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from modeling_glm import (
    DataCollatorForBlankInfilling,
    GLMForConditionalGeneration,
    GLMTokenizer,
    GLMTrainer,
    HubCallback,
    convert_checkpoint,
)
from modeling_glm.hub.card import PIPELINE_TAGS
from tests.support.checkpoints import ORIGINAL
from tests.support.models import make_model

CLASSES = list(PIPELINE_TAGS)
TEXTS = ["The quick brown fox jumps over the lazy dog.", "Paris is the capital of France.", "One plus one is two."]
OWN_CARD = """---
license: mit
language: no
tags: [mine]
thumbnail: picture.png  # ours
---

# My own title

My own words.
"""


class WaitForPush(TrainerCallback):
    """Wait for every push: the training steps take less time, and Trainer skips a push while another one runs."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer

    def on_save(self, *args, **kwargs):
        self.trainer.push_in_progress.wait_until_done()


work = Path(sys.argv[1])
api = HfApi()
found: dict = {}
tokenizer = GLMTokenizer.train_from_iterator(TEXTS * 10, 320)


def make(model_class=GLMForConditionalGeneration, **overrides):
    overrides = {"vocab_size": len(tokenizer), "max_position_embeddings": 80, **overrides}
    return make_model(model_class, **{**tokenizer.special_token_ids, **overrides})


def write_card(repo_id: str, text: str = OWN_CARD):
    api.create_repo(repo_id, exist_ok=True)
    operation = CommitOperationAdd("README.md", text.encode())
    api.create_commit(repo_id, [operation], commit_message="A card of my own")


def pull(repo_id: str, **kwargs):
    """Compute logits with the model that the hub has now."""
    model = AutoModelForSeq2SeqLM.from_pretrained(repo_id, **kwargs).eval()
    inputs = AutoTokenizer.from_pretrained(repo_id, **kwargs)(TEXTS[0].replace("fox", "[MASK]"), return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).logits


def push_model_then_tokenizer():
    model = make()
    info = model.push_to_hub("writer/plain", private=True, tags=["toy"], license="apache-2.0")
    tokenizer.push_to_hub("writer/plain")
    found["plain"] = {"oid": info.oid, "repo_id": str(info.repo_url.repo_id)}
    inputs = tokenizer(TEXTS[0].replace("fox", "[MASK]"), return_tensors="pt")
    with torch.no_grad():
        found["plain"]["difference"] = (pull("writer/plain") - model(**inputs).logits).abs().max().item()


def push_tokenizer_then_model():
    tokenizer.push_to_hub("writer/tokenizer-first", tags=["early"])
    model = make()
    model.add_model_tags(["late"])
    model.push_to_hub("writer/tokenizer-first")


def save_and_push_every_class():
    for model_class in CLASSES:
        name = model_class.__name__
        folder = work / "saved" / name
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("not to be pushed")
        (folder / "README.md").write_text("# A card that was here before\n")
        make(model_class).save_pretrained(
            folder,
            push_to_hub=True,
            repo_id=f"writer/{name}",
            private=True,
            commit_message="Saved",
            tokenizer=tokenizer,
        )
    tokenizer.save_pretrained(work / "saved-tokenizer", push_to_hub=True, repo_id="writer/GLMTokenizer")


def push_again():
    for _ in range(2):
        make().push_to_hub("writer/again", tokenizer=tokenizer, commit_message="Once more")
    found["again"] = make(seed=1).push_to_hub("writer/again", tokenizer=tokenizer).oid


def push_to_an_existing_card():
    write_card("writer/own-card")
    make().push_to_hub("writer/own-card", tokenizer=tokenizer, tags="toy", license="apache-2.0", datasets="my/data")


def push_a_branch_and_a_pull_request():
    make().push_to_hub("writer/branches", tokenizer=tokenizer)
    write_card("writer/branches")
    make(seed=2).push_to_hub("writer/branches", revision="try-out", tokenizer=tokenizer, commit_message="Another")
    info = make(seed=3).push_to_hub("writer/branches", create_pr=True, commit_description="Better")
    found["pull_request"] = {"url": info.pr_url, "revision": info.pr_revision}
    (work / "as-pr").mkdir()
    (work / "as-pr" / "README.md").write_text("# Not the card of the repository\n")
    make(seed=4).save_pretrained(work / "as-pr", push_to_hub=True, repo_id="writer/branches", create_pr=True)
    found["branch"] = (pull("writer/branches", revision="try-out") != pull("writer/branches")).any().item()


def push_other_shards():
    make().push_to_hub("writer/shards")
    make(seed=1).push_to_hub("writer/shards", max_shard_size="50KB")
    make(seed=2).push_to_hub("writer/shards")


def fail():
    make().push_to_hub("writer/trouble")
    for how, repo_id in {"refuse": "writer/trouble", "break": "writer/trouble", "none": "somebody/model"}.items():
        get_session().post(f"{api.endpoint}/trouble/{how}")
        try:
            make(seed=1).push_to_hub(repo_id, tokenizer=tokenizer)
        except Exception as error:
            found[how] = f"{type(error).__name__}: {error}"


def convert_from_the_hub():
    """Convert a repository like the original ones: slow tokenizer files, pickled weights, code that must not run."""
    folder = work / "original"
    shutil.copytree(ORIGINAL, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.json", "__pycache__"))
    for name in ("config.json", "tokenizer_config.json", "added_tokens.json", "vocab.json"):
        shutil.copyfile(ORIGINAL / name, folder / name)
    torch.save(load_file(ORIGINAL / "model.safetensors"), folder / "pytorch_model.bin")
    torch.save({"learning_rate": 1}, folder / "training_args.bin")
    (folder / "modeling_glm.py").write_text("raise SystemExit('the code of the repository was run')")
    (folder / "README.md").write_text(OWN_CARD)
    api.create_repo("writer/original")
    api.upload_folder(repo_id="writer/original", folder_path=folder)
    done = convert_checkpoint("writer/original", work / "converted", check=True)
    found["converted"] = {"difference": done.difference, "has_tokenizer": done.has_tokenizer}
    snapshot = Path(try_to_load_from_cache("writer/original", "config.json")).parent
    found["converted"]["downloaded"] = sorted(path.name for path in snapshot.iterdir())
    for name, source in {"missing": "writer/no-such-model", "without_weights": "writer/GLMTokenizer"}.items():
        try:
            convert_checkpoint(source, work / "not-converted")
        except Exception as error:
            found["converted"][name] = f"{type(error).__name__}: {error}"


def train(trainer_class, repo_id: str, arguments_class=TrainingArguments, callbacks=()) -> Trainer:
    """Push checkpoints to a repository that has a card already, and then the finished model."""
    write_card(repo_id)
    data = [tokenizer(text, add_special_tokens=False) for text in TEXTS * 4]
    arguments = arguments_class(
        work / repo_id.split("/")[-1],
        max_steps=4,
        save_steps=2,
        eval_strategy="steps",
        eval_steps=2,
        learning_rate=0.0123,
        push_to_hub=True,
        hub_model_id=repo_id,
        hub_strategy="every_save",
        remove_unused_columns=False,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = trainer_class(
        make(),
        arguments,
        data_collator=DataCollatorForBlankInfilling(tokenizer),
        train_dataset=data,
        eval_dataset=data,
        processing_class=tokenizer,
        callbacks=[*callbacks],
    )
    trainer.add_callback(WaitForPush(trainer))
    trainer.train()
    trainer.push_to_hub(dataset_tags="my/facts", dataset="Facts", language="en", tags="toy")
    return trainer


def train_with_our_trainer():
    trainer = train(GLMTrainer, "writer/trained")
    trainer.model.eval()
    inputs = tokenizer(TEXTS[0].replace("fox", "[MASK]"), return_tensors="pt")
    with torch.no_grad():
        found["trained"] = (pull("writer/trained") - trainer.model(**inputs).logits).abs().max().item()


def train_with_the_callback():
    train(Seq2SeqTrainer, "writer/called-back", Seq2SeqTrainingArguments, [HubCallback()])


def train_without_a_name():
    """Push to the repository that has the name of the folder."""
    arguments = TrainingArguments(work / "short-name", use_cpu=True, report_to="none")
    GLMTrainer(make(), arguments, processing_class=tokenizer).push_to_hub(commit_message="By its folder")


for step in sys.argv[2:]:
    globals()[step]()
(work / "pushed.json").write_text(json.dumps(found))
