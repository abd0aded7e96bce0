"""Mutated checkpoints are converted, or refused in words: no code runs, nothing hangs, no target is half made."""

import argparse
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification, GLMModel, convert_checkpoint
from modeling_glm.checkpoints.files import CheckpointError
from modeling_glm.hub.card import write_model_card
from tests.support.checkpoints import ORIGINAL, base_weights, save_module, save_shards
from tests.support.models import make_model, tiny_config
from tests.support.mutations import attack, mutate_file
from tests.support.stress import GIB

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> list[Path]:
    """Checkpoints of every kind, each in a folder with its config."""
    root = tmp_path_factory.mktemp("sources")
    weights = base_weights(num_hidden_layers=1)
    config = tiny_config(num_hidden_layers=1)
    extras = {"args": argparse.Namespace(lr=1), "rng": np.random.get_state(), "iteration": 3, "lr": np.float64(1)}
    save_module(root / "archive" / "a.pt", weights, **extras)
    (root / "old").mkdir()
    torch.save({"module": weights, **extras}, root / "old" / "a.pt", _use_new_zipfile_serialization=False)
    save_shards(root / "shards", weights, iteration=3)
    make_model(GLMModel, num_hidden_layers=1).save_pretrained(root / "parts", max_shard_size="20KB")
    for name in ("archive", "old", "shards"):
        config.save_pretrained(root / name)
    make_model(GLMForConditionalGeneration, num_hidden_layers=1).save_pretrained(root / "tuned")
    write_model_card(root / "tuned", config)
    make_model(GLMForSequenceClassification, num_hidden_layers=1).save_pretrained(root / "classifier")
    (root / "hub").mkdir()
    for name in ("config.json", "tokenizer_config.json", "added_tokens.json", "vocab.json", "merges.txt"):
        shutil.copyfile(ORIGINAL / name, root / "hub" / name)
    torch.save(load_file(ORIGINAL / "model.safetensors"), root / "hub" / "pytorch_model.bin")
    return sorted(root.iterdir())


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.filterwarnings("ignore")
def test_mutated_checkpoints(stress, sources, tmp_path):
    for case in stress.cases(100, smoke=6, seconds=20, memory=2 * GIB):
        with case:
            draw = case.random
            work = tmp_path / str(case.number)
            folder, target, marker = work / "source", work / "glm", work / "ran"
            shutil.copytree(draw.choice(sources), folder)
            files = sorted(path for path in folder.iterdir() if path.suffix in MUTATED)
            for path in draw.sample(files, k=min(len(files), draw.choice([1, 1, 1, 2]))):
                mutate_file(draw, path, attack(marker))
            options = {
                "check": draw.random() < 0.3,
                "shards": draw.choice([None, None, None, 1, 2]),
                "head": draw.choice([*[None] * 8, "classification", "blank-infilling"]),
            }
            before = listing(work)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    done = convert_checkpoint(choose_source(draw, folder), target, **options)
            except (ValueError, FileNotFoundError) as error:
                assert_clear(error, options)
                assert listing(work) == before
            else:
                assert done.target == target
                assert (target / "config.json").is_file()
                if options["shards"] is None:
                    done.model_class.from_pretrained(target)
            assert not marker.exists()
            assert not list(Path.cwd().glob("*.patch"))
            shutil.rmtree(work)


MUTATED = (".pt", ".bin", ".safetensors", ".json", ".md", ".txt", ".model")


def choose_source(draw, folder: Path) -> Path:
    """Give the folder, or the file in it if its name is not one that is looked for; now and then another file."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".pt", ".safetensors")]
    if files and draw.random() < 0.1:
        return draw.choice(files)
    return next((path for path in files if path.name == "a.pt"), folder)


def assert_clear(error: Exception, options: dict) -> None:
    """The message is a sentence of this package that names a file, a tensor or an argument."""
    message = str(error)
    assert len(message.split()) >= 5, message
    assert len(message) < 6000
    assert message.isascii() or message.encode(), message
    named = ("/", "tensor", ".weight", ".bias", *(f"{name}=" for name in options), "iteration=", "config", "word_emb")
    assert any(name in message for name in named), message
    assert isinstance(error, CheckpointError | FileNotFoundError) or error.__cause__ is None, repr(error.__cause__)
