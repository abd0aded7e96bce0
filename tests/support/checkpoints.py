"""Checkpoints as others write them, for the tests of conversion."""

import json
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file

from modeling_glm import GLMModel
from modeling_glm.checkpoints.shards import split_tensor
from modeling_glm.configuration_glm import PRESETS
from tests.support.models import make_model
from tests.support.paths import FIXTURES, GOLDEN, GOLDEN_MODELS

CHECKPOINTS = GOLDEN / "checkpoint" if (GOLDEN / "checkpoint").is_dir() else FIXTURES / "checkpoint"
CONTENTS = json.loads((CHECKPOINTS / "contents.json").read_text(encoding="utf-8"))
ITERATION = str(CONTENTS["iteration"])
# The model that they were written from, as a folder of the hub.
ORIGINAL = GOLDEN_MODELS / CONTENTS["config"]
CONFIG = ORIGINAL / "config.json"
# The folders by their number of model-parallel shards.
SHARDED = {
    len(list(folder.glob("*/mp_rank_*.pt"))): folder for folder in sorted(CHECKPOINTS.iterdir()) if folder.is_dir()
}


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def module_of(path: Path) -> dict[str, torch.Tensor]:
    """Read a file as the authors' code does. Its pickle is trusted, because it is one of ours."""
    return torch.load(path, weights_only=False, map_location="cpu")["module"]


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]):
    """Compare tensors bit for bit."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name].view(torch.uint8), tensor.contiguous().view(torch.uint8)), name


def save_module(path: Path, module: dict[str, torch.Tensor], **extras) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**extras, "module": OrderedDict(module)}, path)
    return path


def base_weights(**overrides) -> dict[str, torch.Tensor]:
    return dict(make_model(GLMModel, **overrides).state_dict())


def shrink_preset(monkeypatch, name: str) -> dict[str, torch.Tensor]:
    """Make a published size narrow and shallow for a test, and return weights of this size."""
    monkeypatch.setitem(
        PRESETS, name, {**PRESETS[name], "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 1}
    )
    return base_weights(**PRESETS[name])


def save_shards(folder: Path, weights: dict[str, torch.Tensor], number: int = 2, **extras) -> list[Path]:
    """Write the shards of a model as DeepSpeed does."""
    pieces = {name: split_tensor(name, tensor, number) for name, tensor in weights.items()}
    return [
        save_module(
            folder / f"mp_rank_{rank:02d}_model_states.pt",
            {name: parts[rank].clone() for name, parts in pieces.items()},
            **extras,
        )
        for rank in range(number)
    ]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Read all files below a folder, by their names."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def write_archive(path: Path, pickled: bytes, parts: dict[str, bytes] | None = None) -> Path:
    """Write an archive as `torch.save` does, around any pickle and any other parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"data.pkl": pickled, "byteorder": b"little", "version": b"3", **(parts or {})}.items():
            archive.writestr(f"a/{name}", content)
    return path


def edit_archive(path: Path, change) -> Path:
    """Write an archive again, with `change(name, content)` in place of each part; None leaves the part out."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            if (changed := change(name.partition("/")[2], content)) is not None:
                archive.writestr(name, changed)
    return path
