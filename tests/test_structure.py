"""Rooms of a size one can read, imports that point one way, names that say what a thing is."""

import ast
import configparser
import itertools
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.structure import (
    ENTRANCES,
    MAY_IMPORT,
    MODULES,
    UPLOADED,
    count_files,
    floors,
    read_graph,
    room_of,
)
from tests.support.uploaded import TOKENIZER_CODE

MOST_MODULES = 14
GRAPH = read_graph()
CODE = [
    path
    for folder in ("modeling_glm", "tokenization", "examples", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
]


def test_graph_is_read():
    assert "modeling_glm.layout_glm" in GRAPH["modeling_glm.modeling_glm"]
    assert "modeling_glm.tokenization" in GRAPH["modeling_glm.filling.fill"]
    assert "entrances" in floors()[-1]  # with rooms that nothing imports, such as pretraining
    assert "core" in floors()[0]


def test_imports_point_one_way():
    wrong = [
        f"{module} imports {target}"
        for module, targets in GRAPH.items()
        for target in targets
        if room_of(target) not in {room_of(module), *MAY_IMPORT[room_of(module)]}
    ]
    assert not wrong


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
    uploaded += [f"modeling_glm.tokenization.{Path(name).stem}" for name in TOKENIZER_CODE]
    for module in uploaded:
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, module
                assert node.module, f"{module}: from . import is not followed"
                assert "." not in node.module, module
        siblings = {target for target in GRAPH[module] if target != "modeling_glm"}
        assert siblings <= set(uploaded), module


def test_rooms_are_small():
    root = {path.stem for path in (ROOT / "modeling_glm").glob("*.py")}
    assert root == UPLOADED | ENTRANCES
    folders = {folder: number for folder, number in count_files().items() if not folder.startswith("tests")}
    del folders["modeling_glm"]
    crowded = {folder: number for folder, number in folders.items() if number > MOST_MODULES}
    assert not crowded


def test_names_of_files_differ_in_more_than_a_plural_or_a_prefix():
    by_folder = defaultdict(list)
    for path in CODE:
        if not path.stem.startswith("_"):
            by_folder[path.parent].append(path.stem)
    alike = [
        f"{folder.relative_to(ROOT)}: {short} and {long}"
        for folder, names in by_folder.items()
        for short, long in itertools.permutations(names, 2)
        if long == f"{short}s" or long.startswith(f"{short}_") or long.endswith(f"_{short}")
    ]
    assert not alike


def test_names_of_classes_are_unique():
    found = defaultdict(list)
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(path.relative_to(ROOT).as_posix())
    twice = {name: places for name, places in found.items() if len(places) > 1}
    assert not twice


def expected_test(path: Path) -> Path:
    return ROOT / "tests" / path.relative_to(ROOT).parent / f"test_{path.stem}.py"


def test_every_module_has_a_test_of_its_name():
    missing = [
        str(expected_test(path).relative_to(ROOT))
        for path in MODULES.values()
        if not path.stem.startswith("__") and not expected_test(path).is_file()
    ]
    assert not missing


def test_setup_lists_every_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(setup["options"]["packages"].split()) - {"modeling_glm.glm_tiny"}  # a folder of data: the checkpoint
    assert listed == {module for module, path in MODULES.items() if path.name == "__init__.py"}
