"""The house: rooms of a size one can read, and imports that point one way (docs/how_it_works.md has the floor plan)."""

import ast
import configparser
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

UPLOADED = {
    "attention_glm",
    "cache_glm",
    "choices_glm",
    "configuration_glm",
    "generation_glm",
    "layout_glm",
    "mlp_glm",
    "modeling_glm",
}
# Beside the uploaded files, the root of the package holds these three.
ENTRANCES = {"__init__", "__main__", "registration"}
MOST_MODULES = 14

# What each room may import. "core" is the model that travels to the hub. A room that is missing here is an error.
MAY_IMPORT = {
    "core": set(),
    "tokenization": set(),
    "utils": {"core", "tokenization"},
    "hub": {"core", "tokenization", "utils"},
    "cloze": {"core", "tokenization", "utils"},
    "filling": {"core", "tokenization", "utils", "cloze"},  # choose takes a Calibration
    "inspection": {"core", "tokenization", "utils", "filling"},
    "pretraining": {"core", "tokenization", "utils", "hub", "inspection"},
    "checkpoints": {"core", "tokenization", "utils", "hub"},
    "cli": {"core", "tokenization", "utils", "hub", "cloze", "filling", "inspection", "pretraining", "checkpoints"},
}
MAY_IMPORT["entrances"] = set(MAY_IMPORT)


def modules() -> dict[str, Path]:
    """Every module of the installed package by its name there."""
    found = {}
    for folder, package in (("modeling_glm", "modeling_glm"), ("tokenization", "modeling_glm.tokenization")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def room_of(module: str) -> str:
    """`modeling_glm.filling.fill` -> "filling", `modeling_glm.layout_glm` -> "core"."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] in ENTRANCES:
        return "entrances"
    return "core" if parts[1].endswith("_glm") else parts[1]


def imports_of(module: str) -> Iterator[str]:
    """The modules of the package that a module imports, at any depth of its code."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                target = f"{source}.{alias.name}"
                if target in MODULES or source in MODULES:
                    yield target if target in MODULES else source


GRAPH = {module: set(imports_of(module)) for module in MODULES}


def test_graph_is_read():
    assert "modeling_glm.layout_glm" in GRAPH["modeling_glm.modeling_glm"]
    assert "modeling_glm.tokenization" in GRAPH["modeling_glm.filling.fill"]
    assert "modeling_glm.hub.push" in GRAPH["modeling_glm.registration"]


def test_imports_point_one_way():
    wrong = [
        f"{module} imports {target}"
        for module, targets in GRAPH.items()
        for target in targets
        if room_of(target) not in {room_of(module), *MAY_IMPORT[room_of(module)]}
    ]
    assert not wrong, wrong


def test_rooms_have_no_circle():
    TopologicalSorter({room: allowed - {room} for room, allowed in MAY_IMPORT.items()}).prepare()


def test_modules_have_no_circle():
    try:
        TopologicalSorter({module: targets - {module} for module, targets in GRAPH.items()}).prepare()
    except CycleError as error:
        pytest.fail(f"These modules import each other: {' -> '.join(error.args[1])}")


def test_uploaded_files_import_only_siblings():
    """The hub's loader of remote code follows `from .sibling import name` and nothing else."""
    uploaded = [f"modeling_glm.{name}" for name in UPLOADED]
    uploaded += ["modeling_glm.tokenization.tokenization_glm", "modeling_glm.tokenization.original_vocabularies"]
    for module in uploaded:
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, module
                assert node.module, f"{module}: from . import is not followed"
                assert "." not in node.module, module
        siblings = {target for target in GRAPH[module] if target != "modeling_glm"}
        assert siblings <= set(uploaded), module


def test_rooms_are_small():
    count = defaultdict(list)
    for folder in ("modeling_glm", "tokenization", "benchmarks", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            count[path.parent.relative_to(ROOT).as_posix()].append(path.stem)
    root = set(count.pop("modeling_glm"))
    assert root <= UPLOADED | ENTRANCES
    crowded = {folder: sorted(names) for folder, names in count.items() if len(names) > MOST_MODULES}
    assert not crowded


def test_setup_lists_every_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(setup["options"]["packages"].split())
    assert listed == {module for module, path in MODULES.items() if path.name == "__init__.py"}
